//! Which route takes a request: the first that matches, in written order.
//!
//! Patterns are made ready once, when a configuration is built; a query compares bytes in place and
//! allocates nothing (a `pathRegex` keeps scratch space per thread, which the first query of a thread makes).
//! A first route that takes everything, which is what most configurations come down to, is seen when the
//! router is built and costs a branch. Otherwise the cost grows with the routes that have to be looked at.
//!
//! Paths are compared as they were sent: neither percent-encoding nor `..` is resolved. A route is no access
//! control; what a server makes of a path is the server's business.

use std::ops::ControlFlow;

use loadweaver_config::{HostPattern, MAX_REGEX_SIZE, PathPattern, Route, RouteMatch};
use regex::{Regex, RegexBuilder};

/// What a request shows to the router.
#[derive(Clone, Copy)]
pub struct RouteQuery<'a> {
    /// As sent; case counts (RFC 9110 section 9.1).
    pub method: &'a str,
    /// As sent: it may hold a port, upper case, and the dot of a complete name.
    pub host: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// The value of the header of this lower-case name.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// A condition of a route that a request does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// Its method is none of the route's.
    Method,
    /// Its host is none of the route's.
    Host,
    /// Its path does not look like the route's.
    Path,
    /// The header at this place of [`RouteMatch::headers`] is missing, or has another value.
    Header(usize),
}

/// What became of a request at each route that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Of each route before the one that took it, or of all: what did not hold, at least one thing.
    pub refused: Vec<Vec<Unmet>>,
    /// The route that took it.
    pub route: Option<usize>,
}

/// All routes, ready to be asked.
#[derive(Debug)]
pub struct Router {
    rules: Vec<Rule>,
    /// Whether the first route takes every request.
    first_takes_all: bool,
}

impl Router {
    /// Makes routes ready. A `pathRegex` that does not compile, which the configuration's check rules out,
    /// matches nothing.
    pub fn new(routes: &[Route]) -> Self {
        Self {
            rules: routes.iter().map(|route| Rule::new(&route.matcher)).collect(),
            first_takes_all: routes.first().is_some_and(|route| route.matcher.is_everything()),
        }
    }

    /// The index of the first route that takes the request.
    pub fn route(&self, query: &RouteQuery<'_>) -> Option<usize> {
        if self.first_takes_all {
            return Some(0);
        }
        let host = bare_host(query.host);
        self.rules.iter().position(|rule| rule.takes(query, host))
    }

    /// The same, told: what each route that was asked had against the request.
    pub fn explain(&self, query: &RouteQuery<'_>) -> Tried {
        let host = bare_host(query.host);
        let mut refused = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let unmet = rule.unmet(query, host);
            if unmet.is_empty() {
                return Tried { refused, route: Some(index) };
            }
            refused.push(unmet);
        }
        Tried { refused, route: None }
    }
}

#[derive(Debug)]
struct Rule {
    hosts: Box<[HostPattern]>,
    path: Path,
    methods: Box<[String]>,
    headers: Box<[(String, String)]>,
}

impl Rule {
    fn new(matcher: &RouteMatch) -> Self {
        Self {
            hosts: matcher.hosts.iter().cloned().collect(),
            path: Path::new(&matcher.path),
            methods: matcher.methods.iter().cloned().collect(),
            headers: matcher.headers.iter().cloned().collect(),
        }
    }

    /// `host` is that of the query without what does not count.
    fn takes(&self, query: &RouteQuery<'_>, host: &str) -> bool {
        self.examine(query, host, |_| ControlFlow::Break(())).is_continue()
    }

    fn unmet(&self, query: &RouteQuery<'_>, host: &str) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        let _ = self.examine(query, host, |condition| {
            unmet.push(condition);
            ControlFlow::Continue(())
        });
        unmet
    }

    /// Tells each condition that does not hold, until enough was heard. Routing and its explanation both ask this, so
    /// that they cannot come to disagree. The cheap questions come first.
    #[inline]
    fn examine(
        &self,
        query: &RouteQuery<'_>,
        host: &str,
        mut tell: impl FnMut(Unmet) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.methods.is_empty() && !self.methods.iter().any(|method| method == query.method) {
            tell(Unmet::Method)?;
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|pattern| host_matches(pattern, host)) {
            tell(Unmet::Host)?;
        }
        if !self.path.matches(query.path) {
            tell(Unmet::Path)?;
        }
        for (place, (name, value)) in self.headers.iter().enumerate() {
            if (query.header)(name).is_none_or(|sent| sent != value.as_bytes()) {
                tell(Unmet::Header(place))?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// A path pattern, its regular expression compiled.
#[derive(Debug)]
enum Path {
    Any,
    Prefix(Box<str>),
    Exact(Box<str>),
    /// Found anywhere in the path unless it is anchored, as in nginx, HAProxy and Traefik.
    Regex(Regex),
    Nothing,
}

impl Path {
    fn new(pattern: &PathPattern) -> Self {
        match pattern {
            PathPattern::Any => Self::Any,
            PathPattern::Prefix(prefix) => Self::Prefix(prefix.as_str().into()),
            PathPattern::Exact(path) => Self::Exact(path.as_str().into()),
            PathPattern::Regex(text) => {
                let compiled = RegexBuilder::new(text).size_limit(MAX_REGEX_SIZE).build();
                compiled.map_or(Self::Nothing, Self::Regex)
            }
        }
    }

    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => has_segments(path, prefix),
            Self::Exact(exact) => path == &**exact,
            Self::Regex(regex) => regex.is_match(path),
            Self::Nothing => false,
        }
    }
}

/// Whether `path` begins with `prefix` and the prefix ends where a segment does: `/v1` takes `/v1` and
/// `/v1/x` but not `/v10`; `/v1/` takes `/v1/` and `/v1/x` but not `/v1`.
fn has_segments(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/') || prefix.is_empty(),
        None => false,
    }
}

/// A host without its port and without the dot of a complete name. An IPv6 address keeps its brackets.
fn bare_host(host: &str) -> &str {
    let end = match host.strip_prefix('[') {
        // From here on a colon is part of the address up to the bracket.
        Some(rest) => rest.find(']').map_or(host.len(), |at| at + 2),
        None => host.find(':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    name.strip_suffix('.').unwrap_or(name)
}

/// A wildcard takes names of any depth below its own, and not that name itself: what HAProxy's `hdr_end`,
/// Envoy and nginx do with `*.example.com`.
fn host_matches(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => host.eq_ignore_ascii_case(name),
        HostPattern::Wildcard(suffix) => {
            let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
            host.len() > suffix.len()
                && host.get(host.len() - suffix.len()..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
    }
}

#[cfg(test)]
mod tests;
