//! What has a name, and what differs in it.

use std::sync::Arc;

use crate::model::event::{EventFilter, Webhook};
use crate::model::listener::Listener;
use crate::model::pool::{Fallback, Pool, Server};
use crate::model::route::Route;
use crate::summary;

use super::settings::{Settings, duration, or_none, plain};
use super::{Named, Setting, is_reordered, settings};

impl Named for Listener {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn details(&self) -> String {
        format!(
            " on {}{}",
            summary::addresses(&self.binds),
            if self.tls.is_some() { " over TLS" } else { "" }
        )
    }

    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Self { name: _, binds, socket_mode, allow_connect, proxy_protocol, tls, .. } = new;
        let Self { redirect_https, hsts, protocols, .. } = new;
        let mut settings = Settings::new("");
        settings.note("bind", &self.binds, binds, |binds| summary::addresses(binds));
        settings.note("socketMode", &self.socket_mode, socket_mode, plain);
        settings.note("allowConnect", &self.allow_connect, allow_connect, plain);
        settings.note("proxyProtocol", &self.proxy_protocol, proxy_protocol, settings::proxy_protocol);
        settings.note("tls", &self.tls, tls, settings::listener_tls);
        settings.note("redirectHttps", &self.redirect_https, redirect_https, settings::redirect);
        settings.note("hsts", &self.hsts, hsts, settings::hsts);
        settings.note("protocols", &self.protocols, protocols, |protocols| {
            summary::protocols(*protocols).to_owned()
        });
        settings.found
    }
}

impl Named for Route {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn details(&self) -> String {
        format!(": {} -> pool {}", summary::matched(self), self.pool)
    }

    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Self { name: _, matcher, pool } = new;
        let mut settings = Settings::new("");
        if self.matcher != *matcher {
            settings.differs("match", summary::matched(self), summary::matched(new));
        }
        settings.note("pool", &self.pool, pool, plain);
        settings.found
    }
}

impl Named for Pool {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn details(&self) -> String {
        match self.servers.len() {
            1 => " with one server".to_owned(),
            count => format!(" with {count} servers"),
        }
    }

    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Self { name: _, algorithm, protocol, servers, health_check, passive_health, .. } = new;
        let Self { flap_damping, slow_start, panic_percent, recovery, .. } = new;
        let Self { retry, timeouts, connection_pool, fallback, tls, send_proxy_protocol, .. } = new;
        let mut settings = Settings::new("");
        settings.note("algorithm", &self.algorithm, algorithm, |algorithm| algorithm.name().to_owned());
        settings.note("protocol", &self.protocol, protocol, |protocol| protocol.name().to_owned());
        let ends = self.servers.common_ends(servers);
        if is_reordered(self.servers.between(ends), servers.between(ends)) {
            settings.hidden("servers (their order)");
        }
        settings.found.extend(settings::health_check(&self.health_check, health_check));
        settings.found.extend(settings::passive_health(&self.passive_health, passive_health));
        settings.found.extend(settings::flap_damping(&self.flap_damping, flap_damping));
        settings.note("slowStart", &self.slow_start, slow_start, duration);
        settings.note("panicPercent", &self.panic_percent, panic_percent, plain);
        settings.note("recovery", &self.recovery, recovery, settings::recovery);
        settings.found.extend(settings::retry(&self.retry, retry));
        settings.found.extend(settings::pool_timeouts(&self.timeouts, timeouts));
        settings.found.extend(settings::connection_pool(&self.connection_pool, connection_pool));
        settings.note("fallback", &self.fallback, fallback, |fallback| match fallback {
            Some(Fallback { status, body, content_type }) => {
                format!("{status} with {} bytes of {content_type}", body.len())
            }
            None => "none".to_owned(),
        });
        settings.note("tls", &self.tls, tls, settings::pool_tls);
        settings.note("sendProxyProtocol", &self.send_proxy_protocol, send_proxy_protocol, |way| {
            way.name().to_owned()
        });
        settings.found
    }
}

impl Named for Arc<Server> {
    fn name(&self) -> &Arc<str> {
        &self.id
    }

    fn details(&self) -> String {
        let address = Server::address_text(&self.host, self.port);
        let at = if *self.id == *address { String::new() } else { format!(" at {address}") };
        match self.weight {
            Server::DEFAULT_WEIGHT => at,
            weight => format!("{at} with weight {weight}"),
        }
    }

    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Server { id: _, host, port: _, weight, max_connections, state, recovery } = &**new;
        let mut settings = Settings::new("");
        settings.note("host", &self.host, host, plain);
        settings.note("port", &self.tcp_port(), &new.tcp_port(), or_none(plain));
        settings.note("weight", &self.weight, weight, plain);
        settings.note("maxConnections", &self.max_connections, max_connections, plain);
        settings.note("state", &self.state, state, |state| state.name().to_owned());
        settings.note("recovery", &self.recovery, recovery, settings::recovery);
        settings.found
    }
}

impl Named for Webhook {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn details(&self) -> String {
        String::new()
    }

    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Self { name: _, url, events, secret, format, timeout, attempts, headers, ca_file } = new;
        let mut settings = Settings::new("");
        // A URL may be as good as a password.
        settings.note_hidden("url", &self.url, url);
        settings.note("events", &self.events, events, |events| match events {
            EventFilter::All => "all".to_owned(),
            EventFilter::Only(names) => names.join(" "),
        });
        settings.note_hidden("secret", &self.secret, secret);
        settings.note("format", &self.format, format, |format| format.name().to_owned());
        settings.note("timeout", &self.timeout, timeout, duration);
        settings.note("attempts", &self.attempts, attempts, plain);
        settings.note_hidden("headers", &self.headers, headers);
        settings.note("caFile", &self.ca_file, ca_file, settings::path);
        settings.found
    }
}
