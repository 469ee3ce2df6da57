//! One question to the admin API, and every way in which it can stay without an answer, in words.

use std::time::Duration;

use loadweaver_control::words::cause;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;

use super::shapes::{Envelope, Text};
use super::target::Target;

/// How long a connection, and an answer, may take.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);
/// The longest answer that is read: 2,000 servers are two MB.
const LONGEST: usize = 64 * 1024 * 1024;

/// Asks one node.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    client: Client,
    target: std::sync::Arc<Target>,
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub(super) struct Unanswered {
    /// In a few words.
    pub(super) why: Text,
    /// What to do about it.
    pub(super) help: Text,
}

impl Unanswered {
    fn new(why: &str, help: &str) -> Self {
        Self { why: Text::new(why), help: Text::new(help) }
    }
}

impl Asker {
    /// The error is a sentence.
    pub(super) fn new(target: Target) -> Result<Self, String> {
        let builder = Client::builder()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            // The admin listener is reached directly or not at all: a proxy would be shown the token.
            .no_proxy()
            .user_agent(concat!("loadweaver-top/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(1);
        let builder = match &target.authorities {
            Some(pem) => {
                let words = "--ca-file holds no certificates in PEM";
                let certificates = Certificate::from_pem_bundle(pem).map_err(|_| words.to_owned())?;
                if certificates.is_empty() {
                    return Err(words.to_owned());
                }
                builder.tls_certs_only(certificates)
            }
            None if target.url.scheme() == "https" => builder,
            // The system's signers are not looked for where nobody signs.
            None => builder.tls_certs_only([]),
        };
        let builder = match &target.socket {
            Some(path) => builder.unix_socket(path.as_path()),
            None => builder,
        };
        let client = builder.build().map_err(|error| cause(&error))?;
        Ok(Self { client, target: std::sync::Arc::new(target) })
    }

    /// Whom it asks, as people write it.
    pub(super) fn place(&self) -> &Text {
        &self.target.shown
    }

    /// `data` of what a GET answers.
    pub(super) async fn get<Data>(&self, path: &str) -> Result<Data, Unanswered>
    where
        Data: DeserializeOwned + Send + 'static,
    {
        let url = self.target.url.join(path);
        let url = url.map_err(|error| Unanswered::new(&error.to_string(), "say where to ask: --url URL"))?;
        let mut request = self.client.get(url);
        if let Some(token) = &self.target.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        let response = request.send().await.map_err(|error| self.unreached(&error))?;
        let status = response.status();
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let body = self.body(response).await?;
        // Two MB take a while, and keys are waited for on this thread.
        let read = spawn_blocking(move || serde_json::from_slice::<Envelope<Data>>(&body)).await;
        match read {
            Ok(Ok(Envelope { success: true, data: Some(data), .. })) if status.is_success() => Ok(data),
            Ok(Ok(Envelope { success: false, error: Some(problem), .. })) => {
                Err(self.refused(status, &problem.message))
            }
            _ => Err(foreign(status, kind.as_deref())),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Unanswered> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreached(&error))? {
            if body.len() + chunk.len() > LONGEST {
                let why = format!("its answer is longer than {} MiB", LONGEST / 1024 / 1024);
                return Err(Unanswered::new(&why, "is this LoadWeaver's admin listener?"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreached(&self, error: &reqwest::Error) -> Unanswered {
        if error.is_timeout() {
            let limit = if error.is_connect() { CONNECT } else { ANSWER };
            let help = "is it the admin listener's address, and does a firewall let this machine through?";
            return Unanswered::new(&format!("no answer within {} s", limit.as_secs()), help);
        }
        let why = cause(error);
        let is_tls = self.target.url.scheme() == "https";
        let help = if is_tls && why.contains("ertificate") {
            "--url has to hold a name that the certificate is for, and --ca-file FILE says whom to trust instead \
             of the system's signers"
        } else if is_tls {
            "does the admin listener speak TLS (admin.tls)? without it, write http://"
        } else if error.is_connect() {
            "is LoadWeaver running, with an \"admin\" section? --config FILE or --url URL says where it listens"
        } else {
            "is this the admin listener? with admin.tls, write https://"
        };
        Unanswered::new(&why, help)
    }

    fn refused(&self, status: StatusCode, message: &str) -> Unanswered {
        match (status, &self.target.token) {
            (StatusCode::UNAUTHORIZED, None) => Unanswered::new(
                "it asks for a token",
                "give one of admin.tokens: --token-file FILE, or LOADWEAVER_TOKEN in the environment",
            ),
            (StatusCode::UNAUTHORIZED, Some(_)) => Unanswered::new(
                &format!("it refuses the token: {message}"),
                "take one of the admin.tokens in force; --token-file goes before LOADWEAVER_TOKEN, and that before the configuration's",
            ),
            _ => Unanswered::new(
                &format!("it answers {}: {message}", status.as_u16()),
                "docs/admin-api.md says what the statuses mean",
            ),
        }
    }
}

fn foreign(status: StatusCode, kind: Option<&str>) -> Unanswered {
    let kind = kind.unwrap_or("no type");
    Unanswered::new(
        &format!("what answers there is not LoadWeaver's admin API (status {}, {kind})", status.as_u16()),
        "give the address of admin.bind, not of a listener for clients",
    )
}
