//! The small languages inside texts: names, hosts, paths, tokens, header values, addresses.
//!
//! Each function answers with the value as it is kept, or says what is wrong and what to write.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::issue::{Fault, shown};

/// Longest name of a listener, route or pool: names are metric labels and log fields.
pub(crate) const MAX_NAME: usize = 64;

/// Longest server id: the longest `host:port` fits.
pub(crate) const MAX_SERVER_ID: usize = 264;

/// Longest path in a route or probe.
pub(crate) const MAX_PATH: usize = 2_048;

/// Longest header value that is written in the file.
pub(crate) const MAX_HEADER_VALUE: usize = 4_096;

/// The name of a listener, route or pool.
pub(crate) fn name(text: &str) -> Result<&str, Fault> {
    word(text, MAX_NAME, "name", "._-")
}

/// The id of a server: `host:port` must be one.
pub(crate) fn server_id(text: &str) -> Result<&str, Fault> {
    word(text, MAX_SERVER_ID, "server id", "._-:[]@")
}

fn word<'t>(text: &'t str, max: usize, what: &str, also: &str) -> Result<&'t str, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if text.is_empty() {
        return Err(Fault::new(format!("the {what} is empty"), format!("give it a {what}, such as \"app\"")));
    }
    if text.len() > max {
        let problem = format!("the {what} {} is longer than {max} bytes", shown(text));
        return Err(Fault::new(problem, "choose a shorter one"));
    }
    let Some(wrong) = text.chars().find(|c| !allowed(*c)) else { return Ok(text) };
    let better: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    Err(Fault::new(
        format!("the {what} {} holds {wrong:?}", shown(text)),
        format!("use letters, digits and \"{also}\", such as {}", shown(&better)),
    ))
}

/// Where a server is: an IP address or a name to look up. Kept in lower case, addresses in their usual form.
pub(crate) fn server_host(text: &str) -> Result<String, Fault> {
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

/// Where a listener binds.
pub(crate) fn bind(text: &str) -> Result<SocketAddr, Fault> {
    let problem = || format!("{} is not an address to listen on", shown(text));
    let Ok(address) = text.parse::<SocketAddr>() else {
        return Err(Fault::new(problem(), better_bind(text)));
    };
    let refused = match address.ip().to_canonical() {
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        _ => None,
    };
    match refused {
        Some(what) => Err(Fault::new(
            format!("{} is {what}", shown(text)),
            "listen on an address of this machine, or on \"0.0.0.0\" for all of them",
        )),
        None => Ok(address),
    }
}

fn better_bind(text: &str) -> String {
    if let Some(rest) = after_scheme(text) {
        return format!("leave the scheme out: write {}", shown(rest.trim_end_matches('/')));
    }
    if text.trim().parse::<SocketAddr>().is_ok() {
        return format!("take the spaces out: \"{}\"", text.trim());
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
        Err(_) if digits => "ports go from 0 to 65535".to_owned(),
        _ => "write an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned(),
    }
}

/// A network, or one address.
pub(crate) fn network(text: &str) -> Result<IpNet, Fault> {
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

/// A token (RFC 9110, 5.6.2): what methods and header names are.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Methods that are defined (RFC 9110, 9.3; RFC 5789), for suggestions only: any token may be a method.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Longest method; the same as what servers take.
const MAX_METHOD: usize = 32;

pub(crate) fn method(text: &str) -> Result<String, Fault> {
    let upper = text.to_ascii_uppercase();
    if upper != text && METHODS.contains(&upper.as_str()) {
        let problem = format!("{} is not a method: the case of methods counts", shown(text));
        return Err(Fault::new(problem, format!("did you mean \"{upper}\"?")));
    }
    if !is_token(text) || text.len() > MAX_METHOD {
        let problem = format!("{} is not a method", shown(text));
        return Err(Fault::new(
            problem,
            "write one method per entry, such as \"GET\"; leave the list out for all",
        ));
    }
    Ok(text.to_owned())
}

/// A header name, kept in lower case.
pub(crate) fn header_name(text: &str) -> Result<String, Fault> {
    if !is_token(text) || text.len() > 256 {
        let problem = format!("{} is not a header name", shown(text));
        return Err(Fault::new(
            problem,
            "write a name such as \"x-beta\": letters, digits and \"-\", no colon",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A header value (RFC 9110, 5.5) of visible ASCII and inner spaces.
pub(crate) fn header_value<'t>(text: &'t str, what: &str) -> Result<&'t str, Fault> {
    if text.len() > MAX_HEADER_VALUE {
        let problem = format!("the {what} is longer than {MAX_HEADER_VALUE} bytes");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.trim_matches([' ', '\t']) != text {
        let problem = format!("the {what} {} begins or ends with a space", shown(text));
        return Err(Fault::new(problem, "take it out: such spaces are not part of a header value"));
    }
    if let Some(wrong) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        let problem = format!("the {what} {} holds {wrong:?}", shown(text));
        return Err(Fault::new(problem, "use visible ASCII characters and spaces only"));
    }
    Ok(text)
}

/// The path of a route or probe; `query` says whether a "?" may follow.
pub(crate) fn path(text: &str, query: bool) -> Result<&str, Fault> {
    if !text.starts_with('/') {
        let problem = format!("the path {} does not begin with \"/\"", shown(text));
        let help = if text.contains("://") {
            "write the path alone, such as \"/v1/\"; hosts go in \"hosts\"".to_owned()
        } else {
            format!("write {}", shown(&format!("/{text}")))
        };
        return Err(Fault::new(problem, help));
    }
    if text.len() > MAX_PATH {
        let problem = format!("the path is longer than {MAX_PATH} bytes");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.contains('#') || !query && text.contains('?') {
        let problem = format!("the path {} holds a query or a fragment", shown(text));
        return Err(Fault::new(problem, "write the path alone: nothing after \"?\" or \"#\" is looked at"));
    }
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let problem = format!("the path {} holds {wrong:?}", shown(text));
        let help = if wrong.is_control() {
            "take it out".to_owned()
        } else {
            format!("write it percent-encoded: \"{}\"", percent_encoded(wrong))
        };
        return Err(Fault::new(problem, help));
    }
    let bare = text.split('?').next().unwrap_or_default();
    if bare.split('/').any(|segment| segment == "." || segment == "..") {
        let problem = format!("the path {} holds a \".\" or \"..\" segment", shown(text));
        return Err(Fault::new(problem, "write the path that it comes to"));
    }
    broken_escape(text).map_or(Ok(text), |escape| {
        let problem = format!("the path {} holds the broken escape {}", shown(text), shown(escape));
        Err(Fault::new(problem, "write two hexadecimal digits after \"%\", or \"%25\" for the sign itself"))
    })
}

fn percent_encoded(character: char) -> String {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    bytes.fold(String::new(), |out, byte| format!("{out}%{byte:02X}"))
}

fn broken_escape(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(at, _)| {
        let escape = text.get(at..at + 3);
        let good = escape.is_some_and(|e| e.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()));
        (!good).then(|| escape.or(text.get(at..)).unwrap_or("%"))
    })
}
