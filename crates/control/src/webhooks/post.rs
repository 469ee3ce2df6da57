//! One attempt.

use std::time::{Duration, SystemTime};

use loadweaver_config::Webhook;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::Instant;

use super::circuit::Outcome;
use super::message::Message;
use super::signature;
use crate::outbound::{self, retry_after};
use crate::words::cause;

/// What of an answer's body is read: enough to keep the connection for the next message where targets are polite.
const MAX_ANSWER: usize = 64 * 1024;
/// What of an error's body an operator sees.
const MAX_WORDS: usize = 200;

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

impl Settings {
    /// Checks what the configuration's checker cannot know. The error does not name the webhook.
    pub(super) fn new(webhook: &Webhook, client: Client) -> Result<Self, String> {
        let url = Url::parse(&webhook.url).map_err(|error| format!("its url cannot be used: {error}"))?;
        let mut headers = outbound::headers(&webhook.headers)?;
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
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
                    if error.is_timeout() { format!("no answer within {limit:?}") } else { cause(&error) };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
