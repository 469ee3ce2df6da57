//! What is known of the node, and the watcher that keeps it so: it asks once a second, and goes on asking when there
//! is no answer. What was known stays then, with since when nothing has come.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::ask::{Asker, Unanswered};
use super::format::moment;
use super::past::Lines;
use super::shapes::{Health, Pool, Problems, Server, Text};
use super::shares::{Share, Shares};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// How long no news is nothing to speak of: a look asks several times, and each answer may take as long as it likes up to
/// a time-out that is longer than this.
const SILENCE: Duration = Duration::from_secs(4);
/// Points of the hour come every ten seconds.
const RARELY: Duration = Duration::from_secs(10);
/// Thousands of servers take the node a while to write down. It is not asked to spend more than this part of its
/// control thread on us, waiting included.
const PART: u32 = 10;

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) place: Text,
    pub(super) health: Option<Health>,
    pub(super) seconds: Lines,
    pub(super) hour: Lines,
    pub(super) pools: Vec<Pool>,
    pub(super) servers: Vec<(Server, Share)>,
    pub(super) problems: Problems,
    pub(super) lost: Option<Loss>,
    /// When the last answers came.
    heard: Option<Instant>,
    /// Somebody wants to look at it as it is.
    paused: bool,
}

/// That there is no connection.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) why: Text,
    /// Since when, in seconds since 1970 by this machine's clock.
    pub(super) since: f64,
}

/// This machine's clock, in seconds since 1970.
pub(super) fn own_clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Known {
    /// The time by the node's clock, in seconds since 1970: what it tells is dated by it.
    pub(super) fn now(&self) -> f64 {
        let at = self.seconds.at.as_deref().and_then(moment);
        at.zip(self.heard).map_or_else(own_clock, |(at, heard)| at + heard.elapsed().as_secs_f64())
    }

    /// The same for whoever wants it to stay as it is.
    pub(super) fn paused(&self) -> Self {
        Self { paused: true, ..self.clone() }
    }

    /// For how many seconds nothing has come, where that is long and nobody has asked for it.
    pub(super) fn silence(&self) -> Option<f64> {
        let silent = self.heard.filter(|_| !self.paused)?.elapsed();
        (silent > SILENCE).then_some(silent.as_secs_f64())
    }

    fn lose(&mut self, unanswered: Unanswered) {
        let since = self.lost.as_ref().map_or_else(own_clock, |loss| loss.since);
        self.lost = Some(Loss { why: unanswered.why, since });
    }

    fn take(&mut self, news: News) {
        self.lost = None;
        self.heard = Some(Instant::now());
        self.health = Some(news.health);
        self.pools = news.pools;
        self.problems = news.problems;
        self.seconds.take(news.seconds);
        if let Some(hour) = news.hour {
            self.hour.take(hour);
        }
        // What was not asked for stays as it was.
        if let Some(servers) = news.servers {
            self.servers = servers;
        }
    }
}

/// What one look brought.
struct News {
    health: Health,
    seconds: Lines,
    pools: Vec<Pool>,
    problems: Problems,
    hour: Option<Lines>,
    servers: Option<Vec<(Server, Share)>>,
}

/// Asks again and again.
pub(super) struct Watcher {
    asker: Asker,
    known: Sender<Known>,
    shares: Shares,
    servers_due: Instant,
    rarely_due: Instant,
}

impl Watcher {
    pub(super) fn new(asker: Asker, known: Sender<Known>) -> Self {
        let now = Instant::now();
        known.send_modify(|known| known.place = asker.place().clone());
        Self { asker, known, shares: Shares::default(), servers_due: now, rarely_due: now }
    }

    /// Looks for as long as somebody wants to know.
    pub(super) async fn run(mut self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is due at once, and somebody has just looked.
        ticks.tick().await;
        while !self.known.is_closed() {
            ticks.tick().await;
            if let Err(unanswered) = self.look().await {
                self.known.send_modify(|known| known.lose(unanswered));
            }
        }
    }

    /// One look at everything that is due.
    pub(super) async fn look(&mut self) -> Result<(), Unanswered> {
        let health: Health = self.asker.get("api/health").await?;
        let seconds = self.seconds().await?;
        let pools = self.asker.get("api/pools").await?;
        let problems = self.asker.get("api/problems").await?;
        let servers = self.servers().await?;
        let mut news = News { health, seconds, pools, problems, hour: None, servers };
        let now = Instant::now();
        if now >= self.rarely_due {
            self.rarely_due = now + RARELY;
            news.hour = Some(self.asker.get(&self.path(10)).await?);
        }
        self.known.send_modify(|known| known.take(news));
        Ok(())
    }

    /// The points since those that are known. After a restart of the node they are others.
    async fn seconds(&mut self) -> Result<Lines, Unanswered> {
        let news: Lines = self.asker.get(&self.path(1)).await?;
        if !news.is_of_another(&self.known.borrow().seconds) {
            return Ok(news);
        }
        self.shares = Shares::default();
        let now = Instant::now();
        (self.servers_due, self.rarely_due) = (now, now);
        self.known.send_modify(|known| (known.seconds, known.hour) = (Lines::default(), Lines::default()));
        self.asker.get(&self.path(1)).await
    }

    fn path(&self, step: u64) -> String {
        let known = self.known.borrow();
        let lines = if step == 1 { &known.seconds } else { &known.hour };
        let since = lines.last().map_or_else(String::new, |last| format!("&since={last}"));
        format!("api/history?step={step}{since}")
    }

    async fn servers(&mut self) -> Result<Option<Vec<(Server, Share)>>, Unanswered> {
        let began = Instant::now();
        if began < self.servers_due {
            return Ok(None);
        }
        let servers: Vec<Server> = self.asker.get("api/servers").await?;
        let ended = Instant::now();
        // Due a little early, so that it is not missed by a hair each second time.
        self.servers_due = began + (ended.duration_since(began) * PART).max(EVERY / 2);
        let shares = self.shares.look(ended.into_std(), &servers);
        Ok(Some(servers.into_iter().zip(shares).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_of_when_it_is_long_and_not_of_a_picture_that_was_stopped() {
        let since = |seconds| Known {
            heard: Instant::now().checked_sub(Duration::from_secs(seconds)),
            ..Known::default()
        };
        assert_eq!(since(1).silence(), None);
        assert!(since(10).silence().is_some_and(|silence| silence >= 10.0));
        assert_eq!(since(10).paused().silence(), None);
        let told = super::super::words::problems(&since(10));
        assert!(told.iter().any(|problem| problem.what.starts_with("No news for ")), "{told:?}");
    }
}
