//! One attempt.

use std::error::Error;
use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822::DateTimeParser;
use loadweaver_config::Webhook;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use tokio::time::Instant;

use super::circuit::Outcome;
use super::message::Message;
use super::signature;
use crate::VERSION;

/// What of an answer's body is read: enough to keep the connection for the next message where targets are polite.
const MAX_ANSWER: usize = 64 * 1024;
/// What of an error's body an operator sees.
const MAX_WORDS: usize = 200;
/// How long a connection waits for the next message.
const KEEP_CONNECTION: Duration = Duration::from_secs(30);

/// A checked webhook and the way to its target.
pub(super) struct Settings {
    pub(super) webhook: Webhook,
    url: Url,
    headers: HeaderMap,
    client: Client,
}

/// What an attempt showed.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    /// The answer's, if there was one.
    pub(super) status: Option<u16>,
    /// In words for an operator; empty when it was delivered.
    pub(super) error: String,
    /// How long the target asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) latency: Duration,
}

/// Whom a client trusts.
pub(super) enum Trust {
    /// The system's certificates.
    System,
    /// Those of a PEM file's text.
    Only(Vec<u8>),
    /// Nobody: there is no TLS.
    Nobody,
}

/// A client that does what it is told and no more: no redirects, no retries of its own, no proxy out of the
/// environment, HTTP/1.1.
pub(super) fn client(trust: Trust) -> Result<Client, String> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent(format!("loadweaver/{VERSION}"))
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(KEEP_CONNECTION);
    let builder = match trust {
        Trust::System => builder,
        Trust::Nobody => builder.tls_certs_only([]),
        Trust::Only(pem) => {
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| words(&error))?;
            if certificates.is_empty() {
                return Err("there is no certificate in it".to_owned());
            }
            builder.tls_certs_only(certificates)
        }
    };
    builder.build().map_err(|error| words(&error))
}

impl Settings {
    /// Checks what the configuration's checker cannot know. The error does not name the webhook.
    pub(super) fn new(webhook: &Webhook, client: Client) -> Result<Self, String> {
        let url = Url::parse(&webhook.url).map_err(|error| format!("its url cannot be used: {error}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &webhook.headers {
            let wrong = || format!("its header {name:?} cannot be sent");
            let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(Self { webhook: webhook.clone(), url, headers, client })
    }

    /// Where it goes, without the path: the paths of many services are as good as a password.
    pub(super) fn target(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Sends a message and waits for the answer.
    pub(super) async fn send(&self, message: &Message) -> Report {
        let began = Instant::now();
        let limit = self.webhook.timeout;
        let mut request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header("x-loadweaver-event", message.event)
            .header("x-loadweaver-delivery", &*message.id)
            .timeout(limit)
            .body(message.body.clone());
        if let Some(secret) = &self.webhook.secret {
            request = request.header("x-loadweaver-signature", signature::of(secret, &message.body));
        }
        match request.send().await {
            Ok(response) => judge(response, began).await,
            Err(error) => {
                let error =
                    if error.is_timeout() { format!("no answer within {limit:?}") } else { words(&error) };
                Report {
                    outcome: Outcome::Unreachable,
                    status: None,
                    error,
                    retry_after: None,
                    latency: began.elapsed(),
                }
            }
        }
    }
}

async fn judge(mut response: Response, began: Instant) -> Report {
    let latency = began.elapsed();
    let status = response.status();
    let outcome = outcome_of(status);
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
    let body = beginning(&mut response).await;
    let error = match outcome {
        Outcome::Delivered => String::new(),
        _ if status.is_redirection() => {
            format!("answered with status {}; redirects are not followed", status.as_u16())
        }
        _ if body.is_empty() => format!("answered with status {}", status.as_u16()),
        _ => format!("answered with status {}: {body}", status.as_u16()),
    };
    Report { outcome, status: Some(status.as_u16()), error, retry_after, latency }
}

fn outcome_of(status: StatusCode) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 502 | 503 | 504 => Outcome::Unreachable,
        500.. => Outcome::Failed,
        _ => Outcome::Refused,
    }
}

/// The first words of an answer. Whatever goes wrong behind its head says nothing about the delivery.
async fn beginning(response: &mut Response) -> String {
    let (mut text, mut length) = (Vec::new(), 0);
    while length < MAX_ANSWER {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        length += chunk.len();
        let room = (MAX_WORDS * 4).saturating_sub(text.len());
        text.extend(chunk.iter().take(room));
    }
    let text = String::from_utf8_lossy(&text);
    text.trim().chars().take(MAX_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is as long as can be.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(at).duration_since(now).unwrap_or_default())
}

/// The cause of an error in the words of whoever found it. The library's own sentence says little, and it has the
/// URL in it.
fn words(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !words.is_empty() {
            text = words;
        }
        cause = next.source();
    }
    if text.contains("CaUsedAsEndEntity") {
        // What `openssl req -x509` makes unless it is told otherwise, so many will meet it.
        return "the target's certificate is that of an authority and not of a server (self-signed? it needs \
                basicConstraints=CA:FALSE)"
            .to_owned();
    }
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None if text.is_empty() && error.is_connect() => "no connection".to_owned(),
        None if text.is_empty() => "the request failed".to_owned(),
        None => text,
    }
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

    #[test]
    fn a_status_says_whose_fault_it_is() {
        for (status, outcome) in [
            (200, Outcome::Delivered),
            (204, Outcome::Delivered),
            (301, Outcome::Refused),
            (304, Outcome::Refused),
            (404, Outcome::Refused),
            (408, Outcome::Unreachable),
            (429, Outcome::Unreachable),
            (500, Outcome::Failed),
            (503, Outcome::Unreachable),
            (599, Outcome::Failed),
        ] {
            assert_eq!(outcome_of(StatusCode::from_u16(status).unwrap()), outcome, "{status}");
        }
    }
}
