//! One exchange's story, told to the counters and the access log when it is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use loadweaver_config::AccessLog;
use loadweaver_http1::{Headers, Name, RequestHead, Version};
use loadweaver_policy::failure::{Blame, Failure};
use loadweaver_telemetry::recent::{End, Id, Lost, Note, Numbers};
use loadweaver_telemetry::record::{HttpVersion, Record};
use loadweaver_telemetry::series::Series;

use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::pool::PoolState;
use crate::server::ServerState;
use crate::trace::{self, Trace};

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
    /// When the last of them began.
    pub(crate) last_attempt: Nanos,
    /// Those that brought no answer, as far as others came after them, or none ever came.
    pub(crate) lost: Vec<Lost>,
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
    /// What it is part of, where spans are made.
    pub(crate) trace: Option<Box<Trace>>,
}

impl Story {
    /// The id that the request came with, or the one that we made.
    pub(crate) fn request_id(&self) -> &str {
        std::str::from_utf8(self.id()).unwrap_or_default()
    }

    /// The same, for whoever has no use for knowing again that it is text.
    #[inline]
    fn id(&self) -> &[u8] {
        match &self.request_id {
            Some(id) => id.as_bytes(),
            None => self.made_id.as_ref().map_or(&[], |id| id),
        }
    }
}

impl Story {
    /// Takes down how an attempt ended that did not bring the answer.
    #[cold]
    pub(crate) fn lose(&mut self, server: &ServerState, now: Nanos, end: End) {
        if let Some(trace) = &mut self.trace {
            trace.attempt_over(now, end);
        }
        self.lost.push(Lost {
            server: server.config.id.clone(),
            began: self.last_attempt.saturating_sub(self.started),
            ended: now.saturating_sub(self.started),
            connect: self.connect,
            end,
        });
    }
}

/// Counts the exchange, notes it, and writes its line.
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
    let total = x.worker.deadlines.now().saturating_sub(story.started);
    let way = x.worker.tally.count(x, Duration::from_nanos(total));
    trace::finish(x, total);
    note(x, total, way);
    if let Some(log) = &x.worker.log {
        write(x, Duration::from_nanos(total), &mut log.borrow_mut());
    }
}

/// Notes it among the last ones.
#[inline]
fn note(x: &mut Exchange<'_>, total: Nanos, way: Option<Arc<Series>>) {
    let lost = std::mem::take(&mut x.story.lost);
    if x.story.refused {
        let (method, target) = unreadable(x);
        return put_down(x, total, (way, lost), [method.as_bytes(), b"", target.as_bytes()]);
    }
    let request = &x.heads.request;
    let host = request.headers.get(Name::Host).unwrap_or_default();
    put_down(x, total, (way, lost), [request.method_text().as_bytes(), host, request.target_bytes()]);
}

#[inline]
fn put_down(
    x: &Exchange<'_>,
    total: Nanos,
    (way, lost): (Option<Arc<Series>>, Vec<Lost>),
    [method, host, target]: [&[u8]; 3],
) {
    let story = &x.story;
    let numbers = Numbers {
        began: x.worker.base.saturating_add(story.started),
        total,
        last_attempt: story.last_attempt.saturating_sub(story.started),
        connect: story.connect,
        first_byte: story.first_byte,
        bytes_in: story.bytes_in,
        bytes_out: story.bytes_out,
        client: x.client_ip,
        status: story.status,
        attempts: story.attempts,
        failure: story.failure,
        version: version_of(&x.heads.request),
        upgraded: story.upgraded,
    };
    let id = match (&story.request_id, story.made_id) {
        (None, Some(made)) => Id::Made(made),
        _ => Id::Sent(story.id()),
    };
    x.worker.notebook.borrow_mut().write(Note { numbers, way, id, method, host, target, lost });
}

pub(crate) fn version_of(request: &RequestHead) -> HttpVersion {
    match request.version() {
        Version::Http10 => HttpVersion::Http10,
        Version::Http11 => HttpVersion::Http11,
        Version::Http2 => HttpVersion::Http2,
    }
}

/// Method and target of a head that was refused, as far as they can be told.
#[cold]
fn unreadable(x: &Exchange<'_>) -> (String, String) {
    match x.heads.request.version() {
        Version::Http2 => shown(&x.heads.request),
        Version::Http10 | Version::Http11 => sent(x.client.buffer.filled()),
    }
}

fn write(x: &Exchange<'_>, total: Duration, log: &mut loadweaver_telemetry::access_log::AccessLogWriter) {
    let story = &x.story;
    let request = &x.heads.request;
    let listener = x.entrance.as_ref().map(|entrance| entrance.name(&x.snapshot));
    let known = !story.refused;
    let (method, target) = if known { Default::default() } else { unreadable(x) };
    let value = |name| if known { request.headers.get(name).unwrap_or_default() } else { b"" };
    let (mut asked, mut answered) = ([None; AccessLog::MOST_HEADERS], [None; AccessLog::MOST_HEADERS]);
    let asked = filled(&mut asked, log.request_headers(), known.then_some(&request.headers));
    let response = is_servers(x).then_some(&x.heads.response.headers);
    let answered = filled(&mut answered, log.response_headers(), response);
    log.write(&Record {
        at: SystemTime::now().checked_sub(total).unwrap_or(SystemTime::UNIX_EPOCH),
        request_id: story.request_id(),
        client: x.peer,
        client_ip: x.client_ip,
        method: if known { request.method_text() } else { &method },
        target: if known { request.target() } else { &target },
        version: version_of(request),
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
        request_headers: asked,
        response_headers: answered,
    });
}

/// Whether the answer that the client got was a server's: its head is kept for longer than one exchange.
fn is_servers(x: &Exchange<'_>) -> bool {
    x.story.first_byte.is_some() && x.story.failure.is_none() && x.story.status == x.heads.response.status()
}

/// The first value of each of the headers.
fn filled<'v, 'h>(
    room: &'v mut [Option<&'h [u8]>],
    names: &[Arc<str>],
    headers: Option<&'h Headers>,
) -> &'v [Option<&'h [u8]>] {
    let Some(room) = room.get_mut(..names.len()) else { return &[] };
    for (slot, name) in room.iter_mut().zip(names) {
        *slot = headers.and_then(|headers| headers.find(name.as_bytes()));
    }
    room
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
