//! Pools and their servers: traffic and health.

use std::time::Duration;

use loadweaver_policy::health::{Entry, Happened, Health, State, Window};
use loadweaver_proxy::{Kept, PoolState, ServerState, Snapshot};

use super::super::Api;
use super::node::classes;
use super::page::{Labels, Page};

/// A server with what its samples are labelled with.
struct Row<'s> {
    labels: Labels,
    server: &'s ServerState,
    vitals: Vitals,
}

/// How often a page begins anew because the configuration has changed while it read.
const TRIES: usize = 3;

/// What a page needs of a server's health, read under the pool's lock once.
struct Vitals {
    state: State,
    since: Duration,
    transitions: u64,
    uptime: Option<f64>,
    probe: Option<Duration>,
    share: u16,
}

impl Vitals {
    /// None where the pool's live state has gone to its successor.
    fn of(pool: &PoolState, place: usize) -> Option<Self> {
        let now = pool.now();
        let read = |health: &Health, share| Self {
            state: health.state(),
            since: now.saturating_sub(health.since()),
            transitions: health.transitions(),
            uptime: health.uptime(now, Window::Day),
            probe: health
                .history()
                .rev()
                .find(|each| !matches!(each.what(), Happened::Changed { .. }))
                .and_then(Entry::latency),
            share,
        };
        pool.inspect(place, read)
    }
}

pub(super) fn write(page: &mut Page, api: &Api) {
    for left in (0..TRIES).rev() {
        let snapshot = api.current.load();
        let rows: Option<Vec<Row<'_>>> = snapshot.pools.iter().flat_map(|pool| rows(pool)).collect();
        match rows {
            None if left > 0 => {}
            // A scrape without them is better than one with other numbers.
            rows => {
                pools(page, &snapshot);
                let rows = rows.unwrap_or_default();
                let kept = api.sight.get().map(|sight| sight.proxy.kept());
                traffic(page, &rows, kept.as_ref());
                return health(page, &rows);
            }
        }
    }
}

fn rows(pool: &PoolState) -> impl Iterator<Item = Option<Row<'_>>> {
    let name = Labels::of("pool", &pool.config.name);
    pool.servers.iter().enumerate().map(move |(place, server)| {
        let labels = name.clone().and("server", &server.config.id);
        Some(Row { labels, server, vitals: Vitals::of(pool, place)? })
    })
}

fn pools(page: &mut Page, snapshot: &Snapshot) {
    let labels: Vec<_> =
        snapshot.pools.iter().map(|pool| (Labels::of("pool", &pool.config.name), pool)).collect();
    let mut counter = |name, help, of: fn(&PoolState) -> u64| {
        let mut family = page.counter(name, help);
        family.samples(labels.iter().map(|(labels, pool)| (labels, of(pool))));
    };
    counter("loadweaver_pool_requests", "Exchanges routed to the pool.", |pool| pool.counters.requests.get());
    counter("loadweaver_pool_failures", "Exchanges of the pool that ended in a failure.", |pool| {
        pool.counters.failures.get()
    });
    counter("loadweaver_pool_retries", "Attempts after the first one.", |pool| pool.counters.retries.get());
    counter(
        "loadweaver_pool_retry_budget_exhausted",
        "Retries that the pool's budget did not allow.",
        |pool| pool.counters.retry_budget_exhausted.get(),
    );
    counter("loadweaver_pool_fallbacks", "Exchanges answered by the pool's fallback.", |pool| {
        pool.counters.fallbacks.get()
    });
    let mut gauge = |name, help, of: fn(&PoolState) -> usize| {
        let mut family = page.gauge(name, help);
        family.samples(labels.iter().map(|(labels, pool)| (labels, of(pool))));
    };
    gauge("loadweaver_pool_servers", "Servers of the pool.", |pool| pool.servers.len());
    gauge("loadweaver_pool_eligible_servers", "Servers that may have new traffic.", PoolState::up_count);
}

