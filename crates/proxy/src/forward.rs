//! The next server, one attempt, judge, again: the only loop over servers.

use std::sync::Arc;

use loadweaver_policy::failure::{Blame, Failure};
use loadweaver_policy::health::Observation;
use loadweaver_policy::retry::{Attempted, is_idempotent};
use loadweaver_telemetry::counters::Retried;
use loadweaver_telemetry::recent::End;

use crate::deadline::{For, Nanos};
use crate::engine::http1::Next;
use crate::exchange::Exchange;
use crate::grpc;
use crate::pool::{Permit, PoolState};
use crate::trace;

mod answer;
mod attempt;
pub(crate) mod flow;
mod relay;
mod tunnel;

pub(crate) use answer::Answer;
use attempt::Lost;
use flow::Replay;

/// Sends the request to servers of the pool until one answers or no more may be tried. An error is a failure for
/// which the client has yet to get an answer.
pub(crate) async fn forward(x: &mut Exchange<'_>, pool: Arc<PoolState>, now: Nanos) -> Result<Next, Failure> {
    pool.counters.requests.increment();
    pool.budget.on_request(std::time::Duration::from_nanos(now));
    x.alarm.set(For::Exchange, now, time_for(x, &pool));
    let mut effort = Effort::new(x, pool);
    let result = effort.run(x, now).await;
    x.story.bytes_in = effort.taken;
    x.alarm.clear(For::Exchange);
    x.alarm.clear(For::Attempt);
    result
}

/// How long the exchange may take; zero is for ever. A gRPC client says how long it waits: nobody waits for what comes
/// later.
fn time_for(x: &Exchange<'_>, pool: &PoolState) -> std::time::Duration {
    let total = pool.config.timeouts.total;
    if !x.client.stream.is_framed() || !grpc::is_grpc(&x.heads.request) {
        return total;
    }
    match grpc::timeout(&x.heads.request) {
        Some(wanted) if total.is_zero() || wanted < total => wanted.max(std::time::Duration::from_nanos(1)),
        _ => total,
    }
}

/// What an exchange has done so far to be answered.
struct Effort {
    pool: Arc<PoolState>,
    idempotent: bool,
    /// The pool had no healthy server when the exchange came to it.
    was_down: bool,
    replay: Replay,
    /// Bytes of the request's body that were taken from the client.
    taken: u64,
    /// An answer that was to be replaced by a better one: the last real one, if no better one comes.
    held: Option<Box<Answer>>,
}

impl Effort {
    fn new(x: &mut Exchange<'_>, pool: Arc<PoolState>) -> Self {
        x.heads.tried.clear();
        let limit = pool.config.retry.buffer_body;
        // A body that is known to be too long is not copied at all.
        let fits = x
            .body
            .length_left()
            .is_none_or(|length| usize::try_from(length).is_ok_and(|length| length <= limit));
        Self {
            was_down: pool.is_down(),
            pool,
            idempotent: is_idempotent(x.heads.request.method_text()),
            replay: Replay::new(if fits { limit } else { 0 }),
            taken: 0,
            held: None,
        }
    }

    async fn run(&mut self, x: &mut Exchange<'_>, now: Nanos) -> Result<Next, Failure> {
        let answer = self.answer(x, now).await?;
        trace::answered(x);
        relay::relay(x, self, answer).await
    }

    /// Tries servers until one's answer is to be passed on.
    async fn answer(&mut self, x: &mut Exchange<'_>, mut now: Nanos) -> Result<Box<Answer>, Failure> {
        let mut permit = self.choose(x).ok_or_else(|| self.pool.refusal())?;
        let mut fresh = false;
        loop {
            if !fresh {
                x.story.attempts += 1;
                permit.server.counters.requests.increment();
                trace::attempt(x, &permit.server, now);
            }
            let why = match attempt::run(x, self, permit, now, fresh).await {
                Ok(mut answer) => match self.better(x, &answer) {
                    Some((next, why)) => {
                        permit = next;
                        let end = End::SetAside(x.heads.response.status());
                        x.story.lose(&answer.permit.server, x.worker.deadlines.now(), end);
                        answer.set_aside(x);
                        self.held = Some(answer);
                        why
                    }
                    None => return Ok(answer),
                },
                Err(lost) if lost.stale && !lost.torn && self.may_repeat(&lost) => {
                    // The server had closed a kept connection before it saw our request: not its failure, and
                    // not one of the attempts.
                    permit = lost.permit;
                    fresh = true;
                    now = x.worker.deadlines.now();
                    x.story.lose(&permit.server, now, End::Stale);
                    continue;
                }
                Err(lost) => {
                    let end = End::Failed(lost.failure);
                    x.story.lose(&lost.permit.server, x.worker.deadlines.now(), end);
                    // A kept connection that the server had closed says nothing about its health.
                    if !lost.stale && !lost.excused {
                        judge(&lost.permit, lost.failure);
                    }
                    if lost.torn {
                        return Err(Failure::ResponseCut);
                    }
                    match self.another(x, &lost) {
                        Some(next) => permit = next,
                        None => return self.last_real(x).ok_or_else(|| self.told(lost.failure)),
                    }
                    Retried::After(lost.failure)
                }
            };
            fresh = false;
            x.story.retried += 1;
            x.worker.shared.counters.retry_reasons.record(why);
            permit.server.counters.retries.increment();
            now = x.worker.deadlines.now();
        }
    }

