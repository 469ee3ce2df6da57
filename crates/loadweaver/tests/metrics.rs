//! `GET /metrics` of the running binary: what scrapers read is what happened.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::gzip;
use loadweaver_testkit::origin::reply_with;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Operator, Origin, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

#[path = "metrics/prometheus.rs"]
mod prometheus;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");
const PAGE: &str = "docs/metrics.md";

fn start(origins: &[&Origin], patch: &Value) -> Balancer {
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address()).collect();
    let mut config = one_pool(&addresses, &json!({ "workers": 2 }));
    merge(&mut config, patch);
    Balancer::start(BINARY, &config)
}

fn scrape(operator: &Operator, lines: &str) -> String {
    let answer = operator.ask("GET", "/metrics", lines, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.fields.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(answer.body).unwrap()
}

/// The value of a sample, written as it stands on the page.
#[track_caller]
fn value(page: &str, sample: &str) -> f64 {
    let found = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{sample} is not on the page:\n{page}")).parse().unwrap()
}

/// Everything that a page can have is on that of this one; what the listener is shown goes with the scratch.
fn everything(origin: &Origin) -> (Balancer, Scratch) {
    let (authority, scratch) = (Authority::new("Test Authority"), Scratch::new());
    let signed = authority.sign(&["localhost"]);
    let (cert, key) = (scratch.file("site.pem", &signed.cert), scratch.file("site.key", &signed.key));
    let patch = json!({
        "listeners": { "secure": { "bind": "127.0.0.1:0", "tls": { "certificates": [{ "cert": cert, "key": key }] } } },
        "pools": { "app": {
            "healthCheck": { "type": "tcp", "interval": "100ms", "timeout": "1s" },
            "recovery": { "action": "command", "command": ["/bin/true"], "after": "1h" },
        } },
        "webhooks": [{ "name": "ops", "url": "http://127.0.0.1:9/", "secret": "correct horse battery staple", "events": ["shutdown_finished"] }],
        "accessLog": { "output": "stdout" },
        "tracing": { "endpoint": "http://127.0.0.1:9", "sampling": { "ratio": 0 } },
    });
    let balancer = start(&[origin], &patch);
    let operator = balancer.operator();
    eventually("it was probed, and that is on the page", || {
        let page = scrape(&operator, "");
        page.contains("loadweaver_server_probe_seconds{") && page.contains("loadweaver_server_uptime_ratio{")
    });
    balancer.get("/");
    (balancer, scratch)
}

#[test]
fn the_counts_are_those_of_the_clients_and_the_servers() {
    let answering = |status: u16| move |_: &loadweaver_testkit::Request| reply_with(status, &[], "x");
    let (good, bad) = (Origin::by_request(answering(200)), Origin::by_request(answering(404)));
    let balancer = start(&[&good, &bad], &json!({}));
    let mut client = balancer.client();
    let statuses: Vec<u16> = (0..21).map(|_| client.get("/").status).collect();
    let found = statuses.iter().filter(|status| **status == 200).count();
    let missing = statuses.len() - found;
    assert!(found > 0 && missing > 0, "{statuses:?}");
    let _ = balancer.client().exchange("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    let operator = balancer.operator();
    let page = scrape(&operator, "");
    let requests = |server: &str, class: &str| {
        let way = if server.is_empty() { ("", "") } else { ("default", "app") };
        format!(
            "loadweaver_requests_total{{listener=\"web\",route=\"{}\",pool=\"{}\",server=\"{server}\",code_class=\"{class}\"}}",
            way.0, way.1
        )
    };
    let way = "listener=\"web\",route=\"default\",pool=\"app\"";
    for (sample, expected) in [
        (requests(&good.address().to_string(), "2xx"), found),
        (requests(&bad.address().to_string(), "4xx"), missing),
        (requests("", "4xx"), 1),
        (format!("loadweaver_request_duration_seconds_count{{{way}}}"), 21),
        (format!("loadweaver_request_duration_seconds_bucket{{{way},le=\"+Inf\"}}"), 21),
        (format!("loadweaver_request_first_byte_seconds_count{{{way}}}"), 21),
        ("loadweaver_client_requests_total".to_owned(), 22),
        ("loadweaver_refused_requests_total".to_owned(), 1),
        ("loadweaver_client_connections_accepted_total".to_owned(), 2),
        ("loadweaver_answers_total{code_class=\"2xx\"}".to_owned(), found),
        ("loadweaver_answers_total{code_class=\"4xx\"}".to_owned(), missing + 1),
        ("loadweaver_failures_total{code=\"bad_host\",blame=\"client\"}".to_owned(), 1),
        ("loadweaver_pool_requests_total{pool=\"app\"}".to_owned(), 21),
        ("loadweaver_pool_eligible_servers{pool=\"app\"}".to_owned(), 2),
        (format!("loadweaver_server_attempts_total{{pool=\"app\",server=\"{}\"}}", good.address()), found),
        (format!("loadweaver_server_attempts_total{{pool=\"app\",server=\"{}\"}}", bad.address()), missing),
        (
            format!(
                "loadweaver_server_answers_total{{pool=\"app\",server=\"{}\",code_class=\"4xx\"}}",
                bad.address()
            ),
            missing,
        ),
        (
            format!(
                "loadweaver_server_first_byte_seconds_count{{pool=\"app\",server=\"{}\"}}",
                good.address()
            ),
            found,
        ),
    ] {
        assert_eq!(value(&page, &sample).to_string(), expected.to_string(), "{sample}");
    }
    assert!(value(&page, "loadweaver_client_sent_bytes_total") >= 21.0);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(value(&page, "process_open_fds") >= 5.0);
    assert!(value(&page, "process_cpu_seconds_total") > 0.0);
}

#[test]
fn what_leaves_the_configuration_leaves_the_page_and_the_rest_goes_on() {
    let (kept, gone) = (Origin::named("kept"), Origin::named("gone"));
    let balancer = start(&[&kept, &gone], &json!({}));
    let mut client = balancer.client();
    let operator = balancer.operator();
    let of = |origin: &Origin| format!("server=\"{}\"", origin.address());
    let requests = |page: &str, server: &str| {
        page.lines()
            .filter(|line| line.starts_with("loadweaver_requests_total{") && line.contains(server))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    (0..10).for_each(|_| assert_eq!(client.get("/").status, 200));
    let page = scrape(&operator, "");
    let before = requests(&page, &of(&kept));
    assert_eq!((requests(&page, "code_class"), requests(&page, &of(&gone)) > 0), (10, true));
    operator.must(200, "DELETE", &format!("/api/servers/{}", gone.address()), &Value::Null);
    (0..10).for_each(|_| assert_eq!(client.get("/").body, b"kept"));
    eventually("it is not on the page", || !scrape(&operator, "").contains(&of(&gone)));
    let page = scrape(&operator, "");
    assert_eq!(requests(&page, &of(&kept)), before + 10);
    assert_eq!(requests(&page, "code_class"), before + 10);
}

#[test]
fn a_request_that_ends_after_its_server_has_left_does_not_bring_it_back() {
    let (asked, answer) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let (asked_of, gate) = (std::sync::Mutex::new(asked.0), std::sync::Mutex::new(answer.1));
    let slow = Origin::by_request(move |request| {
        if request.target == "/slow" {
            asked_of.lock().unwrap().send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        }
        reply_with(200, &[], "slow")
    });
    let other = Origin::named("other");
    let balancer = start(&[&slow], &json!({ "workers": 1 }));
    let operator = balancer.operator();
    let gone = format!("server=\"{}\"", slow.address());
    assert_eq!(balancer.get("/").body, b"slow");
    assert!(scrape(&operator, "").contains(&gone));
    let mut client = balancer.client();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    asked.1.recv().unwrap();
    let replaced = json!({"host": "127.0.0.1", "port": other.address().port()});
    operator.must(201, "POST", "/api/servers", &replaced);
    operator.must(200, "DELETE", &format!("/api/servers/{}", slow.address()), &Value::Null);
    eventually("it has left the page", || !scrape(&operator, "").contains(&gone));
    answer.0.send(()).unwrap();
    assert_eq!(client.answer("GET").body, b"slow");
    eventually("the request is counted", || {
        value(&scrape(&operator, ""), "loadweaver_client_requests_total") > 1.5
    });
    assert!(!scrape(&operator, "").contains(&gone));
}

#[test]
fn health_and_what_is_refused_are_on_the_page() {
    let origin = Origin::named("x");
    let check = json!({ "type": "tcp", "interval": "100ms", "timeout": "1s", "rise": 1, "fall": 1 });
    let balancer = start(&[&origin], &json!({ "pools": { "app": { "healthCheck": check } } }));
    let operator = balancer.operator();
    let server = format!("pool=\"app\",server=\"{}\"", origin.address());
    eventually("a probe found it well", || {
        let page = scrape(&operator, "");
        value(&page, &format!("loadweaver_server_health{{{server},state=\"up\"}}")) > 0.5
    });
    let page = scrape(&operator, "");
    assert_eq!(
        value(&page, &format!("loadweaver_server_health{{{server},state=\"down\"}}")).to_string(),
        "0"
    );
    assert_eq!(value(&page, &format!("loadweaver_server_transitions_total{{{server}}}")).to_string(), "1");
    assert!(value(&page, &format!("loadweaver_server_probe_seconds{{{server}}}")) > 0.0);
    assert_eq!(value(&page, "loadweaver_config_version").to_string(), "1");
    assert_eq!(value(&page, "loadweaver_config_last_change_successful").to_string(), "1");
    balancer.write_config_text("{");
    balancer.signal(Signal::HUP);
    eventually("the refused file is on the page", || {
        value(&scrape(&operator, ""), "loadweaver_config_last_change_successful") < 0.5
    });
    assert_eq!(value(&scrape(&operator, ""), "loadweaver_config_version").to_string(), "1");
    drop(origin);
    eventually("it is down", || {
        value(&scrape(&operator, ""), &format!("loadweaver_server_health{{{server},state=\"down\"}}")) > 0.5
    });
    assert_eq!(
        value(&scrape(&operator, ""), "loadweaver_pool_eligible_servers{pool=\"app\"}").to_string(),
        "0"
    );
}

#[test]
fn whoever_asks_for_openmetrics_or_gzip_gets_it() {
    let origin = Origin::named("x");
    let balancer = start(&[&origin], &json!({}));
    let operator = balancer.operator();
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1\r\n";
    let open = operator.ask("GET", "/metrics", accept, "");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open.fields.get("content-type"), Some(kind));
    let text = String::from_utf8(open.body).unwrap();
    assert!(
        text.ends_with("\n# EOF\n") && text.contains("\n# TYPE loadweaver_client_requests counter\n"),
        "{text}"
    );
    for lines in [
        "Accept: text/plain\r\n",
        "Accept: application/openmetrics-text;q=0, */*\r\n",
        "Accept: text/html\r\n",
    ] {
        assert!(scrape(&operator, lines).starts_with("# HELP "));
    }
    let packed = operator.ask("GET", "/metrics", "Accept-Encoding: br;q=1.0, gzip;q=0.8\r\n", "");
    assert_eq!(packed.fields.get("content-encoding"), Some("gzip"));
    let unpacked = gzip::unpacked(&packed.body);
    assert!(unpacked.starts_with("# HELP ") && unpacked.contains("loadweaver_ready 1\n"), "{unpacked}");
    let plain = operator.ask("GET", "/metrics", "Accept-Encoding: gzip;q=0\r\n", "");
    assert_eq!(plain.fields.get("content-encoding"), None);
    assert_eq!(operator.ask("GET", "/metrics?x=1", "", "").status, 400);
}

#[test]
fn it_takes_a_token_where_there_are_tokens() {
    let origin = Origin::named("x");
    let token = "read-token-read-token-read-token";
    let tokens = json!([{ "name": "prometheus", "role": "read", "token": token }]);
    let balancer = start(&[&origin], &json!({ "admin": { "tokens": tokens } }));
    assert_eq!(balancer.operator().ask("GET", "/metrics", "", "").status, 401);
    assert!(scrape(&balancer.operator().with_token(token), "").contains("loadweaver_ready 1\n"));
}

/// What promtool has to say about names, types and help texts. It knows the older of the two forms.
#[test]
fn promtool_finds_nothing_to_say() {
    let origin = Origin::named("x");
    let (balancer, _scratch) = everything(&origin);
    balancer.get("/");
    let page = scrape(&balancer.operator(), "");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool does not start: {error}; ./scripts/test installs it"));
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{page}", String::from_utf8_lossy(&said));
}

#[test]
fn what_is_on_the_page_is_what_the_documentation_says() {
    let origin = Origin::named("x");
    let (balancer, _scratch) = everything(&origin);
    let page = scrape(&balancer.operator(), "");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let there: BTreeSet<(String, String)> = families
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let document = std::fs::read_to_string(document).unwrap();
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<(String, String)> = rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned()))
        .collect();
    let undocumented: Vec<_> = there.difference(&told).collect();
    assert!(undocumented.is_empty(), "not in {PAGE}: {undocumented:?}");
    let invented: Vec<_> = told.difference(&there).collect();
    assert!(invented.is_empty(), "in {PAGE} and not there: {invented:?}");
}
