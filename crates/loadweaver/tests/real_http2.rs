//! HTTP/2 with programs of other makers: h2load, curl, httpx, Chromium and HAProxy as clients; nginx and HAProxy as
//! servers. `./scripts/test` installs them; where one is missing the test fails and says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::http2::client::request;
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::process::Process;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::tls::Authority;
use loadweaver_testkit::{Balancer, Http2Client, Origin, Peer, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// What `./scripts/test` has put below `target`.
fn installed(path: &str, step: &str) -> PathBuf {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target").join(path);
    assert!(found.exists(), "there is no {}; ./scripts/test {step} installs it", found.display());
    // Not canonical: a Python environment is known by the link that starts it.
    std::path::absolute(found).unwrap()
}

/// Runs it to its end and wants success; what it said.
fn run(command: &mut Command) -> String {
    let name = command.get_program().display().to_string();
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{name}: {error}; ./scripts/test installs it"));
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name}: {status}\n{out}\n{err}");
    out.into_owned()
}

/// Certificates for the name "test" and for 127.0.0.1, and their files.
struct Secured {
    files: Scratch,
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl Secured {
    fn new() -> Self {
        let (authority, files) = (Authority::new("real peers"), Scratch::new());
        let signed = authority.sign(&["test", "127.0.0.1"]);
        let (cert, key) = (files.file("cert.pem", &signed.cert), files.file("key.pem", &signed.key));
        // As HAProxy wants it.
        files.file("both.pem", format!("{}{}", signed.cert, signed.key));
        Self { cert, key, ca: files.file("ca.pem", &authority.pem), files }
    }

    /// A balancer with a listener `web` in the clear and `secure` with TLS, in front of these servers.
    fn balancer(&self, servers: &[SocketAddr], pool: &Value) -> Balancer {
        let tls = json!({ "certificates": [{ "cert": self.cert, "key": self.key }] });
        let mut config = one_pool(servers, &json!({ "pools": { "app": pool } }));
        merge(&mut config, &json!({ "listeners": { "secure": { "bind": "127.0.0.1:0", "tls": tls } } }));
        merge(&mut config, &json!({ "accessLog": { "format": "json", "output": "stdout" } }));
        Balancer::start(BINARY, &config)
    }

    /// One whose servers speak TLS, and HTTP/2 over it.
    fn before_tls(&self, servers: &[SocketAddr]) -> Balancer {
        let tls = json!({ "caFile": self.ca, "serverName": "test" });
        self.balancer(servers, &json!({ "protocol": "http2", "tls": tls }))
    }
}

fn clear(balancer: &Balancer) -> String {
    format!("http://{}", balancer.address())
}

fn secure(balancer: &Balancer) -> String {
    format!("https://{}", balancer.listener("secure").unwrap())
}

/// The lines of the access log, of which there are so many at least.
fn log(balancer: &Balancer, lines: usize) -> Vec<Value> {
    eventually(&format!("the access log has {lines} lines"), || balancer.stdout().len() >= lines);
    balancer.stdout().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// More than the windows of streams and connections hold at once.
const LARGE: u32 = 1_500_000;

fn large() -> Vec<u8> {
    (0..LARGE).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect()
}

/// A request of HTTP/1.1 with all of that. Its answer must not be as long: it is read when all was written.
fn upload(path: &str) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
    [head.as_bytes(), &large()].concat()
}

/// What `/sum` answers.
fn sum(body: &[u8]) -> String {
    format!("{} {}", body.len(), body.iter().map(|byte| u64::from(*byte)).sum::<u64>())
}

/// Sends back what it is sent, or when it has all of it only the length and the sum of the bytes; `/count?N` is N
/// pieces.
const NODE: &str = r"
const http = require('http');
http.createServer((request, answer) => {
  if (request.url.startsWith('/echo')) { answer.writeHead(200, {'x-method': request.method}); request.pipe(answer); }
  else if (request.url.startsWith('/sum')) {
    let length = 0, sum = 0;
    request.on('data', (part) => { length += part.length; for (const byte of part) sum += byte; });
    request.on('end', () => answer.end(length + ' ' + sum));
  }
  else if (request.url.startsWith('/count?')) {
    const most = Number(request.url.slice(7));
    for (let n = 0; n < most; n++) answer.write('piece ' + n + ';');
    answer.end();
  }
  else answer.end(request.url);
}).listen(Number(process.argv[2]), '127.0.0.1');
";

// Clients.

#[test]
fn h2load_has_every_request_answered_and_none_is_lost_or_made_twice() {
    let (secured, origin) = (Secured::new(), Origin::answering(reply(200, vec![b'x'; 2000])));
    let balancer = secured.balancer(&[origin.address()], &json!({}));
    let body = secured.files.file("body", vec![b'y'; 20_000]);
    let mut asked = 0;
    for url in [clear(&balancer), secure(&balancer)] {
        for upload in [false, true] {
            let mut h2load = Command::new("h2load");
            h2load.args(["-n", "1000", "-c", "4", "-m", "25"]);
            if upload {
                h2load.arg("-d").arg(&body);
            }
            let report = run(h2load.arg(format!("{url}/")));
            let all = "1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout";
            assert!(report.contains(all) && report.contains("status codes: 1000 2xx"), "{report}");
            assert!(report.contains("Application protocol: h2"), "{report}");
            asked += 1000;
            assert_eq!(balancer.status()["requests"], asked);
            let requests = origin.requests();
            assert_eq!(requests.len(), 1000);
            let whole = if upload { 20_000 } else { 0 };
            assert!(requests.iter().all(|request| request.body.len() == whole), "{url}");
            origin.cut_all();
            eventually("the origin has nothing left", || origin.open() == 0);
            origin.forget();
        }
    }
    assert_eq!(balancer.status()["failures"], json!({}));
}

#[test]
fn curl_speaks_http_2_with_and_without_tls() {
    let secured = Secured::new();
    let server = Peer::node(NODE);
    let balancer = secured.balancer(&[server.address()], &json!({}));
    let upload = format!("@{}", secured.files.file("large", large()).display());
    let curl = |options: &[&str], url: String| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "30", "--noproxy", "*", "--cacert"]);
        run(curl.arg(&secured.ca).args(["--write-out", " HTTP/%{http_version}"]).args(options).arg(url))
    };
    let known: &[&str] = &["--http2-prior-knowledge"];
    assert_eq!(curl(known, clear(&balancer) + "/a"), "/a HTTP/2");
    assert_eq!(curl(&["--http2"], secure(&balancer) + "/a"), "/a HTTP/2");
    assert_eq!(curl(&["--http1.1"], secure(&balancer) + "/a"), "/a HTTP/1.1");
    // The upgrade from HTTP/1.1 is a thing of the past (RFC 9113 section 3.1): the question is passed over.
    assert_eq!(curl(&["--http2"], clear(&balancer) + "/a"), "/a HTTP/1.1");
    let (out, of) = (secured.files.path().join("out"), large());
    for (how, url) in [(known, clear(&balancer)), (&["--http2"], secure(&balancer))] {
        let to = out.display().to_string();
        let told = curl(&[how, &["--data-binary", &upload, "--output", &to]].concat(), url.clone() + "/echo");
        assert_eq!(told, " HTTP/2");
        assert!(std::fs::read(&out).unwrap() == of, "{url}");
        assert!(curl(&[how, &["--head"]].concat(), url + "/a").starts_with("HTTP/2 200"));
    }
}

