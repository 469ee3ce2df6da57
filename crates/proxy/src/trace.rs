//! An exchange as part of a trace: what its client said of it, what each server is told, and the spans that are left of
//! it.
//!
//! Without `tracing` in the configuration there is none of it: each function here begins with that question and ends
//! there. With it, every exchange has a trace, because whether it is told of may only be known at its end; what is kept
//! until then is a list of its attempts.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use loadweaver_config::Config;
use loadweaver_http1::encode::field;
use loadweaver_http1::{Headers, Name};
use loadweaver_policy::failure::{Blame, Failure};
use loadweaver_telemetry::recent::End;
use loadweaver_telemetry::span::{
    AttemptSpan, ExchangeSpan, Parent, Sampler, Scheme, SpanId, TraceId, UnixNanos, unix_nanos,
};

use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::record;
use crate::server::ServerState;

/// Which exchanges are told of, and how many spans may stand in line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    sampler: Sampler,
    /// Spans of a batch, and spans that may wait.
    limits: (usize, usize),
}

impl Rules {
    /// None where no spans are made.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let tracing = config.tracing.as_ref()?;
        Some(Self { sampler: Sampler::new(tracing.sampling), limits: (tracing.batch, tracing.queue) })
    }
}

/// The trace of one exchange.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The exchange's span, as the parent of others.
    context: Parent,
    /// The client's.
    parent: Option<SpanId>,
    /// Where in the fields that are added for servers the id of the attempt stands; none before they are written.
    place: Option<usize>,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    span: SpanId,
    server: Arc<ServerState>,
    begun: Nanos,
    /// None while it is under way.
    ended: Option<Nanos>,
    status: u16,
    failure: Option<Failure>,
}

const TRACEPARENT: &[u8] = b"traceparent";
const TRACESTATE: &[u8] = b"tracestate";

/// Takes over the client's trace, or begins one.
pub(crate) fn begin(x: &mut Exchange<'_>) {
    if let Some(rules) = x.snapshot.tracing {
        open(x, &rules.sampler);
    }
}

#[cold]
fn open(x: &mut Exchange<'_>, sampler: &Sampler) {
    let headers = &mut x.heads.request.headers;
    let parent = parent_of(headers);
    // Servers get one of ours. What belongs to a trace that is not taken over goes with it (section 4.3).
    let is_ours = |name: &[u8]| {
        name.eq_ignore_ascii_case(TRACEPARENT) || parent.is_none() && name.eq_ignore_ascii_case(TRACESTATE)
    };
    headers.retain(|known, name| known != Name::Other || !is_ours(name));
    let random = &x.worker.random;
    let trace =
        parent.map_or_else(|| TraceId::of([random.trace_bits(), random.trace_bits()]), |parent| parent.trace);
    let context = Parent {
        trace,
        span: SpanId::of(random.trace_bits()),
        is_sampled: sampler.takes(trace, parent.as_ref()),
        is_random: parent.is_none_or(|parent| parent.is_random),
    };
    let parent = parent.map(|parent| parent.span);
    x.story.trace = Some(Box::new(Trace { context, parent, place: None, attempts: Vec::new() }));
}

/// What the client says. Of two who say it, neither can be believed.
fn parent_of(headers: &Headers) -> Option<Parent> {
    let mut told = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(TRACEPARENT));
    let (_, value) = told.next()?;
    if told.next().is_some() { None } else { Parent::read(value) }
}

/// What vendors have to say to each other: a list, which may come in several fields (section 3.3.1.1).
fn state_of(headers: &Headers) -> Cow<'_, [u8]> {
    let mut fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(TRACESTATE));
    let Some((_, first)) = fields.next() else { return Cow::default() };
    fields.fold(Cow::Borrowed(first), |list, (_, more)| {
        // One that is too long already is not told of.
        if list.len() > ExchangeSpan::LONGEST_STATE { list } else { Cow::Owned([&list, more].join(&b',')) }
    })
}

/// Adds the field that servers get. Which attempt it is stands in it when there is one.
pub(crate) fn announce(x: &mut Exchange<'_>) {
    let Some(trace) = &mut x.story.trace else { return };
    let added = &mut x.heads.added;
    // `traceparent: ` stands in front of the value.
    trace.place = Some(added.len() + TRACEPARENT.len() + 2 + Parent::SPAN_AT);
    field(added, TRACEPARENT, &trace.context.write());
}

