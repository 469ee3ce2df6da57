//! Everything about one webhook: what waits, what is under way, how its target does.
//!
//! The courier asks what to do next and reports how it went; whoever else has something to say (an event, a new
//! configuration, an operator, the end of the process) says it here and wakes the courier. Nothing in here waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use loadweaver_telemetry::event::{Event, StampedEvent};
use loadweaver_telemetry::{log, rfc3339};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::circuit::{Circuit, News, Pauses, Verdict};
use super::deliveries::{Deliveries, DeliveryView, NotAgain, State};
use super::message::{Ids, Message};
use super::post::{Report, Settings};
use super::queue::{Next, Queue};
use crate::jitter::Jitter;
use crate::problems::{Problem, Subject};
use crate::words::several;

/// One webhook's desk.
pub(super) struct Desk {
    inner: Mutex<Inner>,
    changed: Notify,
    ended: watch::Sender<bool>,
    ids: Arc<Ids>,
    pauses: Pauses,
}

struct Inner {
    settings: Arc<Settings>,
    queue: Queue,
    current: Option<Current>,
    circuit: Circuit,
    /// The target is left alone until then.
    rest_until: Option<Instant>,
    deliveries: Deliveries,
    life: Life,
    jitter: Jitter,
    delivered: u64,
    failed: u64,
    last_error: Option<String>,
}

/// The message that is delivered or waits for another attempt.
struct Current {
    message: Message,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Serving,
    /// One attempt for each message that waits, then the end.
    Closing,
    /// No more messages.
    Over,
}

/// What the courier does next.
pub(super) enum Step {
    Send(Arc<Settings>, Message),
    /// Sleep until then or until something changes.
    Wait(Option<Instant>),
    End,
}

/// A webhook, as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookView {
    /// Its name.
    pub(crate) name: String,
    /// Scheme, host and port; paths are often secret.
    pub(crate) target: String,
    /// `json` or `slack`.
    pub(crate) format: &'static str,
    /// Whether what it is sent is signed.
    pub(crate) signed: bool,
    /// `ok`, `retrying` (the last attempt failed), `failing` (many did, or messages were given up), `open` (no answer
    /// at all: messages wait).
    pub(crate) state: &'static str,
    /// Messages and events that wait, the one under way included.
    pub(crate) waiting: usize,
    /// Messages that were taken.
    pub(crate) delivered: u64,
    /// Messages that were given up.
    pub(crate) failed: u64,
    /// Events that were lost because too many waited.
    pub(crate) dropped: u64,
    /// Why the last failed attempt failed.
    pub(crate) last_error: Option<String>,
    /// When the next attempt is due, RFC 3339; none when none is.
    pub(crate) next_attempt_at: Option<String>,
    /// The last 200, the newest first.
    pub(crate) deliveries: Vec<DeliveryView>,
}

impl Desk {
    /// At most `limit` events wait.
    pub(super) fn new(settings: Arc<Settings>, limit: usize, ids: Arc<Ids>, pauses: Pauses) -> Self {
        let inner = Inner {
            settings,
            queue: Queue::new(limit),
            current: None,
            circuit: Circuit::default(),
            rest_until: None,
            deliveries: Deliveries::default(),
            life: Life::Serving,
            jitter: Jitter::from_system(),
            delivered: 0,
            failed: 0,
            last_error: None,
        };
        Self {
            inner: Mutex::new(inner),
            changed: Notify::new(),
            ended: watch::Sender::new(false),
            ids,
            pauses,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of another holder leaves at worst a count wrong.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.lock().settings)
    }

    /// An event happened.
    pub(super) fn offer(&self, event: &Arc<StampedEvent>) {
        let mut inner = self.lock();
        if inner.settings.webhook.events.takes(event.event.name()) {
            inner.queue.push(Arc::clone(event));
            drop(inner);
            self.changed.notify_one();
        }
    }

    /// Events were gone before they came this far.
    pub(super) fn lose(&self, count: u64) {
        self.lock().queue.lose(count);
    }

    /// Goes on with these settings and what waits. If they are other ones, the target gets its next attempt at once:
    /// the change may have mended it.
    pub(super) fn change(&self, settings: Arc<Settings>) {
        let mut inner = self.lock();
        let same = inner.settings.webhook == settings.webhook;
        // The certificates in the file may be new ones all the same.
        inner.settings = settings;
        if !same {
            self.nudge(inner);
        }
    }

    /// Sends a message that only says that it is a test, after the one that is under way. Its id.
    pub(super) fn test(&self, node: &str) -> Result<String, NotAgain> {
        let mut inner = self.lock();
        let message = Message::test(node, inner.settings.webhook.format, &self.ids);
        let id = message.id.to_string();
        let pushed = inner.push(message);
        self.by_hand(pushed, inner).map(|()| id)
    }

    /// Sends a message of the past again, under its own id.
    pub(super) fn redeliver(&self, id: &str) -> Result<(), NotAgain> {
        let mut inner = self.lock();
        let message = inner.deliveries.again(id)?;
        let pushed = inner.push(message);
        self.by_hand(pushed, inner)
    }

    fn by_hand(&self, pushed: bool, inner: MutexGuard<'_, Inner>) -> Result<(), NotAgain> {
        self.nudge(inner);
        if pushed { Ok(()) } else { Err(NotAgain::TooMany) }
    }

    fn nudge(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.rest_until = None;
        drop(inner);
        self.changed.notify_one();
    }