#[test]
fn httpx_streams_both_ways_and_has_many_requests_on_one_connection() {
    let (secured, server) = (Secured::new(), Peer::node(NODE));
    let balancer = secured.balancer(&[server.address()], &json!({}));
    let python = installed("httpx-0.28.1/bin/python", "httpx");
    let mut client = Command::new(python);
    client.arg("-c").arg(include_str!("real_http2/client.py")).arg(secure(&balancer)).arg(&secured.ca);
    assert_eq!(run(&mut client).trim(), "fine");
    assert_eq!(balancer.status()["connections"]["accepted"], 2, "one for each of its clients");
    assert!(log(&balancer, 60).iter().all(|line| line["version"] == "2" && line["status"] == 200));
}

/// A page with parts of each kind, which tells the server how they came.
const PAGE: &str = r#"<!doctype html><title>t</title><link rel="icon" href="data:,"><link rel=stylesheet href=style.css>
<script type="module">
import { word } from './part.js';
const socket = new WebSocket('wss://' + location.host + '/socket');
socket.binaryType = 'arraybuffer';
const heard = new Promise((resolve, reject) => { socket.onmessage = resolve; socket.onerror = reject; });
await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
socket.send(new Uint8Array(200000).fill(7));
const echoed = new Uint8Array((await heard).data);
const body = 'z'.repeat(300000);
const posted = await (await fetch('echo', { method: 'POST', body })).text();
const many = await Promise.all([...Array(40).keys()].map(async (n) => (await fetch('many' + n)).text()));
const protocols = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .map((entry) => entry.nextHopProtocol);
await fetch('report', { method: 'POST', body: JSON.stringify({
  word, color: getComputedStyle(document.body).color, echoed: echoed.length, sum: echoed.reduce((a, b) => a + b),
  posted: posted === body, many: many.every((text, n) => text === '/many' + n), protocols: [...new Set(protocols)],
  parts: protocols.length,
}) });
</script>"#;

