//! Syslog servers: `syslog+udp://10.0.0.5:514`, `syslog+tcp://logs.internal:601`, `syslog+unix:/dev/log`.

use crate::issue::{Fault, shown};
use crate::model::pool::UNIX;
use crate::model::syslog::SyslogAddress;

use super::{server_host, split_port, unix};

const FORMS: &str =
    "write \"syslog+udp://10.0.0.5:514\", \"syslog+tcp://10.0.0.5:601\" or \"syslog+unix:/dev/log\"";

/// Reads one; a port may be left out.
pub(crate) fn syslog(text: &str) -> Result<SyslogAddress, Fault> {
    let [udp, tcp, local] = SyslogAddress::SCHEMES;
    if let Some(name) = text.strip_prefix(local) {
        let socket = unix::socket(&format!("{UNIX}{name}")).and_then(Result::ok);
        return match socket {
            Some(socket) => Ok(SyslogAddress::Unix(socket.strip_prefix(UNIX).unwrap_or(&socket).into())),
            None => Err(Fault::new(format!("{} names no Unix socket", shown(text)), FORMS)),
        };
    }
    if let Some(rest) = text.strip_prefix(udp) {
        return host_and_port(text, rest, SyslogAddress::UDP_PORT)
            .map(|(host, port)| SyslogAddress::Udp(host.into(), port));
    }
    if let Some(rest) = text.strip_prefix(tcp) {
        return host_and_port(text, rest, SyslogAddress::TCP_PORT)
            .map(|(host, port)| SyslogAddress::Tcp(host.into(), port));
    }
    Err(Fault::new(format!("{} is not the address of a syslog server", shown(text)), FORMS))
}

fn host_and_port(text: &str, rest: &str, usual: u16) -> Result<(String, u16), Fault> {
    let (host, port) = split_port(rest).map_or((rest, None), |(host, port)| (host, Some(port)));
    let port = match port.map(str::parse::<u16>) {
        None => usual,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => {
            let problem = format!("{} ends with a port that does not exist", shown(text));
            return Err(Fault::new(problem, "ports go from 1 to 65535"));
        }
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.contains('/') || bare.starts_with('@') || bare.starts_with(UNIX) {
        let problem = format!("{} has more in it than a host and a port", shown(text));
        return Err(Fault::new(problem, FORMS));
    }
    server_host(bare).map(|host| (host, port))
}
