//! What is written about each exchange, how, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::log_filter::LogFilter;
use super::syslog::{Syslog, SyslogAddress};

/// What is written about each exchange, and where (key `accessLog`).
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub output: LogOutput,
    /// What a line of `json` or `logfmt` holds, in this order.
    pub fields: Vec<LogField>,
    /// Which exchanges are written; none writes all.
    pub filter: Option<LogFilter>,
    /// Which of those that pass the filter.
    pub sample: LogSample,
    /// When a file is set aside; none leaves that to others.
    pub rotate: Option<LogRotation>,
    /// What is written as `***`.
    pub redact: Redact,
    /// What a message to a syslog server says of itself.
    pub syslog: Syslog,
}

impl AccessLog {
    /// Most headers of the request, and of the answer, that are looked up for a line.
    pub const MOST_HEADERS: usize = 16;

    /// The names of the headers that fields and filter are about, each once: of the request, and of the answer.
    pub fn headers(&self) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let (mut request, mut response) = (Vec::new(), Vec::new());
        let of_filter = self.filter.iter().flat_map(LogFilter::fields);
        for field in self.fields.iter().chain(of_filter) {
            let (names, name) = match field {
                LogField::Known(_) => continue,
                LogField::RequestHeader(name) => (&mut request, name),
                LogField::ResponseHeader(name) => (&mut response, name),
            };
            if !names.contains(name) {
                names.push(Arc::clone(name));
            }
        }
        (request, response)
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            output: LogOutput::default(),
            fields: LogField::usual(),
            filter: None,
            sample: LogSample::default(),
            rotate: None,
            redact: Redact::default(),
            syslog: Syslog::default(),
        }
    }
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined format that Apache and nginx write.
    Combined,
    /// `key=value`, blanks between them.
    Logfmt,
}

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Json, Self::Combined, Self::Logfmt];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Combined => "combined",
            Self::Logfmt => "logfmt",
        }
    }
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    #[default]
    Off,
    /// Appended to this file.
    File(PathBuf),
    /// To a syslog server.
    Syslog(SyslogAddress),
}

impl fmt::Display for LogOutput {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::Off => f.write_str("off"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Syslog(address) => address.fmt(f),
        }
    }
}

/// Something of an exchange that a line can hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogField {
    /// One that every exchange may have.
    Known(KnownField),
    /// A header of the request, its name in lower case.
    RequestHeader(Arc<str>),
    /// A header of the server's answer, its name in lower case.
    ResponseHeader(Arc<str>),
}

impl LogField {
    /// What stands before the name of a header of the request.
    pub const REQUEST_HEADER: &'static str = "requestHeader:";
    /// What stands before the name of a header of the answer.
    pub const RESPONSE_HEADER: &'static str = "responseHeader:";

    /// What a line holds where nothing else is asked for: everything, with path and query as one.
    pub fn usual() -> Vec<Self> {
        let apart = |field: &KnownField| matches!(field, KnownField::Path | KnownField::Query);
        KnownField::ALL.into_iter().filter(|field| !apart(field)).map(Self::Known).collect()
    }
}

impl fmt::Display for LogField {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(field) => f.write_str(field.name()),
            Self::RequestHeader(name) => write!(f, "{}{name}", Self::REQUEST_HEADER),
            Self::ResponseHeader(name) => write!(f, "{}{name}", Self::RESPONSE_HEADER),
        }
    }
}

