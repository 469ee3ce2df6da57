//! Addresses to listen on: `0.0.0.0:8080`, `%eth0:8080`, `unix:/run/app.sock`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::issue::{Fault, shown};
use crate::model::bind::{Bind, SocketMode};
use crate::model::pool::UNIX;

use super::{after_scheme, unix};

/// Longest name of a network interface (`IFNAMSIZ` without its zero).
const MOST_DEVICE: usize = 15;

/// Where somebody listens.
pub(crate) fn bind(text: &str) -> Result<Bind, Fault> {
    if let Some(socket) = unix::socket(text) {
        return socket.map(|name| Bind::Unix(name.strip_prefix(UNIX).unwrap_or(&name).into()));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return usable(text, address).map(|()| Bind::Ip(address));
    }
    match with_device(text) {
        Some((address, device)) => {
            usable(text, address)?;
            device_name(text, device)?;
            Ok(Bind::Device(address, device.into()))
        }
        None => Err(Fault::new(format!("{} is not an address to listen on", shown(text)), better(text))),
    }
}

fn usable(text: &str, address: SocketAddr) -> Result<(), Fault> {
    let refused = match address.ip().to_canonical() {
        ip if ip.is_multicast() => "a multicast address",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        _ => return Ok(()),
    };
    Err(Fault::new(
        format!("{} is {refused}", shown(text)),
        "listen on an address of this machine, or on \"0.0.0.0\" for all of them",
    ))
}

/// `0.0.0.0%eth0:8080` and `[::]%eth0:8080`, as `ss` shows sockets that keep to an interface; `%eth0:8080` and
/// `*%eth0:8080` are both families.
fn with_device(text: &str) -> Option<(SocketAddr, &str)> {
    let (address, rest) = match text.split_once("]%") {
        Some((address, rest)) => (address.strip_prefix('[')?, rest),
        None => text.split_once('%')?,
    };
    let (device, port) = rest.rsplit_once(':')?;
    let address = match address {
        "" | "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ if text.starts_with('[') => IpAddr::V6(address.parse().ok()?),
        _ => IpAddr::V4(address.parse().ok()?),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    Some((SocketAddr::new(address, port.parse().ok().filter(|_| digits)?), device))
}

fn device_name(text: &str, device: &str) -> Result<(), Fault> {
    if is_device(device) {
        return Ok(());
    }
    let problem = format!("{} is not a network interface, as {} has it", shown(device), shown(text));
    Err(Fault::new(problem, "write its name, as `ip link` shows it: \"%eth0:8080\""))
}

fn is_device(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = !name.is_empty() && name.len() <= MOST_DEVICE && name.chars().all(allowed);
    good && !matches!(name, "." | "..")
}

fn better(text: &str) -> String {
    if let Some(rest) = after_scheme(text) {
        return format!("leave the scheme out: write {}", shown(rest.trim_end_matches('/')));
    }
    if text.trim().parse::<SocketAddr>().is_ok() {
        return format!("take the spaces out: \"{}\"", text.trim());
    }
    if let Some((device, port)) = text.rsplit_once("]:").and_then(|(address, port)| {
        let (_, device) = address.split_once('%')?;
        Some((device, port)).filter(|_| device.starts_with(|c: char| !c.is_ascii_digit()))
    }) {
        let address = text.split('%').next().unwrap_or_default();
        return format!(
            "write the interface behind the brackets: {}",
            shown(&format!("{address}]%{device}:{port}"))
        );
    }
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match inside.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => return format!("add the port: \"{address}:8080\""),
        Ok(IpAddr::V6(address)) => return format!("write brackets and the port: \"[{address}]:8080\""),
        Err(_) => {}
    }
    let port = text.rsplit(':').next().unwrap_or_default();
    let host = text.strip_suffix(port).unwrap_or_default().trim_end_matches(':');
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && (host.is_empty() || host == "*") => {
            format!(
                "write \"0.0.0.0:{port}\" for all addresses, or \"127.0.0.1:{port}\" for this machine only"
            )
        }
        Ok(port) if digits && host.eq_ignore_ascii_case("localhost") => format!("write \"127.0.0.1:{port}\""),
        // Names of hosts have dots, and those of interfaces hardly ever.
        Ok(port) if digits && is_device(host) && !host.contains('.') => {
            format!(
                "write an IP address, or \"%{host}:{port}\" for what comes in at the network interface {host}"
            )
        }
        Err(_) if digits => "ports go from 0 to 65535".to_owned(),
        _ => "write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned(),
    }
}

/// The mode of a socket's file, in octal digits as `chmod` takes them.
pub(crate) fn socket_mode(text: &str) -> Result<SocketMode, Fault> {
    let digits = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777);
    mode.map(SocketMode).ok_or_else(|| {
        let problem = format!("{} is not the mode of a file", shown(text));
        Fault::new(problem, "write three octal digits behind a zero, such as \"0660\"")
    })
}
