//! The header of a syslog message (RFC 5424 section 6): priority, version, time, host, program, process, kind of
//! message, no structured data.
//!
//! The line follows without a byte order mark, although it is UTF-8: readers of JSON choke on one, and section 6.4
//! lets a message be of any encoding without it.

use loadweaver_config::{AccessLog, LogOutput};

use crate::line::Clock;
use crate::record::Record;

/// What a field may have of the host's name (RFC 5424 section 6.2.4).
const MOST_HOST: usize = 255;

#[derive(Debug)]
pub(super) struct Header {
    priority: String,
    clock: Clock,
    names: String,
}

impl Header {
    /// None where lines do not go to a syslog server.
    pub(super) fn new(settings: &AccessLog) -> Option<Self> {
        if !matches!(settings.output, LogOutput::Syslog(_)) {
            return None;
        }
        let system = rustix::system::uname();
        let host = system.nodename().to_string_lossy();
        let is_name =
            !host.is_empty() && host.len() <= MOST_HOST && host.bytes().all(|byte| byte.is_ascii_graphic());
        let host = if is_name { &*host } else { "-" };
        Some(Self {
            priority: format!("<{}>1 ", settings.syslog.priority()),
            clock: Clock::new(Clock::RFC3339),
            names: format!(" {host} loadweaver {} access - ", std::process::id()),
        })
    }

    /// With the time at which the exchange began.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        out.extend_from_slice(self.priority.as_bytes());
        self.clock.rfc3339(out, record.at);
        out.extend_from_slice(self.names.as_bytes());
    }
}
