//! Operators' own systems are told of events.
//!
//! Each webhook has a desk of its own with a bounded queue, and a courier that delivers in order, one message at a
//! time; a slow or dead target costs its own messages and nothing else. `dispatch` hands events from the bus to the
//! desks. It reads the history and not only the bus, so that a burst does not outrun it.
//!
//! A webhook that a new configuration keeps (the same name and URL, or the same URL under another name) keeps what
//! waits. What can fail of a new set is done by [`Webhooks::prepare`], before anything changes.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use loadweaver_config::Webhook;
use loadweaver_telemetry::event::EventBus;
use reqwest::Client;
use thiserror::Error;
use tokio::time::timeout;

use crate::outbound::{self, Speaks, Trust};
use crate::problems::Problem;
use crate::supervisor::Supervisor;

/// What becomes of a message, and how long a target is left alone.
mod circuit;
/// Delivers.
mod courier;
/// What became of messages.
mod deliveries;
/// Everything about one webhook.
mod desk;
/// What is sent.
mod message;
/// One attempt.
mod post;
/// What waits.
mod queue;
/// The proof that it was us.
mod signature;
/// The format of Slack.
mod slack;

pub(crate) use deliveries::NotAgain;
pub(crate) use desk::WebhookView;

use circuit::Pauses;
use desk::Desk;
use message::Ids;
use post::Settings;

/// How long the end of the process waits for messages that can be delivered at once.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// Why a webhook cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("webhook {name}: {reason}")]
pub(crate) struct WebhookError {
    /// Which one.
    pub(crate) name: Arc<str>,
    /// Why, in words for an operator.
    pub(crate) reason: String,
}

/// A set of webhooks that can be applied without failing.
pub(crate) struct Prepared(Vec<Arc<Settings>>);

/// All webhooks. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Webhooks {
    shared: Arc<Shared>,
}

struct Shared {
    bus: EventBus,
    supervisor: Supervisor,
    desks: Mutex<Vec<Arc<Desk>>>,
    /// The last event that was handed to the desks.
    last: Mutex<u64>,
    ids: Arc<Ids>,
    pauses: Pauses,
    limit: usize,
    /// The client of all webhooks that trust the system's certificates: to read those takes a while.
    of_system: OnceLock<Client>,
}

impl Webhooks {
    /// No webhooks yet. To be called within the runtime that delivers.
    pub(crate) fn start(bus: EventBus, supervisor: &Supervisor) -> Self {
        Self::with(bus, supervisor, Pauses::default(), queue::WAITING)
    }

    fn with(bus: EventBus, supervisor: &Supervisor, pauses: Pauses, limit: usize) -> Self {
        let last = Mutex::new(bus.last_id());
        let shared = Arc::new(Shared {
            bus,
            supervisor: supervisor.clone(),
            desks: Mutex::default(),
            last,
            ids: Arc::new(Ids::new()),
            pauses,
            limit,
            of_system: OnceLock::new(),
        });
        let dispatched = Arc::clone(&shared);
        supervisor.keep("webhooks", move || dispatch(Arc::clone(&dispatched)));
        Self { shared }
    }

    /// Does all that can fail: reads certificates, makes clients. Changes nothing. Blocks for a few milliseconds.
    pub(crate) fn prepare(&self, webhooks: &[Webhook]) -> Result<Prepared, Vec<WebhookError>> {
        let (mut prepared, mut errors) = (Vec::new(), Vec::new());
        for webhook in webhooks {
            match self.shared.client(webhook).and_then(|client| Settings::new(webhook, client)) {
                Ok(settings) => prepared.push(Arc::new(settings)),
                Err(reason) => errors.push(WebhookError { name: Arc::clone(&webhook.name), reason }),
            }
        }
        if errors.is_empty() { Ok(Prepared(prepared)) } else { Err(errors) }
    }

    /// Goes on with these webhooks. Those that stay keep what waits; those that are gone end after the attempt that
    /// is under way; new ones hear of what happens from now on.
    pub(crate) fn apply(&self, prepared: &Prepared) {
        // What has happened so far is for those that were there.
        self.shared.pump();
        let mut desks = self.shared.desks();
        let mut before: Vec<Option<Arc<Desk>>> = desks.drain(..).map(Some).collect();
        let mut after: Vec<Option<Arc<Desk>>> = prepared.0.iter().map(|_| None).collect();
        // By name and address first, so that two webhooks to one address are not mixed up.
        for by_name in [true, false] {
            for (place, new) in after.iter_mut().zip(&prepared.0) {
                if place.is_none() {
                    *place = take_same(&mut before, new, by_name);
                }
            }
        }
        for (desk, settings) in after.into_iter().zip(prepared.0.iter().map(Arc::clone)) {
            desks.push(match desk {
                Some(desk) => {
                    desk.change(settings);
                    desk
                }
                None => self.shared.open(settings),
            });
        }
        before.iter().flatten().for_each(|desk| desk.retire());
    }

