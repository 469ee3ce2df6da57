//! Programs of other makers on both sides: nginx, Python and Node as origins; curl, wrk, Python and Chromium as
//! clients. `./scripts/test` installs them; where one is missing the test fails and says so.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::process::{Command, Output};

use loadweaver_testkit::config::{one_pool, one_pool_with};
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, Peer};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn start(servers: &[SocketAddr]) -> Balancer {
    Balancer::start(BINARY, &one_pool(servers, &json!({})))
}

/// Runs it to its end and wants success.
fn run(command: &mut Command) -> Output {
    let name = command.get_program().display().to_string();
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{name} does not start: {error}; ./scripts/test installs it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}", output.status);
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect()
}

/// Each of the origins with the same files.
fn file_servers() -> Vec<(&'static str, Peer)> {
    let large = large();
    let files: [(&str, &[u8]); 2] = [("small.txt", b"small file\n"), ("large.bin", &large)];
    vec![("nginx", Peer::nginx(&files)), ("python", Peer::python(&files))]
}

const NODE: &str = r"
const http = require('http');
http.createServer((request, answer) => {
  if (request.url === '/echo') { answer.writeHead(200, {'X-Method': request.method}); request.pipe(answer); }
  else if (request.url === '/trailers') {
    answer.writeHead(200, {Trailer: 'X-Sum'}); answer.write('body'); answer.addTrailers({'X-Sum': '42'}); answer.end();
  }
  else if (request.url === '/hints') { answer.writeEarlyHints({link: '</a.css>; rel=preload'}); answer.end('hinted'); }
  else answer.end('node ' + request.url + ' ' + request.headers['x-forwarded-for']);
}).on('checkContinue', (request, answer) => { answer.writeContinue(); request.pipe(answer); })
  .on('upgrade', (request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
";

#[test]
fn files_of_nginx_and_python_arrive_whole() {
    let large = large();
    for (name, server) in file_servers() {
        let balancer = start(&[server.address()]);
        let mut client = balancer.client();
        for _ in 0..3 {
            assert_eq!(client.get("/small.txt").text(), "small file\n", "{name}");
            assert!(client.get("/large.bin").body == large, "{name}");
            assert_eq!(client.get("/missing").status, 404, "{name}");
            let head = client.exchange("HEAD /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(head.fields.get("content-length"), Some("3000000"), "{name}");
        }
    }
}

#[test]
fn nginx_answers_conditional_and_range_requests_through_us() {
    let server = Peer::nginx(&[("small.txt", b"small file\n")]);
    let balancer = start(&[server.address()]);
    let mut client = balancer.client();
    let tag = client.get("/small.txt").fields.get("etag").unwrap().to_owned();
    let unchanged =
        client.exchange(format!("GET /small.txt HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let part = client.exchange("GET /small.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-4\r\n\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "small"));
    assert_eq!(client.get("/small.txt").status, 200);
}

#[test]
fn node_echoes_chunks_trailers_hints_and_upgrades_through_us() {
    let server = Peer::node(NODE);
    let balancer = start(&[server.address()]);
    let mut client = balancer.client();
    let request =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(client.exchange(request).text(), "hello");
    let trailing =
        client.exchange("GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    assert_eq!((trailing.text().as_str(), trailing.trailers.get("x-sum")), ("body", Some("42")));
    let hinted = client.get("/hints");
    assert_eq!((hinted.text().as_str(), hinted.interim[0].status), ("hinted", 103));
    assert_eq!(client.get("/who").text(), "node /who 127.0.0.1");
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        .unwrap();
    assert_eq!(client.read_answer_head("POST").unwrap().status, 100);
    client.send("wait").unwrap();
    assert_eq!(client.answer("POST").text(), "wait");
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
    assert_eq!(client.read_answer_head("GET").unwrap().status, 101);
    client.send("through the tunnel").unwrap();
    assert_eq!(client.read_exact(18).unwrap(), b"through the tunnel");
}

#[test]
fn curl_gets_posts_and_waits_for_100_continue() {
    let server = Peer::node(NODE);
    let balancer = start(&[server.address()]);
    let (scratch, url) = (Scratch::new(), format!("http://{}", balancer.address()));
    let file = scratch.file("up", large());
    let curl = || {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"]);
        command
    };
    assert_eq!(
        text(&run(curl().arg(format!("{url}/a")).arg(format!("{url}/b")))),
        "node /a 127.0.0.1node /b 127.0.0.1"
    );
    for extra in [
        vec![],
        vec!["-H", "Expect: 100-continue"],
        vec!["-H", "Transfer-Encoding: chunked"],
        vec!["--http1.0"],
    ] {
        let upload = format!("@{}", file.display());
        let output = run(curl().args(&extra).args(["--data-binary", &upload]).arg(format!("{url}/echo")));
        assert!(output.stdout == large(), "{extra:?}: {} bytes came back", output.stdout.len());
    }
    let head = text(&run(curl().arg("--head").arg(format!("{url}/a"))));
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn wrk_sees_no_error_on_any_algorithm() {
    let origins = [Origin::named("a"), Origin::named("b"), Origin::named("c")];
    let servers: Vec<SocketAddr> = origins.iter().map(Origin::address).collect();
    for algorithm in
        ["round_robin", "weighted_round_robin", "weighted", "random", "least_connections", "ip_hash"]
    {
        let balancer = Balancer::start(BINARY, &one_pool_with(&servers, &json!({ "algorithm": algorithm })));
        let url = format!("http://{}/", balancer.address());
        let report =
            text(&run(Command::new("wrk").args(["-t1", "-c16", "-d1s", "--timeout", "5s"]).arg(url)));
        assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{algorithm}: {report}");
        assert!(report.contains("requests in"), "{report}");
    }
}

#[test]
fn pythons_http_client_keeps_its_connection_and_streams_chunks() {
    let server = Peer::node(NODE);
    let balancer = start(&[server.address()]);
    let script = r"
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=20)
for n in range(20):
    c.request('GET', '/%d' % n)
    first = c.sock
    r = c.getresponse(); body = r.read()
    assert r.status == 200 and body.startswith(b'node /%d ' % n), (r.status, body)
    assert c.sock is first and c.sock is not None, 'the connection was not kept'
parts = [b'x' * n for n in range(1, 400)]
c.request('PUT', '/echo', body=iter(parts), encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
r = c.getresponse(); assert r.read() == b''.join(parts), r.status
c.request('HEAD', '/x'); r = c.getresponse(); assert r.status == 200 and r.read() == b''
c.request('POST', '/echo', body=b'y' * 1000000); assert c.getresponse().read() == b'y' * 1000000
print('fine')
";
    let output = run(Command::new("python3").arg("-c").arg(script).arg(balancer.address().to_string()));
    assert_eq!(text(&output).trim(), "fine");
}

#[test]
fn a_browser_renders_a_page_with_its_parts_and_a_fetch() {
    let page = b"<!doctype html><title>t</title><link rel=stylesheet href=style.css><p id=out>waiting</p>\
                 <script src=part.js></script>";
    let part =
        b"fetch('data.json').then(a => a.json()).then(d => { document.getElementById('out').textContent = \
                 d.word + ' ' + getComputedStyle(document.body).color; });";
    let files: [(&str, &[u8]); 4] = [
        ("index.html", page),
        ("style.css", b"body { color: rgb(1, 2, 3) }"),
        ("part.js", part),
        ("data.json", br#"{ "word": "balanced" }"#),
    ];
    let servers = [Peer::nginx(&files), Peer::python(&files)];
    let balancer = start(&[servers[0].address(), servers[1].address()]);
    let profile = Scratch::new();
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("http://{}/index.html", balancer.address()));
    let dom = text(&run(&mut chromium));
    assert!(dom.contains("balanced rgb(1, 2, 3)"), "{dom}");
    let status = balancer.status();
    assert!(status["requests"].as_u64().unwrap() >= 4, "{status}");
}

#[test]
fn the_referee_agrees_with_haproxy_behind_us() {
    let origin = Origin::named("behind both");
    let haproxy = Peer::haproxy(&[origin.address()]);
    let balancer = start(&[haproxy.address()]);
    let mut client = balancer.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "behind both");
        let post = client
            .exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        assert_eq!(post.text(), "behind both");
    }
    assert_eq!(origin.requests().len(), 20);
}
