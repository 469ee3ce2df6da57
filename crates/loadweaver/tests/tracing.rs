//! Spans: what a real receiver of OTLP hears of exchanges, and what servers are told of their trace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::eventually::holds_within;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::pair::{AnyOrigin, Wire, socket};
use loadweaver_testkit::peer::grpcio_python;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::{Authority, TlsOrigin};
use loadweaver_testkit::{
    Answer, Balancer, Http2Client, Http2Origin, Origin, OriginConnection, PATIENCE, Peer, eventually,
};
use serde_json::{Value, json};

#[path = "tracing/attempts.rs"]
mod attempts;
#[path = "tracing/collectors.rs"]
mod collectors;
#[path = "tracing/context.rs"]
mod context;
#[path = "tracing/protocols.rs"]
mod protocols;
#[path = "tracing/secured.rs"]
mod secured;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// `SpanKind` and `StatusCode` of OTLP.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;

/// For what takes another process, and pauses of seconds.
const LONG: Duration = PATIENCE.saturating_mul(3);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A receiver of OTLP: Python's protobuf and grpcio.
struct Collector {
    port: u16,
    protocol: &'static str,
    heard: PathBuf,
    _process: Process,
    _scratch: Scratch,
}

impl Collector {
    fn start(protocol: &'static str, first: &[&str]) -> Self {
        let scratch = Scratch::new();
        let heard = scratch.path().join("heard");
        let mut command = Command::new(grpcio_python());
        command.arg(scratch.file("collector.py", include_str!("tracing/collector.py")));
        let mut process = Process::start(command.arg(&heard).arg(protocol).args(first));
        // Python has much to read before it begins, which a busy machine takes its time for.
        holds_within(LONG, || !process.stderr().is_empty() || !process.is_running());
        let port =
            process.wait_for_stderr("where it listens", |line| line.strip_prefix("listening ")?.parse().ok());
        Self { port, protocol, heard, _process: process, _scratch: scratch }
    }

    /// The section of the configuration that leads to it.
    fn section(&self, patch: &Value) -> Value {
        let mut section = json!({
            "endpoint": format!("http://127.0.0.1:{}", self.port), "protocol": self.protocol, "interval": "20ms",
            "sampling": { "ratio": 1 },
        });
        merge(&mut section, patch);
        section
    }

    /// Each request so far.
    fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.heard).unwrap_or_default();
        // The last line may not be whole yet.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Each span that it took so far.
    fn spans(&self) -> Vec<Value> {
        let taken = self.requests().into_iter().filter(|request| request["how"] == "taken");
        taken.flat_map(|request| request["spans"].as_array().unwrap().clone()).collect()
    }

    /// The spans of a trace once there are as many: the exchange's, then those of its attempts as they came.
    #[track_caller]
    fn trace(&self, trace: &str, count: usize) -> Vec<Value> {
        let of_trace = || self.spans().into_iter().filter(|span| span["trace"] == trace).collect::<Vec<_>>();
        holds_within(LONG, || of_trace().len() >= count);
        let mut spans = of_trace();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans.sort_by_key(|span| (span["kind"].as_u64(), span["start"].as_u64(), span["end"].as_u64()));
        spans
    }
}

fn start(servers: &[&Origin], tracing: &Value, patch: &Value) -> Balancer {
    let servers: Vec<_> = servers.iter().map(|origin| origin.address()).collect();
    let mut config = one_pool(&servers, &json!({ "tracing": tracing }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

fn get(balancer: &Balancer, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().flat_map(|field| [*field, "\r\n"]).collect();
    balancer
        .client()
        .exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n"))
}

/// A trace and the field that says so.
fn parent(number: u8, flags: &str) -> (String, String) {
    let trace = format!("{}{number:02x}", &TRACE[..30]);
    let field = format!("traceparent: 00-{trace}-{SPAN}-{flags}");
    (trace, field)
}

/// Each `traceparent` that a server was sent.
fn told(origin: &Origin) -> Vec<String> {
    let told = origin.requests();
    told.iter().map(|request| request.fields.get("traceparent").unwrap_or("none").to_owned()).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn resetting() -> Origin {
    Origin::start(|connection| {
        connection.read_request()?;
        connection.reset()
    })
}

fn counts(balancer: &Balancer) -> (u64, u64) {
    let page = balancer.admin_get("/metrics").text();
    let of = |result: &str| {
        let sample = format!("loadweaver_trace_spans_total{{result=\"{result}\"}} ");
        page.lines()
            .find_map(|line| line.strip_prefix(&sample))
            .unwrap_or_else(|| panic!("{page}"))
            .parse()
            .unwrap()
    };
    (of("exported"), of("lost"))
}

#[track_caller]
fn wait_for_counts(balancer: &Balancer, wanted: impl Fn(u64, u64) -> bool) {
    let mut last = (0, 0);
    let came = holds_within(LONG, || {
        last = counts(balancer);
        wanted(last.0, last.1)
    });
    assert!(came, "exported and lost spans were last {last:?}; {:#?}", balancer.stderr());
}
