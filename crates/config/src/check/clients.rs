//! The client's side: listeners, time-outs, limits, trusted proxies.

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report, shown};
use crate::model::bind::{Bind, SocketMode, Trusted};
use crate::model::listener::{
    ClientProtocol, ClientTimeouts, Http2Limits, Limits, Listener, Protocols, ProxyProtocol,
};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, syntax};

use super::tls;

pub(super) fn listeners(spot: &Spot<'_>, report: &mut Report) -> Vec<Listener> {
    let Some(entries) = spot.entries(report, "an object that names listeners") else { return Vec::new() };
    if entries.is_empty() {
        let help = "add one: { \"web\": { \"bind\": \"0.0.0.0:8080\" } }";
        spot.refuse(report, Fault::new("there is no listener, so no client could connect", help));
    }
    if entries.len() > bounds::LISTENERS {
        let problem =
            format!("{} listeners are more than the {} that may be", entries.len(), bounds::LISTENERS);
        spot.refuse(report, Fault::new(problem, "listen on \"0.0.0.0\" instead of each address"));
        return Vec::new();
    }
    entries.iter().filter_map(|(name, spot)| listener(name, spot, report)).collect()
}

fn listener(name: &str, spot: &Spot<'_>, report: &mut Report) -> Option<Listener> {
    spot.settle(report, syntax::name(name));
    let section = Section::open(spot, &shape::LISTENER, report)?;
    let mut allow_connect = false;
    section.set("allowConnect", report, &mut allow_connect, Spot::flag);
    let mut proxy_protocol = None;
    section.set("proxyProtocol", report, &mut proxy_protocol, |spot, report| {
        self::proxy_protocol(spot, report).map(Some)
    });
    let (mut tls, mut redirect_https, mut hsts) = (None, None, None);
    section.set("tls", report, &mut tls, |spot, report| tls::listener(spot, report).map(Some));
    section.set("redirectHttps", report, &mut redirect_https, tls::redirect);
    section.set("hsts", report, &mut hsts, tls::hsts);
    let mut protocols = Protocols::default();
    section.set("protocols", report, &mut protocols, self::protocols);
    let mut socket_mode = SocketMode::OF_LISTENER;
    section.set("socketMode", report, &mut socket_mode, self::socket_mode);
    let bind = section.need("bind", report, "say where to listen: \"bind\": \"0.0.0.0:8080\"")?;
    let binds = addresses(&bind, report)?;
    let name = name.into();
    let listener = Listener {
        name,
        binds,
        socket_mode,
        allow_connect,
        proxy_protocol,
        tls,
        redirect_https,
        hsts,
        protocols,
    };
    tls::fits(&section, &listener, report);
    mode_is_of_use(&section, &listener.binds, report);
    somebody_is_served(&section, &listener, report);
    Some(listener)
}

fn protocols(spot: &Spot<'_>, report: &mut Report) -> Option<Protocols> {
    let entries = spot.list(report, "protocols")?;
    let words = entries
        .iter()
        .filter_map(|entry| entry.word(report, ClientProtocol::ALL, ClientProtocol::name))
        .collect::<Vec<_>>();
    let has = |protocol| words.contains(&protocol);
    match (has(ClientProtocol::Http1), has(ClientProtocol::Http2)) {
        (true, true) => Some(Protocols::Both),
        (true, false) => Some(Protocols::Http1),
        (false, true) => Some(Protocols::Http2),
        (false, false) => {
            if entries.is_empty() {
                let help = "write \"http1\", \"http2\" or both, or leave the key out for both";
                spot.refuse(report, Fault::new("no client could speak anything here", help));
            }
            None
        }
    }
}