/// An attempt begins.
pub(crate) fn attempt(x: &mut Exchange<'_>, server: &Arc<ServerState>, begun: Nanos) {
    let Some(trace) = &mut x.story.trace else { return };
    let span = SpanId::of(x.worker.random.trace_bits());
    let place = trace.place.and_then(|place| x.heads.added.get_mut(place..place + SpanId::DIGITS));
    if let Some(place) = place {
        place.copy_from_slice(&span.digits());
    }
    let server = Arc::clone(server);
    trace.attempts.push(Attempt { span, server, begun, ended: None, status: 0, failure: None });
}

/// The attempt under way has brought the answer that is passed on, unless that is one of those before.
pub(crate) fn answered(x: &mut Exchange<'_>) {
    let Some(trace) = &mut x.story.trace else { return };
    if let Some(attempt) = trace.attempts.last_mut().filter(|last| last.ended.is_none()) {
        attempt.status = x.heads.response.status();
    }
}

impl Trace {
    /// The attempt under way ends, and the exchange goes on. One that met a stale connection goes on as well.
    pub(crate) fn attempt_over(&mut self, now: Nanos, end: End) {
        let Some(attempt) = self.attempts.last_mut() else { return };
        match end {
            End::Failed(failure) => attempt.failure = Some(failure),
            End::SetAside(status) => attempt.status = status,
            End::Stale => return,
        }
        attempt.ended = Some(now);
    }
}

/// Tells of an exchange that is over, if it is one to be told of.
pub(crate) fn finish(x: &mut Exchange<'_>, total: Nanos) {
    if let Some(trace) = x.story.trace.take() {
        close(x, *trace, total);
    }
}

#[cold]
fn close(x: &Exchange<'_>, mut trace: Trace, total: Nanos) {
    let Some(rules) = x.snapshot.tracing else { return };
    let story = &x.story;
    let broken = story.failure.is_some_and(|failure| failure.blame() != Blame::Client);
    let failed = story.status >= 500 || story.retried > 0 || broken;
    if !(trace.context.is_sampled || failed && rules.sampler.takes_failures()) {
        return;
    }
    let clock = Clock::new(story.started + total);
    if let Some(last) = trace.attempts.last_mut().filter(|last| last.ended.is_none()) {
        // It ends with the exchange, and as that does.
        last.failure = story.failure;
    }
    let request = &x.heads.request;
    let header = |name| request.headers.get(name).unwrap_or_default();
    let listener = x.entrance.as_ref().map(|entrance| entrance.name(&x.snapshot));
    let told = ExchangeSpan {
        context: trace.context,
        parent: trace.parent,
        state: &state_of(&request.headers),
        begun: clock.at(story.started),
        ended: clock.at(story.started + total),
        method: request.method_text(),
        path: request.path(),
        target: request.target(),
        scheme: if x.is_secure() { Scheme::Https } else { Scheme::Http },
        host: request.host(),
        version: record::version_of(request),
        peer: x.peer,
        client: x.client_ip,
        user_agent: header(Name::UserAgent),
        request_id: story.request_id(),
        listener: listener.as_deref().unwrap_or_default(),
        route: story.route.and_then(|route| x.snapshot.config.routes.get(route)).map(|route| &*route.name),
        pool: story.pool.as_ref().map(|pool| &*pool.config.name),
        status: story.status,
        failure: story.failure,
    };
    let attempts = (0..).zip(&trace.attempts).map(|(resent, attempt)| attempt.told(resent, &clock));
    let attempts: Vec<_> = attempts.collect();
    x.worker.spans.borrow_mut().write(&told, attempts.into_iter(), rules.limits);
}

impl Attempt {
    fn told(&self, resent: u64, clock: &Clock) -> AttemptSpan<'_> {
        let config = &self.server.config;
        let socket = config.unix();
        AttemptSpan {
            span: self.span,
            resent,
            begun: clock.at(self.begun),
            ended: self.ended.map_or(clock.end(), |ended| clock.at(ended)),
            server: &config.id,
            host: socket.unwrap_or(&config.host),
            port: socket.is_none().then_some(config.port),
            scheme: if self.server.identity().is_some() { Scheme::Https } else { Scheme::Http },
            status: self.status,
            failure: self.failure,
        }
    }
}

/// The worker's clock as the world's, which is looked at once for an exchange: its parts fit together, whoever sets the
/// world's.
struct Clock {
    end: (Nanos, UnixNanos),
}

impl Clock {
    fn new(now: Nanos) -> Self {
        let world = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { end: (now, unix_nanos(world)) }
    }

    fn at(&self, then: Nanos) -> UnixNanos {
        let (now, world) = self.end;
        world.saturating_sub(now.saturating_sub(then))
    }

    fn end(&self) -> UnixNanos {
        self.end.1
    }
}