fn traffic(page: &mut Page, rows: &[Row<'_>], kept: Option<&Kept>) {
    let mut counter = |name, help, of: fn(&ServerState) -> u64| {
        let mut family = page.counter(name, help);
        family.samples(rows.iter().map(|row| (&row.labels, of(row.server))));
    };
    counter("loadweaver_server_attempts", "Attempts begun at the server.", |server| {
        server.counters.requests.get()
    });
    counter(
        "loadweaver_server_failures",
        "Attempts that failed, where that is the server's to answer for.",
        |server| server.counters.failures.get(),
    );
    counter("loadweaver_server_retries", "Attempts made here because one elsewhere had failed.", |server| {
        server.counters.retries.get()
    });
    counter("loadweaver_server_connections_opened", "Connections opened.", |server| {
        server.counters.connects.get()
    });
    counter("loadweaver_server_connections_reused", "Attempts served by a kept connection.", |server| {
        server.counters.reused.get()
    });
    counter("loadweaver_server_sent_bytes", "Bytes of bodies sent to the server.", |server| {
        server.counters.bytes_in.get()
    });
    counter("loadweaver_server_received_bytes", "Bytes of bodies received from the server.", |server| {
        server.counters.bytes_out.get()
    });
    let mut answers = page.counter("loadweaver_server_answers", "Final answers of the server by class.");
    for row in rows {
        classes(&mut answers, &row.labels, &row.server.counters.statuses);
    }
    let help = "Time from the begin of an attempt to the first byte of its answer.";
    let mut times = page.summary("loadweaver_server_first_byte_seconds", help);
    for row in rows {
        let counters = &row.server.counters;
        let sum = Duration::from_micros(counters.latency_sum_us.get()).as_secs_f64();
        times.sum_and_count(&row.labels, sum, counters.statuses.get().iter().sum());
    }
    let mut open =
        page.gauge("loadweaver_server_connections", "Connections open, of those opened for the server.");
    open.samples(rows.iter().map(|row| (&row.labels, row.server.counters.connections.get())));
    if let Some(kept) = kept {
        let help = "Connections to the server's address that wait for their next request.";
        let mut idle = page.gauge("loadweaver_server_idle_connections", help);
        idle.samples(rows.iter().map(|row| (&row.labels, kept.at(row.server))));
    }
    let mut active = page.gauge("loadweaver_server_active_attempts", "Attempts under way.");
    active.samples(rows.iter().map(|row| (&row.labels, row.server.active())));
    let mut weight = page.gauge("loadweaver_server_weight", "The weight that is configured.");
    weight.samples(rows.iter().map(|row| (&row.labels, row.server.config.weight)));
}

fn health(page: &mut Page, rows: &[Row<'_>]) {
    let mut eligible = page.gauge("loadweaver_server_eligible", "1 while the server may have new traffic.");
    eligible.samples(rows.iter().map(|row| (&row.labels, u8::from(row.server.is_eligible()))));
    let mut states =
        page.gauge("loadweaver_server_health", "1 for the verdict on the server's health, 0 for the others.");
    for row in rows {
        for state in State::ALL {
            let is = u8::from(row.vitals.state == state);
            states.sample(&row.labels.clone().and("state", state.name()), is);
        }
    }
    let mut since = page.gauge("loadweaver_server_health_age_seconds", "How old that verdict is.");
    since.samples(rows.iter().map(|row| (&row.labels, row.vitals.since.as_secs_f64())));
    let mut transitions = page.counter("loadweaver_server_transitions", "Changes of that verdict.");
    transitions.samples(rows.iter().map(|row| (&row.labels, row.vitals.transitions)));
    let help = "Share of the last 24 hours, as far as they are known, in which the server was well.";
    let mut uptime = page.gauge("loadweaver_server_uptime_ratio", help);
    for (labels, ratio) in rows.iter().filter_map(|row| Some((&row.labels, row.vitals.uptime?))) {
        uptime.sample(labels, ratio);
    }
    let mut probe = page.gauge("loadweaver_server_probe_seconds", "How long the last probe took.");
    for (labels, took) in rows.iter().filter_map(|row| Some((&row.labels, row.vitals.probe?))) {
        probe.sample(labels, took.as_secs_f64());
    }
    let help = "Share of its weight that the server gets: less than 1 while it starts slowly.";
    let mut share = page.gauge("loadweaver_server_share_ratio", help);
    share.samples(rows.iter().map(|row| (&row.labels, f64::from(row.vitals.share) / 1000.0)));
}
