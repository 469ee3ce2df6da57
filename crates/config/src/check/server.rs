//! One server of a pool, and the servers of a pool together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::address::{self, unix};
use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report, shown};
use crate::model::pool::{Pool, Server, ServerState};
use crate::model::servers::Servers;
use crate::shape;
use crate::spot::{Section, Spot};
use crate::syntax;

use super::{cross, probe, recovery};

const EXAMPLE: &str = "{ \"host\": \"127.0.0.1\", \"port\": 3001 }";

pub(super) fn servers(spot: &Spot<'_>, report: &mut Report) -> Servers {
    if let Node::Servers(known) = spot.node {
        warn_of_idle(spot, known, report);
        return known.clone();
    }
    let Some(entries) = spot.list(report, "servers") else { return Servers::default() };
    if entries.is_empty() {
        let fault = Fault::new("the pool has no server", format!("add one: [ {EXAMPLE} ]"));
        spot.refuse(report, fault);
    }
    let mut seen = Seen::default();
    let mut servers = Vec::with_capacity(entries.len());
    for entry in &entries {
        if let Some(server) = server(entry, report) {
            seen.add(entry, &server, report);
            servers.push(Arc::new(server));
        }
    }
    let servers = Servers::from(servers);
    let whole = servers.len() == entries.len() && !servers.is_empty();
    if whole && servers.tally().weightless == servers.len() {
        let fault = Fault::new(
            "every server has weight 0, so none would get traffic",
            "give one a weight of 1 or more",
        );
        spot.refuse(report, fault);
    } else if whole {
        warn_of_idle(spot, &servers, report);
    }
    servers
}

/// Tells of servers that get nothing, which may be meant.
fn warn_of_idle(spot: &Spot<'_>, servers: &Servers, report: &mut Report) {
    if servers.tally().weightless > 0 {
        for (index, server) in servers.iter().enumerate().filter(|(_, server)| server.weight == 0) {
            report.warn(&format!("{}/{index}", spot.at), without_weight(server));
        }
    }
    if servers.tally().active == 0 {
        let problem = "no server of the pool is active, so every request of it fails";
        report.warn(&spot.at, Fault::new(problem, "give one the state \"active\""));
    }
}

pub(crate) fn without_weight(server: &Server) -> Fault {
    let problem = format!("the server {} has weight 0 and gets no new traffic", shown(&server.id));
    Fault::new(problem, "give it a weight, or take it out of the file")
}

/// Where the servers of a pool stand in the document.
pub(crate) fn servers_pointer(pool: &str) -> String {
    format!("{}/servers", cross::pool_pointer(pool))
}

pub(crate) fn server_pointer(pool: &str, index: usize) -> String {
    format!("{}/{index}", servers_pointer(pool))
}

/// One server by itself; what is said about it has no place.
pub(crate) fn server_alone(node: &Node, report: &mut Report) -> Option<Server> {
    server(&Spot { node, at: String::new() }, report)
}

fn server(spot: &Spot<'_>, report: &mut Report) -> Option<Server> {
    if let Some((host, port)) = probe::text_of(spot).and_then(address::split_port) {
        let help = format!("write {{ \"host\": {}, \"port\": {port} }}", shown(host));
        spot.refuse(report, Fault::new("a server is an object, not a text", help));
        return None;
    }
    let section = Section::open(spot, &shape::SERVER, report)?;
    let mut id = None;
    section.set("id", report, &mut id, |spot, report| {
        let text = spot.text(report, "an id such as \"app-1\"")?;
        spot.settle(report, syntax::server_id(text)).map(Some)
    });
    let host = section.need("host", report, "say where the server is: \"host\": \"127.0.0.1\"");
    let host = host.and_then(|spot| {
        let text = spot.text(report, "a host name, an IP address or a Unix socket")?;
        spot.settle(report, address::server_host(text))
    });
    let port = port(&section, report);
    let mut weight = Server::DEFAULT_WEIGHT;
    section.set("weight", report, &mut weight, |spot, report| spot.number(report, &bounds::WEIGHT));
    let mut max_connections = 0;
    section.set("maxConnections", report, &mut max_connections, |spot, report| {
        spot.number(report, &bounds::MAX_CONNECTIONS)
    });
    let mut state = ServerState::default();
    section.set("state", report, &mut state, |spot, report| {
        spot.word(report, ServerState::ALL, ServerState::name)
    });
    let mut recovery = None;
    section.set("recovery", report, &mut recovery, recovery::recovery);
    let (host, port) = (host?, port?);
    let id = id.map_or_else(|| Server::address_text(&host, port).into(), Into::into);
    Some(Server { id, host, port, weight, max_connections, state, recovery })
}

/// Needed by every server that is no Unix socket, which has none: 0.
fn port(section: &Section<'_>, report: &mut Report) -> Option<u16> {
    let host = section.get("host");
    if !host.as_ref().and_then(probe::text_of).is_some_and(unix::is_meant) {
        let spot = section.need("port", report, "say which port the server listens on: \"port\": 3001")?;
        return spot.number(report, &bounds::PORT);
    }
    let Some(spot) = section.get("port") else { return Some(0) };
    spot.refuse(report, Fault::new("a Unix socket has no port", "take \"port\" out"));
    None
}

/// What keeps a server from its pool: settings of the pool that ask for what a Unix socket does not have.
pub(crate) fn misfit(pool: &Pool, server: &Server) -> Option<Fault> {
    server.unix()?;
    let is = |what: &str| format!("the server {} is a Unix socket, {what}", shown(&server.id));
    let is_nameless = pool.tls.as_ref().is_some_and(|tls| tls.verify && tls.server_name.is_none());
    let check = &pool.health_check;
    if is_nameless {
        let help = "say whom its certificate is for: \"tls\": { \"serverName\": \"app.internal\" }";
        Some(Fault::new(is("and no certificate can be for it"), help))
    } else if check.port.is_some() {
        let help = "take \"port\" out of the pool's \"healthCheck\", or give the server a pool of its own";
        Some(Fault::new(is("which a health check with a port cannot reach"), help))
    } else if check.tls && check.host.is_none() && pool.tls.is_none() {
        let help = "say whom its certificate is for: \"healthCheck\": { \"host\": \"app.internal\" }";
        Some(Fault::new(is("and no certificate can be for it"), help))
    } else {
        None
    }
}

/// What the servers before have taken already.
#[derive(Default)]
struct Seen {
    ids: HashMap<String, String>,
    /// By address: where it stands first, and whether that one gave itself an id.
    addresses: HashMap<String, (String, bool)>,
}

impl Seen {
    /// The same address may stand twice only where both entries say by their own ids that it is meant (a
    /// process with two roles, a migration): health and counters are kept by id.
    fn add(&mut self, spot: &Spot<'_>, server: &Server, report: &mut Report) {
        let address = Server::address_text(&server.host, server.port);
        let named = *server.id != *address;
        if let Some((first, first_named)) = self.addresses.get(&address) {
            if !(named && *first_named) {
                let problem = format!("the server {address} stands in this pool twice; first at {first}");
                let help =
                    "take one out (\"weight\" gives a server more traffic), or give each its own \"id\"";
                spot.refuse(report, Fault::new(problem, help));
                return;
            }
        } else {
            self.addresses.insert(address, (spot.at.clone(), named));
        }
        if let Some(first) = self.ids.get(&*server.id) {
            let problem = format!("the id {} stands in this pool twice; first at {first}", shown(&server.id));
            spot.refuse(report, Fault::new(problem, "give each server its own id"));
        } else {
            self.ids.insert(server.id.to_string(), spot.at.clone());
        }
    }
}
