//! What a proxy changes in a head: what is for one connection only goes, what servers must know comes.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use loadweaver_config::{ForwardedHeaders, Trusted};
use loadweaver_http1::encode::field;
use loadweaver_http1::{Framing, Headers, Method, Name};

use crate::exchange::Exchange;
use crate::trace;
use crate::websocket;
use crate::worker::HeadPair;

/// Decides who the client is: the transport's peer, or, behind trusted proxies, the last address in
/// `X-Forwarded-For` that is not a trusted proxy's. Forwarded headers of anybody else are removed, because a server
/// behind us would believe them.
pub(crate) fn believe(x: &mut Exchange<'_>) {
    let trusted = &x.snapshot.config.trusted_proxies;
    x.client_ip = believed(trusted, &mut x.heads.request.headers, x.client_ip);
}

/// [`believe`] of a head from somebody.
#[inline]
pub(crate) fn believed(trusted: &[Trusted], headers: &mut Headers, from: Option<IpAddr>) -> Option<IpAddr> {
    // What a client proved with its certificate only we can know, whoever the client is.
    headers.remove(Name::ClientProof);
    if !is_trusted(trusted, from) {
        let told = [Name::XForwardedFor, Name::XForwardedProto, Name::XForwardedHost, Name::Forwarded];
        for name in told.into_iter().chain([Name::Spoofable]) {
            headers.remove(name);
        }
        return from;
    }
    last_untrusted(trusted, headers, from)
}

/// Whom trusted proxies name.
fn last_untrusted(trusted: &[Trusted], headers: &Headers, from: Option<IpAddr>) -> Option<IpAddr> {
    let mut client = from;
    let values: Vec<&[u8]> = headers.get_all(Name::XForwardedFor).collect();
    let addresses = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for address in addresses {
        // What cannot be read cannot be trusted, nor can anything that stands before it.
        let Some(ip) = std::str::from_utf8(address).ok().and_then(|text| read_address(text.trim())) else {
            break;
        };
        client = Some(ip);
        if !is_trusted(trusted, client) {
            break;
        }
    }
    client
}

fn is_trusted(trusted: &[Trusted], from: Option<IpAddr>) -> bool {
    trusted.iter().any(|trusted| trusted.holds(from))
}

/// An address, perhaps with a port: `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]:5`.
fn read_address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    plain.or_else(with_port).or_else(bracketed).map(|ip| ip.to_canonical())
}

/// Makes the request what the server shall see. Fields that we add go into `heads.added`.
pub(crate) fn request(x: &mut Exchange<'_>) {
    let upgrade = x.heads.request.upgrade().filter(|protocol| !is_h2c(protocol)).map(<[u8]>::to_vec);
    if let Some(upgrade) = &upgrade {
        websocket::ask(x, upgrade);
    }
    let heads = &mut *x.heads;
    heads.added.clear();
    let added = &mut heads.added;
    let trailers = heads.request.takes_trailers();
    heads.request.strip_hop_by_hop();
    match (&upgrade, trailers) {
        (Some(protocol), _) => {
            field(added, b"connection", b"upgrade");
            field(added, b"upgrade", protocol);
        }
        (None, true) => {
            field(added, b"connection", b"te");
            field(added, b"te", b"trailers");
        }
        (None, false) => {}
    }
    x.story.asked_upgrade = upgrade;
    match heads.request.framing() {
        Framing::Chunked => field(added, b"transfer-encoding", b"chunked"),
        Framing::Length(length) => plain_length(&mut heads.request.headers, length),
        Framing::None | Framing::UntilClose => {}
    }
    request_id(x);
    trace::announce(x);
    forwarded(x);
    proof(x);
    if let Some(pseudonym) = &x.snapshot.config.via {
        let version = x.heads.request.version();
        via(&mut x.heads.request.headers, pseudonym, version);
    }
}

/// `Upgrade: h2c` would let a client talk past us to a server that takes it, unrouted and unseen.
fn is_h2c(protocol: &[u8]) -> bool {
    protocol
        .split(|byte| *byte == b',')
        .any(|name| name.trim_ascii().get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"h2c")))
}

