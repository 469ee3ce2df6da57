//! Servers as the API shows them.

use std::collections::BTreeMap;

use loadweaver_proxy::PoolState;
use loadweaver_telemetry::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::plane::Watched;

use super::status::{Times, by_class, times};

/// One server of one pool, and how it does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerView {
    #[schema(example = "127.0.0.1:3001")]
    pub(super) server_id: String,
    #[schema(example = "app")]
    pub(super) pool: String,
    pub(super) host: String,
    /// None for a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<u16>,
    /// What the name resolved to; none while it has not.
    resolved: Option<String>,
    pub(super) weight: u32,
    /// 0 is no limit.
    max_connections: u32,
    /// What the operator wants: `active`, `drain`, `maintenance`.
    state: &'static str,
    /// The verdict on its health: `unknown`, `up`, `down`, `unstable`.
    pub(super) status: &'static str,
    /// Why, in words.
    reason: String,
    /// Since when (RFC 3339).
    since: String,
    /// Whether it may have new traffic.
    eligible: bool,
    /// Thousandths of what its weight gives it: less than 1000 while it starts slowly.
    share: u16,
    /// Attempts under way.
    active_connections: u64,
    /// Attempts begun.
    requests: u64,
    /// Attempts that failed, where that is the server's to answer for.
    failures: u64,
    /// Attempts made here because one elsewhere had failed.
    retries: u64,
    /// Connections opened.
    connects: u64,
    /// Attempts served by a kept connection.
    reused: u64,
    /// Bytes of body sent to it.
    bytes_in: u64,
    /// Bytes of body received from it.
    bytes_out: u64,
    /// Final answers by class.
    statuses: BTreeMap<&'static str, u64>,
    latency: Times,
}

impl ServerView {
    pub(super) fn of(watched: &Watched, pool: &PoolState, place: usize) -> Option<Self> {
        let server = pool.servers.get(place)?;
        let health = pool.health(place);
        let counters = &server.counters;
        Some(Self {
            server_id: server.config.id.to_string(),
            pool: pool.config.name.to_string(),
            host: server.config.host.clone(),
            port: server.config.tcp_port(),
            resolved: server.address().map(|address| address.to_string()),
            weight: server.config.weight,
            max_connections: server.config.max_connections,
            state: server.config.state.name(),
            status: health.state.name(),
            reason: health.reason,
            since: rfc3339(watched.started.1 + health.since),
            eligible: server.is_eligible(),
            share: health.share,
            active_connections: server.active(),
            requests: counters.requests.get(),
            failures: counters.failures.get(),
            retries: counters.retries.get(),
            connects: counters.connects.get(),
            reused: counters.reused.get(),
            bytes_in: counters.bytes_in.get(),
            bytes_out: counters.bytes_out.get(),
            statuses: by_class(&counters.statuses),
            latency: times(&counters.latency),
        })
    }
}
