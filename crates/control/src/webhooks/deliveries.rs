//! What became of the last messages of one webhook.

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::message::Message;
use super::post::Report;

/// Messages that are kept.
const KEPT: usize = 200;
/// How many bytes their bodies may have together; without its body a message cannot be sent again.
const KEPT_BODIES: usize = 4 * 1024 * 1024;

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    kept: VecDeque<Delivery>,
    bodies: usize,
}

/// A message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Under way, or waiting for another attempt.
    Pending,
    Delivered,
    /// Given up.
    Failed,
}

#[derive(Debug)]
struct Delivery {
    message: Message,
    has_body: bool,
    created: SystemTime,
    state: State,
    attempts: u32,
    last: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    at: SystemTime,
    status: Option<u16>,
    error: String,
    latency_ms: u64,
}

/// Why a message is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAgain {
    /// No webhook or no delivery of that name is known.
    Unknown,
    /// It is being delivered anyway.
    Pending,
    /// Its body was too large to be kept for so long.
    BodyGone,
    /// Too many messages of this kind wait.
    TooMany,
}

/// A delivery, as the admin API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// The `X-LoadWeaver-Delivery` of the message.
    pub(crate) id: String,
    /// The event's name.
    pub(crate) event: &'static str,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// `pending`, `delivered`, `failed`.
    pub(crate) state: &'static str,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// When the last one ended, RFC 3339.
    pub(crate) last_attempt_at: Option<String>,
    /// The last answer's status; none where there was none.
    pub(crate) status: Option<u16>,
    /// Milliseconds from the last attempt's begin to its answer's head.
    pub(crate) latency_ms: Option<u64>,
    /// Why the last attempt failed; none where it did not.
    pub(crate) last_error: Option<String>,
    /// Bytes of the message.
    pub(crate) size: usize,
}

impl Deliveries {
    /// A message sets out, or sets out again.
    pub(super) fn begin(&mut self, message: &Message) {
        if let Some(delivery) = self.find(&message.id) {
            delivery.state = State::Pending;
            return;
        }
        self.bodies += message.body.len();
        self.kept.push_back(Delivery {
            message: message.clone(),
            has_body: true,
            created: SystemTime::now(),
            state: State::Pending,
            attempts: 0,
            last: None,
        });
        if self.kept.len() > KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.bodies -= oldest.message.body.len();
        }
        for delivery in &mut self.kept {
            if self.bodies <= KEPT_BODIES {
                break;
            }
            self.bodies -= delivery.message.body.len();
            delivery.message.body = Bytes::new();
            delivery.has_body = false;
        }
    }

    /// An attempt of a message ended, and this is what becomes of the message.
    pub(super) fn note(&mut self, id: &str, report: &Report, state: State) {
        if let Some(delivery) = self.find(id) {
            delivery.state = state;
            delivery.attempts += 1;
            delivery.last = Some(Attempt {
                at: SystemTime::now(),
                status: report.status,
                error: report.error.clone(),
                latency_ms: u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX),
            });
        }
    }

    /// A message of the past, to be sent again as it was.
    pub(super) fn again(&mut self, id: &str) -> Result<Message, NotAgain> {
        let delivery = self.find(id).ok_or(NotAgain::Unknown)?;
        match delivery {
            Delivery { state: State::Pending, .. } => Err(NotAgain::Pending),
            Delivery { has_body: false, .. } => Err(NotAgain::BodyGone),
            Delivery { message, .. } => Ok(message.clone()),
        }
    }

    /// The newest first.
    pub(super) fn views(&self) -> Vec<DeliveryView> {
        self.kept.iter().rev().map(Delivery::view).collect()
    }

    fn find(&mut self, id: &str) -> Option<&mut Delivery> {
        self.kept.iter_mut().rev().find(|delivery| &*delivery.message.id == id)
    }
}

impl Delivery {
    fn view(&self) -> DeliveryView {
        let last = self.last.as_ref();
        DeliveryView {
            id: self.message.id.to_string(),
            event: self.message.event,
            created_at: rfc3339(self.created),
            state: match self.state {
                State::Pending => "pending",
                State::Delivered => "delivered",
                State::Failed => "failed",
            },
            attempts: self.attempts,
            last_attempt_at: last.map(|last| rfc3339(last.at)),
            status: last.and_then(|last| last.status),
            latency_ms: last.map(|last| last.latency_ms),
            last_error: last.map(|last| last.error.clone()).filter(|error| !error.is_empty()),
            size: self.message.body.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::super::circuit::Outcome;
    use super::*;

    fn message(number: usize, size: usize) -> Message {
        Message { id: number.to_string().into(), event: "server_down", body: vec![b'x'; size].into() }
    }

    fn report(status: u16) -> Report {
        let error = if status < 300 { String::new() } else { "no".to_owned() };
        let latency = Duration::from_millis(7);
        Report { outcome: Outcome::Delivered, status: Some(status), error, retry_after: None, latency }
    }

    #[test]
    fn keeps_the_last_ones_newest_first() {
        let mut deliveries = Deliveries::default();
        for number in 0..KEPT + 10 {
            deliveries.begin(&message(number, 10));
        }
        let views = deliveries.views();
        assert_eq!(views.len(), KEPT);
        assert_eq!(views.first().unwrap().id, (KEPT + 9).to_string());
        assert_eq!(deliveries.bodies, KEPT * 10);
    }

    #[test]
    fn shows_what_the_last_attempt_was() {
        let mut deliveries = Deliveries::default();
        deliveries.begin(&message(1, 10));
        deliveries.note("1", &report(500), State::Pending);
        let view = deliveries.views().remove(0);
        assert_eq!((view.state, view.attempts, view.status), ("pending", 1, Some(500)));
        assert_eq!((view.last_error.as_deref(), view.latency_ms), (Some("no"), Some(7)));
        deliveries.note("1", &report(200), State::Delivered);
        let view = deliveries.views().remove(0);
        assert_eq!((view.state, view.attempts, view.last_error), ("delivered", 2, None));
    }

    #[test]
    fn large_bodies_are_let_go_of_and_what_is_under_way_is_not_sent_twice() {
        let mut deliveries = Deliveries::default();
        for number in 0..6 {
            deliveries.begin(&message(number, KEPT_BODIES / 4));
            deliveries.note(&number.to_string(), &report(200), State::Delivered);
        }
        assert_eq!(deliveries.again("1").unwrap_err(), NotAgain::BodyGone);
        assert_eq!(deliveries.again("2").unwrap().body.len(), KEPT_BODIES / 4);
        assert_eq!(deliveries.again("nine").unwrap_err(), NotAgain::Unknown);
        let again = deliveries.again("5").unwrap();
        deliveries.begin(&again);
        assert_eq!(deliveries.again("5").unwrap_err(), NotAgain::Pending);
        assert_eq!(deliveries.views().len(), 6);
    }
}
