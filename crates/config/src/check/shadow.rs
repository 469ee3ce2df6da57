//! Routes that can never match, since earlier ones take every request that they would.
//!
//! A route is split into its (host, method) pairs; it is shadowed when for each pair some earlier route takes
//! all its requests. So a route for two hosts is found out when two routes before it take one each. What
//! only several earlier paths or headers take together is not found out: no warning does not mean that every
//! route can match.

use std::collections::{BTreeSet, HashSet};

use regex::{Regex, RegexBuilder};

use crate::MAX_REGEX_SIZE;
use crate::issue::{Fault, Report, shown};
use crate::model::route::{HostPattern, PathPattern, Route, RouteMatch};

/// Most comparisons of a route with an earlier one: well under a second of work, enough for 3,000 routes.
const MAX_COMPARISONS: usize = 5_000_000;

/// Warns of each shadowed route.
pub(super) fn warn(routes: &[Route], report: &mut Report) {
    let earlier: Vec<Earlier<'_>> = routes.iter().map(Earlier::new).collect();
    let mut budget = MAX_COMPARISONS;
    for (index, route) in routes.iter().enumerate() {
        let before = earlier.get(..index).unwrap_or_default();
        let Some(by) = shadowed_by(&route.matcher, before, &mut budget) else { continue };
        let names: Vec<String> =
            by.iter().map(|at| earlier.get(*at).map_or(String::new(), Earlier::name)).collect();
        let takes = if names.len() == 1 { "takes" } else { "together take" };
        let problem = format!(
            "the route {} can never match: {} before it {takes} all its requests",
            shown(&route.name),
            listed(&names)
        );
        report.warn(&format!("/routes/{index}"), Fault::new(problem, "move it up, or take it out"));
    }
    if budget == 0 {
        let problem = "there are too many routes to find all that can never match";
        report.warn("/routes", Fault::new(problem, "nothing to do: the routes work as written"));
    }
}

fn listed(names: &[String]) -> String {
    let some = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        4.. => format!("{some} and {} more", names.len() - 3),
        _ => some,
    }
}

struct Earlier<'r> {
    route: &'r Route,
    /// Its hosts for looking up: a route may list as many as it likes.
    exact: HashSet<&'r str>,
    below: HashSet<&'r str>,
    /// Compiled once, however many routes follow.
    regex: Option<Regex>,
}

impl<'r> Earlier<'r> {
    fn new(route: &'r Route) -> Self {
        let regex = match &route.matcher.path {
            PathPattern::Regex(text) => RegexBuilder::new(text).size_limit(MAX_REGEX_SIZE).build().ok(),
            _ => None,
        };
        let (mut exact, mut below) = (HashSet::new(), HashSet::new());
        for host in &route.matcher.hosts {
            match host {
                HostPattern::Exact(host) => exact.insert(host.as_str()),
                HostPattern::Wildcard(suffix) => below.insert(suffix.as_str()),
            };
        }
        Self { route, exact, below, regex }
    }

    fn name(&self) -> String {
        shown(&self.route.name)
    }

    /// Whether it takes everything that `later` takes for this host and method.
    fn takes_all(&self, later: &RouteMatch, host: Option<&HostPattern>, method: Option<&String>) -> bool {
        let ours = &self.route.matcher;
        (ours.hosts.is_empty() || host.is_some_and(|host| self.covers_host(host)))
            && (ours.methods.is_empty() || method.is_some_and(|method| ours.methods.contains(method)))
            && ours.headers.iter().all(|header| later.headers.contains(header))
            && self.covers_path(&later.path)
    }

    fn covers_host(&self, later: &HostPattern) -> bool {
        let (name, is_listed) = match later {
            HostPattern::Exact(host) => (host, self.exact.contains(host.as_str())),
            HostPattern::Wildcard(suffix) => (suffix, false),
        };
        let mut suffixes = name.match_indices('.').filter_map(|(dot, _)| name.get(dot..));
        is_listed || suffixes.any(|suffix| self.below.contains(suffix))
    }

    fn covers_path(&self, later: &PathPattern) -> bool {
        match (&self.route.matcher.path, later) {
            (PathPattern::Any, _) => true,
            (PathPattern::Prefix(ours), PathPattern::Prefix(theirs) | PathPattern::Exact(theirs)) => {
                begins_with_segments(theirs, ours)
            }
            (PathPattern::Exact(ours), PathPattern::Exact(theirs))
            | (PathPattern::Regex(ours), PathPattern::Regex(theirs)) => ours == theirs,
            (PathPattern::Regex(_), PathPattern::Exact(theirs)) => {
                self.regex.as_ref().is_some_and(|regex| regex.is_match(theirs))
            }
            _ => false,
        }
    }
}

/// The earlier routes (by index, each once) that together take all of `later`.
fn shadowed_by(later: &RouteMatch, earlier: &[Earlier<'_>], budget: &mut usize) -> Option<BTreeSet<usize>> {
    let mut by = BTreeSet::new();
    let hosts: Vec<Option<&HostPattern>> = any_or_each(&later.hosts);
    let methods: Vec<Option<&String>> = any_or_each(&later.methods);
    for host in &hosts {
        for method in &methods {
            let mut found = None;
            for (index, candidate) in earlier.iter().enumerate() {
                *budget = budget.saturating_sub(1 + candidate.route.matcher.headers.len());
                if *budget == 0 {
                    return None;
                }
                if candidate.takes_all(later, *host, *method) {
                    found = Some(index);
                    break;
                }
            }
            by.insert(found?);
        }
    }
    (!by.is_empty()).then_some(by)
}

fn any_or_each<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() { vec![None] } else { list.iter().map(Some).collect() }
}

/// Whether `path` begins with `prefix`, and the prefix ends where a segment of it does.
fn begins_with_segments(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}
