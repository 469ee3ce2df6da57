//! A real Prometheus that scrapes the running binary, with the rules and the dashboard that come with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loadweaver_testkit::RawClient;
use loadweaver_testkit::load::Load;
use loadweaver_testkit::process::Process;

use super::*;

/// A Prometheus that looks twice a second, and keeps what it sees in a folder that goes with it.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _scratch: Scratch,
}

impl Prometheus {
    fn watching(balancer: &Balancer) -> Self {
        let scratch = Scratch::new();
        let rules = deployed("prometheus/alerts.yml");
        let config = scratch.file(
            "prometheus.yml",
            format!(
                "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
                 rule_files: [\"{}\"]\n\
                 scrape_configs: [{{ job_name: loadweaver, static_configs: [{{ targets: [\"{}\"] }}] }}]\n",
                rules.display(),
                balancer.admin()
            ),
        );
        let mut process = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", scratch.path().join("data").display()))
                .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]),
        );
        let address = process.wait_for_stderr("where it listens", |line| {
            let (_, rest) = line.split_once("msg=\"Listening on\" address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        process.wait_for_stderr("that it is ready", |line| {
            line.contains("ready to receive web requests").then_some(())
        });
        let prometheus = Self { address, _process: process, _scratch: scratch };
        eventually("Prometheus has scraped it", || {
            prometheus.query("up").first().is_some_and(|(_, value)| *value > 0.5)
        });
        prometheus
    }

    fn get(&self, path: &str) -> Value {
        let mut client = RawClient::connect(self.address);
        let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address));
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
    }

    /// Samples of an expression now, by their labels.
    #[track_caller]
    fn query(&self, expr: &str) -> Vec<(Value, f64)> {
        let encode = |all: String, byte: u8| all + &format!("%{byte:02x}");
        let encoded = expr.bytes().fold(String::new(), encode);
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|sample| (sample["metric"].clone(), sample["value"][1].as_str().unwrap().parse().unwrap()))
            .collect()
    }

    /// One number.
    #[track_caller]
    fn number(&self, expr: &str) -> f64 {
        self.query(expr).first().map_or(f64::NAN, |(_, value)| *value)
    }

    /// The alerts that are pending or firing.
    fn alerts(&self) -> BTreeSet<String> {
        let alerts = self.get("/api/v1/alerts");
        let names = alerts["data"]["alerts"].as_array().unwrap().iter();
        names.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

/// A file that comes with the project.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name).canonicalize().unwrap()
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    for (what, name) in [("rules", "alerts.yml"), ("config", "prometheus.yml")] {
        let file = deployed(&format!("prometheus/{name}"));
        let output = Command::new("promtool").args(["check", what]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
    }
}

/// Every expression of rules and dashboard finds what it asks for on the page.
#[test]
fn rules_and_dashboard_ask_for_what_there_is() {
    let origin = Origin::named("x");
    let (balancer, _scratch) = everything(&origin);
    let prometheus = Prometheus::watching(&balancer);
    let load = Load::start(balancer.address(), 2, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    load.wait_for(100);
    let page = scrape(&balancer.operator(), "");
    let rules = std::fs::read_to_string(deployed("prometheus/alerts.yml")).unwrap();
    let board = std::fs::read_to_string(deployed("grafana/loadweaver.json")).unwrap();
    let board: Value = serde_json::from_str(&board).unwrap();
    let mut asked: Vec<String> = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        asked.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    assert!(asked.len() > 40, "{}", asked.len());
    for expr in &asked {
        // As Grafana fills them in with everything chosen.
        let filled =
            ["$instance", "$pool", "$job"].iter().fold(expr.clone(), |all, name| all.replace(name, ".*"));
        let filled = filled.replace("$__rate_interval", "10s");
        // What happens seldom is shown only when it does.
        let wanted = filled.strip_suffix(" > 0").unwrap_or(&filled);
        eventually(&format!("there is something to show for {wanted}"), || {
            !prometheus.query(wanted).is_empty()
        });
    }
    load.stop();
    let groups = prometheus.get("/api/v1/rules");
    let all = groups["data"]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let all: Vec<_> = all.collect();
    assert!(all.len() > 15);
    let words = |text: &str| -> BTreeSet<String> {
        let names = text.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'));
        names
            .filter(|name| name.starts_with("loadweaver_") || name.starts_with("process_"))
            .map(str::to_owned)
            .collect()
    };
    for name in words(&rules) {
        assert!(
            page.contains(&format!("\n{name}{{")) || page.contains(&format!("\n{name} ")),
            "{name} is not on the page"
        );
    }
    eventually("each rule was evaluated, and none is wrong", || {
        let groups = prometheus.get("/api/v1/rules");
        let groups = groups["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).all(|rule| rule["health"] == "ok")
    });
    // The pool's only server goes.
    drop(origin);
    eventually("there is an alert", || prometheus.alerts().contains("LoadWeaverPoolDown"));
}

/// How long the load lasts; `LOADWEAVER_SCRAPE_SECONDS` has it last longer.
const LASTS: Duration = Duration::from_secs(4);

/// What Prometheus has at the end is what clients and servers have counted, one by one.
#[test]
fn what_prometheus_has_counted_is_what_clients_and_servers_have() {
    let asked: [Arc<AtomicU64>; 2] = Default::default();
    let origin = |counter: &Arc<AtomicU64>| {
        let counter = Arc::clone(counter);
        Origin::by_request(move |_| {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            reply_with(if number % 10 == 9 { 404 } else { 200 }, &[], "x")
        })
    };
    let origins = [origin(&asked[0]), origin(&asked[1])];
    let balancer = start(&[&origins[0], &origins[1]], &json!({}));
    let prometheus = Prometheus::watching(&balancer);
    let seconds = std::env::var("LOADWEAVER_SCRAPE_SECONDS").ok();
    let lasts = seconds.map_or(LASTS, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let load = Load::start(balancer.address(), 8, "GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let begin = Instant::now();
    while begin.elapsed() < lasts {
        load.wait_for(100);
        // It keeps each request that it has seen.
        origins.iter().for_each(Origin::forget);
    }
    let mut clients: BTreeMap<String, u64> = BTreeMap::new();
    for (outcome, count) in load.stop() {
        let status = outcome.split(' ').next().unwrap();
        assert!(["200", "404"].contains(&status), "{outcome}");
        *clients.entry(format!("{}xx", &status[..1])).or_default() += count;
    }
    let all: u64 = clients.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    let is = |expr: &str, count: u64| (prometheus.number(expr) - count as f64).abs() < 0.5;
    eventually("the last request is counted", || is("sum(loadweaver_requests_total)", all));
    for (class, count) in &clients {
        let expr = format!("sum(loadweaver_requests_total{{code_class=\"{class}\"}})");
        assert!(is(&expr, *count), "{expr}: {} and {count}", prometheus.number(&expr));
    }
    for (origin, asked) in origins.iter().zip(&asked) {
        let count = asked.load(Ordering::Relaxed);
        let expr = format!("sum(loadweaver_requests_total{{server=\"{}\"}})", origin.address());
        assert!(is(&expr, count), "{expr}: {} and {count}", prometheus.number(&expr));
    }
    for expr in [
        "sum(loadweaver_request_duration_seconds_count)",
        "sum(loadweaver_server_attempts_total)",
        "loadweaver_client_requests_total",
        "loadweaver_methods_total{method=\"GET\"}",
    ] {
        assert!(is(expr, all), "{expr}: {} and {all}", prometheus.number(expr));
    }
    let (scrapes, missed) =
        (prometheus.number("count_over_time(up[1h])"), prometheus.number("1 - avg_over_time(up[1h])"));
    eprintln!("{all} requests, {scrapes} scrapes, a share of {missed} of them missed");
}
