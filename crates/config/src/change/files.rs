//! The files that a configuration names, and what for. Sockets without a file are among them: whoever may not name a
//! file may not reach for another service of this machine either.

use std::path::Path;

use crate::document::push_step;
use crate::model::Config;
use crate::model::access_log::LogOutput;
use crate::model::bind::Bind;
use crate::model::recovery::{Recovery, RecoveryAction};
use crate::model::syslog::SyslogAddress;

/// One of them.
pub(super) struct Named<'c> {
    /// JSON pointer to where it is named.
    pub(super) at: String,
    /// What is done with it: one that is read is not one that is written.
    pub(super) purpose: &'static str,
    pub(super) path: &'c Path,
}

pub(super) fn of(config: &Config) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    let mut name = |at: String, purpose, path| found.push(Named { at, purpose, path });
    if let Some(tls) = config.admin.as_ref().and_then(|admin| admin.tls.as_ref()) {
        name("/admin/tls/cert".to_owned(), "certificates", &*tls.cert);
        name("/admin/tls/key".to_owned(), "key", &*tls.key);
    }
    if let LogOutput::File(path) = &config.access_log.output {
        name("/accessLog/output".to_owned(), "access log", path);
    }
    // A server in the network is no file: it may be named, as a webhook's may.
    if let LogOutput::Syslog(SyslogAddress::Unix(socket)) = &config.access_log.output {
        name("/accessLog/output".to_owned(), "syslog", Path::new(&**socket));
    }
    if let Some(log) = &config.events {
        name("/events/file".to_owned(), "events", &log.file);
    }
    for (index, webhook) in config.webhooks.iter().enumerate() {
        if let Some(file) = &webhook.ca_file {
            name(format!("/webhooks/{index}/caFile"), "authorities", file);
        }
    }
    if let Some(file) = config.tracing.as_ref().and_then(|tracing| tracing.ca_file.as_ref()) {
        name("/tracing/caFile".to_owned(), "authorities", file);
    }
    if let Some(Bind::Unix(socket)) = config.admin.as_ref().map(|admin| &admin.bind) {
        name("/admin/bind".to_owned(), "listener", Path::new(&**socket));
    }
    for listener in &config.listeners {
        let mut at = "/listeners".to_owned();
        push_step(&mut at, &listener.name);
        for bind in &listener.binds {
            if let Bind::Unix(socket) = bind {
                name(format!("{at}/bind"), "listener", Path::new(&**socket));
            }
        }
        let Some(tls) = &listener.tls else { continue };
        for (index, files) in tls.certificates.iter().enumerate() {
            name(format!("{at}/tls/certificates/{index}/cert"), "certificates", &*files.cert);
            name(format!("{at}/tls/certificates/{index}/key"), "key", &*files.key);
        }
        if let Some(file) = &tls.client_certificates.ca_file {
            name(format!("{at}/tls/clientCertificates/caFile"), "authorities", file);
        }
    }
    for pool in &config.pools {
        let mut at = "/pools".to_owned();
        push_step(&mut at, &pool.name);
        if let Some(tls) = &pool.tls {
            if let Some(files) = &tls.certificate {
                name(format!("{at}/tls/cert"), "certificates", &*files.cert);
                name(format!("{at}/tls/key"), "key", &*files.key);
            }
            if let Some(file) = &tls.ca_file {
                name(format!("{at}/tls/caFile"), "authorities", file);
            }
        }
        if let Some(file) = authorities(pool.recovery.as_ref()) {
            name(format!("{at}/recovery/caFile"), "authorities", file);
        }
        if pool.servers.tally().sockets + pool.servers.tally().recoveries == 0 {
            continue;
        }
        for (index, server) in pool.servers.iter().enumerate() {
            if let Some(socket) = server.unix() {
                name(format!("{at}/servers/{index}/host"), "server", Path::new(socket));
            }
            if let Some(file) = authorities(server.recovery.as_ref()) {
                name(format!("{at}/servers/{index}/recovery/caFile"), "authorities", file);
            }
        }
    }
    found
}

fn authorities(recovery: Option<&Recovery>) -> Option<&Path> {
    match &recovery?.action {
        RecoveryAction::Http(call) => call.ca_file.as_deref(),
        RecoveryAction::Command(_) | RecoveryAction::Process { .. } => None,
    }
}
