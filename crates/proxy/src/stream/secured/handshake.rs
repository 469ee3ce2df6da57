//! The handshake, step by step. rustls decides; this moves bytes.

use std::io;
use std::task::{Context, Poll};

use rustls::pki_types::CertificateDer;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};
use thiserror::Error;

use super::record::Whole;
use super::{Kernel, Open, Secured, Session};
use crate::buffer::{Buffer, Stock};

/// Most bytes of a handshake that are kept until they make sense: a message, or a few of them. Certificates of clients
/// are the longest, and 32 KiB are some ten of them.
const MOST: usize = 32 * 1024;

/// What a handshake agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) version: ProtocolVersion,
    pub(crate) cipher: Option<CipherSuite>,
    /// The protocol that both sides named (ALPN).
    pub(crate) protocol: Option<Vec<u8>>,
    /// An earlier connection was taken up, so no certificate was sent.
    pub(crate) resumed: bool,
    /// The other side's own certificate, if it has shown one.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum HandshakeError {
    /// The client speaks HTTP in the clear. What it has sent is still there: [`crate::stream::Stream::expose`].
    #[error("a request in the clear")]
    PlainHttp,
    #[error("the connection ended in the middle of it")]
    Ended,
    #[error(transparent)]
    Socket(io::Error),
    #[error(transparent)]
    Tls(rustls::Error),
    #[error("more than {MOST} bytes make no message")]
    TooLong,
    #[error("there is no connection")]
    Lost,
}

enum Step {
    /// Something was done; look again.
    Again,
    /// The other side has said goodbye, perhaps right behind the end of the handshake.
    Ended,
    /// The other side has to say something first.
    Read,
    Done,
    Failed(rustls::Error),
}

impl Secured {
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Facts, HandshakeError>> {
        loop {
            let Self { raw, out, session, stock, given, .. } = self;
            let records = raw.filled_mut().get_mut(..*given).unwrap_or_default();
            let (discard, step) = match session {
                Session::Server(shaking) => step(shaking.process_tls_records(records), out, stock),
                Session::Client(shaking) => step(shaking.process_tls_records(records), out, stock),
                Session::Open(_) | Session::Broken => return Poll::Ready(Err(HandshakeError::Lost)),
            };
            raw.consume(discard);
            *given -= discard;
            match step {
                Step::Again => {}
                Step::Ended => self.ended = true,
                Step::Done => return Poll::Ready(self.finish()),
                Step::Failed(error) => {
                    self.complain();
                    return Poll::Ready(Err(HandshakeError::Tls(error)));
                }
                Step::Read if self.gives_another() => {}
                Step::Read => std::task::ready!(self.poll_more(cx))?,
            }
        }
    }

    /// Lets rustls see one more record. One at a time, so that it never sees one behind the end of the handshake: what
    /// it makes of traffic (new keys, above all) would be lost when we take over.
    fn gives_another(&mut self) -> bool {
        let more = self.raw.filled().get(self.given..).unwrap_or_default();
        let another = match (more.first(), Whole::first(more)) {
            (None, _) => 0,
            // It is for rustls to say what is wrong with it.
            (Some(kind), _) if !(20..=23).contains(kind) => more.len(),
            (_, Err(_)) => more.len(),
            (_, Ok(whole)) => whole.map_or(0, Whole::len),
        };
        self.given += another;
        another > 0
    }