/// Defines the fields with their names, in the order of a usual line.
macro_rules! known_fields {
    ($count:literal: $($(#[$doc:meta])* $field:ident $name:literal,)*) => {
        /// The fields that have a name of their own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum KnownField { $($(#[$doc])* $field,)* }

        impl KnownField {
            /// Every one, in the order of a usual line.
            pub const ALL: [Self; $count] = [$(Self::$field,)*];

            /// The word that stands in the file and in the line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
        }
    };
}

known_fields! { 25:
    /// When the request began.
    Time "time",
    /// The id of the request.
    RequestId "requestId",
    /// The connection's other end.
    Client "client",
    /// The client that we believe it to be.
    ClientIp "clientIp",
    /// The method.
    Method "method",
    /// Path and query as sent.
    Target "target",
    /// The target up to the first `?`.
    Path "path",
    /// What follows the first `?` of the target.
    Query "query",
    /// The version of HTTP.
    Version "version",
    /// The authority that was asked for.
    Host "host",
    /// The header `User-Agent`.
    UserAgent "userAgent",
    /// The header `Referer`.
    Referer "referer",
    /// The status of the answer.
    Status "status",
    /// Bytes of the request's body.
    BytesIn "bytesIn",
    /// Bytes of the answer's body.
    BytesOut "bytesOut",
    /// The listener.
    Listener "listener",
    /// The route.
    Route "route",
    /// The pool.
    Pool "pool",
    /// The server of the last attempt.
    Server "server",
    /// Attempts begun.
    Attempts "attempts",
    /// Time to connect in the last attempt.
    Connect "connectMs",
    /// Time to the answer's first byte.
    FirstByte "firstByteMs",
    /// Time to the end.
    Total "totalMs",
    /// Why the answer was ours.
    Failure "failure",
    /// The connection became a tunnel.
    Upgraded "upgraded",
}

/// Which exchanges are written, of those that pass the filter (key `sample`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogSample {
    /// The part of them, from 0 to 1.
    pub ratio: f64,
    /// Whether what failed is written in any case: a status of 500 and above, or a failure of ours.
    pub failures: bool,
}

impl Default for LogSample {
    fn default() -> Self {
        Self { ratio: 1.0, failures: true }
    }
}

/// When the file is set aside (key `rotate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// Bytes at which it is set aside and a new one begun.
    pub max_size: u64,
    /// How many files that were set aside are kept.
    pub keep: u32,
}

impl Default for LogRotation {
    fn default() -> Self {
        Self { max_size: 100 * 1024 * 1024, keep: 5 }
    }
}

/// What is never written as it came (key `redact`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redact {
    /// Whether [`Self::QUERY`] and [`Self::HEADERS`] are among it.
    pub defaults: bool,
    /// More names of parameters.
    pub query: Vec<String>,
    /// More names of headers, in lower case.
    pub headers: Vec<String>,
}

impl Default for Redact {
    fn default() -> Self {
        Self { defaults: true, query: Vec::new(), headers: Vec::new() }
    }
}

impl Redact {
    /// Names of parameters that carry secrets, as OAuth 2.0 and OpenID Connect, signed URLs of storage services, and
    /// usual forms have them. Letters and digits alone count, so that `api_key` stands for `apiKey` and `api-key` too.
    pub const QUERY: [&str; 45] = [
        "access_key",
        "access_token",
        "api_key",
        "api_secret",
        "api_token",
        "assertion",
        "auth",
        "auth_token",
        "authorization",
        "aws_access_key_id",
        "bearer",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "credential",
        "credentials",
        "id_token",
        "jsessionid",
        "jwt",
        "otp",
        "passphrase",
        "passwd",
        "password",
        "phpsessid",
        "private_key",
        "pwd",
        "refresh_token",
        "reset_token",
        "saml_request",
        "saml_response",
        "secret",
        "secret_key",
        "session_id",
        "session_token",
        "sig",
        "sign",
        "signature",
        "ticket",
        "token",
        "x_amz_credential",
        "x_amz_security_token",
        "x_amz_signature",
        "x_goog_credential",
        "x_goog_signature",
    ];

    /// Headers that carry secrets.
    pub const HEADERS: [&str; 16] = [
        "api-key",
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
        "x-access-token",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-client-secret",
        "x-csrf-token",
        "x-goog-api-key",
        "x-hub-signature",
        "x-hub-signature-256",
        "x-vault-token",
        "x-xsrf-token",
    ];
}
