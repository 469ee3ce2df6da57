//! Spans: which exchanges make some, and where they go.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::url::without_path;

/// The collector of spans (key `tracing`).
#[derive(Clone, PartialEq)]
pub struct Tracing {
    /// `http` or `https`, without credentials and fragment; without a path for gRPC.
    pub endpoint: String,
    /// What the collector is spoken to with.
    pub protocol: TracingProtocol,
    /// Headers that are sent too, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Certificates (PEM) that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Which exchanges are told of.
    pub sampling: Sampling,
    /// What the node is called among those that the collector hears.
    pub service_name: String,
    /// How long the collector may take over one request.
    pub timeout: Duration,
    /// How long spans wait for others before they are sent.
    pub interval: Duration,
    /// Spans of one request.
    pub batch: usize,
    /// Spans that may wait; those beyond are lost.
    pub queue: usize,
}

/// Without what may be secret.
impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, protocol, sampling, service_name, .. } = self;
        f.debug_struct("Tracing")
            .field("to", &without_path(endpoint))
            .field("protocol", protocol)
            .field("sampling", sampling)
            .field("service_name", service_name)
            .finish_non_exhaustive()
    }
}

impl Tracing {
    /// `serviceName` where none is given.
    pub const DEFAULT_SERVICE_NAME: &str = "loadweaver";

    /// `timeout` where none is given: that of OpenTelemetry's exporters.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// `interval` where none is given: soon enough for somebody who watches.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

    /// `batch` where none is given: that of OpenTelemetry's exporters.
    pub const DEFAULT_BATCH: usize = 512;

    /// `queue` where none is given: some 8 MiB of usual spans, 16 MiB of any.
    pub const DEFAULT_QUEUE: usize = 16_384;
}

/// Which exchanges are told of (key `tracing.sampling`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The part of the traces that are begun here, 0 to 1.
    pub ratio: f64,
    /// Whether a client that says whether its trace is recorded is followed.
    pub parent: bool,
    /// Whether what failed, or took more than one attempt, is told of in any case.
    pub failures: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 0.01, parent: true, failures: true }
    }
}

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TracingProtocol {
    /// OTLP/HTTP with protobuf.
    #[default]
    Http,
    /// OTLP/gRPC.
    Grpc,
}

impl TracingProtocol {
    /// Every protocol.
    pub const ALL: [Self; 2] = [Self::Http, Self::Grpc];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}