/// The server of the page; it prints what it is told. Its arguments: npm's ws, and the page.
fn page_server() -> Peer {
    let ws = installed("ws-8.23.0/node_modules/ws", "autobahn");
    let (ws, page) = (json!(ws), json!(PAGE));
    Peer::node(&format!(
        "const {{ WebSocketServer }} = require({ws});
const files = {{ '/index.html': ['text/html', {page}], '/style.css': ['text/css', 'body {{ color: rgb(1, 2, 3) }}'],
  '/part.js': ['text/javascript', 'export const word = \"module\";'] }};
const server = require('http').createServer((request, answer) => {{
  const [kind, text] = files[request.url] ?? ['text/plain', request.url];
  answer.setHeader('content-type', kind);
  if (request.url === '/echo') return request.pipe(answer);
  if (request.url !== '/report') return answer.end(text);
  request.setEncoding('utf8');
  let told = '';
  request.on('data', (part) => told += part).on('end', () => {{ console.log(told); answer.end(); }});
}});
new WebSocketServer({{ server }}).on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
server.listen(Number(process.argv[2]), '127.0.0.1');
"
    ))
}

#[test]
fn a_browser_gets_a_page_its_parts_and_a_websocket_over_one_connection_of_http_2() {
    let (secured, profile, mut server) = (Secured::new(), Scratch::new(), page_server());
    let balancer = secured.balancer(&[server.address()], &json!({}));
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--ignore-certificate-errors", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(secure(&balancer) + "/index.html");
    let browser = Process::start(&mut chromium);
    let mut told = None;
    let told_within = std::time::Duration::from_secs(90);
    loadweaver_testkit::eventually::holds_within(told_within, || {
        told = server.process().stdout().first().cloned();
        told.is_some()
    });
    let told = told.unwrap_or_else(|| {
        panic!("no report:\n{:#?}\n{:#?}\n{:#?}", browser.stderr(), balancer.stdout(), balancer.stderr())
    });
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["word"], &told["color"]), (&json!("module"), &json!("rgb(1, 2, 3)")));
    assert_eq!((&told["echoed"], &told["sum"]), (&json!(200_000), &json!(1_400_000)));
    assert_eq!((&told["posted"], &told["many"]), (&json!(true), &json!(true)));
    assert_eq!(told["protocols"], json!(["h2"]), "{told}");
    assert!(told["parts"].as_u64().unwrap() >= 44, "{told}");
    drop(browser);
    let lines = log(&balancer, 46);
    let socket = lines.iter().find(|line| line["target"] == "/socket").expect("its exchange is over");
    assert_eq!((&socket["version"], &socket["status"]), (&json!("2"), &json!(200)), "RFC 8441");
    let clients: std::collections::BTreeSet<_> = lines.iter().map(|line| line["client"].as_str()).collect();
    assert_eq!(clients.len(), 1, "{clients:?}");
}

