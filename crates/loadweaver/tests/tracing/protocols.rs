//! Clients and servers that speak something else.

use super::*;

#[test]
fn clients_and_servers_of_http2_are_told_of_alike() {
    let collector = Collector::start("grpc", &[]);
    let server = Http2Origin::start(async |request, mut respond| {
        let told = request.headers().get("traceparent").cloned().unwrap();
        let answer = http::Response::builder().header("told", told).body(()).unwrap();
        respond.send_response(answer, true).map(drop)
    });
    let mut config = one_pool(&[server.address()], &json!({ "tracing": collector.section(&json!({})) }));
    merge(&mut config, &json!({ "pools": { "app": { "protocol": "h2c" } } }));
    let balancer = Balancer::start(BINARY, &config);
    let client = Http2Client::connect(balancer.address());
    let (trace, field) = parent(1, "01");
    let mut request = loadweaver_testkit::http2::client::get("/");
    request.headers_mut().insert("traceparent", field.split_once(' ').unwrap().1.parse().unwrap());
    let answer = client.exchange(request, "", None).unwrap();
    let spans = collector.trace(&trace, 2);
    let [exchange, attempt] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!(answer.field("told"), Some(&*format!("00-{trace}-{}-01", text(&attempt["span"]))));
    assert_eq!((text(&exchange["parent"]), &attempt["parent"]), (SPAN, &exchange["span"]));
    assert_eq!(exchange["attributes"]["network.protocol.version"], "2");
    // Somebody who begins no trace has one begun.
    let told = client.get("/").field("told").unwrap().to_owned();
    assert_eq!(collector.trace(&told[3..35], 2)[0]["parent"], "");
}

/// What a call of gRPC comes to: `fine`, or the name of a status.
fn call(balancer: &Balancer, method: &str, field: &str) -> String {
    let script = "import grpc, sys\n\
                  call = grpc.insecure_channel(sys.argv[1]).unary_unary(sys.argv[2])\n\
                  try:\n    call(b'', metadata=(('traceparent', sys.argv[3]),), timeout=20)\n    print('fine')\n\
                  except grpc.RpcError as error:\n    print(error.code().name)\n";
    let mut client = Command::new(grpcio_python());
    client.args(["-c", script]).arg(balancer.address().to_string()).arg(method);
    let output = client.arg(field.split_once(' ').unwrap().1).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_call_of_grpc_is_told_of_as_the_exchange_of_http_that_it_is() {
    let collector = Collector::start("grpc", &[]);
    let mut server = Peer::grpcio(include_str!("../grpc/server.py"), &[]);
    let mut config = one_pool(&[server.address()], &json!({ "tracing": collector.section(&json!({})) }));
    merge(&mut config, &json!({ "pools": { "app": { "protocol": "h2c", "retry": { "attempts": 1 } } } }));
    let balancer = Balancer::start(BINARY, &config);
    // Whether a call failed is between the two ends; to HTTP it is an answer.
    for (number, method, ends) in [(1, "Unary", "fine"), (2, "Fail", "NOT_FOUND")] {
        let (trace, field) = parent(number, "01");
        let path = format!("/test.Echo/{method}");
        assert_eq!(call(&balancer, &path, &field), ends);
        let spans = collector.trace(&trace, 2);
        let [exchange, attempt] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!((text(&exchange["parent"]), &attempt["parent"]), (SPAN, &exchange["span"]));
        let what = &exchange["attributes"];
        assert_eq!((text(&exchange["name"]), text(&what["url.path"])), ("POST default", &*path));
        assert_eq!(what["network.protocol.version"], "2");
        assert!(text(&what["user_agent.original"]).starts_with("grpc-python/"), "{what:#}");
        for span in [exchange, attempt] {
            assert_eq!(span["attributes"]["http.response.status_code"], 200);
            assert_eq!((number_of(span, "status"), &span["attributes"]["error.type"]), (0, &Value::Null));
        }
    }
    // One that we had to fail is an error, though its status of HTTP is 200.
    server.kill();
    let (trace, field) = parent(3, "01");
    assert_eq!(call(&balancer, "/test.Echo/Unary", &field), "UNAVAILABLE");
    for span in collector.trace(&trace, 2) {
        assert_eq!(number_of(&span, "status"), ERROR, "{span:#}");
        assert!(span["attributes"]["error.type"].is_string(), "{span:#}");
    }
}

fn number_of(span: &Value, name: &str) -> u64 {
    number(&span[name])
}

#[test]
fn a_websocket_is_told_of_when_it_is_over_and_is_as_long_as_it_was() {
    for (client, server, statuses) in [
        (Wire::Http1, Wire::Http1, (101, 101)),
        (Wire::Http2, Wire::Http1, (200, 101)),
        (Wire::Http1, Wire::Http2, (101, 200)),
    ] {
        let collector = Collector::start("http", &[]);
        let origin = AnyOrigin::start(server);
        let mut config = one_pool(&[origin.address()], &json!({ "tracing": collector.section(&json!({})) }));
        if server == Wire::Http2 {
            merge(&mut config, &json!({ "pools": { "app": { "protocol": "h2c" } } }));
        }
        let balancer = Balancer::start(BINARY, &config);
        let mut socket = socket::open(client, balancer.address(), "/socket").unwrap();
        socket.send(b"hello");
        assert_eq!(socket.read(5).unwrap(), b"hello");
        let (trace, field) = parent(1, "01");
        get(&balancer, "/echo", &[&field]);
        let plain = collector.trace(&trace, 2).remove(0);
        assert_eq!(collector.spans().len(), 2, "nothing is told of what goes on");
        socket.end();
        assert_eq!(socket.read_to_end().0, b"bye");
        eventually("the WebSocket is told of", || collector.spans().len() == 4);
        let spans = collector.trace(text(&collector.spans()[2]["trace"]), 2);
        let [exchange, attempt] = &spans[..] else { panic!("{spans:#?}") };
        for (outer, inner) in [(exchange, attempt), (exchange, &plain)] {
            let [outer, inner] = [outer, inner].map(|span| (number(&span["start"]), number(&span["end"])));
            assert!(outer.0 <= inner.0 && inner.1 <= outer.1, "{outer:?} {inner:?}");
        }
        let status = |span: &Value| number(&span["attributes"]["http.response.status_code"]);
        assert_eq!((status(exchange), status(attempt)), statuses, "{client:?} {server:?}");
        // Of HTTP/2 it is a CONNECT, which routes see as the GET that it is, and so do collectors.
        let (name, path) = (text(&exchange["name"]), text(&exchange["attributes"]["url.path"]));
        assert_eq!((name, path), ("GET default", "/socket"));
        assert_eq!((number(&exchange["status"]), number(&attempt["status"])), (0, 0));
        assert_eq!((text(&exchange["parent"]), &attempt["parent"]), ("", &exchange["span"]));
    }
}