/// Writes a length without leading zeros, which some reader might take for octal.
pub(crate) fn plain_length(headers: &mut Headers, length: u64) {
    let spelled = headers.get(Name::ContentLength).unwrap_or_default();
    if spelled.first() == Some(&b'0') && spelled.len() > 1 {
        let mut digits = Vec::new();
        loadweaver_http1::encode::decimal(&mut digits, length);
        headers.set(Name::ContentLength, b"content-length", &digits);
    }
}

/// Keeps a request's id or makes one.
fn request_id(x: &mut Exchange<'_>) {
    if let Some(id) = x.heads.request.headers.get(Name::XRequestId) {
        let good = !id.is_empty() && id.len() <= MAX_ID && id.iter().all(|byte| is_id(*byte));
        if good {
            x.story.request_id = std::str::from_utf8(id).ok().map(str::to_owned);
            let id = id.to_vec();
            // Two ids would be one too many: the first counts.
            x.heads.request.headers.set(Name::XRequestId, b"x-request-id", &id);
        } else {
            x.heads.request.headers.remove(Name::XRequestId);
        }
    }
    if x.story.request_id.is_none() {
        let id = x.worker.random.request_id();
        field(&mut x.heads.added, b"x-request-id", &id);
        x.story.made_id = Some(id);
    }
}

/// Longest request id that is kept; it goes into each log line.
const MAX_ID: usize = 128;

fn is_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte)
}

/// Tells the server who the client proved to be, on listeners that ask for certificates.
fn proof(x: &mut Exchange<'_>) {
    let Some(visitor) = x.greeting.as_ref().and_then(|greeting| greeting.visitor.as_ref()) else { return };
    let added = &mut x.heads.added;
    let Some(shown) = &visitor.certificate else { return field(added, b"x-client-verified", b"NONE") };
    field(added, b"x-client-verified", b"SUCCESS");
    if let Some(subject) = &shown.subject {
        field(added, b"x-client-cert-subject", subject.as_bytes());
    }
    field(added, b"x-client-cert-fingerprint", shown.fingerprint.as_bytes());
}

/// Adds what the server must know about the client.
fn forwarded(x: &mut Exchange<'_>) {
    let style = x.snapshot.config.forwarded_headers;
    let peer = x.peer.map(|peer| peer.ip().to_canonical());
    if matches!(style, ForwardedHeaders::XForwarded | ForwardedHeaders::Both) {
        x_forwarded(x, peer);
    }
    if matches!(style, ForwardedHeaders::Forwarded | ForwardedHeaders::Both) {
        rfc7239(x, peer);
    }
}

/// Whoever has no address is not in the list: what reads it takes it for addresses.
fn x_forwarded(x: &mut Exchange<'_>, peer: Option<IpAddr>) {
    let secure = x.came_over_tls();
    let heads = &mut *x.heads;
    let line = peer.map(AddressText::of);
    let headers = &mut heads.request.headers;
    let Some(line) = line else { return x_forwarded_request(heads, secure) };
    if headers.has(Name::XForwardedFor) {
        let mut all = Vec::new();
        for value in headers.get_all(Name::XForwardedFor) {
            all.extend_from_slice(value);
            all.extend_from_slice(b", ");
        }
        all.extend_from_slice(line.text());
        headers.set(Name::XForwardedFor, b"x-forwarded-for", &all);
    } else {
        field(&mut heads.added, b"x-forwarded-for", line.text());
    }
    x_forwarded_request(heads, secure);
}

fn x_forwarded_request(heads: &mut HeadPair, secure: bool) {
    let headers = &mut heads.request.headers;
    if !headers.has(Name::XForwardedProto) {
        let proto: &[u8] = if secure { b"https" } else { b"http" };
        field(&mut heads.added, b"x-forwarded-proto", proto);
    }
    if !headers.has(Name::XForwardedHost)
        && let Some(host) = headers.get(Name::Host)
    {
        field(&mut heads.added, b"x-forwarded-host", host);
    }
}

