//! What no single section can know: references, binds that overlap, loops, routes that never match.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::document::push_step;
use crate::expand::Env;
use crate::issue::{Fault, Report, shown};
use crate::model::Config;
use crate::model::bind::Bind;
use crate::model::listener::Listener;
use crate::model::pool::Server;
use crate::model::route::{Route, RouteMatch};
use crate::spot::Section;
use crate::suggest;

use super::shadow;

/// Checks the sections against each other; fills in the route that one pool implies.
pub(super) fn check(file: &Section<'_>, config: &mut Config, env: Env<'_>, report: &mut Report) {
    for listener in &mut config.listeners {
        thin_out(listener, env, report);
    }
    binds(config, env, report);
    if file.get("routes").is_none_or(|spot| spot.is_empty_list()) {
        implied_route(file, config, report);
    } else {
        route_pools(config, report);
    }
    loops(config, report);
    // A warning about a file that is refused anyway would only be noise.
    if !report.has_issues() {
        unused_pools(config, report);
        shadow::warn(&config.routes, report);
    }
}

fn implied_route(file: &Section<'_>, config: &mut Config, report: &mut Report) {
    match config.pools.as_slice() {
        [] => {}
        [pool] => {
            let matcher = RouteMatch::default();
            config.routes.push(Route { name: "default".into(), matcher, pool: pool.name.clone() });
        }
        [first, ..] => {
            let problem = format!(
                "there are {} pools and no route that says which requests go where",
                config.pools.len()
            );
            let help = format!(
                "add routes, the last for all the rest: \"routes\": [ …, {{ \"pool\": {} }} ]",
                shown(&first.name)
            );
            let at = file.get("routes").map_or_else(String::new, |spot| spot.at);
            report.issue(&at, Fault::new(problem, help));
        }
    }
}

fn route_pools(config: &Config, report: &mut Report) {
    let names: HashSet<&str> = config.pools.iter().map(|pool| &*pool.name).collect();
    for (index, route) in config.routes.iter().enumerate() {
        // A route without a pool has been reported, and without any pool every route would be.
        if route.pool.is_empty() || names.is_empty() || names.contains(&*route.pool) {
            continue;
        }
        let problem = format!("there is no pool {}", shown(&route.pool));
        let help = if let Some(near) = suggest::nearest(&route.pool, names_in_order(config)) {
            format!("did you mean \"{near}\"?")
        } else {
            let some: Vec<&str> = names_in_order(config).take(10).collect();
            format!("add it under \"pools\", or write one that is there: {}", some.join(", "))
        };
        report.issue(&format!("/routes/{index}/pool"), Fault::new(problem, help));
    }
}

fn names_in_order(config: &Config) -> impl Iterator<Item = &str> {
    config.pools.iter().map(|pool| &*pool.name)
}

fn unused_pools(config: &Config, report: &mut Report) {
    let used: HashSet<&str> = config.routes.iter().map(|route| &*route.pool).collect();
    for pool in config.pools.iter().filter(|pool| !used.contains(&*pool.name)) {
        let problem = format!("no route leads to the pool {}", shown(&pool.name));
        report.warn(&pool_pointer(&pool.name), Fault::new(problem, "add a route to it, or take it out"));
    }
}

/// Whether the server is a listener of the same file.
pub(crate) fn is_circle(config: &Config, server: &Server) -> bool {
    itself(config, server).is_some()
}

fn itself<'c>(config: &'c Config, server: &Server) -> Option<&'c Listener> {
    let address = || server.host.parse::<IpAddr>();
    let is_it = |bind: &Bind| match bind {
        Bind::Unix(name) => server.unix() == Some(name),
        Bind::Ip(at) | Bind::Device(at, _) => {
            let bound = at.ip().to_canonical();
            let is_there =
                |address: IpAddr| bound == address || bound.is_unspecified() && address.is_loopback();
            // Of thousands of servers hardly one has the port of a listener.
            at.port() == server.port && address().is_ok_and(is_there)
        }
    };
    config.listeners.iter().find(|listener| listener.binds.iter().any(is_it))
}

