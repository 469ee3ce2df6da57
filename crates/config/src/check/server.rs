//! One server of a pool, and the servers of a pool together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report, shown};
use crate::model::pool::{Server, ServerState};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, syntax};

use super::{cross, probe, recovery};

const EXAMPLE: &str = "{ \"host\": \"127.0.0.1\", \"port\": 3001 }";

pub(super) fn servers(spot: &Spot<'_>, report: &mut Report) -> Vec<Arc<Server>> {
    let Some(entries) = spot.list(report, "servers") else { return Vec::new() };
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
    let whole = servers.len() == entries.len() && !servers.is_empty();
    if whole && servers.iter().all(|server| server.weight == 0) {
        let fault = Fault::new(
            "every server has weight 0, so none would get traffic",
            "give one a weight of 1 or more",
        );
        spot.refuse(report, fault);
    } else {
        for (entry, server) in entries.iter().zip(&servers).filter(|(_, server)| whole && server.weight == 0)
        {
            report.warn(&entry.at, without_weight(server));
        }
    }
    if whole && servers.iter().all(|server| server.state != ServerState::Active) {
        let problem = "no server of the pool is active, so every request of it fails";
        report.warn(&spot.at, Fault::new(problem, "give one the state \"active\""));
    }
    servers
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
        let text = spot.text(report, "a host name or an IP address")?;
        spot.settle(report, address::server_host(text))
    });
    let port = section.need("port", report, "say which port the server listens on: \"port\": 3001");
    let port = port.and_then(|spot| spot.number(report, &bounds::PORT));
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
