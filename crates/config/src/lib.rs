//! What the operator wrote, checked.
//!
//! [`parse`] turns the text of `config.json` into a [`Config`] in which every default is filled in and every
//! reference holds, or into [`Issues`]: everything that is wrong with the file at once, each with a place, a
//! problem and a remedy. The crate is pure: it opens no file, reads no clock and sees the environment only
//! through the function that it is given, so the same text always means the same thing.
//!
//! The text passes through four stations. `document` reads JSON into a tree and refuses what is not strict
//! JSON; `expand` replaces `${VAR}`; `check` walks the tree section by section and builds the model; and
//! `check::cross` looks at what no single section can know. No station stops at the first problem.
//!
//! The keys of each section and what stands in for a key that is left out are written down once: the keys in
//! `shape`, the defaults as `Default` of the model types. The JSON Schema of [`schema`] is generated from
//! types that mirror them, and tests hold the schema, the checker and `docs/configuration.md` against each
//! other.

/// The checked configuration, and every default.
mod model;

/// JSON text into a tree, strictly.
mod document;

/// `${VAR}` inside texts.
mod expand;

/// The tree into the model, with everything that is wrong.
mod check;

/// A value with its place, and the readers that every section uses.
mod spot;

/// The keys of each section.
mod shape;

/// The least and the most of every setting.
mod bounds;

/// The fields of the access log.
mod log_field;

/// The language of the access log's filter.
mod filter;

/// Durations, sizes and ranges of statuses.
mod quantity;

/// Hosts, addresses and networks.
mod address;

/// Names, tokens, header values, paths and regular expressions.
mod syntax;

/// URLs and origins.
mod url;

/// "Did you mean".
mod suggest;

/// What is wrong, where, and what to do about it.
mod issue;

/// The JSON Schema, from types that mirror the keys.
mod schema;

/// What would run, in words.
mod summary;

/// The document as it was written.
mod raw;

/// Edits of the text that turn one document into another.
mod rewrite;

/// A text and what it says, taken up again when the next one differs a little.
mod reading;

/// What changes between two configurations.
mod change;

/// JSON Patch and JSON Merge Patch.
pub mod patch;

use document::Node;
use issue::{Fault, Report};

pub use change::{Added, Change, Changed, Difference, ServerDifference, Setting};
pub use expand::variables;
pub use issue::{Issue, Issues};
pub use model::Config;
pub use model::access_log::{
    AccessLog, KnownField, LogField, LogFormat, LogOutput, LogRotation, LogSample, Redact,
};
pub use model::admin::{Admin, AdminTls, Role, Token};
pub use model::bind::{Bind, SocketMode, Trusted};
pub use model::event::{EVENT_NAMES, EventFilter, EventLog, Webhook, WebhookFormat};
pub use model::listener::{
    ClientProtocol, ClientTimeouts, ForwardedHeaders, Http2Limits, Limits, Listener, Protocols, ProxyProtocol,
};
pub use model::log_filter::{IsOrNot, LogFilter, LogTest, Order};
pub use model::pool::{
    Algorithm, ConnectionPool, Fallback, Pool, PoolTimeouts, Protocol, Retry, RetryOn, SendProxyProtocol,
    Server, ServerState,
};
pub use model::probe::{BodyPattern, FlapDamping, HealthCheck, PassiveHealth, ProbeKind, StatusRange};
pub use model::recovery::{HostCommand, HttpCall, Recovery, RecoveryAction};
pub use model::route::{HostPattern, PathPattern, Route, RouteMatch};
pub use model::secret::Secret;
pub use model::servers::{Servers, Tally};
pub use model::syslog::{Facility, Severity, Syslog, SyslogAddress};
pub use model::tls::{
    CertificateFiles, ClientCertificateMode, ClientCertificates, Hsts, ListenerTls, PoolTls, RedirectHttps,
    TlsVersion,
};
pub use model::tracing::{Sampling, Tracing, TracingProtocol};
pub use quantity::{format_duration, format_size};
pub use raw::document;
pub use reading::{Reading, ServerEdit};
pub use rewrite::{rewrite, rewrite_from};
pub use schema::schema;
pub use suggest::nearest;
pub use summary::{retries, summary};
pub use url::without_path;

/// Longest configuration text that is read: 16 MiB, room for some hundred thousand servers.
pub const MAX_CONFIG_BYTES: usize = 16 * 1024 * 1024;

/// How big a compiled `pathRegex` may get, in bytes: 1 MiB. Whoever compiles one again sets the same limit.
pub const MAX_REGEX_SIZE: usize = 1024 * 1024;

/// Reads a duration as the file has them: `"250ms"`, `"1m30s"`.
///
/// # Errors
/// What is wrong with it; the issue has no place.
pub fn duration(text: &str) -> Result<std::time::Duration, Issue> {
    let issue = |fault: Fault| Issue { at: String::new(), problem: fault.problem, help: fault.help };
    quantity::parse_duration(text).map_err(issue)
}

/// A configuration that may run, and what its author should still hear about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The whole configuration, defaults filled in.
    pub config: Config,
    /// Things that are allowed but probably not meant.
    pub warnings: Vec<Issue>,
}

/// Reads and checks a configuration.
///
/// `env` answers for `${VAR}` and for the overriding variables (`PORT`, `WORKER_COUNT`,
/// `HEALTH_CHECK_INTERVAL`, `REDIS_URL`).
///
/// # Errors
/// Every problem of the text at once.
pub fn parse(text: &[u8], env: &dyn Fn(&str) -> Option<String>) -> Result<Parsed, Issues> {
    let mut report = Report::default();
    let mut document = document::read(text, &mut report)?;
    expand::expand(&mut document, env, &mut report);
    judge(&document, env, report)
}

/// Checks a document whose variables are replaced; `report` is what was said about it so far.
fn judge(
    document: &Node,
    env: &dyn Fn(&str) -> Option<String>,
    mut report: Report,
) -> Result<Parsed, Issues> {
    let config = check::check(document, env, &mut report);
    let warnings = report.finish()?;
    // Without a report there is a model: only a file that is no object has none, and that is reported.
    let config =
        config.ok_or_else(|| Issues::one("", Fault::new("the file holds no configuration", "write one")))?;
    Ok(Parsed { config, warnings })
}
