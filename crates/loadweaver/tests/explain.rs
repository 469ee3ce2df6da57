//! What is explained is what happens: routes, servers that are out, and what the client is told.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::origin::reply;
use loadweaver_testkit::{Balancer, Operator, Origin, eventually};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// The parameters of a question as a query.
fn query(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |text, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text + char::from(byte).encode_utf8(&mut [0; 4]),
            _ => text + &format!("%{byte:02x}"),
        })
    };
    let pairs: Vec<_> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("/api/explain?{}", pairs.join("&"))
}

fn explain(operator: &Operator, parameters: &[(&str, &str)]) -> Value {
    operator.data(&query(parameters))
}

fn codes(server: &Value) -> Vec<&str> {
    server["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap()).collect()
}

fn server<'e>(explanation: &'e Value, id: &str) -> &'e Value {
    let servers = explanation["servers"].as_array().unwrap();
    servers.iter().find(|server| server["serverId"] == id).unwrap()
}

/// A pool of one origin that answers with the pool's name.
fn pool_of(name: &'static str) -> (Origin, Value) {
    let origin = Origin::by_request(move |_| reply(200, name));
    let pool =
        json!({"servers": [{"host": "127.0.0.1", "port": origin.port()}], "healthCheck": {"type": "off"}});
    (origin, pool)
}

#[test]
fn a_request_goes_where_its_explanation_says() {
    let (_by_host, host) = pool_of("by-host");
    let (_by_path, path) = pool_of("by-path");
    let (_by_header, header) = pool_of("by-header");
    let (_by_method, method) = pool_of("by-method");
    let balancer = Balancer::start(
        BINARY,
        &json!({
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "admin": {"bind": "127.0.0.1:0"},
            "limits": {"body": 10},
            "routes": [
                {"name": "by-header", "match": {"path": "/v1", "headers": {"x-beta": "1", "x-forwarded-proto": "https"}}, "pool": "by-header"},
                {"name": "by-host", "match": {"hosts": ["a.test", "*.b.test"], "path": "/v1"}, "pool": "by-host"},
                {"name": "by-path", "match": {"pathRegex": "^/v[12]/"}, "pool": "by-path"},
                {"name": "by-method", "match": {"methods": ["PUT", "POST", "CONNECT"]}, "pool": "by-method"},
            ],
            "trustedProxies": ["127.0.0.9/32"],
            "pools": {"by-host": host, "by-path": path, "by-header": header, "by-method": method},
        }),
    );
    let operator = balancer.operator();
    let mut seen = std::collections::BTreeSet::new();
    let headers: [&[&str]; 5] = [
        &[],
        &["x-beta: 1"],
        // Not believed of this client.
        &["x-beta: 1", "x-forwarded-proto: https"],
        &["content-length: 11"],
        &["transfer-encoding: gzip"],
    ];
    for method in ["GET", "PUT", "CONNECT", "get"] {
        for host in ["a.test", "A.TEST:81", "x.b.test.", "b.test", "c test", ""] {
            for path in ["/v1", "/v1/x?y=1", "/v2/", "/v10", "x", "c.test:443"] {
                for sent in headers {
                    let mut asked =
                        vec![("method", method), ("host", host), ("path", path), ("clientIp", "127.0.0.1")];
                    asked.extend(sent.iter().map(|line| ("header", *line)));
                    let explained = explain(&operator, &asked);
                    let mut lines = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
                    lines.extend(sent.iter().flat_map(|line| [line, "\r\n"]));
                    let body = if sent == ["content-length: 11"] { "01234567890" } else { "" };
                    let answer =
                        balancer.client().exchange(format!("{lines}Connection: close\r\n\r\n{body}"));
                    let at = format!("{lines}\n{explained}\n{answer:?}");
                    let code = answer.failure().map(str::to_owned);
                    if explained["outcome"] == "forwarded" {
                        assert_eq!(
                            (answer.text().as_str(), code),
                            (explained["route"].as_str().unwrap(), None),
                            "{at}"
                        );
                    } else {
                        assert_eq!(explained["failure"]["code"].as_str(), code.as_deref(), "{at}");
                        assert_eq!(explained["failure"]["status"], answer.status, "{at}");
                        assert_eq!(explained["failure"]["now"], true, "{at}");
                    }
                    seen.insert(explained["failure"]["code"].to_string() + &explained["route"].to_string());
                }
            }
        }
    }
    // All kinds were among them.
    assert!(seen.len() >= 8, "{seen:?}");
}

