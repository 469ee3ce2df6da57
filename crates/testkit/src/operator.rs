//! Somebody who uses the admin API.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::Value;

use crate::client::RawClient;
use crate::wire::Answer;

/// Asks the admin listener, each time on a connection of its own.
#[derive(Debug, Clone)]
pub struct Operator {
    address: SocketAddr,
    token: Option<String>,
}

impl Operator {
    /// Without a token.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// With a token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// One request with these header lines (each ends with CR LF) and this body.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{lines}");
        if !lines.to_ascii_lowercase().contains("host:") {
            let _ = write!(head, "Host: {}\r\n", self.address);
        }
        if let Some(token) = &self.token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        RawClient::connect(self.address).exchange(format!("{head}\r\n{body}"))
    }

    /// What a GET answers: the status and the whole of the JSON.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Value) {
        read(&self.ask("GET", path, "", ""))
    }

    /// `data` of a GET that must succeed.
    #[track_caller]
    pub fn data(&self, path: &str) -> Value {
        let (status, value) = self.get(path);
        assert_eq!(status, 200, "GET {path}: {value}");
        value["data"].clone()
    }

    /// The ETag of the configuration.
    #[track_caller]
    pub fn tag(&self) -> String {
        let answer = self.ask("GET", "/api/config", "", "");
        answer.fields.get("etag").expect("the configuration has an ETag").to_owned()
    }

    /// Sends JSON.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.send_if(method, path, "", body)
    }

    /// Sends JSON on a condition (an ETag for `If-Match`; empty for none).
    #[track_caller]
    pub fn send_if(&self, method: &str, path: &str, tag: &str, body: &Value) -> (u16, Value) {
        let mut lines = String::new();
        if !tag.is_empty() {
            let _ = write!(lines, "If-Match: {tag}\r\n");
        }
        let body = if body.is_null() {
            String::new()
        } else {
            lines.push_str("Content-Type: application/json\r\n");
            body.to_string()
        };
        read(&self.ask(method, path, &lines, &body))
    }

    /// Sends JSON and expects this status; the whole of the answer.
    #[track_caller]
    pub fn must(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let (came, value) = self.send(method, path, body);
        assert_eq!(came, status, "{method} {path} {body}: {value}");
        value
    }
}

/// Every answer of the API is JSON that says whether it succeeded.
#[track_caller]
fn read(answer: &Answer) -> (u16, Value) {
    let value: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
    assert_eq!(answer.fields.get("content-type"), Some("application/json"), "{answer:?}");
    assert_eq!(answer.fields.get("cache-control"), Some("no-store"), "{answer:?}");
    assert_eq!(value["success"], Value::Bool(answer.status < 400), "{value}");
    (answer.status, value)
}
