//! The action `http`: a request to somebody who can bring a server back.

use std::path::Path;
use std::time::Duration;

use loadweaver_config::HttpCall;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Request, Url};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::VERSION;
use crate::file;
use crate::program::Tail;
use crate::target::{Target, Writing};

/// What of an answer's body is read: more than is kept of it, so that a short one is shown whole.
const ANSWER: usize = 64 * 1024;

/// Sends the request; a status of 200 to 299 is done. The second value is the end of the answer's body.
pub(super) async fn make(
    call: &HttpCall,
    target: &Target,
    (number, reason): (u32, &str),
    limit: Duration,
) -> (Result<(), String>, String) {
    let until = Instant::now() + limit;
    let tail = Tail::default();
    let exchange = async {
        let client = client(call.ca_file.as_deref())?;
        let request = request(call, target, number, reason)?;
        let mut answer = client.execute(request).await.map_err(|error| causes(&error))?;
        let status = answer.status();
        let mut left = ANSWER;
        // A body that is cut says nothing about the action.
        while left > 0
            && let Ok(Ok(Some(piece))) = timeout_at(until, answer.chunk()).await
        {
            tail.add(&piece);
            left = left.saturating_sub(piece.len());
        }
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the endpoint answered with status {}", status.as_u16()))
        }
    };
    let result = timeout_at(until, exchange).await;
    (result.unwrap_or_else(|_| Err(format!("the endpoint did not answer within {limit:?}"))), tail.text())
}

/// Made for each attempt: they are rare, and a file of certificates may have been renewed.
fn client(ca_file: Option<&Path>) -> Result<Client, String> {
    let mut builder = Client::builder()
        .user_agent(format!("loadweaver/{VERSION}"))
        // A redirect would send credentials to somebody whom the file does not name.
        .redirect(Policy::none())
        // Whether there is another attempt is decided elsewhere.
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0);
    if let Some(path) = ca_file {
        let shown = path.display();
        let pem = file::read_regular(path, file::MAX_CERTIFICATES_BYTES)
            .map_err(|error| format!("cannot read {shown}: {error}"))?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|error| format!("{shown} holds something else than certificates: {}", causes(&error)))?;
        if certificates.is_empty() {
            return Err(format!("{shown} holds no certificate"));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| causes(&error))
}

fn request(call: &HttpCall, target: &Target, number: u32, reason: &str) -> Result<Request, String> {
    let url = target.fill(&call.url, Writing::Url);
    let url: Url = url.parse().map_err(|error| format!("{url} is no URL: {error}"))?;
    let method = Method::from_bytes(call.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    let body = if call.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        json!({
            "pool": &*target.pool,
            "server": { "id": &*target.server, "host": target.host, "port": target.port() },
            "reason": reason,
            "attempt": number,
        })
        .to_string()
    } else {
        let body = target.fill(&call.body, Writing::Json);
        body.replace("{reason}", &Writing::Json.write(reason)).replace("{attempt}", &number.to_string())
    };
    add(headers, &call.headers)?;
    *request.body_mut() = Some(body.into());
    Ok(request)
}

fn add(headers: &mut HeaderMap, own: &[(String, String)]) -> Result<(), String> {
    for (name, value) in own {
        let problem = |_| format!("{name} is no header");
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|error| problem(error.to_string()))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| problem(error.to_string()))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(())
}

/// What went wrong, with all that led to it, and without the address: it may hold a secret.
fn causes(error: &reqwest::Error) -> String {
    let mut text =
        if error.is_connect() { "cannot connect".to_owned() } else { "the request failed".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let words = deeper.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = deeper.source();
    }
    text
}