/// `Forwarded: for=192.0.2.1;host="a.example";proto=http` (RFC 7239); an IPv6 address is quoted and in brackets.
fn rfc7239(x: &mut Exchange<'_>, peer: Option<IpAddr>) {
    let secure = x.came_over_tls();
    let headers = &mut x.heads.request.headers;
    let mut all = Vec::new();
    for value in headers.get_all(Name::Forwarded) {
        all.extend_from_slice(value);
        all.extend_from_slice(b", ");
    }
    // Writing to a Vec cannot fail.
    let _ = match peer {
        Some(IpAddr::V4(ip)) => write!(all, "for={ip}"),
        Some(IpAddr::V6(ip)) => write!(all, "for=\"[{ip}]\""),
        // RFC 7239 section 6.2.
        None => write!(all, "for=unknown"),
    };
    if let Some(host) = headers.get(Name::Host) {
        all.extend_from_slice(b";host=\"");
        all.extend_from_slice(host);
        all.push(b'"');
    }
    all.extend_from_slice(if secure { b";proto=https" } else { b";proto=http" });
    headers.set(Name::Forwarded, b"forwarded", &all);
}

fn via(headers: &mut Headers, pseudonym: &str, version: loadweaver_http1::Version) {
    let mut all = Vec::new();
    for value in headers.get_all(Name::Via) {
        all.extend_from_slice(value);
        all.extend_from_slice(b", ");
    }
    let received = match version {
        loadweaver_http1::Version::Http10 => "1.0 ",
        loadweaver_http1::Version::Http11 => "1.1 ",
        loadweaver_http1::Version::Http2 => "2 ",
    };
    all.extend_from_slice(received.as_bytes());
    all.extend_from_slice(pseudonym.as_bytes());
    headers.set(Name::Via, b"via", &all);
}

/// Makes an answer what the client shall see, but for its framing. The protocol of an upgrade is kept aside.
pub(crate) fn response(x: &mut Exchange<'_>) -> Option<Vec<u8>> {
    let hsts = if x.is_secure() { x.manners().and_then(|manners| manners.hsts.clone()) } else { None };
    let head = &mut x.heads.response;
    let protocol = head.headers.get(Name::Upgrade).filter(|_| head.status() == 101).map(<[u8]>::to_vec);
    head.strip_hop_by_hop();
    // Ours alone: a server does not speak for us.
    head.headers.remove(Name::XLoadweaverFailure);
    if let Some(hsts) = hsts {
        head.headers.set(Name::StrictTransportSecurity, b"strict-transport-security", hsts.as_bytes());
    }
    let connected = x.heads.request.method() == Method::Connect && (200..300).contains(&head.status());
    if head.status() < 200 || head.status() == 204 || connected {
        // RFC 9110 section 8.6: no length where there can be no body.
        head.headers.remove(Name::ContentLength);
    } else if let Some(length) =
        head.headers.get(Name::ContentLength).and_then(loadweaver_http1::framing::length)
    {
        if head.headers.get_all(Name::ContentLength).nth(1).is_some() {
            let value = head.headers.get(Name::ContentLength).unwrap_or_default().to_vec();
            head.headers.set(Name::ContentLength, b"content-length", &value);
        }
        plain_length(&mut head.headers, length);
    }
    if let Some(pseudonym) = &x.snapshot.config.via {
        let version = head.version();
        via(&mut head.headers, pseudonym, version);
    }
    protocol
}

/// An IP address as text, without an allocation.
struct AddressText {
    text: [u8; 45],
    len: usize,
}

impl AddressText {
    fn of(ip: IpAddr) -> Self {
        let mut text = [0; 45];
        if let IpAddr::V4(v4) = ip {
            return Self::of_v4(v4, text);
        }
        let whole = text.len();
        let mut rest = text.as_mut_slice();
        // 45 bytes hold the longest address, so this cannot fail.
        let _ = write!(rest, "{ip}");
        let len = whole - rest.len();
        Self { text, len }
    }

    /// The usual case, by hand: the formatting machinery costs ten times as much.
    fn of_v4(ip: Ipv4Addr, mut text: [u8; 45]) -> Self {
        let mut len = 0;
        let mut put = |byte: u8| {
            if let Some(place) = text.get_mut(len) {
                *place = byte;
                len += 1;
            }
        };
        for (index, octet) in ip.octets().into_iter().enumerate() {
            if index > 0 {
                put(b'.');
            }
            if octet >= 100 {
                put(b'0' + octet / 100);
            }
            if octet >= 10 {
                put(b'0' + octet / 10 % 10);
            }
            put(b'0' + octet % 10);
        }
        Self { text, len }
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}
