//! Each route that was tried, and what it had against the request.

use loadweaver_config::{PathPattern, Route};
use loadweaver_policy::route::{Tried, Unmet};
use serde::Serialize;
use utoipa::ToSchema;

use super::Asked;

/// Most hosts and methods that are told of one route.
const SHOWN: usize = 10;

/// A route that was tried.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteTried {
    /// Its name.
    #[schema(example = "api")]
    pub name: String,
    /// Its place: 0 is asked first.
    pub place: usize,
    /// Where it leads.
    pub pool: String,
    /// Whether it took the request.
    pub matched: bool,
    /// What did not hold; empty of the route that took the request.
    pub unmet: Vec<UnmetCondition>,
}

/// A condition of a route that did not hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnmetCondition {
    /// `method`, `host`, `path` or `header`.
    #[schema(example = "host")]
    pub condition: &'static str,
    /// Of a header: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// In words.
    pub reason: String,
}

pub(super) fn tried(routes: &[Route], tried: &Tried, request: (&Asked, &str)) -> Vec<RouteTried> {
    let took = tried.route.map(|_| Vec::new());
    let unmet = tried.refused.iter().cloned().chain(took);
    let each = routes.iter().zip(unmet).enumerate();
    each.map(|(place, (route, unmet))| RouteTried {
        name: route.name.to_string(),
        place,
        pool: route.pool.to_string(),
        matched: tried.route == Some(place),
        unmet: unmet.into_iter().map(|unmet| condition(route, unmet, request)).collect(),
    })
    .collect()
}

fn condition(route: &Route, unmet: Unmet, (asked, host): (&Asked, &str)) -> UnmetCondition {
    let matcher = &route.matcher;
    match unmet {
        Unmet::Method => {
            let methods = listed(&matcher.methods);
            plain("method", format!("the method {} is not {methods}", asked.method))
        }
        Unmet::Host => {
            let hosts = listed(&matcher.hosts);
            plain("host", format!("the host {host} is not {hosts}"))
        }
        Unmet::Path => plain("path", path(&matcher.path, &asked.path)),
        Unmet::Header(place) => {
            let name = matcher.headers.get(place).map_or("", |(name, _)| name);
            let is_sent = asked.headers.iter().any(|(sent, _)| sent.eq_ignore_ascii_case(name));
            let reason = if is_sent {
                // What it wants may be a secret.
                format!("the header {name} has another value, or is not believed of this client")
            } else {
                format!("the header {name} is missing")
            };
            UnmetCondition { condition: "header", header: Some(name.to_owned()), reason }
        }
    }
}

fn plain(condition: &'static str, reason: String) -> UnmetCondition {
    UnmetCondition { condition, header: None, reason }
}

fn path(pattern: &PathPattern, target: &str) -> String {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match pattern {
        PathPattern::Any => format!("the path {path} is none"),
        PathPattern::Prefix(prefix) => format!("the path {path} is not under {prefix}"),
        PathPattern::Exact(exact) => format!("the path {path} is not exactly {exact}"),
        PathPattern::Regex(regex) => format!("the path {path} does not match {regex}"),
    }
}

fn listed(words: &[impl ToString]) -> String {
    let shown: Vec<_> = words.iter().take(SHOWN).map(ToString::to_string).collect();
    match words.len().saturating_sub(SHOWN) {
        0 => shown.join(" or "),
        more => format!("{} or {more} more", shown.join(" or ")),
    }
}