#[test]
fn each_route_says_what_it_has_against_the_request_and_tells_no_header_value() {
    let (_origin, pool) = pool_of("app");
    let balancer = Balancer::start_with(
        BINARY,
        &json!({
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "admin": {"bind": "127.0.0.1:0"},
            "routes": [
                {"name": "cdn", "match": {"hosts": ["a.test"], "path": "/v1", "methods": ["PUT"], "headers": {"x-edge": "${EDGE}"}}, "pool": "app"},
                {"name": "rest", "pool": "app"},
                {"name": "never", "pool": "app"},
            ],
            "pools": {"app": pool},
        }),
        &[("EDGE", "hush-hush")],
    );
    let operator = balancer.operator();
    let explained = explain(&operator, &[("host", "b.test"), ("path", "/v2"), ("header", "X-Edge: guess")]);
    let cdn = &explained["routes"][0];
    let unmet: Vec<_> =
        cdn["unmet"].as_array().unwrap().iter().map(|unmet| unmet["condition"].as_str().unwrap()).collect();
    assert_eq!(unmet, ["method", "host", "path", "header"]);
    for part in ["GET", "PUT", "b.test", "a.test", "/v2", "/v1", "x-edge has another value"] {
        assert!(cdn.to_string().contains(part), "{part}: {cdn}");
    }
    assert!(!explained.to_string().contains("hush-hush"), "{explained}");
    let missing = explain(&operator, &[("host", "a.test"), ("path", "/v1"), ("method", "PUT")]);
    assert_eq!(missing["routes"][0]["unmet"][0]["reason"], "the header x-edge is missing");
    assert_eq!((&explained["route"], &explained["routesNotTried"]), (&json!("rest"), &json!(1)));
    assert!(explained["summary"].as_str().unwrap().contains("route rest"), "{explained}");
}