    fn choose(&self, x: &mut Exchange<'_>) -> Option<Permit> {
        self.pool.choose(x.client_ip, x.worker.random.number(), &mut x.heads.tried)
    }

    fn attempted(&self, failure: Failure, bytes_sent: bool) -> Attempted {
        let replayable = self.replay.is_whole(self.taken);
        Attempted { failure, bytes_sent, idempotent: self.idempotent, replayable }
    }

    /// Whether a request that met a stale connection may go out once more: the rules for a connection that was lost
    /// hold, whatever the operator wants of real failures.
    fn may_repeat(&self, lost: &Lost) -> bool {
        let repeatable = self.idempotent || self.pool.config.retry.non_idempotent;
        (repeatable || !lost.bytes_sent) && self.replay.is_whole(self.taken)
    }

    /// The next server after a failed attempt, if rules, budget and servers allow one.
    fn another(&mut self, x: &mut Exchange<'_>, lost: &Lost) -> Option<Permit> {
        let allowed = self.pool.rules.after_failure(&self.attempted(lost.failure, lost.bytes_sent));
        if allowed { self.next(x) } else { None }
    }

    /// The next server after an answer that the operator does not want to pass on.
    fn better(&mut self, x: &mut Exchange<'_>, answer: &Answer) -> Option<(Permit, Retried)> {
        let status = x.heads.response.status();
        if answer.is_upgrade || answer.download.is_torn() || self.pool.rules.attempts() < 2 {
            return None;
        }
        let replayable = self.replay.is_whole(self.taken);
        let (allowed, why) = if answer.lease.stream.is_framed() && grpc::is_unavailable(x) {
            (self.pool.rules.after_unavailable(replayable), Retried::Unavailable)
        } else {
            (self.pool.rules.after_status(status, self.idempotent, replayable), Retried::Status(status))
        };
        if allowed { Some((self.next(x)?, why)) } else { None }
    }

    fn next(&mut self, x: &mut Exchange<'_>) -> Option<Permit> {
        if x.story.attempts >= self.pool.rules.attempts() || x.alarm.is_due(For::Exchange) {
            return None;
        }
        let permit = self.choose(x)?;
        let now = std::time::Duration::from_nanos(x.worker.deadlines.now());
        if !self.pool.budget.try_retry(now) {
            self.pool.counters.retry_budget_exhausted.increment();
            x.worker.shared.counters.retry_budget_exhausted.increment();
            return None;
        }
        Some(permit)
    }

    /// What the client is told of a failure. Servers that are out are only tried for want of better ones; that they
    /// fail is what was expected, and the pool has an answer for it.
    fn told(&self, failure: Failure) -> Failure {
        if self.was_down && failure.blame() == Blame::Server { Failure::NoServer } else { failure }
    }

    /// No more attempts: the last real answer, if there was one.
    fn last_real(&mut self, x: &mut Exchange<'_>) -> Option<Box<Answer>> {
        let mut answer = self.held.take()?;
        answer.bring_back(x);
        Some(answer)
    }
}

/// Counts a failed attempt, and tells the server's health where the server is to blame.
fn judge(permit: &Permit, failure: Failure) {
    if failure.blame() != Blame::Server {
        return;
    }
    permit.server.counters.failures.increment();
    permit.observe(match failure {
        Failure::ConnectRefused => Observation::ConnectRefused,
        failure => Observation::RequestFailed(failure),
    });
}
