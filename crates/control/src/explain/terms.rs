//! What would hold for the exchange: retries, time-outs, limits, and what is changed on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use loadweaver_config::{
    ClientCertificateMode, Config, ForwardedHeaders, Listener, ListenerTls, Pool, SendProxyProtocol,
    format_duration, retries,
};
use loadweaver_policy::retry::is_idempotent;
use serde::Serialize;
use utoipa::ToSchema;

/// What would hold for the exchange.
#[derive(Debug, Serialize, ToSchema)]
pub struct Terms {
    /// When it would be tried again.
    pub retry: Retries,
    /// How long each part may take; what is off is left out.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub timeouts: BTreeMap<&'static str, String>,
    /// Bytes, or how many; what has no limit is left out.
    #[schema(value_type = std::collections::BTreeMap<String, u64>)]
    pub limits: BTreeMap<&'static str, u64>,
    /// What is changed of requests and answers on the way, in sentences.
    pub filters: Vec<String>,
}

/// When an exchange would be tried again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Tries in all; 1 is no retry.
    pub attempts: u32,
    /// Whether a server may get it a second time after it may have acted on it.
    pub repeatable: bool,
    /// In words.
    pub rule: String,
}

pub(super) fn of(config: &Config, (pool, listener): (&Pool, &Listener), method: &str) -> Terms {
    let repeatable = is_idempotent(method) || pool.retry.non_idempotent;
    let mut rule = retries(&pool.retry);
    if pool.retry.attempts > 1 && !repeatable {
        rule.push_str("; with this method only while no server has got any of it");
    }
    Terms {
        retry: Retries { attempts: pool.retry.attempts, repeatable, rule },
        timeouts: timeouts(config, pool),
        limits: limits(config),
        filters: filters(config, pool, listener),
    }
}

fn timeouts(config: &Config, pool: &Pool) -> BTreeMap<&'static str, String> {
    let (client, server) = (&config.timeouts, &pool.timeouts);
    let all: [(&str, Duration); 9] = [
        ("requestHead", client.request_head),
        ("body", client.body),
        ("send", client.send),
        ("connect", server.connect),
        ("response", server.response),
        ("perTry", pool.retry.per_try_timeout),
        ("idle", server.idle),
        ("total", server.total),
        ("tunnel", server.tunnel),
    ];
    let on = all.into_iter().filter(|(_, time)| !time.is_zero());
    on.map(|(name, time)| (name, format_duration(time))).collect()
}

fn limits(config: &Config) -> BTreeMap<&'static str, u64> {
    let limits = &config.limits;
    let all = [
        ("requestHead", limits.request_head as u64),
        ("target", limits.target as u64),
        ("headers", limits.headers as u64),
        ("responseHead", limits.response_head as u64),
        ("trailers", limits.trailers as u64),
        ("body", limits.body),
        ("connections", limits.connections as u64),
        ("requestsPerConnection", limits.requests_per_connection),
    ];
    all.into_iter().filter(|(_, most)| *most > 0).collect()
}

fn filters(config: &Config, pool: &Pool, listener: &Listener) -> Vec<String> {
    let mut all = vec![
        "what is for one connection alone (Connection and what it names) is taken off".to_owned(),
        "x-request-id is kept, or made where there is none".to_owned(),
    ];
    let told = match config.forwarded_headers {
        ForwardedHeaders::XForwarded => "X-Forwarded-For, -Proto and -Host tell the server of the client",
        ForwardedHeaders::Forwarded => "Forwarded tells the server of the client",
        ForwardedHeaders::Both => {
            "X-Forwarded-For, -Proto and -Host, and Forwarded, tell the server of the client"
        }
        ForwardedHeaders::Off => "nothing tells the server of the client",
    };
    all.push(told.to_owned());
    all.push("what a client that is no trusted proxy says in such headers is taken off".to_owned());
    if let Some(pseudonym) = &config.via {
        all.push(format!("Via names {pseudonym}"));
    }
    let asks = |tls: &ListenerTls| tls.client_certificates.mode != ClientCertificateMode::Off;
    if listener.tls.as_ref().is_some_and(asks) {
        all.push("x-client-verified and its kind tell the server of the client's certificate".to_owned());
    }
    if listener.hsts.is_some() {
        all.push("answers over TLS carry Strict-Transport-Security".to_owned());
    }
    if pool.send_proxy_protocol != SendProxyProtocol::Off {
        let version = pool.send_proxy_protocol.name();
        all.push(format!("a header of the PROXY protocol ({version}) goes in front of each connection"));
    }
    if listener.proxy_protocol.as_ref().is_some_and(|rules| rules.required) {
        all.push("connections must come from the proxies of proxyProtocol".to_owned());
    }
    all
}
