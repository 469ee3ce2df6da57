//! Routes and what they match.

use std::collections::{HashMap, HashSet};

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::model::route::{HostPattern, PathPattern, Route, RouteMatch};
use crate::shape;
use crate::spot::{Section, Spot};
use crate::{address, syntax};

use super::headers;

/// Always as many routes as entries, however wrong: a route's index is its place in the file.
pub(super) fn routes(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<Route>> {
    let entries = spot.list(report, "routes")?;
    let mut routes = Vec::with_capacity(entries.len());
    let mut names: HashMap<String, String> = HashMap::new();
    let mut regexes = 0;
    for (index, entry) in entries.iter().enumerate() {
        let route = route(index, entry, report);
        if let Some(first) = names.get(&*route.name) {
            let problem = format!("the route name {} is taken; first at {first}", shown(&route.name));
            entry.refuse(report, Fault::new(problem, "give each route its own name"));
        } else {
            names.insert(route.name.to_string(), entry.at.clone());
        }
        regexes += usize::from(matches!(route.matcher.path, PathPattern::Regex(_)));
        if regexes == bounds::REGEX_ROUTES + 1 {
            let problem = format!("more than {} routes have a \"pathRegex\"", bounds::REGEX_ROUTES);
            entry.refuse(
                report,
                Fault::new(problem, "use \"path\" where a prefix will do: it is also faster"),
            );
            break;
        }
        routes.push(route);
    }
    Some(routes)
}

fn route(index: usize, spot: &Spot<'_>, report: &mut Report) -> Route {
    let mut route = Route {
        name: format!("route-{}", index + 1).into(),
        matcher: RouteMatch::default(),
        pool: "".into(),
    };
    let Some(section) = Section::open(spot, &shape::ROUTE, report) else { return route };
    section.set("name", report, &mut route.name, |spot, report| {
        let text = spot.text(report, "a name such as \"api\"")?;
        spot.settle(report, syntax::name(text)).map(Into::into)
    });
    section.set("match", report, &mut route.matcher, matcher);
    if let Some(spot) = section.need("pool", report, "say where its requests go: \"pool\": \"app\"")
        && let Some(pool) = spot.text(report, "the name of a pool")
    {
        if pool.is_empty() {
            spot.refuse(
                report,
                Fault::new("the name of the pool is empty", "write the name of one of the \"pools\""),
            );
        }
        route.pool = pool.into();
    }
    route
}

fn matcher(spot: &Spot<'_>, report: &mut Report) -> Option<RouteMatch> {
    let section = Section::open(spot, &shape::MATCH, report)?;
    let mut matcher = RouteMatch::default();
    section.set("hosts", report, &mut matcher.hosts, hosts);
    section.set("methods", report, &mut matcher.methods, methods);
    section.set("headers", report, &mut matcher.headers, |spot, report| {
        headers::read(spot, headers::Purpose::Match, report)
    });
    let mut path_keys = Vec::new();
    for key in ["path", "pathExact", "pathRegex"] {
        let Some(spot) = section.get(key) else { continue };
        path_keys.push(key);
        matcher.path = path(key, &spot, report).unwrap_or_default();
    }
    if path_keys.len() > 1 {
        let problem = format!("a match has one path, but here are {}", path_keys.join(" and "));
        spot.refuse(report, Fault::new(problem, "keep one of them, or write a route for each"));
    }
    Some(matcher)
}

fn path(key: &str, spot: &Spot<'_>, report: &mut Report) -> Option<PathPattern> {
    if key == "pathRegex" {
        let text = spot.text(report, "a regular expression such as \"^/v[12]/\"")?;
        return spot.settle(report, syntax::regex(text)).map(|()| PathPattern::Regex(text.to_owned()));
    }
    let text = spot.text(report, "a path such as \"/v1/\"")?;
    let text = spot.settle(report, syntax::path(text, false))?.to_owned();
    Some(if key == "path" { PathPattern::Prefix(text) } else { PathPattern::Exact(text) })
}

fn hosts(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<HostPattern>> {
    let mut hosts = Vec::new();
    let entries = spot.list(report, "hosts")?;
    not_empty(spot, &entries, "host", report);
    let mut seen = HashSet::new();
    for entry in entries {
        let Some(text) = entry.text(report, "a host such as \"api.example.com\"") else { continue };
        let Some((host, is_wildcard)) = entry.settle(report, address::route_host(text)) else { continue };
        if seen.insert((host.clone(), is_wildcard)) {
            hosts.push(if is_wildcard { HostPattern::Wildcard(host) } else { HostPattern::Exact(host) });
        } else {
            twice(&entry, text, report);
        }
    }
    Some(hosts)
}

fn methods(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<String>> {
    let mut methods: Vec<String> = Vec::new();
    let entries = spot.list(report, "methods")?;
    not_empty(spot, &entries, "method", report);
    if entries.len() > MAX_METHODS {
        let problem = format!("{} methods are more than the {MAX_METHODS} that may be", entries.len());
        spot.refuse(report, Fault::new(problem, "leave the list out to take every method"));
        return None;
    }
    for entry in entries {
        let Some(text) = entry.text(report, "a method such as \"GET\"") else { continue };
        let Some(method) = entry.settle(report, syntax::method(text)) else { continue };
        if methods.contains(&method) {
            twice(&entry, text, report);
        } else {
            methods.push(method);
        }
    }
    Some(methods)
}

/// Most methods of one route; nobody has so many.
const MAX_METHODS: usize = 64;

fn not_empty(spot: &Spot<'_>, entries: &[Spot<'_>], what: &str, report: &mut Report) {
    if entries.is_empty() {
        let problem = format!("the list names no {what}, so the route would match nothing");
        spot.refuse(
            report,
            Fault::new(problem, format!("name one, or leave the key out to take every {what}")),
        );
    }
}

fn twice(spot: &Spot<'_>, text: &str, report: &mut Report) {
    let problem = format!("{} stands in this list twice", shown(text));
    report.warn(&spot.at, Fault::new(problem, "take one out"));
}
