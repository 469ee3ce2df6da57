//! One request to the collector: OTLP 1.x over HTTP, or over gRPC.
//!
//! gRPC takes a frame of five bytes around the same message, HTTP/2, and a status in the trailers. What makes a failure
//! worth another try is said by the protocol's specification (sections "OTLP/gRPC Response" and "OTLP/HTTP Response");
//! RESOURCE_EXHAUSTED is not tried again, as a collector that wants that has UNAVAILABLE for it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Collected, Limited};
use loadweaver_config::{Tracing, TracingProtocol};
use loadweaver_telemetry::span::{Piece, envelope, rejected};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};

use crate::VERSION;
use crate::outbound::{self, Speaks, retry_after};
use crate::words::cause;

/// Most of an answer that is read. One that says what was rejected is some hundred bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// What of a collector's own words an operator sees.
const MAX_WORDS: usize = 200;
/// Where spans are taken by HTTP, unless the configuration says otherwise.
const PATH: &str = "/v1/traces";
/// The method of gRPC.
const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Which process it is that tells.
pub(super) struct Identity {
    node: Arc<str>,
    /// Random: a process that is started anew is another instance (RFC 9562, version 4).
    instance: String,
}

impl Identity {
    pub(super) fn new(node: &str) -> Self {
        // The system's, through the standard library: that of the TLS library costs a start 0.1 s.
        let keys = RandomState::new();
        let random = u128::from(keys.hash_one(0_u8)) << 64 | u128::from(keys.hash_one(1_u8));
        let number = random & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let digits = format!("{number:032x}");
        let part = |from, to| digits.get(from..to).unwrap_or_default();
        let instance = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-");
        Self { node: node.into(), instance }
    }
}

/// Checked settings and the way to the collector.
pub(super) struct Settings {
    tracing: Tracing,
    url: Url,
    headers: HeaderMap,
    client: Client,
    resource: [(&'static str, String); 4],
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The collector has the spans, but for so many.
    Taken { rejected: u64, why: String },
    /// It would not take them another time either.
    Refused(String),
    /// It may later; perhaps it says when.
    Unable { why: String, after: Option<Duration> },
}

impl Settings {
    /// Checks what the configuration's checker cannot know.
    pub(super) fn new(tracing: &Tracing, identity: &Identity) -> Result<Self, String> {
        let mut url =
            Url::parse(&tracing.endpoint).map_err(|error| format!("its endpoint cannot be used: {error}"))?;
        let mut headers = outbound::headers(&tracing.headers)?;
        let speaks = match tracing.protocol {
            TracingProtocol::Http => {
                if url.path() == "/" {
                    url.set_path(PATH);
                }
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                Speaks::Http1
            }
            TracingProtocol::Grpc => {
                url.set_path(METHOD);
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert("te", HeaderValue::from_static("trailers"));
                Speaks::Http2 { patience: tracing.timeout }
            }
        };
        let trust = outbound::trust(&tracing.endpoint, tracing.ca_file.as_deref())?;
        let client = outbound::client(trust, speaks)
            .map_err(|error| format!("its certificates cannot be used: {error}"))?;
        let resource = [
            ("service.name", tracing.service_name.clone()),
            ("service.version", VERSION.to_owned()),
            ("service.instance.id", identity.instance.clone()),
            ("host.name", identity.node.to_string()),
        ];
        Ok(Self { tracing: tracing.clone(), url, headers, client, resource })
    }

    /// Whether they are these. A file that is named may say something else by now.
    pub(super) fn is_for(&self, tracing: &Tracing) -> bool {
        self.tracing == *tracing && tracing.ca_file.is_none()
    }

    /// Where it goes, without the path.
    pub(super) fn target(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    pub(super) fn interval(&self) -> Duration {
        self.tracing.interval
    }

    pub(super) fn batch(&self) -> usize {
        self.tracing.batch
    }

    /// Sends spans and waits for the answer.
    pub(super) async fn send(&self, pieces: &[Piece]) -> Verdict {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &*piece.bytes).collect();
        let resource = self.resource.each_ref().map(|(name, value)| (*name, &**value));
        let message = envelope(&resource, VERSION, &pieces);
        let grpc = self.tracing.protocol == TracingProtocol::Grpc;
        let body = if grpc { framed(&message) } else { message.into() };
        let limit = self.tracing.timeout;
        let request =
            self.client.post(self.url.clone()).headers(self.headers.clone()).timeout(limit).body(body);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return unable(format!("no answer within {limit:?}")),
            Err(error) => return unable(cause(&error)),
        };
        let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let status = head.status.as_u16();
        if status == 200 && grpc {
            return match body {
                Ok(body) => {
                    let trailers = body.trailers().cloned().unwrap_or_default();
                    of_grpc(&head.headers, &trailers, &body.to_bytes())
                }
                Err(error) => unable(format!("the answer cannot be read: {error}")),
            };
        }
        // The status has said it: spans that were taken are not sent again for what comes behind it.
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        match status {
            200..=299 if !grpc => {
                let (rejected, why) = rejected(&body);
                Verdict::Taken { rejected, why: shown(why.as_bytes()) }
            }
            429 | 502 | 503 | 504 => {
                let asked = head.headers.get(RETRY_AFTER);
                let after = asked.and_then(|value| retry_after(value, SystemTime::now()));
                Verdict::Unable { why: format!("answered with status {status}"), after }
            }
            // What it says is a message of protobuf or a page for people: its beginning is better than nothing.
            _ => Verdict::Refused(
                format!("answered with status {status} {}", shown(&body)).trim_end().to_owned(),
            ),
        }
    }
}

fn unable(why: String) -> Verdict {
    Verdict::Unable { why, after: None }
}

/// A message of gRPC: not packed, so long, and itself.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    // A batch is far from 4 GiB.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// An answer without a message has its status in the head.
fn of_grpc(head: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Verdict {
    let field = |name: &str| trailers.get(name).or_else(|| head.get(name));
    let status = field("grpc-status").and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    let message = field("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
    match status {
        Some(0) => {
            let (rejected, why) = rejected(body.get(5..).unwrap_or_default());
            Verdict::Taken { rejected, why: shown(why.as_bytes()) }
        }
        None => unable("the answer ended without a status".to_owned()),
        Some(status) => {
            let why = format!("answered with gRPC status {status} {}", shown(message)).trim_end().to_owned();
            // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
            if matches!(status, 1 | 4 | 10 | 11 | 14 | 15) { unable(why) } else { Verdict::Refused(why) }
        }
    }
}

/// The beginning of a collector's words.
fn shown(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.trim().chars().take(MAX_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
