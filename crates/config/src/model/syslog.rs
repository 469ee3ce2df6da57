//! Where a syslog server is, and under which names it is told.

use std::fmt;
use std::sync::Arc;

/// Where lines go as messages of RFC 5424.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A message in each datagram (RFC 5426): host and port.
    Udp(Arc<str>, u16),
    /// A connection, with the length of each message before it (RFC 6587 section 3.4.1): host and port.
    Tcp(Arc<str>, u16),
    /// A socket of this machine, of datagrams or of a stream: its path, or `@` and its name in the abstract namespace.
    Unix(Arc<str>),
}

impl SyslogAddress {
    /// What stands before the rest of the three.
    pub(crate) const SCHEMES: [&'static str; 3] = ["syslog+udp://", "syslog+tcp://", "syslog+unix:"];
    /// The port of syslog over UDP (RFC 5426 section 3.3).
    pub(crate) const UDP_PORT: u16 = 514;
    /// The port that IANA has for syslog over TCP.
    pub(crate) const TCP_PORT: u16 = 601;
}

impl fmt::Display for SyslogAddress {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [udp, tcp, unix] = Self::SCHEMES;
        match self {
            Self::Udp(host, port) => write!(f, "{udp}{}:{port}", Bracketed(host)),
            Self::Tcp(host, port) => write!(f, "{tcp}{}:{port}", Bracketed(host)),
            Self::Unix(name) => write!(f, "{unix}{name}"),
        }
    }
}

/// A host as it stands before a port.
struct Bracketed<'h>(&'h str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// What every message says of itself (key `syslog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Syslog {
    /// Which part of a system speaks.
    pub facility: Facility,
    /// How much it matters.
    pub severity: Severity,
}

impl Syslog {
    /// Both in one number (RFC 5424 section 6.2.1).
    pub fn priority(self) -> u8 {
        self.facility.0 * 8 + self.severity.0
    }
}

/// A facility of syslog by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Default for Facility {
    /// `local0`: one of those that are left to whoever wants them.
    fn default() -> Self {
        Self(16)
    }
}

impl Facility {
    /// Every one.
    pub const ALL: [Self; 24] = {
        let mut all = [Self(0); 24];
        let mut number = 0_u8;
        while number < 24 {
            #[allow(clippy::indexing_slicing)] // while the program is built
            {
                all[number as usize] = Self(number);
            }
            number += 1;
        }
        all
    };

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "kern",
            1 => "user",
            2 => "mail",
            3 => "daemon",
            4 => "auth",
            5 => "syslog",
            6 => "lpr",
            7 => "news",
            8 => "uucp",
            9 => "cron",
            10 => "authpriv",
            11 => "ftp",
            12 => "ntp",
            13 => "audit",
            14 => "alert",
            15 => "clock",
            16 => "local0",
            17 => "local1",
            18 => "local2",
            19 => "local3",
            20 => "local4",
            21 => "local5",
            22 => "local6",
            _ => "local7",
        }
    }
}

/// A severity of syslog by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severity(u8);

impl Default for Severity {
    fn default() -> Self {
        Self(6)
    }
}

impl Severity {
    /// Every one, the gravest first.
    pub const ALL: [Self; 8] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7)];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "emerg",
            1 => "alert",
            2 => "crit",
            3 => "err",
            4 => "warning",
            5 => "notice",
            6 => "info",
            _ => "debug",
        }
    }
}
