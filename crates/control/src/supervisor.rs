//! Starts long-lived tasks and keeps them alive.
//!
//! A task cannot end by itself (its output is [`Infallible`], but for those of things that come and go), it can only
//! panic. Then its death becomes an event and it is made anew after a pause that doubles from death to death, so that
//! a task that cannot live costs nothing; a task that lived for a while starts over with the short pause.

use std::any::Any;
use std::convert::Infallible;
use std::time::Duration;

use loadweaver_telemetry::event::{Event, EventBus};
use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Whoever lived this long has not died of its start.
const GOOD_LIFE: Duration = Duration::from_mins(1);

/// Starts tasks on the runtime that it is used on; they end with that runtime.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    bus: EventBus,
}

impl Supervisor {
    pub(crate) fn new(bus: EventBus) -> Self {
        Self { bus }
    }

    /// Starts a task and starts it again whenever it dies.
    pub(crate) fn keep<Task>(&self, name: &'static str, mut make: impl FnMut() -> Task + Send + 'static)
    where
        Task: Future<Output = Infallible> + Send + 'static,
    {
        self.keep_until(name, move || {
            let task = make();
            async move { match task.await {} }
        });
    }

    /// As [`Self::keep`], for a task that may end by itself; then it is not started again.
    pub(crate) fn keep_until<Task>(&self, name: &'static str, mut make: impl FnMut() -> Task + Send + 'static)
    where
        Task: Future<Output = ()> + Send + 'static,
    {
        let bus = self.bus.clone();
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let born = Instant::now();
                match tokio::spawn(make()).await {
                    Ok(()) => return,
                    // The runtime is going down.
                    Err(death) if death.is_cancelled() => return,
                    Err(death) => {
                        bus.emit(Event::TaskDied { task: name, reason: last_words(death.into_panic()) });
                    }
                }
                if born.elapsed() >= GOOD_LIFE {
                    pause = FIRST_PAUSE;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }
}

/// The message of a panic.
#[expect(clippy::needless_pass_by_value, reason = "the payload ends here")]
fn last_words(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn restarts_what_dies_ever_more_slowly_and_says_so() {
        let bus = EventBus::new(16);
        let mut deaths = bus.subscribe();
        let lives = Arc::new(AtomicU32::new(0));
        let started = Instant::now();
        let count = Arc::clone(&lives);
        Supervisor::new(bus).keep("mayfly", move || {
            let life = count.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(life >= 4, "life {life}");
                std::future::pending().await
            }
        });
        for life in 0..4 {
            let death = deaths.recv().await.map(|stamped| stamped.event.clone());
            assert_eq!(death, Some(Event::TaskDied { task: "mayfly", reason: format!("life {life}") }));
        }
        // 100 + 200 + 400 ms between four deaths.
        assert!(started.elapsed() >= Duration::from_millis(700));
        sleep(LONGEST_PAUSE * 2).await;
        assert_eq!(lives.load(Ordering::Relaxed), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_end_is_started_again_only_when_it_dies() {
        let bus = EventBus::new(16);
        let lives = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&lives);
        Supervisor::new(bus.clone()).keep_until("visitor", move || {
            let life = count.fetch_add(1, Ordering::Relaxed);
            async move { assert!(life > 0) }
        });
        sleep(LONGEST_PAUSE * 2).await;
        assert_eq!((lives.load(Ordering::Relaxed), bus.last_id()), (2, 1));
    }
}