#[test]
fn each_server_that_is_out_says_why_and_what_brings_it_back() {
    let sick =
        Origin::by_request(|request| reply(if request.target == "/health" { 500 } else { 200 }, "sick"));
    let well: Vec<_> = (0..4).map(|_| Origin::by_request(|_| reply(200, "well"))).collect();
    let at = |id: &str, origin: &Origin, patch: Value| {
        let mut server = json!({"id": id, "host": "127.0.0.1", "port": origin.port()});
        merge(&mut server, &patch);
        server
    };
    let servers = json!([
        at("sick", &sick, json!({})),
        at("drain", &well[0], json!({"state": "drain"})),
        at("away", &well[1], json!({"state": "maintenance"})),
        at("none", &well[2], json!({"weight": 0})),
        at("well", &well[3], json!({})),
    ]);
    let check = json!({"type": "http", "path": "/health", "interval": "30ms", "fastInterval": "30ms", "maxInterval": "1h", "rise": 2, "fall": 2});
    let balancer = Balancer::start(
        BINARY,
        &one_pool(
            &[],
            &json!({"pools": {"app": {"servers": servers, "healthCheck": check, "panicPercent": 0}}}),
        ),
    );
    let operator = balancer.operator();
    let mut explained = Value::Null;
    eventually("the sick one is down", || {
        explained = explain(&operator, &[]);
        server(&explained, "sick")["status"] == "down" && server(&explained, "well")["status"] == "up"
    });
    assert_eq!(codes(server(&explained, "sick")), ["down"]);
    assert_eq!(codes(server(&explained, "drain")), ["drain"]);
    assert_eq!(codes(server(&explained, "away")), ["maintenance"]);
    assert_eq!(codes(server(&explained, "none")), ["weight_zero"]);
    assert_eq!(codes(server(&explained, "well")), [""; 0]);
    let takers: Vec<_> =
        explained["servers"].as_array().unwrap().iter().filter(|each| each["takesTraffic"] == true).collect();
    assert_eq!(
        (takers.len(), &takers[0]["serverId"], &explained["choice"]["next"]),
        (1, &json!("well"), &json!("well"))
    );

    let mut health = Value::Null;
    eventually("the next probe is known", || {
        health = operator.data("/api/servers/sick/health");
        health["explanation"]["nextProbeAt"].as_str() > health["since"].as_str()
    });
    let told = &health["explanation"];
    let summary = told["summary"].as_str().unwrap();
    for part in [
        "down since 20",
        "2 probes in a row failed: answered with status 500",
        "2 good probes in a row bring it back",
        "the next is due",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert_eq!((&told["takesTraffic"], &told["reasons"][0]["code"]), (&json!(false), &json!("down")));
    let told = operator.data("/api/servers/well/health")["explanation"].clone();
    assert_eq!((&told["takesTraffic"], &told["reasons"]), (&json!(true), &json!([])));
    let summary = told["summary"].as_str().unwrap();
    assert!(
        summary.contains("2 bad probes in a row") && summary.contains("a refused connection"),
        "{summary}"
    );
    let told = operator.data("/api/servers/away/health")["explanation"].clone();
    assert!(told["summary"].as_str().unwrap().contains("setting its state to active"), "{told}");
    assert_eq!(told["nextProbeAt"], Value::Null);
}

#[test]
fn a_pool_that_nobody_of_can_serve_says_so_with_what_the_client_is_told() {
    let origin = Origin::by_request(|_| reply(200, "app"));
    let gone = Origin::named("gone");
    let port = gone.port();
    drop(gone);
    let servers = json!([
        {"id": "full", "host": "127.0.0.1", "port": origin.port(), "maxConnections": 1},
        {"id": "gone", "host": "127.0.0.1", "port": port},
    ]);
    let config = one_pool(
        &[],
        &json!({"pools": {"app": {"servers": servers, "passiveHealth": {"hold": "1h"}, "healthCheck": {"type": "off"}}}}),
    );
    let balancer = Balancer::start(BINARY, &config);
    let operator = balancer.operator();
    let one = || balancer.get("/");
    eventually("the one that is gone is found out", || {
        one();
        server(&explain(&operator, &[]), "gone")["status"] == "down"
    });
    let explained = explain(&operator, &[]);
    assert!(
        server(&explained, "gone")["standing"].as_str().unwrap().contains("it is tried again in "),
        "{explained}"
    );
    assert_eq!((&explained["outcome"], &explained["failure"]["now"]), (&json!("forwarded"), &json!(false)));
    // A request whose body does not come keeps the only place.
    let mut slow = balancer.client();
    slow.send_pieces(["PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"]);
    let mut explained = Value::Null;
    eventually("the place is taken", || {
        explained = explain(&operator, &[]);
        codes(server(&explained, "full")) == ["full"]
    });
    let answer = one();
    assert_eq!(explained["outcome"], "failed");
    assert_eq!(explained["choice"]["next"], Value::Null);
    assert_eq!(explained["failure"]["code"].as_str(), answer.failure());
    assert_eq!(
        (&explained["failure"]["status"], answer.failure()),
        (&json!(answer.status), Some("pool_full"))
    );
}

#[test]
fn the_next_server_is_foreseen_and_asking_moves_nothing() {
    let origins: Vec<_> = ["a", "b", "c"].into_iter().map(Origin::named).collect();
    let servers: Vec<_> = ["a", "b", "c"]
        .iter()
        .zip(&origins)
        .map(|(id, origin)| json!({"id": id, "host": "127.0.0.1", "port": origin.port()}))
        .collect();
    for algorithm in ["round_robin", "least_connections", "ip_hash"] {
        let config = one_pool(
            &[],
            &json!({"workers": 1, "pools": {"app": {"algorithm": algorithm, "servers": servers, "healthCheck": {"type": "off"}}}}),
        );
        let balancer = Balancer::start(BINARY, &config);
        let operator = balancer.operator();
        let mut client = balancer.client();
        for _ in 0..7 {
            // The place of the request before is given back after its answer has gone out.
            eventually("nothing is under way", || {
                let servers = explain(&operator, &[])["servers"].clone();
                servers.as_array().unwrap().iter().all(|server| server["activeConnections"] == 0)
            });
            let foreseen = explain(&operator, &[("clientIp", "127.0.0.1")]);
            assert_eq!(client.get("/").text(), foreseen["choice"]["next"].as_str().unwrap(), "{algorithm}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_place_and_a_remedy() {
    let (_origin, pool) = pool_of("app");
    let balancer = Balancer::start(BINARY, &one_pool(&[], &json!({"pools": {"app": pool}})));
    let operator = balancer.operator();
    for (parameters, at) in [
        (&[("hots", "a")][..], "did you mean \\\"host\\\"?"),
        (&[("host", "a"), ("host", "b")], "?host"),
        (&[("header", "no colon")], "?header"),
        (&[("header", "a b: c")], "?header"),
        (&[("header", "a: b\r\nc: d")], "?header"),
        (&[("path", "/a b")], "?path"),
        (&[("method", "")], "?path"),
        (&[("clientIp", "localhost")], "?clientIp"),
        (&[("listener", "wbe")], "there are: web"),
    ] {
        let answer = operator.must(400, "GET", &query(parameters), &Value::Null);
        assert!(answer.to_string().contains(at), "{parameters:?}: {answer}");
    }
    let explained = explain(&operator, &[("header", "a: 1"), ("header", "b: 2")]);
    assert_eq!(explained["request"]["headers"], json!(["a", "b"]));
}

#[test]
fn a_listener_is_found_by_its_port_and_a_redirect_is_told() {
    let (_origin, pool) = pool_of("app");
    let balancer = Balancer::start(
        BINARY,
        &one_pool(
            &[],
            &json!({
                "pools": {"app": pool},
                "listeners": {"old": {"bind": "127.0.0.1:0", "redirectHttps": true}},
            }),
        ),
    );
    let operator = balancer.operator();
    let old = balancer.listener("old").unwrap().to_string();
    let explained = explain(&operator, &[("host", &old)]);
    assert_eq!(
        (&explained["listener"]["name"], &explained["outcome"]),
        (&json!("old"), &json!("redirected"))
    );
    assert_eq!(explained["redirectStatus"], 308);
    let explained = explain(&operator, &[("host", &balancer.address().to_string())]);
    assert_eq!((&explained["listener"]["name"], &explained["outcome"]), (&json!("web"), &json!("forwarded")));
    let challenge = "/.well-known/acme-challenge/x";
    let explained = explain(&operator, &[("listener", "old"), ("path", challenge)]);
    assert_eq!((&explained["listener"]["name"], &explained["outcome"]), (&json!("old"), &json!("forwarded")));
}
