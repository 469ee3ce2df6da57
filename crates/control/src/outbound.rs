//! The way to operators' own systems: those that are told of events, and those that spans go to.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::words::cause;
use crate::{VERSION, file};

/// How long a connection waits for the next message.
const KEEP_CONNECTION: Duration = Duration::from_secs(30);

/// What a client speaks, whatever the other end may offer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speaks {
    /// HTTP/1.1
    Http1,
    /// HTTP/2, with TLS or without, as gRPC needs it. A connection whose other end says nothing for so long while a
    /// request waits, not even to a ping, is given up: the next request would be the next to wait there. HTTP/1.1
    /// closes it by itself.
    Http2 { patience: Duration },
}

/// Whom a client trusts.
pub(crate) enum Trust {
    /// The system's certificates.
    System,
    /// Those of a PEM file's text.
    Only(Vec<u8>),
    /// Nobody: there is no TLS.
    Nobody,
}

/// A client that does what it is told and no more: no redirects, no retries of its own, no proxy out of the
/// environment.
pub(crate) fn client(trust: Trust, speaks: Speaks) -> Result<Client, String> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent(format!("loadweaver/{VERSION}"))
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(KEEP_CONNECTION);
    let builder = match speaks {
        Speaks::Http1 => builder.http1_only(),
        Speaks::Http2 { patience } => builder
            .http2_prior_knowledge()
            .http2_keep_alive_interval(patience / 2)
            .http2_keep_alive_timeout(patience / 2),
    };
    let builder = match trust {
        Trust::System => builder,
        Trust::Nobody => builder.tls_certs_only([]),
        Trust::Only(pem) => {
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| cause(&error))?;
            if certificates.is_empty() {
                return Err("there is no certificate in it".to_owned());
            }
            builder.tls_certs_only(certificates)
        }
    };
    builder.build().map_err(|error| cause(&error))
}

/// Whom a client trusts that is to talk to `url`: those of a file that the configuration names, or the system's. The
/// error does not say whose it is.
pub(crate) fn trust(url: &str, ca_file: Option<&Path>) -> Result<Trust, String> {
    match ca_file {
        Some(path) => {
            let pem = file::read_regular(path, file::MAX_CERTIFICATES_BYTES)
                .map_err(|error| format!("its caFile {} cannot be used: {error}", path.display()))?;
            Ok(Trust::Only(pem))
        }
        None if url.starts_with("http:") => Ok(Trust::Nobody),
        None => Ok(Trust::System),
    }
}

/// Headers that the configuration names. No log shows their values.
pub(crate) fn headers(named: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in named {
        let wrong = || format!("its header {name:?} cannot be sent");
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Seconds or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is as long as can be.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(at).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("soon", None),
            ("-1", None),
        ] {
            let asked = retry_after(&HeaderValue::from_static(text), now);
            assert_eq!(asked.map(|asked| asked.as_secs()), seconds, "{text}");
        }
    }
}
