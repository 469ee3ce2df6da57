//! The task that delivers one webhook's messages, one after the other.

use std::sync::Arc;

use loadweaver_telemetry::event::EventBus;
use tokio::time::Instant;

use super::desk::{Desk, Step};

/// Runs until the webhook is gone or everything ends.
pub(super) async fn run(desk: Arc<Desk>, bus: EventBus) {
    loop {
        match desk.next(Instant::now()) {
            Step::End => return,
            Step::Wait(until) => desk.change_or(until).await,
            Step::Send(settings, message) => {
                let report = settings.send(&message).await;
                if let Some(event) = desk.report(Instant::now(), &report) {
                    bus.emit(event);
                }
            }
        }
    }
}
