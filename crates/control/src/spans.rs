//! Spans go to a collector, by OTLP.
//!
//! Workers hand them over by a bounded queue ([`SpanQueue`]); one task takes what is there, a batch at a time, and sends
//! it. A collector that does not answer costs what waits in the queue, and those that find no place there: they are
//! counted, and nobody waits. What can fail of other settings is done by [`Spans::prepare`], before anything changes.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadweaver_config::Tracing;
use loadweaver_telemetry::log;
use loadweaver_telemetry::span::{Piece, SpanQueue};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::jitter::Jitter;
use crate::supervisor::Supervisor;

/// One request to the collector.
mod post;

use post::{Settings, Verdict};

/// Tries of one batch in all: with the pauses between them a collector has some 15 s to come back.
const TRIES: u32 = 5;
/// The pause after the first try; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, whatever a collector asks for: the queue is full by then.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the end of the process waits for a collector that takes what is left.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// The way of spans out of the process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Spans {
    shared: Arc<Shared>,
}

/// Settings that can be applied without failing.
pub(crate) struct Prepared(Option<Arc<Settings>>);

struct Shared {
    queue: SpanQueue,
    /// What says which process this is.
    identity: post::Identity,
    settings: Mutex<Option<Arc<Settings>>>,
    /// There are other settings, or it is the end.
    changed: Notify,
    closing: AtomicBool,
    ended: Notify,
}

impl Spans {
    /// Sends nothing yet. To be called within the runtime that delivers.
    pub(crate) fn start(queue: SpanQueue, node: &str, supervisor: &Supervisor) -> Self {
        let shared = Arc::new(Shared {
            queue,
            identity: post::Identity::new(node),
            settings: Mutex::default(),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let running = Arc::clone(&shared);
        supervisor.keep("spans", move || run(Arc::clone(&running)));
        Self { shared }
    }

    /// Does all that can fail: reads certificates, makes a client. Changes nothing. The error is a sentence for an
    /// operator.
    pub(crate) fn prepare(&self, tracing: Option<&Tracing>) -> Result<Prepared, String> {
        let Some(tracing) = tracing else { return Ok(Prepared(None)) };
        if let Some(same) = self.shared.settings().filter(|now| now.is_for(tracing)) {
            return Ok(Prepared(Some(same)));
        }
        let settings = Settings::new(tracing, &self.shared.identity);
        settings
            .map(|settings| Prepared(Some(Arc::new(settings))))
            .map_err(|error| format!("tracing: {error}"))
    }

    /// Goes on with these settings. What waits goes where they say.
    pub(crate) fn apply(&self, prepared: Prepared) {
        let mut settings = self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner);
        *settings = prepared.0;
        drop(settings);
        self.shared.changed.notify_one();
    }

    /// What became of spans so far; none where none are made.
    pub(crate) fn view(&self) -> Option<&SpanQueue> {
        self.shared.settings().map(|_| &self.shared.queue)
    }

    /// The end: what waits gets one try, for [`CLOSE_PATIENCE`] at most.
    pub(crate) async fn close(&self) {
        if self.shared.settings().is_none() {
            return;
        }
        self.shared.closing.store(true, Ordering::Relaxed);
        self.shared.changed.notify_one();
        if timeout(CLOSE_PATIENCE, self.shared.ended.notified()).await.is_err() {
            let left = self.shared.queue.waiting_spans();
            tracing::warn!(target: log::SPANS, left, "ending before the collector took all spans");
        }
    }
}

impl Shared {
    fn settings(&self) -> Option<Arc<Settings>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

async fn run(shared: Arc<Shared>) -> Infallible {
    let mut collector = Collector::default();
    loop {
        let Some(settings) = shared.settings() else {
            // Nobody is going to ask for what was left behind.
            drop_all(&shared.queue);
            collector = Collector::default();
            shared.changed.notified().await;
            continue;
        };
        if !shared.is_closing() {
            tokio::select! {
                () = sleep(settings.interval()) => {}
                () = shared.queue.filled() => {}
                () = shared.changed.notified() => {}
            }
        }
        loop {
            let pieces = shared.queue.take(settings.batch());
            if pieces.is_empty() {
                break;
            }
            collector.deliver(&shared, &pieces).await;
            if shared.queue.waiting_spans() < settings.batch() && !shared.is_closing() {
                // What came meanwhile waits for others like all the rest does: no request for each handful.
                break;
            }
        }
        if shared.is_closing() {
            shared.ended.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

fn drop_all(queue: &SpanQueue) {
    queue.lose(count(&queue.take(usize::MAX)));
}

fn count(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.spans as u64).sum()
}

/// How it stands with the collector, as the log was told.
struct Collector {
    /// Spans that were lost when it began to fail; none while it does not.
    failing: Option<u64>,
    /// It takes less than it is sent.
    picky: bool,
    jitter: Jitter,
}

impl Default for Collector {
    fn default() -> Self {
        Self { failing: None, picky: false, jitter: Jitter::from_system() }
    }
}

impl Collector {
    /// Sends a batch, again and again where that may help.
    async fn deliver(&mut self, shared: &Shared, pieces: &[Piece]) {
        let spans = count(pieces);
        let mut pause = FIRST_PAUSE;
        for left in (0..TRIES).rev() {
            let Some(settings) = shared.settings() else { break };
            match settings.send(pieces).await {
                Verdict::Taken { rejected, why } => {
                    let rejected = rejected.min(spans);
                    shared.queue.delivered(spans - rejected);
                    shared.queue.lose(rejected);
                    return self.well(shared, &settings, (rejected, &why));
                }
                Verdict::Refused(why) => {
                    self.ill(shared, &settings, &why);
                    break;
                }
                Verdict::Unable { why, after } => {
                    self.ill(shared, &settings, &why);
                    if left == 0 || shared.is_closing() {
                        break;
                    }
                    let wait = after.unwrap_or_else(|| self.jitter.around(pause)).min(LONGEST_PAUSE);
                    pause *= 2;
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = shared.changed.notified() => {}
                    }
                }
            }
        }
        shared.queue.lose(spans);
    }

    fn well(&mut self, shared: &Shared, settings: &Settings, (rejected, why): (u64, &str)) {
        let to = settings.target();
        if let Some(before) = self.failing.take() {
            let lost = shared.queue.lost().saturating_sub(before);
            tracing::info!(target: log::SPANS, to, lost, "the collector takes spans again");
        }
        if rejected > 0 && !self.picky {
            tracing::warn!(target: log::SPANS, to, rejected, why, "the collector does not take all spans");
        }
        self.picky = rejected > 0;
    }

    /// Said once, until it is well again.
    fn ill(&mut self, shared: &Shared, settings: &Settings, why: &str) {
        if self.failing.is_none() {
            self.failing = Some(shared.queue.lost());
            let to = settings.target();
            tracing::warn!(target: log::SPANS, to, why, "the collector does not take spans");
        }
    }
}
