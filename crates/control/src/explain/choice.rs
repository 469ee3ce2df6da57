//! How a pool picks, and each of its servers with what keeps it out.

use std::net::{IpAddr, Ipv6Addr};

use loadweaver_config::{Algorithm, ServerState as Wanted};
use loadweaver_policy::balance::{Balancer, FULL_SHARE, Foresight, Member, Pick};
use loadweaver_proxy::{PoolState, ServerState};
use serde::Serialize;
use utoipa::ToSchema;

use super::Scene;
use super::health::{self, Facts, Reason};

/// How a pool picks, and whom.
#[derive(Debug, Serialize, ToSchema)]
pub struct Choice {
    /// As it is called in the file.
    #[schema(example = "round_robin")]
    pub algorithm: &'static str,
    /// How it chooses, in words.
    pub how: String,
    /// The server that would get the request now, where that can be told. Somebody else's request may come first.
    pub next: Option<String>,
}

/// A server of the pool.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerChance {
    /// Its id.
    #[schema(example = "127.0.0.1:3001")]
    pub server_id: String,
    /// Where it is.
    pub address: String,
    /// Its share of the traffic.
    pub weight: u32,
    /// Whether the request could go there; as far as is known, where nothing is known of its health.
    pub takes_traffic: bool,
    /// The verdict on its health: `unknown`, `up`, `down`, `unstable`.
    pub status: &'static str,
    /// Thousandths of what its weight gives it: less than 1000 while it starts slowly.
    pub share: u16,
    /// Exchanges under way.
    pub active_connections: u64,
    /// What keeps it from traffic, or has a say in how much it gets.
    pub reasons: Vec<Reason>,
    /// Why it stands as it does, since when, and what would change that; none where nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<String>,
}

pub(super) fn servers(scene: &Scene<'_>, pool: &PoolState) -> Vec<ServerChance> {
    let now = pool.now();
    let facts = pool.survey(|_, seen| Facts::of(&seen, now));
    let each = pool.servers.iter().zip(facts);
    each.map(|(server, facts)| match scene.live {
        Some(started) => {
            let standing = health::standing(pool, server, &facts, started);
            let is_out = !standing.takes_traffic;
            ServerChance {
                takes_traffic: !is_out,
                status: facts.state.name(),
                share: if is_out { 0 } else { facts.share },
                reasons: standing.reasons,
                standing: Some(standing.summary),
                ..at_rest(server)
            }
        }
        None => at_rest(server),
    })
    .collect()
}

/// What the configuration alone says of a server.
fn at_rest(server: &ServerState) -> ServerChance {
    let config = &server.config;
    let reasons = health::wanted(server);
    ServerChance {
        server_id: config.id.to_string(),
        address: server.address_text().to_owned(),
        weight: config.weight,
        takes_traffic: reasons.is_empty(),
        status: "unknown",
        share: FULL_SHARE,
        active_connections: server.active(),
        reasons,
        standing: None,
    }
}

pub(super) fn of(scene: &Scene<'_>, pool: &PoolState, client: Option<IpAddr>) -> Choice {
    let algorithm = pool.config.algorithm;
    let foresight = if scene.live.is_some() { pool.foresee(client) } else { if_all_are_well(pool, client) };
    let next = match foresight {
        Foresight::Certain(next) => next.and_then(|next| pool.servers.get(next)),
        Foresight::Chance => None,
    };
    Choice {
        algorithm: algorithm.name(),
        how: how(algorithm, client.is_some()).to_owned(),
        next: next.map(|server| server.config.id.to_string()),
    }
}

/// Of a pool that nobody runs: where turns and counts begin says nothing.
fn if_all_are_well(pool: &PoolState, client: Option<IpAddr>) -> Foresight {
    if client.is_none() || pool.config.algorithm != Algorithm::IpHash {
        return Foresight::Chance;
    }
    let member = |server: &std::sync::Arc<ServerState>| Member {
        id: server.config.id.clone(),
        weight: server.config.weight,
    };
    let members: Vec<_> = pool.servers.iter().map(member).collect();
    let pick = Pick { client: client.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), random: 0, tried: &[] };
    let is_wanted =
        |place: usize| pool.servers.get(place).is_some_and(|server| server.config.state == Wanted::Active);
    Balancer::new(pool.config.algorithm, &members).foresee(&pick, is_wanted)
}

fn how(algorithm: Algorithm, client_is_known: bool) -> &'static str {
    match algorithm {
        Algorithm::RoundRobin => "each server in turn, weights set aside",
        Algorithm::WeightedRoundRobin => "each server in turn, as often as its weight says",
        Algorithm::Weighted => "by lot, each server as likely as its weight says",
        Algorithm::Random => "by lot, each server as likely as the other",
        Algorithm::LeastConnections => "the server with the fewest exchanges under way for its weight",
        Algorithm::IpHash if client_is_known => "by the client's address: the same client to the same server",
        Algorithm::IpHash => {
            "by the client's address, which was not given: the same client to the same server"
        }
    }
}