    /// Sends what was said, then waits for more.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        std::task::ready!(self.poll_send(cx, false)).map_err(HandshakeError::Socket)?;
        if self.raw.is_empty() {
            self.raw.release(&self.stock);
        }
        self.raw.expand(&self.stock);
        self.raw.compact();
        if !self.raw.takes_more() {
            if self.raw.capacity() >= MOST {
                return Poll::Ready(Err(HandshakeError::TooLong));
            }
            self.raw.grow(MOST);
        }
        let Poll::Ready(read) = self.socket.poll_read(cx, &mut self.raw, &self.stock) else {
            self.raw.shrink(&self.stock);
            return Poll::Pending;
        };
        match read {
            Ok(0) => Poll::Ready(Err(HandshakeError::Ended)),
            Ok(_) if !std::mem::replace(&mut self.heard, true) && self.is_http() => {
                Poll::Ready(Err(HandshakeError::PlainHttp))
            }
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(HandshakeError::Socket(error))),
        }
    }

    /// Whether a client begins with a method's letter where a record begins with the number 22.
    fn is_http(&self) -> bool {
        let server = matches!(self.session, Session::Server(_));
        server && self.raw.filled().first().is_some_and(u8::is_ascii_alphabetic)
    }

    /// Tells the other side why, as far as the kernel takes it at once.
    fn complain(&mut self) {
        let Self { raw, out, session, stock, given, .. } = self;
        // Only while there is something to be sent: asked for more after an error, rustls looks at its input again and
        // panics over what it finds there.
        loop {
            let records = raw.filled_mut().get_mut(..*given).unwrap_or_default();
            let (discard, _) = match session {
                Session::Server(shaking) if shaking.wants_write() => {
                    step(shaking.process_tls_records(records), out, stock)
                }
                Session::Client(shaking) if shaking.wants_write() => {
                    step(shaking.process_tls_records(records), out, stock)
                }
                _ => break,
            };
            raw.consume(discard);
            *given -= discard;
        }
        self.socket.write_now(self.out.filled());
        self.session = Session::Broken;
    }

    fn finish(&mut self) -> Result<Facts, HandshakeError> {
        self.raw.release(&self.stock);
        let (facts, secrets, kernel) = match std::mem::replace(&mut self.session, Session::Broken) {
            Session::Server(shaking) => {
                let facts = facts(&shaking);
                let (secrets, kernel) =
                    shaking.dangerous_into_kernel_connection().map_err(HandshakeError::Tls)?;
                (facts, secrets, Kernel::Server(kernel))
            }
            Session::Client(shaking) => {
                let facts = facts(&shaking);
                let (secrets, kernel) =
                    shaking.dangerous_into_kernel_connection().map_err(HandshakeError::Tls)?;
                (facts, secrets, Kernel::Client(kernel))
            }
            Session::Open(_) | Session::Broken => return Err(HandshakeError::Lost),
        };
        let mut open = Open::new(secrets, kernel, facts.version).ok_or(HandshakeError::Lost)?;
        open.ended = self.ended;
        self.session = Session::Open(Box::new(open));
        Ok(facts)
    }
}

fn facts(common: &CommonState) -> Facts {
    let certificate = common.peer_certificates().and_then(|chain| chain.first());
    Facts {
        version: common.protocol_version().unwrap_or(ProtocolVersion::TLSv1_2),
        cipher: common.negotiated_cipher_suite().map(|suite| suite.suite()),
        protocol: common.alpn_protocol().map(<[u8]>::to_vec),
        resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
        certificate: certificate.map(|certificate| certificate.clone().into_owned()),
    }
}

/// Does what the handshake wants done. What it wants sent is gathered: it leaves when there is nothing more to do
/// without an answer, or with the first bytes of the traffic.
fn step<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Buffer, stock: &Stock) -> (usize, Step) {
    let discard = status.discard;
    let step = match status.state {
        Err(error) => Step::Failed(error),
        Ok(ConnectionState::EncodeTlsData(mut encode)) => loop {
            out.acquire(stock);
            match encode.encode(out.room()) {
                Ok(len) => {
                    out.fill(len);
                    break Step::Again;
                }
                Err(EncodeError::InsufficientSize(size)) => {
                    let wanted = out.len() + size.required_size;
                    out.compact();
                    out.grow(wanted.max(out.capacity() + 1));
                }
                Err(EncodeError::AlreadyEncoded) => break Step::Again,
            }
        },
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            transmit.done();
            Step::Again
        }
        Ok(ConnectionState::BlockedHandshake) => Step::Read,
        Ok(ConnectionState::WriteTraffic(_)) => Step::Done,
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Step::Ended,
        // Early data is off, traffic is not shown to it, and states may be added.
        Ok(_) => Step::Failed(rustls::Error::General("not expected here".to_owned())),
    };
    (discard, step)
}
