//! The tree into the model: every section of the file, then what no single section can know.

mod access_log;
mod admin;
mod clients;
mod cross;
mod headers;
mod overrides;
mod pool;
mod probe;
mod program;
mod recovery;
mod retry;
mod route;
mod server;
mod shadow;
mod tls;
mod tracing;
mod webhook;

pub(crate) use cross::is_circle;
pub(crate) use server::{misfit, server_alone, server_pointer, servers_pointer, without_weight};

use crate::document::Node;
use crate::expand::Env;
use crate::issue::{Fault, Report};
use crate::model::Config;
use crate::model::access_log::AccessLog;
use crate::model::listener::{ClientTimeouts, ForwardedHeaders, Limits};
use crate::spot::{Section, Spot};
use crate::{bounds, shape, syntax};

/// Builds the model as far as it can be built. It may run only if the report holds no issue afterwards.
pub(crate) fn check(document: &Node, env: Env<'_>, report: &mut Report) -> Option<Config> {
    let file = Section::open(&Spot { node: document, at: String::new() }, &shape::FILE, report)?;
    let mut config = Config {
        workers: 0,
        listeners: Vec::new(),
        routes: Vec::new(),
        pools: Vec::new(),
        timeouts: ClientTimeouts::default(),
        limits: Limits::default(),
        trusted_proxies: Vec::new(),
        forwarded_headers: ForwardedHeaders::default(),
        via: None,
        admin: None,
        access_log: AccessLog::default(),
        webhooks: Vec::new(),
        events: None,
        tracing: None,
    };
    let mut schema = "";
    file.set("$schema", report, &mut schema, |spot, report| spot.text(report, "the address of a schema"));
    file.set("workers", report, &mut config.workers, |spot, report| spot.number(report, &bounds::WORKERS));
    if let Some(spot) = file.need("listeners", report, NEED_LISTENERS) {
        config.listeners = clients::listeners(&spot, report);
    }
    file.set("routes", report, &mut config.routes, route::routes);
    if let Some(spot) = file.need("pools", report, NEED_POOLS) {
        config.pools = pool::pools(&spot, report);
    }
    file.set("timeouts", report, &mut config.timeouts, clients::timeouts);
    file.set("limits", report, &mut config.limits, clients::limits);
    file.set("trustedProxies", report, &mut config.trusted_proxies, clients::trusted);
    file.set("forwardedHeaders", report, &mut config.forwarded_headers, |spot, report| {
        spot.word(report, ForwardedHeaders::ALL, ForwardedHeaders::name)
    });
    file.set("via", report, &mut config.via, via);
    file.set("admin", report, &mut config.admin, admin::admin);
    file.set("accessLog", report, &mut config.access_log, access_log::access_log);
    file.set("webhooks", report, &mut config.webhooks, webhook::webhooks);
    file.set("events", report, &mut config.events, webhook::event_log);
    file.set("tracing", report, &mut config.tracing, tracing::tracing);
    overrides::apply(&mut config, env, report);
    cross::check(&file, &mut config, env, report);
    Some(config)
}

const NEED_LISTENERS: &str =
    "say where clients connect: \"listeners\": { \"web\": { \"bind\": \"0.0.0.0:8080\" } }";

const NEED_POOLS: &str = "name the servers: \
     \"pools\": { \"app\": { \"servers\": [ { \"host\": \"127.0.0.1\", \"port\": 3001 } ] } }";

/// `pseudonym [":" port]` (RFC 9110, 7.6.3).
#[allow(clippy::option_option)] // the outer one says whether the text could be read
fn via(spot: &Spot<'_>, report: &mut Report) -> Option<Option<String>> {
    let text = spot.text(report, "a name for Via")?;
    let (name, port) = text.split_once(':').unwrap_or((text, "80"));
    let port_exists = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if syntax::is_token(name) && port_exists && text.len() <= syntax::MAX_NAME {
        return Some(Some(text.to_owned()));
    }
    let help = "write one word such as \"loadweaver\", or leave the key out to send no Via";
    spot.refuse(report, Fault::new(format!("{} is not a name for Via", crate::issue::shown(text)), help));
    None
}