/// One address, or a list of them, as it is written: [`super::cross`] leaves out what is of no use.
fn addresses(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<Bind>> {
    let Node::List(_) = spot.node else { return bind_address(spot, report).map(|bind| vec![bind]) };
    let entries = spot.list(report, "addresses")?;
    if entries.is_empty() || entries.len() > bounds::BINDS {
        let problem = match entries.len() {
            0 => "the list of addresses is empty".to_owned(),
            count => format!("{count} addresses are more than the {} that may be", bounds::BINDS),
        };
        let help = "write \"[::]:8080\" for all addresses, IPv4 and IPv6";
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    // All of them are looked at, whichever is wrong.
    let read: Vec<_> = entries.iter().map(|entry| bind_address(entry, report)).collect();
    read.into_iter().collect()
}

/// Looks at a mode that no file would have.
pub(super) fn mode_is_of_use(section: &Section<'_>, binds: &[Bind], report: &mut Report) {
    let has_file = |bind: &Bind| matches!(bind, Bind::Unix(name) if !name.starts_with('@'));
    if let Some(spot) = section.get("socketMode").filter(|_| !binds.iter().any(has_file)) {
        let problem = "\"socketMode\" has no effect without a Unix socket that has a file";
        report.warn(&spot.at, Fault::new(problem, "take it out, or bind \"unix:/run/web.sock\""));
    }
}

/// Clients of a Unix socket have no address that a network could hold.
fn somebody_is_served(section: &Section<'_>, listener: &Listener, report: &mut Report) {
    let Some(rules) = listener.proxy_protocol.as_ref().filter(|rules| rules.required) else { return };
    let only_unix = listener.binds.iter().all(|bind| bind.tcp().is_none());
    if only_unix && !rules.trusted.contains(&Trusted::Unix) {
        let at = section.get("proxyProtocol").map_or_else(|| section.at().to_owned(), |spot| spot.at);
        let problem = "nobody who connects to a Unix socket is trusted, so nobody would be served";
        report.issue(&at, Fault::new(problem, "add \"unix:\" to \"trusted\""));
    }
}

pub(super) fn socket_mode(spot: &Spot<'_>, report: &mut Report) -> Option<SocketMode> {
    if let Node::Number(number) = spot.node {
        let problem = format!("{number} would be read as a decimal number");
        spot.refuse(report, Fault::new(problem, "write it as a text: \"0660\""));
        return None;
    }
    let text = spot.text(report, "a mode such as \"0660\"")?;
    spot.settle(report, address::socket_mode(text))
}

fn proxy_protocol(spot: &Spot<'_>, report: &mut Report) -> Option<ProxyProtocol> {
    const NEED_TRUSTED: &str = "name who sends it: \"trusted\": [\"10.0.0.0/8\"]";
    let section = Section::open(spot, &shape::PROXY_PROTOCOL, report)?;
    let mut required = ProxyProtocol::DEFAULT_REQUIRED;
    section.set("required", report, &mut required, Spot::flag);
    let spot = section.need("trusted", report, NEED_TRUSTED)?;
    let trusted = self::trusted(&spot, report)?;
    if matches!(spot.node, Node::List(list) if list.is_empty()) {
        spot.refuse(report, Fault::new("nobody is trusted, so no header would be read", NEED_TRUSTED));
    }
    Some(ProxyProtocol { trusted, required })
}

pub(super) fn bind_address(spot: &Spot<'_>, report: &mut Report) -> Option<Bind> {
    if let Node::Number(port) = spot.node {
        return spot.settle(report, address::bind(&port.to_string())); // Says what to write around the port.
    }
    let text = spot.text(report, "an address such as \"0.0.0.0:8080\"")?;
    spot.settle(report, address::bind(text))
}

pub(super) fn timeouts(spot: &Spot<'_>, report: &mut Report) -> Option<ClientTimeouts> {
    let section = Section::open(spot, &shape::CLIENT_TIMEOUTS, report)?;
    let mut timeouts = ClientTimeouts::default();
    for (key, slot) in [
        ("requestHead", &mut timeouts.request_head),
        ("idle", &mut timeouts.idle),
        ("body", &mut timeouts.body),
        ("send", &mut timeouts.send),
        ("drain", &mut timeouts.drain),
    ] {
        section.set(key, report, slot, |spot, report| spot.duration(report, &bounds::WAIT));
    }
    Some(timeouts)
}

pub(super) fn limits(spot: &Spot<'_>, report: &mut Report) -> Option<Limits> {
    let section = Section::open(spot, &shape::LIMITS, report)?;
    let mut limits = Limits::default();
    for (key, slot, range) in [
        ("requestHead", &mut limits.request_head, bounds::HEAD),
        ("target", &mut limits.target, bounds::TARGET),
        ("responseHead", &mut limits.response_head, bounds::HEAD),
        ("trailers", &mut limits.trailers, bounds::TRAILERS),
    ] {
        section.set(key, report, slot, |spot, report| {
            spot.size(report, &range).and_then(|size| usize::try_from(size).ok())
        });
    }
    section.set("headers", report, &mut limits.headers, |spot, report| spot.number(report, &bounds::HEADERS));
    section.set("body", report, &mut limits.body, |spot, report| spot.size(report, &bounds::COUNT));
    section.set("connections", report, &mut limits.connections, |spot, report| {
        spot.number(report, &bounds::MAX_CONNECTIONS)
    });
    section.set("requestsPerConnection", report, &mut limits.requests_per_connection, |spot, report| {
        spot.whole(report, &bounds::COUNT)
    });
    section.set("http2", report, &mut limits.http2, http2_limits);
    if let Some(target) = section.get("target").filter(|_| limits.target > limits.request_head) {
        let problem = "the target may be longer than the whole head that holds it";
        report.warn(&target.at, Fault::new(problem, "raise \"requestHead\" or lower \"target\""));
    }
    Some(limits)
}

fn http2_limits(spot: &Spot<'_>, report: &mut Report) -> Option<Http2Limits> {
    let section = Section::open(spot, &shape::HTTP2_LIMITS, report)?;
    let mut limits = Http2Limits::default();
    section.set("maxConcurrentStreams", report, &mut limits.max_concurrent_streams, |spot, report| {
        spot.number(report, &bounds::STREAMS)
    });
    for (key, slot, range) in [
        ("streamWindow", &mut limits.stream_window, bounds::STREAM_WINDOW),
        ("connectionWindow", &mut limits.connection_window, bounds::CONNECTION_WINDOW),
    ] {
        section.set(key, report, slot, |spot, report| {
            spot.size(report, &range).and_then(|size| u32::try_from(size).ok())
        });
    }
    if let Some(spot) =
        section.get("streamWindow").filter(|_| limits.stream_window > limits.connection_window)
    {
        let problem = "one exchange may have more on the way than all of its connection";
        report.warn(&spot.at, Fault::new(problem, "raise \"connectionWindow\" or lower \"streamWindow\""));
    }
    Some(limits)
}

pub(super) fn trusted(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<Trusted>> {
    let mut all = Vec::new();
    for entry in spot.list(report, "networks")? {
        let Some(text) = entry.text(report, "a network such as \"10.0.0.0/8\"") else { continue };
        let Some(trusted) = entry.settle(report, address::trusted(text)) else { continue };
        if matches!(trusted, Trusted::Network(network) if network.prefix_len() == 0) {
            let problem = format!("{} is every address: any client can claim to be another one", shown(text));
            report.warn(&entry.at, Fault::new(problem, "name only the networks of your own proxies"));
        }
        all.push(trusted);
    }
    Some(all)
}
