//! WebSockets between HTTP/1 and HTTP/2.
//!
//! HTTP/1 opens one by a GET that asks to upgrade, under a key that the server has to answer for (RFC 6455 section 4);
//! HTTP/2 by a CONNECT that names the protocol, without a key (RFC 8441). Within LoadWeaver it is the GET: so routes,
//! retries and records see one kind of request, whoever the client is. What each side needs of the rest is made here.

use aws_lc_rs::digest;
use loadweaver_http1::{Framing, Method, Name, RequestHead, encode};
use loadweaver_policy::failure::Failure;

use crate::exchange::Exchange;
use crate::forward::Answer;

/// The protocol's name, in `Upgrade` and in `:protocol`.
pub(crate) const WEBSOCKET: &[u8] = b"websocket";

const KEY: &[u8] = b"sec-websocket-key";
const ACCEPT: &[u8] = b"sec-websocket-accept";
const VERSION: &[u8] = b"sec-websocket-version";

/// What is appended to a key before it is hashed (RFC 6455 section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket that a client asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The client's, or ours where its protocol has none.
    key: Vec<u8>,
    ours: bool,
}

/// Makes an extended CONNECT the GET that it stands for. Any other request stays what it is.
pub(crate) fn understand(head: &mut RequestHead) -> Result<(), Failure> {
    let Some(protocol) = head.protocol() else { return Ok(()) };
    if !protocol.eq_ignore_ascii_case(WEBSOCKET) {
        return Err(Failure::UnsupportedProtocol);
    }
    if head.headers.has(Name::ContentLength) {
        // Where a body would end and the tunnel begin, no two readers might agree on.
        return Err(Failure::BadFraming);
    }
    head.become_upgrade(WEBSOCKET);
    Ok(())
}

/// Notes the WebSocket that a request asks for. The request's fields may still be changed then.
pub(crate) fn ask(x: &mut Exchange<'_>, upgrade: &[u8]) {
    let head = &mut x.heads.request;
    let named = upgrade.split(|byte| *byte == b',').any(|name| is_websocket(name.trim_ascii()));
    if !named || head.method() != Method::Get || !matches!(head.framing(), Framing::None) {
        return;
    }
    if head.protocol().is_some() {
        let key = made_key([x.worker.random.number(), x.worker.random.number()]);
        x.websocket = Some(Asked { key, ours: true });
        without(head, KEY);
    } else if let Some(key) = head.headers.find(KEY).filter(|key| !key.is_empty()) {
        x.websocket = Some(Asked { key: key.to_vec(), ours: false });
    }
}

fn is_websocket(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(WEBSOCKET)
}

fn without(head: &mut RequestHead, name: &[u8]) {
    head.headers.retain(|_, known| !known.eq_ignore_ascii_case(name));
}

/// Adds what a server of HTTP/1 needs and a client of HTTP/2 does not say.
pub(crate) fn to_http1(out: &mut Vec<u8>, asked: &Asked, head: &RequestHead) {
    if asked.ours {
        encode::field(out, KEY, &asked.key);
        if head.headers.find(VERSION).is_none() {
            encode::field(out, VERSION, b"13");
        }
    }
}

/// The head for a server of HTTP/2, which needs no key.
pub(crate) fn to_http2(head: &RequestHead) -> RequestHead {
    let mut head = head.clone();
    without(&mut head, KEY);
    head
}

/// Holds the final answer of a server of HTTP/1 against what the client asked for.
pub(crate) fn check(x: &Exchange<'_>) -> Result<(), Failure> {
    let Some(asked) = x.websocket.as_ref().filter(|asked| asked.ours) else { return Ok(()) };
    let head = &x.heads.response;
    match head.status() {
        101 if head.headers.find(ACCEPT) == Some(&accept(&asked.key)) => Ok(()),
        101 => Err(Failure::BadResponse),
        // A success that is no WebSocket would look like one to a client of HTTP/2.
        200..300 => Err(Failure::NoWebsocket),
        _ => Ok(()),
    }
}

/// Makes the answer that opens a WebSocket one of the client's protocol.
pub(crate) fn translate(x: &mut Exchange<'_>, answer: &Answer) {
    let Some(asked) = x.websocket.as_ref().filter(|_| answer.is_upgrade) else { return };
    let head = &mut x.heads.response;
    if answer.lease.stream.is_framed() {
        head.headers.remove(Name::ContentLength);
    }
    if answer.lease.stream.is_framed() == x.client.stream.is_framed() {
        return;
    }
    head.headers.retain(|_, name| !name.eq_ignore_ascii_case(ACCEPT));
    if x.client.stream.is_framed() {
        head.bring_status(200);
        head.headers.remove(Name::ContentLength);
    } else {
        head.bring_status(101);
        head.headers.append(b"upgrade", WEBSOCKET);
        head.headers.append(ACCEPT, &accept(&asked.key));
    }
}

/// The answer to a key (RFC 6455 section 4.2.2).
fn accept(key: &[u8]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(MAGIC);
    base64(hash.finish().as_ref())
}

/// A key of 16 bytes, which need not be secret: it shows that an answer is no stale one.
fn made_key(random: [u64; 2]) -> Vec<u8> {
    let [a, b] = random.map(u64::to_be_bytes);
    base64(&[a, b].concat())
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let byte = |at: usize| u32::from(piece.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * place) & 0x3f) as usize).copied().unwrap_or(b'=');
            out.push(if place > piece.len() { b'=' } else { digit });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_for_a_key_as_the_rfc_does() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn encodes_every_remainder() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
        assert_eq!(made_key([0, u64::MAX]).len(), 24);
    }
}
