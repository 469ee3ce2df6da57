//! The checked configuration: plain data, defaults filled in, nothing left to interpret.
//!
//! `Default` of each section is what stands in for every key that the operator left out, and is the only
//! place where a default is written down.

pub(crate) mod access_log;
pub(crate) mod admin;
pub(crate) mod bind;
pub(crate) mod event;
pub(crate) mod listener;
pub(crate) mod log_filter;
pub(crate) mod pool;
pub(crate) mod probe;
pub(crate) mod recovery;
pub(crate) mod route;
pub(crate) mod secret;
pub(crate) mod servers;
pub(crate) mod syslog;
pub(crate) mod tls;
pub(crate) mod tracing;

use access_log::AccessLog;
use admin::Admin;
use bind::Trusted;
use event::{EventLog, Webhook};
use listener::{ClientTimeouts, ForwardedHeaders, Limits, Listener};
use pool::Pool;
use route::Route;
use tracing::Tracing;

/// Everything that one `config.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Bound addresses in written order; at least one.
    pub listeners: Vec<Listener>,
    /// Rules that pick a pool; the first that matches wins. Never empty: with one pool and no routes, a route
    /// for everything is filled in.
    pub routes: Vec<Route>,
    /// Groups of servers in written order; at least one.
    pub pools: Vec<Pool>,
    /// How long a client may take.
    pub timeouts: ClientTimeouts,
    /// How much a client or a server may send.
    pub limits: Limits,
    /// Whose `X-Forwarded-*` and `Forwarded` headers are believed.
    pub trusted_proxies: Vec<Trusted>,
    /// Which headers tell a server about the client.
    pub forwarded_headers: ForwardedHeaders,
    /// The pseudonym that is written into `Via` (RFC 9110, 7.6.3); none writes no `Via`.
    pub via: Option<String>,
    /// The admin listener, if there is one.
    pub admin: Option<Admin>,
    /// Where a line about each exchange goes.
    pub access_log: AccessLog,
    /// Who is told of events, in written order.
    pub webhooks: Vec<Webhook>,
    /// The file that events are appended to; none keeps them in memory alone.
    pub events: Option<EventLog>,
    /// Where spans go; none makes none.
    pub tracing: Option<Tracing>,
}