#[test]
fn haproxy_as_a_client_speaks_http_2_with_and_without_tls() {
    let (secured, origin) = (Secured::new(), Origin::named("behind both"));
    let balancer = secured.balancer(&[origin.address()], &json!({}));
    let ca = secured.ca.display();
    let tls = balancer.listener("secure").unwrap();
    for server in [
        format!("{} proto h2", balancer.address()),
        format!("{tls} ssl alpn h2 verify required ca-file {ca} sni str(test)"),
    ] {
        let haproxy = Peer::haproxy_with("", &[server]);
        let mut client = loadweaver_testkit::RawClient::connect(haproxy.address());
        for _ in 0..10 {
            assert_eq!(client.get("/").text(), "behind both");
            let post =
                "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
            assert_eq!(client.exchange(post).text(), "behind both");
        }
    }
    assert_eq!(origin.requests().len(), 40);
    assert!(log(&balancer, 40).iter().all(|line| line["version"] == "2"));
}

// Servers.

#[test]
fn nginx_serves_files_over_http_2() {
    let (secured, large) = (Secured::new(), large());
    let (cert, key) = (secured.cert.display(), secured.key.display());
    let files: [(&str, &[u8]); 2] = [("small.txt", b"small file\n"), ("large.bin", &large)];
    let node = Peer::node(NODE);
    let passed_on = format!("client_max_body_size 64m; proxy_pass http://{};", node.address());
    let settings =
        format!("ssl_certificate {cert}; ssl_certificate_key {key}; location = /sum/body {{ {passed_on} }}");
    let server = Peer::nginx_with(&files, "ssl http2", &settings);
    let balancer = secured.before_tls(&[server.address()]);
    let (mut old, new) = (balancer.client(), Http2Client::connect(balancer.address()));
    for _ in 0..3 {
        assert_eq!(old.get("/small.txt").text(), "small file\n");
        assert!(old.get("/large.bin").body == large);
        assert_eq!(new.get("/small.txt").text(), "small file\n");
        assert!(new.get("/large.bin").body == large);
        assert_eq!((old.get("/missing").status, new.get("/missing").status), (404, 404));
        let head = old.exchange("HEAD /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.fields.get("content-length"), Some("1500000"));
        assert_eq!(old.get("/echo").text(), "GET HTTP/2.0");
        let (upload, sum) = (upload("/sum/body"), sum(&large));
        assert_eq!(old.exchange(upload).text(), sum);
        let told = new.exchange(request("POST", "/sum/body"), large.clone(), None);
        assert_eq!(told.unwrap().text(), sum);
    }
}

#[test]
fn haproxy_as_a_server_speaks_http_2_with_and_without_tls() {
    let (secured, node) = (Secured::new(), Peer::node(NODE));
    let pem = secured.files.path().join("both.pem");
    let large = large();
    let clear = Peer::haproxy_with("proto h2", &[node.address().to_string()]);
    let tls =
        Peer::haproxy_with(&format!("ssl crt {} alpn h2", pem.display()), &[node.address().to_string()]);
    let before_clear = secured.balancer(&[clear.address()], &json!({ "protocol": "h2c" }));
    let before_tls = secured.before_tls(&[tls.address()]);
    for balancer in [&before_clear, &before_tls] {
        let (mut old, new) = (balancer.client(), Http2Client::connect(balancer.address()));
        for n in 0..10 {
            assert_eq!(old.get(&format!("/{n}")).text(), format!("/{n}"));
            assert_eq!(new.get(&format!("/{n}")).text(), format!("/{n}"));
        }
        assert_eq!(old.exchange(upload("/sum")).text(), sum(&large));
        // No echo: HAProxy 2.6 now and then stops reading an answer that begins while the request is under way.
        let told = new.exchange(request("POST", "/sum"), large.clone(), None);
        assert_eq!(told.unwrap().text(), sum(&large));
        assert!(new.get("/count?20000").text().ends_with(";piece 19999;"));
    }
}