pub(super) fn pool_pointer(name: &str) -> String {
    let mut pointer = "/pools".to_owned();
    push_step(&mut pointer, name);
    pointer
}

/// An address that another of the same listener takes connections for as well is told of and left out. Only now is it
/// known which ports they have: `PORT` may have made two of them one, or one of them two.
fn thin_out(listener: &mut Listener, env: Env<'_>, report: &mut Report) {
    let all = std::mem::take(&mut listener.binds);
    for (index, bind) in all.iter().enumerate() {
        // Of two that are the same the first stays.
        let covers = |(other, wide): &(usize, &Bind)| {
            *other != index && wide.covers(bind) && (*other < index || !bind.covers(wide))
        };
        let Some((_, wide)) = all.iter().enumerate().find(covers) else {
            listener.binds.push(bind.clone());
            continue;
        };
        let (problem, help) = if wide == bind {
            (format!("{bind} stands in the list twice"), "take one out".to_owned())
        } else {
            let both = wide.tcp().is_some_and(|at| at.is_ipv6()) && bind.tcp().is_some_and(|at| at.is_ipv4());
            let why = if both { ": \"[::]\" takes IPv4 too" } else { "" };
            (format!("what comes to {bind} comes to {wide} as well{why}"), format!("take \"{bind}\" out"))
        };
        let at = format!("{}/{index}", bind_pointer(listener));
        report.warn(&at, Fault::new(problem, help + about_port(env)));
    }
}

fn bind_pointer(listener: &Listener) -> String {
    let mut pointer = "/listeners".to_owned();
    push_step(&mut pointer, &listener.name);
    pointer + "/bind"
}

/// What to add where ports are in each other's way.
fn about_port(env: Env<'_>) -> &'static str {
    if env("PORT").is_some_and(|port| !port.is_empty()) {
        "; the environment variable PORT sets the port of the first listener"
    } else {
        ""
    }
}

/// Two listeners of one file cannot have the same address. The kernel would let them (our sockets share
/// their ports among the workers) and spread the clients over both, which is never meant.
fn binds(config: &Config, env: Env<'_>, report: &mut Report) {
    let mut taken: Vec<(String, String, &Bind)> = Vec::new();
    for listener in &config.listeners {
        let pointer = bind_pointer(listener);
        for bind in &listener.binds {
            taken.push((pointer.clone(), format!("the listener {}", shown(&listener.name)), bind));
        }
    }
    if let Some(admin) = &config.admin {
        taken.push(("/admin/bind".to_owned(), "the admin listener".to_owned(), &admin.bind));
    }
    for (index, (pointer, _, bind)) in taken.iter().enumerate() {
        let first = taken.iter().take(index).find(|(_, _, other)| bind.overlaps(other));
        if let Some((_, what, other)) = first {
            let problem = format!("{bind} overlaps with {what}, which binds {other}");
            let mut help = "choose another port or address for one of them".to_owned();
            if bind.device().is_some() != other.device().is_some() {
                help.push_str(", or keep both to an interface: this machine itself is \"%lo:8080\"");
            }
            help.push_str(about_port(env));
            report.issue(pointer, Fault::new(problem, help));
        }
    }
}

/// A server that is one of our own listeners sends each request round and round.
fn loops(config: &Config, report: &mut Report) {
    for pool in &config.pools {
        for server in &pool.servers {
            if let Some(listener) = itself(config, server) {
                let problem = format!(
                    "the server {} is the listener {} of this file: requests would go in circles",
                    shown(&server.id),
                    shown(&listener.name)
                );
                report.warn(
                    &pool_pointer(&pool.name),
                    Fault::new(problem, "write the address of the real server"),
                );
            }
        }
    }
}