    /// Each webhook with its last deliveries.
    pub(crate) fn views(&self) -> Vec<WebhookView> {
        self.shared.desks().iter().map(|desk| desk.view()).collect()
    }

    /// Those whose messages do not arrive.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        self.shared.desks().iter().filter_map(|desk| desk.problem()).collect()
    }

    /// Sends a message that says that it is a test; its delivery's id. It goes before what waits, but after the
    /// message that is under way, which gets its next attempt at once.
    pub(crate) fn test(&self, name: &str) -> Result<String, NotAgain> {
        self.desk(name)?.test(self.shared.bus.node())
    }

    /// Sends a message of the past again: the same id and the same bytes, before what waits.
    pub(crate) fn redeliver(&self, name: &str, id: &str) -> Result<(), NotAgain> {
        self.desk(name)?.redeliver(id)
    }

    /// The end: what waits gets one attempt each, as long as the targets take it, for [`CLOSE_PATIENCE`] at most.
    pub(crate) async fn close(&self) {
        self.close_within(CLOSE_PATIENCE).await;
    }

    async fn close_within(&self, patience: Duration) {
        self.shared.pump();
        let desks = self.shared.desks().clone();
        for desk in &desks {
            desk.close();
        }
        let all = async {
            for desk in &desks {
                desk.ended().await;
            }
        };
        if timeout(patience, all).await.is_err() {
            for desk in &desks {
                desk.retire();
            }
            tracing::warn!(target: loadweaver_telemetry::log::WEBHOOKS, "ending before all messages were delivered");
        }
    }

    fn desk(&self, name: &str) -> Result<Arc<Desk>, NotAgain> {
        let desks = self.shared.desks();
        let found = desks.iter().find(|desk| *desk.settings().webhook.name == *name);
        found.cloned().ok_or(NotAgain::Unknown)
    }
}

impl Shared {
    fn desks(&self) -> MutexGuard<'_, Vec<Arc<Desk>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, settings: Arc<Settings>) -> Arc<Desk> {
        let desk = Arc::new(Desk::new(settings, self.limit, Arc::clone(&self.ids), self.pauses));
        let (served, bus) = (Arc::clone(&desk), self.bus.clone());
        self.supervisor.keep_until("webhook", move || courier::run(Arc::clone(&served), bus.clone()));
        desk
    }

    fn client(&self, webhook: &Webhook) -> Result<Client, String> {
        let trust = outbound::trust(&webhook.url, webhook.ca_file.as_deref())?;
        if matches!(trust, Trust::System)
            && let Some(client) = self.of_system.get()
        {
            return Ok(client.clone());
        }
        let of_system = matches!(trust, Trust::System);
        let client = outbound::client(trust, Speaks::Http1).map_err(|error| match &webhook.ca_file {
            Some(path) => format!("its caFile {} cannot be used: {error}", path.display()),
            None => format!("the system's certificates cannot be used: {error}"),
        })?;
        Ok(if of_system { self.of_system.get_or_init(|| client).clone() } else { client })
    }

    /// Hands out every event that was not handed out yet.
    fn pump(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let desks = self.desks();
        for event in self.bus.since(*last) {
            let gone = event.id.saturating_sub(*last + 1);
            *last = event.id;
            for desk in desks.iter() {
                desk.lose(gone);
                desk.offer(&event);
            }
        }
    }
}

async fn dispatch(shared: Arc<Shared>) -> Infallible {
    let mut news = shared.bus.subscribe();
    loop {
        shared.pump();
        // Only a call to look: what it was is in the history. The bus lives as long as what is shared.
        if news.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// Takes out the desk that goes on as this webhook's.
fn take_same(desks: &mut [Option<Arc<Desk>>], new: &Settings, by_name: bool) -> Option<Arc<Desk>> {
    let same = |desk: &Arc<Desk>| {
        let old = desk.settings();
        let (old, new) = (&old.webhook, &new.webhook);
        old.url == new.url && (!by_name || old.name == new.name)
    };
    desks.iter_mut().find(|desk| desk.as_ref().is_some_and(same))?.take()
}

#[cfg(test)]
mod tests;
