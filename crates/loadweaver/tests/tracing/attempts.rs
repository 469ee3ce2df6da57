//! What is told of exchanges and attempts, and who is whose child.

use super::*;

fn a_retried_request_is_one_trace(protocol: &'static str) {
    let collector = Collector::start(protocol, &[]);
    let (bad, good) = (resetting(), Origin::named("good"));
    let tracing = collector.section(&json!({ "serviceName": "edge", "headers": { "x-team": "a" } }));
    let balancer = start(&[&bad, &good], &tracing, &json!({}));
    // They are asked in turn: the second request comes to the bad one first, if the first has not.
    let mut sent = 0;
    let (trace, field) = loop {
        sent += 1;
        assert!(sent <= 2, "nobody asked the bad server");
        let (trace, field) = parent(sent, "01");
        let fields = [&*field, "tracestate: vendor=1", "User-Agent: me/1"];
        assert_eq!(get(&balancer, "/a/b?token=hush&x=1", &fields).text(), "good");
        if !bad.requests().is_empty() {
            break (trace, field);
        }
    };
    assert_eq!(bad.requests()[0].fields.get("tracestate"), Some("vendor=1"), "{field}");
    let spans = collector.trace(&trace, 3);
    let [exchange, first, second] = &spans[..] else { panic!("{spans:#?}") };

    // Who is whose child, and that servers were told so.
    assert_eq!((number(&exchange["kind"]), text(&exchange["parent"])), (SERVER, SPAN));
    for attempt in [first, second] {
        assert_eq!((number(&attempt["kind"]), &attempt["parent"]), (CLIENT, &exchange["span"]));
        assert_eq!(attempt["trace"], exchange["trace"]);
    }
    let as_told = |attempt: &Value| format!("00-{trace}-{}-01", text(&attempt["span"]));
    assert_eq!(told(&bad), [as_told(first)]);
    assert!(told(&good).contains(&as_told(second)), "{:?}", told(&good));
    assert!(good.requests().iter().all(|request| request.fields.get("tracestate") == Some("vendor=1")));
    assert_eq!((text(&exchange["state"]), number(&exchange["flags"]) & 0xff), ("vendor=1", 1));

    // When.
    let times = |span: &Value| [number(&span["start"]), number(&span["end"])];
    let ([begun, over], [one, failed], [two, done]) = (times(exchange), times(first), times(second));
    assert!(begun <= one && one <= failed && failed <= two && two < done && done <= over, "{spans:#?}");

    // What.
    let what = &exchange["attributes"];
    assert_eq!((text(&exchange["name"]), number(&exchange["status"])), ("GET default", 0));
    for (name, wanted) in [
        ("http.request.method", json!("GET")),
        ("url.scheme", json!("http")),
        ("url.path", json!("/a/b")),
        ("url.query", json!("token=***&x=1")),
        ("server.address", json!("test")),
        ("server.port", json!(80)),
        ("client.address", json!("127.0.0.1")),
        ("network.peer.address", json!("127.0.0.1")),
        ("network.protocol.version", json!("1.1")),
        ("user_agent.original", json!("me/1")),
        ("http.route", json!("default")),
        ("http.response.status_code", json!(200)),
        ("error.type", Value::Null),
        ("loadweaver.listener", json!("web")),
        ("loadweaver.pool", json!("app")),
    ] {
        assert_eq!(what[name], wanted, "{name}");
    }
    let of = |attempt: &Value, name: &str| attempt["attributes"][name].clone();
    for (attempt, server, resent, status, error) in [
        (first, &bad, Value::Null, Value::Null, json!("server_closed")),
        (second, &good, json!(1), json!(200), Value::Null),
    ] {
        assert_eq!(attempt["name"], "GET");
        assert_eq!(of(attempt, "server.address"), "127.0.0.1");
        assert_eq!(of(attempt, "server.port"), server.port());
        assert_eq!(of(attempt, "url.full"), format!("http://{}/a/b?token=***&x=1", server.address()));
        assert_eq!(of(attempt, "http.request.resend_count"), resent);
        assert_eq!(of(attempt, "http.response.status_code"), status);
        assert_eq!(of(attempt, "error.type"), error);
    }
    assert_eq!((number(&first["status"]), number(&second["status"])), (ERROR, 0));

    // From whom.
    let request = &collector.requests()[0];
    assert_eq!(
        (&request["resource"]["service.name"], &request["headers"]["x-team"]),
        (&json!("edge"), &json!("a"))
    );
    let instance = text(&request["resource"]["service.instance.id"]);
    assert_eq!((instance.len(), &instance[14..15]), (36, "4"), "{instance}");
    assert!(collector.spans().iter().all(|span| span["scope"] == "loadweaver"));
    wait_for_counts(&balancer, |exported, lost| exported == 2 * u64::from(sent) + 1 && lost == 0);
}

