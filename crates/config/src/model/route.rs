//! Routes: what a request must look like to go to a pool.

use std::fmt;
use std::sync::Arc;

/// A rule that sends requests to a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its own name, or `route-1`, `route-2`, … by position.
    pub name: Arc<str>,
    /// What a request must look like.
    pub matcher: RouteMatch,
    /// The pool's name; the pool exists.
    pub pool: Arc<str>,
}

/// All of these must hold; an empty list holds for every request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RouteMatch {
    /// One of these hosts.
    pub hosts: Vec<HostPattern>,
    /// The path as it was sent, without its query: not percent-decoded, dot segments and double slashes kept.
    pub path: PathPattern,
    /// One of these methods; case counts (RFC 9110, 9.1).
    pub methods: Vec<String>,
    /// Each of these headers, name in lower case, with exactly this value.
    pub headers: Vec<(String, String)>,
}

impl RouteMatch {
    /// Whether every request matches.
    pub fn is_everything(&self) -> bool {
        self.hosts.is_empty()
            && self.path == PathPattern::Any
            && self.methods.is_empty()
            && self.headers.is_empty()
    }
}

/// A host name that a request may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// Just this one: lower case, no port, no trailing dot; an IPv6 address in brackets as in `Host`.
    Exact(String),
    /// Any name below this one, which begins with a dot and is lower case: `.example.com` takes
    /// `a.example.com` and `a.b.example.com`, not `example.com`.
    Wildcard(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(below) => write!(f, "*{below}"),
        }
    }
}

/// What the path must look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathPattern {
    /// Any path.
    #[default]
    Any,
    /// Begins with these whole segments: `/v1` takes `/v1` and `/v1/users`, not `/v10`; `/v1/` takes only
    /// what is below.
    Prefix(String),
    /// Is exactly this.
    Exact(String),
    /// This regular expression is found in it. Known to compile within
    /// [`MAX_REGEX_SIZE`](crate::MAX_REGEX_SIZE).
    Regex(String),
}
