//! Hosts and addresses: of servers, in routes, in `Host` headers, of listeners, of networks.
//!
//! Each function answers with the value as it is kept, or says what is wrong and what to write.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::issue::{Fault, shown};
use crate::model::bind::Trusted;
use crate::model::pool::UNIX;

mod bind;
mod syslog;
pub(crate) mod unix;

pub(crate) use bind::{bind, socket_mode};
pub(crate) use syslog::syslog;

/// Where a server is: an IP address, a name to look up, or a Unix socket. Names are kept in lower case, addresses in
/// their usual form.
pub(crate) fn server_host(text: &str) -> Result<String, Fault> {
    if let Some(socket) = unix::socket(text) {
        return socket;
    }
    if let Some(rest) = after_scheme(text) {
        let problem = format!("{} is a URL, not a host", shown(text));
        let bare = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return Err(match split_port(bare) {
            Some((host, port)) => {
                Fault::new(problem, format!("write \"host\": {}, \"port\": {port}", shown(host)))
            }
            None => Fault::new(problem, format!("write the host alone: {}", shown(bare))),
        });
    }
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inside) = inside.filter(|inside| inside.parse::<Ipv6Addr>().is_ok()) {
        let problem = format!("the address {} stands in brackets", shown(text));
        return Err(Fault::new(problem, format!("write \"{inside}\", without brackets")));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return usable_address(address);
    }
    if let Some((host, port)) = split_port(text) {
        let problem = format!("the host {} holds a port", shown(text));
        return Err(Fault::new(problem, format!("write \"host\": {}, \"port\": {port}", shown(host))));
    }
    if text.contains('*') {
        let problem = format!("the host {} holds a wildcard", shown(text));
        return Err(Fault::new(problem, "name each server; a wildcard belongs in the hosts of a route"));
    }
    dns_name(text).map(|()| text.to_ascii_lowercase())
}

fn usable_address(address: IpAddr) -> Result<String, Fault> {
    let problem = |why: &str| format!("{address} {why}");
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_broadcast() => {
            Err(Fault::new(problem("is the broadcast address"), "write the address of one server"))
        }
        canonical if canonical.is_unspecified() => {
            Err(Fault::new(problem("is no address to connect to"), "write \"127.0.0.1\" for this machine"))
        }
        canonical if canonical.is_multicast() => {
            Err(Fault::new(problem("is a multicast address"), "write the address of one server"))
        }
        canonical => Ok(canonical.to_string()),
    }
}

/// A name as the resolver takes it (RFC 1123, 2.1; underscores as container networks use them).
fn dns_name(text: &str) -> Result<(), Fault> {
    let problem = || format!("{} is not a host name", shown(text));
    if text.is_empty() {
        return Err(Fault::new("the host is empty", "write a host name or an IP address"));
    }
    if !text.is_ascii() {
        return Err(Fault::new(problem(), "write an international name in its \"xn--\" form"));
    }
    if text.len() > 253 {
        return Err(Fault::new(problem(), "host names have at most 253 bytes"));
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    for label in labels.split('.') {
        if label.is_empty() {
            return Err(Fault::new(problem(), "take out the dot that has nothing before or after it"));
        }
        if label.len() > 63 {
            return Err(Fault::new(problem(), "each part between dots has at most 63 bytes"));
        }
        if let Some(wrong) = label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
            let help = format!("take out {wrong:?}; letters, digits, \"-\", \"_\" and dots may stand there");
            return Err(Fault::new(problem(), help));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Fault::new(problem(), "no part of a host name begins or ends with \"-\""));
        }
    }
    // A resolver would take a name that ends in a number for a broken IPv4 address.
    if labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
        return Err(Fault::new(
            format!("{} is neither a host name nor an IP address", shown(text)),
            "IPv4 addresses are four numbers from 0 to 255, such as \"10.0.0.5\"",
        ));
    }
    Ok(())
}

