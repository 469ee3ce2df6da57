//! Events as the admin API tells them: from the history, and live.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::{Balancer, Operator, PATIENCE};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn balancer() -> Balancer {
    Balancer::start(BINARY, &one_pool(&["127.0.0.1:3001".parse().unwrap()], &json!({})))
}

fn add(operator: &Operator, port: u16) {
    operator.must(201, "POST", "/api/servers", &json!({"host": "127.0.0.1", "port": port}));
}

/// A live stream, line by line.
struct Live(BufReader<TcpStream>);

impl Live {
    fn open(balancer: &Balancer, path: &str, lines: &str) -> Self {
        let mut socket = TcpStream::connect(balancer.admin()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{lines}\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        let mut live = Self(BufReader::new(socket));
        assert_eq!(live.line(), "HTTP/1.1 200 OK");
        while live.line() != "retry: 2000" {}
        live
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event: its name and its data.
    fn event(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let line = self.line();
            if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut name);
            } else if let Some(text) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(text).unwrap());
            }
        }
    }
}

#[test]
fn the_history_is_filtered_and_the_newest_comes_first() {
    let balancer = balancer();
    let operator = balancer.operator();
    add(&operator, 3002);
    add(&operator, 3003);
    let all = operator.data("/api/events");
    let first = all.as_array().unwrap();
    assert!(first[0]["id"].as_u64() > first[1]["id"].as_u64(), "{all}");
    let added = operator.data("/api/events?event=server_added,server_removed");
    let ids: Vec<&str> =
        added.as_array().unwrap().iter().map(|each| each["server"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["127.0.0.1:3003", "127.0.0.1:3002"]);
    assert_eq!(operator.data("/api/events?limit=1").as_array().unwrap().len(), 1);
    let one = operator.data("/api/events?server=127.0.0.1:3002");
    assert!(one.as_array().unwrap().iter().all(|each| each["server"]["id"] == "127.0.0.1:3002"), "{one}");
    assert_eq!(operator.data("/api/events?pool=other"), json!([]));
    let since = added[1]["id"].as_u64().unwrap();
    let later = operator.data(&format!("/api/events?since={since}&event=server_added"));
    assert_eq!(later.as_array().unwrap().len(), 1);
    let (status, wrong) = operator.get("/api/events?event=server_dwn");
    assert_eq!(status, 400);
    assert!(wrong.to_string().contains("server_down"), "{wrong}");
    assert_eq!(operator.get("/api/events?limit=0").0, 400);
}

#[test]
fn a_live_stream_goes_on_where_the_client_lost_it() {
    let balancer = balancer();
    let operator = balancer.operator();
    let mut live = Live::open(&balancer, "/api/events?event=server_added", "");
    add(&operator, 3002);
    let (name, event) = live.event();
    assert_eq!((name.as_str(), &event["server"]["id"]), ("server_added", &json!("127.0.0.1:3002")));
    drop(live);
    add(&operator, 3003);
    add(&operator, 3004);
    let last = format!("Last-Event-ID: {}\r\n", event["id"]);
    let mut live = Live::open(&balancer, "/api/events?event=server_added", &last);
    let caught_up = [live.event(), live.event()].map(|(_, event)| event["server"]["id"].clone());
    assert_eq!(caught_up, [json!("127.0.0.1:3003"), json!("127.0.0.1:3004")]);
    add(&operator, 3005);
    assert_eq!(live.event().1["server"]["id"], "127.0.0.1:3005");
}