#[test]
fn a_retried_request_is_one_trace_by_http() {
    a_retried_request_is_one_trace("http");
}

#[test]
fn a_retried_request_is_one_trace_by_grpc() {
    a_retried_request_is_one_trace("grpc");
}

#[test]
fn only_a_servers_fault_makes_an_exchange_an_error() {
    let collector = Collector::start("http", &[]);
    let server = Origin::answering(reply(404, "no"));
    let routes = json!([{ "match": { "path": "/known" }, "pool": "app" }]);
    let patch = json!({ "routes": routes, "pools": { "app": { "retry": { "attempts": 1 } } } });
    let balancer = start(&[&server], &collector.section(&json!({})), &patch);
    let (known, field) = parent(1, "01");
    get(&balancer, "/known", &[&field]);
    let spans = collector.trace(&known, 2);
    assert_eq!((number(&spans[0]["status"]), number(&spans[1]["status"])), (0, ERROR), "{spans:#?}");
    let error = |span: &Value| span["attributes"]["error.type"].clone();
    assert_eq!((error(&spans[0]), error(&spans[1])), (Value::Null, json!("404")));
    let (unknown, field) = parent(2, "01");
    assert_eq!(get(&balancer, "/else", &[&field]).status, 404);
    let [span] = &collector.trace(&unknown, 1)[..] else { panic!("one span") };
    assert_eq!((span["name"].clone(), error(span)), (json!("GET"), json!("no_route")));
    assert_eq!(span["attributes"]["loadweaver.failure"], "no_route");
    server.refuse();
    server.cut_all();
    let (refused, field) = parent(3, "01");
    assert_eq!(get(&balancer, "/known", &[&field]).status, 502);
    let spans = collector.trace(&refused, 2);
    for span in &spans {
        assert_eq!((number(&span["status"]), error(span)), (ERROR, json!("connect_refused")), "{span:#}");
    }
    // Names of methods are not made by clients.
    let strange = parent(4, "01");
    balancer.client().exchange(format!(
        "FETCH /else HTTP/1.1\r\nHost: [::1]:81\r\nConnection: close\r\n{}\r\n\r\n",
        strange.1
    ));
    let [span] = &collector.trace(&strange.0, 1)[..] else { panic!("one span") };
    let what = &span["attributes"];
    assert_eq!((text(&span["name"]), text(&what["http.request.method"])), ("HTTP", "_OTHER"));
    assert_eq!(text(&what["http.request.method_original"]), "FETCH");
    assert_eq!((text(&what["server.address"]), number(&what["server.port"])), ("::1", 81));
}

#[test]
fn an_answer_that_was_set_aside_is_that_of_its_own_attempt() {
    let collector = Collector::start("http", &[]);
    let (busy, broken) = (Origin::answering(reply(503, "busy")), resetting());
    let patch = json!({ "pools": { "app": { "retry": { "attempts": 2 } } } });
    let balancer = start(&[&busy, &broken], &collector.section(&json!({})), &patch);
    // They are asked in turn, so that the answer comes before the failure and behind it.
    for number in [1, 2] {
        let (trace, field) = parent(number, "01");
        assert_eq!(get(&balancer, "/", &[&field]).status, 503);
        let spans = collector.trace(&trace, 3);
        assert_eq!(spans[0]["attributes"]["http.response.status_code"], 503);
        let of = |server: &Origin| {
            let attempt = spans.iter().find(|span| span["attributes"]["server.port"] == server.port());
            let what = &attempt.unwrap()["attributes"];
            (what["http.response.status_code"].clone(), what["error.type"].clone())
        };
        assert_eq!(of(&busy), (json!(503), json!("503")));
        assert_eq!(of(&broken), (Value::Null, json!("server_closed")));
    }
}
