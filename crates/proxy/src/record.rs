//! One exchange's story, told to the counters and the access log when it is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_http1::{Name, RequestHead, Version};
use loadweaver_policy::failure::{Blame, Failure};
use loadweaver_telemetry::record::{HttpVersion, Record};

use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::pool::PoolState;
use crate::server::ServerState;

/// What has become of an exchange so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) started: Nanos,
    pub(crate) request_id: Option<String>,
    pub(crate) made_id: Option<[u8; 16]>,
    pub(crate) route: Option<usize>,
    pub(crate) pool: Option<Arc<PoolState>>,
    pub(crate) server: Option<Arc<ServerState>>,
    /// Attempts begun.
    pub(crate) attempts: u32,
    /// Attempts after the first.
    pub(crate) retried: u64,
    pub(crate) connect: Option<Nanos>,
    pub(crate) first_byte: Option<Nanos>,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) failure: Option<Failure>,
    /// The head itself was not acceptable.
    pub(crate) refused: bool,
    /// The protocols that the client asks to upgrade to.
    pub(crate) asked_upgrade: Option<Vec<u8>>,
    pub(crate) upgraded: bool,
}

impl Story {
    /// The id that the request came with, or the one that we made.
    pub(crate) fn request_id(&self) -> &str {
        match &self.request_id {
            Some(id) => id,
            None => self.made_id.as_ref().map_or("", |id| std::str::from_utf8(id).unwrap_or_default()),
        }
    }
}

/// Counts the exchange and writes its line.
pub(crate) fn finish(x: &mut Exchange<'_>) {
    let counters = &x.worker.shared.counters;
    let story = &x.story;
    counters.requests.increment();
    counters.statuses.record(story.status);
    counters.bytes_in.add(story.bytes_in);
    counters.bytes_out.add(story.bytes_out);
    counters.retries.add(story.retried);
    if let Some(pool) = &story.pool {
        pool.counters.retries.add(story.retried);
        pool.counters.failures.add(u64::from(story.failure.is_some()));
    }
    if let Some(failure) = story.failure {
        counters.failures.record(failure);
        if failure.blame() == Blame::Client && story.refused {
            counters.refused.increment();
        }
    }
    let total = Duration::from_nanos(x.worker.deadlines.now().saturating_sub(story.started));
    x.worker.tally.count(x, total);
    if let Some(log) = &x.worker.log {
        write(x, total, &mut log.borrow_mut());
    }
}

fn write(x: &Exchange<'_>, total: Duration, log: &mut loadweaver_telemetry::access_log::AccessLogWriter) {
    let story = &x.story;
    let request = &x.heads.request;
    let listener = x.entrance.as_ref().map(|entrance| entrance.name(&x.snapshot));
    let known = !story.refused;
    let (method, target) = match request.version() {
        _ if known => Default::default(),
        Version::Http2 => shown(request),
        Version::Http10 | Version::Http11 => sent(x.client.buffer.filled()),
    };
    let value = |name| if known { request.headers.get(name).unwrap_or_default() } else { b"" };
    log.write(&Record {
        at: SystemTime::now().checked_sub(total).unwrap_or(SystemTime::UNIX_EPOCH),
        request_id: story.request_id(),
        client: x.peer,
        client_ip: x.client_ip,
        method: if known { request.method_text() } else { &method },
        target: if known { request.target() } else { &target },
        version: match request.version() {
            Version::Http10 => HttpVersion::Http10,
            Version::Http11 => HttpVersion::Http11,
            Version::Http2 => HttpVersion::Http2,
        },
        host: if known { request.host() } else { "" },
        user_agent: value(Name::UserAgent),
        referer: value(Name::Referer),
        status: story.status,
        bytes_in: story.bytes_in,
        bytes_out: story.bytes_out,
        listener: listener.as_deref().unwrap_or_default(),
        route: story.route.and_then(|route| x.snapshot.config.routes.get(route)).map(|route| &*route.name),
        pool: story.pool.as_ref().map(|pool| &*pool.config.name),
        server: story.server.as_ref().map(|server| &*server.config.id),
        attempts: story.attempts,
        connect: story.connect.map(Duration::from_nanos),
        first_byte: story.first_byte.map(Duration::from_nanos),
        total,
        failure: story.failure,
        upgraded: story.upgraded,
    });
}

/// What a client sent in the places of method and target, when the head was not acceptable: as far as it is text, and
/// not more of it than helps to find who sends such things.
fn sent(head: &[u8]) -> (String, String) {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(head.len());
    let line = head.get(start..).unwrap_or_default().split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let mut words = line.unwrap_or_default().splitn(3, |byte| *byte == b' ');
    let mut word = |most: usize| {
        let word = words.next().unwrap_or_default();
        String::from_utf8_lossy(word.get(..most).unwrap_or(word)).into_owned()
    };
    (word(SHOWN_METHOD), word(SHOWN_TARGET))
}

/// The same of a head of HTTP/2, which was cut into its parts before it was refused.
fn shown(request: &RequestHead) -> (String, String) {
    let target = request.target();
    let most = target.floor_char_boundary(SHOWN_TARGET);
    (request.method_text().to_owned(), target.get(..most).unwrap_or_default().to_owned())
}

/// Bytes that are shown of the method and the target of a head that was refused.
const SHOWN_METHOD: usize = 32;
const SHOWN_TARGET: usize = 1024;

/// Now, as `Date` wants it (RFC 9110 section 5.6.7).
pub(crate) fn http_date() -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap_or_default()
}