    /// Delivers what waits, if it can be done with one attempt each, and ends.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        if inner.life == Life::Serving {
            inner.life = Life::Closing;
        }
        self.nudge(inner);
    }

    /// Ends after the attempt that is under way.
    pub(super) fn retire(&self) {
        let mut inner = self.lock();
        inner.life = Life::Over;
        self.nudge(inner);
    }

    /// Waits until the courier has ended.
    pub(super) async fn ended(&self) {
        // The sender is ours.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Waits until something has changed since this was last waited for.
    pub(super) async fn change_or(&self, until: Option<Instant>) {
        let Some(until) = until else { return self.changed.notified().await };
        tokio::select! {
            () = self.changed.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// What the courier does next. A message that it was given before and did not report on is given again.
    pub(super) fn next(&self, now: Instant) -> Step {
        let mut inner = self.lock();
        let step = inner.next(now, &self.ids);
        if matches!(step, Step::End) {
            inner.tell_what_is_lost();
            self.ended.send_replace(true);
        }
        step
    }

    /// How the attempt went; what operators should hear of it.
    pub(super) fn report(&self, now: Instant, report: &Report) -> Option<Event> {
        self.lock().report(now, report, &self.pauses)
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        let inner = self.lock();
        if !inner.circuit.is_failing() {
            return None;
        }
        let error = inner.last_error.as_deref().unwrap_or("no answer");
        let what = format!("Webhook {} is not delivered", inner.settings.webhook.name);
        let why = format!("{error}; {} waiting", several(inner.waiting(), "message"));
        Some(Problem::warning(Subject::Webhook, what, why))
    }

    pub(super) fn view(&self) -> WebhookView {
        let inner = self.lock();
        let webhook = &inner.settings.webhook;
        let wait = inner.rest_until.map(|until| until.saturating_duration_since(Instant::now()));
        let due = inner.current.as_ref().and(wait).filter(|wait| *wait > Duration::ZERO);
        WebhookView {
            name: webhook.name.to_string(),
            target: inner.settings.target(),
            format: webhook.format.name(),
            signed: webhook.secret.is_some(),
            state: inner.circuit.name(),
            waiting: inner.waiting(),
            delivered: inner.delivered,
            failed: inner.failed,
            dropped: inner.queue.dropped(),
            last_error: inner.last_error.clone(),
            next_attempt_at: due.map(|wait| rfc3339(SystemTime::now() + wait)),
            deliveries: inner.deliveries.views(),
        }
    }
}

impl Inner {
    fn push(&mut self, message: Message) -> bool {
        self.life == Life::Serving && self.queue.push_by_hand(message)
    }

    fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }

    fn next(&mut self, now: Instant, ids: &Ids) -> Step {
        if self.life == Life::Over {
            return Step::End;
        }
        if let Some(until) = self.rest_until.filter(|until| *until > now) {
            return Step::Wait(Some(until));
        }
        if self.current.is_none() {
            let closing = self.life == Life::Closing;
            match self.queue.next(now, closing) {
                Next::Nothing if closing => return Step::End,
                Next::Nothing => return Step::Wait(None),
                Next::NotBefore(at) => return Step::Wait(Some(at)),
                Next::Now(taken) => {
                    let message = Message::new(&taken, self.settings.webhook.format, ids);
                    self.deliveries.begin(&message);
                    self.current = Some(Current { message, tries: 0 });
                }
            }
        }
        match &self.current {
            Some(current) => Step::Send(Arc::clone(&self.settings), current.message.clone()),
            None => Step::Wait(None),
        }
    }

    fn report(&mut self, now: Instant, report: &Report, pauses: &Pauses) -> Option<Event> {
        let current = self.current.as_mut()?;
        let limit = self.settings.webhook.attempts;
        let (verdict, news) = self.circuit.judge(report.outcome, &mut current.tries, limit, pauses);
        let asked = report.retry_after.unwrap_or_default().min(pauses.longest_asked_for);
        let state = match verdict {
            Verdict::Done => {
                self.delivered += 1;
                State::Delivered
            }
            Verdict::Again(pause) => {
                self.rest_until = Some(now + self.jitter.around(pause).max(asked));
                State::Pending
            }
            Verdict::GiveUp(pause) => {
                self.failed += 1;
                self.rest_until = Some(now + self.jitter.around(pause).max(asked));
                State::Failed
            }
        };
        self.deliveries.note(&current.message.id, report, state);
        let name = &self.settings.webhook.name;
        if state != State::Delivered {
            self.last_error = Some(report.error.clone());
            tracing::debug!(target: log::WEBHOOKS, webhook = %name, id = %current.message.id, error = report.error, "not delivered");
            if self.life == Life::Closing {
                self.life = Life::Over;
            }
        }
        if state == State::Failed {
            tracing::warn!(target: log::WEBHOOKS, webhook = %name, id = %current.message.id, event = current.message.event, error = report.error, "message given up");
        }
        if state != State::Pending {
            self.current = None;
        }
        let webhook = Arc::clone(name);
        news.map(|news| match news {
            News::Failing => Event::WebhookFailing { webhook, reason: report.error.clone() },
            News::Recovered => Event::WebhookRecovered { webhook },
        })
    }

    fn tell_what_is_lost(&self) {
        let waiting = self.waiting();
        if waiting > 0 {
            tracing::warn!(target: log::WEBHOOKS, webhook = %self.settings.webhook.name, waiting, "ending with messages that were not delivered");
        }
    }
}