/// A host in a route: `(pattern, is_wildcard)`, where a wildcard keeps its leading dot and loses its star.
pub(crate) fn route_host(text: &str) -> Result<(String, bool), Fault> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Err(Fault::new("\"*\" takes every host", "leave \"hosts\" out to take every host"));
    }
    if after_scheme(text).is_some() || text.contains('/') {
        let problem = format!("{} is not a host", shown(text));
        return Err(Fault::new(
            problem,
            "write the host alone, such as \"api.example.com\"; paths go in \"path\"",
        ));
    }
    let bracketed = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&lower);
    if let Ok(address) = bracketed.parse::<Ipv6Addr>() {
        return Ok((format!("[{address}]"), false));
    }
    if let Some((host, _)) = split_port(text) {
        let problem = format!("the host {} holds a port", shown(text));
        return Err(Fault::new(
            problem,
            format!("write {}; a request's port plays no part in routing", shown(host)),
        ));
    }
    if let Some(bare) = lower.strip_suffix('.').filter(|bare| !bare.is_empty() && *bare != "*") {
        return Err(Fault::new(
            format!("the host {} ends with a dot", shown(text)),
            format!("write \"{bare}\""),
        ));
    }
    let Some(below) = lower.strip_prefix("*.") else {
        if lower.contains('*') {
            let problem = format!("the host {} holds \"*\" where it cannot stand", shown(text));
            return Err(Fault::new(problem, "a wildcard is the whole first part: \"*.example.com\""));
        }
        let plain_address = lower.parse::<IpAddr>().is_ok();
        return if plain_address { Ok((lower, false)) } else { dns_name(&lower).map(|()| (lower, false)) };
    };
    if below.contains('*') || below.parse::<IpAddr>().is_ok() {
        let problem = format!("{} is not a wildcard for hosts", shown(text));
        return Err(Fault::new(problem, "a wildcard is one star before a name: \"*.example.com\""));
    }
    dns_name(below).map(|()| (format!(".{below}"), true))
}

/// What an `http` probe sends as `Host`: a host, or host and port (RFC 9110, 7.2).
pub(crate) fn host_header(text: &str) -> Result<String, Fault> {
    let (host, port) = match split_port(text) {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare.map(str::parse::<Ipv6Addr>) {
        Some(Ok(_)) => {}
        Some(Err(_)) => {
            let problem = format!("{} is not an IPv6 address", shown(host));
            return Err(Fault::new(problem, "write an address such as \"[2001:db8::1]\""));
        }
        None if host.contains('*') => {
            let problem = format!("the host {} holds a wildcard", shown(text));
            return Err(Fault::new(problem, "write the one host that probes shall ask for"));
        }
        None if host.parse::<Ipv6Addr>().is_ok() => {
            let problem = format!("the address {} needs brackets in a Host header", shown(text));
            return Err(Fault::new(problem, format!("write \"[{host}]\"")));
        }
        None if host.parse::<IpAddr>().is_ok() => {}
        None => dns_name(host)?,
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        let problem = format!("{} ends with a port that does not exist", shown(text));
        return Err(Fault::new(problem, "ports go from 1 to 65535"));
    }
    Ok(text.to_owned())
}

/// `host:digits` or `[v6]:digits`; not an IPv6 address that merely looks so.
pub(crate) fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let one_colon = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
    let digits = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (one_colon && digits && !host.is_empty()).then_some((host, port))
}

fn after_scheme(text: &str) -> Option<&str> {
    text.split_once("://").map(|(_, rest)| rest)
}

/// Who is believed: a network, one address, or `unix:` for whoever connects to a Unix socket.
pub(crate) fn trusted(text: &str) -> Result<Trusted, Fault> {
    match text.strip_prefix(UNIX) {
        None => network(text).map(Trusted::Network),
        Some("") => Ok(Trusted::Unix),
        Some(_) => Err(Fault::new(
            format!("{} names one socket", shown(text)),
            "write \"unix:\" for whoever connects to a Unix socket; the mode of its file says who can",
        )),
    }
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, Fault> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let help = match text.split_once('/').and_then(|(address, _)| address.parse::<IpAddr>().ok()) {
            Some(address) if address.is_ipv4() => "the number after \"/\" goes from 0 to 32",
            Some(_) => "the number after \"/\" goes from 0 to 128",
            None => "write a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", or one address",
        };
        return Err(Fault::new(format!("{} is not a network", shown(text)), help));
    };
    let start = network.trunc();
    if start != network {
        let problem = format!("{} is an address within a network, not a network", shown(text));
        let address = network.addr();
        return Err(Fault::new(
            problem,
            format!("write \"{start}\" for the network, or \"{address}\" for the address"),
        ));
    }
    Ok(network)
}
