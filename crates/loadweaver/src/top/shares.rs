//! How many attempts each server gets a second, and which part of its pool's that is: from counters that only grow,
//! over the last ten seconds that were looked at. A counter that has become less belongs to a server that is new.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::shapes::{Server, Text};

/// What a rate is over, once there is as much.
const WINDOW: Duration = Duration::from_secs(10);

/// What was counted of each server, and when.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<(Text, Text), VecDeque<(Instant, u64)>>);

/// Of one server; none while it has been looked at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    /// Attempts begun a second.
    pub(super) rate: Option<f64>,
    /// Of its pool's attempts, 0 to 1; none while there are none.
    pub(super) part: Option<f64>,
}

impl Shares {
    /// Takes a look and returns what it shows, server by server.
    pub(super) fn look(&mut self, now: Instant, servers: &[Server]) -> Vec<Share> {
        let mut before = std::mem::take(&mut self.0);
        let mut rates = Vec::with_capacity(servers.len());
        let mut totals: HashMap<&Text, f64> = HashMap::new();
        for server in servers {
            let key = (server.pool.clone(), server.id.clone());
            let mut looks = before.remove(&key).unwrap_or_default();
            let rate = add(&mut looks, now, server.requests);
            *totals.entry(&server.pool).or_default() += rate.unwrap_or(0.0);
            rates.push(rate);
            self.0.insert(key, looks);
        }
        let share = |(server, rate): (&Server, Option<f64>)| {
            let total = totals.get(&server.pool).copied().filter(|total| *total > 0.0);
            Share { rate, part: rate.zip(total).map(|(rate, total)| rate / total) }
        };
        servers.iter().zip(rates).map(share).collect()
    }
}

fn add(looks: &mut VecDeque<(Instant, u64)>, now: Instant, count: u64) -> Option<f64> {
    if looks.back().is_some_and(|(_, last)| count < *last) {
        looks.clear();
    }
    looks.push_back((now, count));
    // One look from before the window stays: the window begins there.
    while looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
        looks.pop_front();
    }
    let (at, first) = looks.front()?;
    let seconds = now.duration_since(*at).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let rate = (seconds > 0.0).then(|| (count - first) as f64 / seconds);
    rate
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::json;

    use super::*;

    fn server(pool: &str, id: &str, requests: u64) -> Server {
        serde_json::from_value(json!({"serverId": id, "pool": pool, "weight": 1, "state": "active", "status": "up",
            "reason": "", "since": "", "eligible": true, "activeConnections": 0, "requests": requests, "latency": {}}))
        .unwrap()
    }

    #[test]
    fn rates_are_of_the_last_ten_seconds_and_parts_of_the_pool() {
        let (mut shares, start) = (Shares::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = shares.look(start, &[server("a", "1", 1000), server("a", "2", 0), server("b", "1", 5)]);
        assert_eq!(first, [Share::default(); 3]);
        let next =
            shares.look(after(1), &[server("a", "1", 1030), server("a", "2", 10), server("b", "1", 5)]);
        assert_eq!(next[0], Share { rate: Some(30.0), part: Some(0.75) });
        assert_eq!(next[1], Share { rate: Some(10.0), part: Some(0.25) });
        assert_eq!(next[2], Share { rate: Some(0.0), part: None });
        for second in 2..=20 {
            shares.look(after(second), &[server("a", "1", 1030)]);
        }
        let quiet = shares.look(after(21), &[server("a", "1", 1030)]);
        assert_eq!(quiet[0].rate, Some(0.0));
        assert_eq!(shares.0.len(), 1, "what is gone is forgotten");
        assert_eq!(shares.0.values().next().unwrap().len(), 11);
    }

    #[test]
    fn counters_that_begin_anew_give_no_rate_at_first() {
        let (mut shares, start) = (Shares::default(), Instant::now());
        shares.look(start, &[server("a", "1", 1_000_000)]);
        let anew = shares.look(start + Duration::from_secs(1), &[server("a", "1", 3)]);
        assert_eq!(anew, [Share::default()]);
        let after = shares.look(start + Duration::from_secs(2), &[server("a", "1", 5)]);
        assert_eq!(after[0].rate, Some(2.0));
    }
}
