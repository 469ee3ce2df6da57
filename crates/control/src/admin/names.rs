//! Which names in `Host` and `Origin` mean this machine.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;

/// Whether everything in the request that names its destination names us.
///
/// A request without `Host` comes from no browser (HTTP/1.0 checks of other load balancers look so) and may pass.
/// Ports are not compared: a tunnel to the admin listener has another one at its near end.
pub(super) fn host_is_ours(request: &Request, bound: Option<SocketAddr>) -> bool {
    let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok());
    let target = request.uri().authority().map(|authority| Some(authority.as_str()));
    hosts.chain(target).all(|name| name.is_some_and(|name| is_ours(name, bound)))
}

/// Whether the page that a browser sends the request for, if it is one, may: it comes from here, or from one of
/// `origins`.
pub(super) fn origin_is_ours(request: &Request, bound: Option<SocketAddr>, origins: &[String]) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    request.headers().get_all(ORIGIN).iter().all(|origin| {
        let Ok(origin) = origin.to_str() else { return false };
        let Some((_, name)) = origin.split_once("://") else { return false };
        // The page was loaded from where it sends the request to.
        let from_here = is_ours(name, bound) || host.is_some_and(|host| host.eq_ignore_ascii_case(name));
        from_here || origins.iter().any(|known| known == origin)
    })
}

fn is_ours(name: &str, bound: Option<SocketAddr>) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) => {
            address.to_canonical().is_loopback() || bound.is_some_and(|bound| bound.ip() == address)
        }
        // RFC 6761, section 6.3: browsers resolve this name without asking anybody.
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let bound = Some(SocketAddr::from(([10, 1, 2, 3], 9090)));
        for ours in [
            "localhost",
            "LocalHost:9090",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:9090",
            "10.1.2.3",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_ours(ours, bound), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9090",
            "10.1.2.4",
            "",
            "0.0.0.0",
            "null",
            "localhost@evil.example",
            "evil.example@localhost",
            "[::2]",
            "2130706433",
            "127.1",
        ] {
            assert!(!is_ours(foreign, bound), "{foreign}");
        }
    }
}
