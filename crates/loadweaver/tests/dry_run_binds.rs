//! What a dry run says of addresses, and that it takes none of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fs;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use loadweaver_testkit::config::{merge, one_pool};
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually, unix};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

/// Dry runs of one change.
const RUNS: u32 = 30;

fn config(listeners: &Value) -> Value {
    let mut config = one_pool(&[free_address()], &json!({ "workers": 2 }));
    merge(&mut config, &json!({ "listeners": listeners }));
    config
}

/// A balancer whose first version had the listener `side` on that socket and which has it no more: the API names no sockets, but
/// it goes back to where they were named.
fn without(side: &str) -> Balancer {
    let bind = format!("unix:{side}");
    let balancer = Balancer::start(BINARY, &config(&json!({ "side": { "bind": bind } })));
    balancer.reload(&config(&json!({})));
    eventually("nobody listens there", || unix::connect(side).is_err());
    balancer
}

/// Tries the way back; the status and the answer.
fn try_back(balancer: &Balancer) -> (u16, Value) {
    balancer.operator().send("POST", "/api/config/rollback?dryRun=true", &json!({ "version": 1 }))
}

#[test]
fn a_dry_run_of_a_socket_leaves_no_trace_in_its_folder() {
    let scratch = Scratch::new();
    let name = scratch.path().join("side.sock");
    let balancer = without(name.to_str().unwrap());
    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    let events = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ATTRIB;
    inotify::add_watch(&watch, scratch.path(), events).unwrap();
    for left in [false, true] {
        if left {
            // A process that is no more would have left this.
            drop(UnixListener::bind(&name).unwrap());
        }
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut seen = inotify::Reader::new(&watch, &mut space);
        while seen.next().is_ok() {}
        for _ in 0..3 {
            let (status, answer) = try_back(&balancer);
            assert_eq!(status, 200, "{answer}");
        }
        let seen = seen.next().map(|event| (event.events(), event.file_name().map(ToOwned::to_owned)));
        assert_eq!(seen.err(), Some(Errno::WOULDBLOCK), "nothing happens in the folder");
    }
}

#[test]
fn a_dry_run_says_that_a_socket_cannot_be_bound() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let name = folder.join("side.sock");
    let balancer = without(name.to_str().unwrap());
    let theirs = UnixListener::bind(&name).unwrap();
    let refused = |why: &str| {
        let (status, answer) = try_back(&balancer);
        assert!(status == 422 || status == 409, "{status} {answer}");
        assert!(answer.to_string().contains(why), "{answer}");
    };
    refused("another program listens there");
    drop(theirs);
    assert_eq!(try_back(&balancer).0, 200, "what was left there would be taken over");
    fs::remove_file(&name).unwrap();
    fs::write(&name, "data").unwrap();
    refused("no socket");
    fs::remove_dir_all(&folder).unwrap();
    refused("No such file");
    // Names without files are taken by whoever has them.
    let name = unix::free_name();
    let balancer = without(&name);
    let door = unix::Door::shut(&name);
    let (_, answer) = try_back(&balancer);
    assert!(answer.to_string().contains("in use"), "{answer}");
    drop(door);
    assert_eq!(try_back(&balancer).0, 200);
}

/// Dry runs while somebody knocks without a pause; how often they got in.
fn admitted(knock: impl Fn() -> bool + Sync, dry_run: impl Fn()) -> u64 {
    let (stop, knocks, admitted) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                admitted.fetch_add(u64::from(knock()), Ordering::Relaxed);
                knocks.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..RUNS {
            dry_run();
            let before = knocks.load(Ordering::Relaxed);
            eventually("somebody knocks", || knocks.load(Ordering::Relaxed) > before);
        }
        stop.store(true, Ordering::Relaxed);
    });
    admitted.load(Ordering::Relaxed)
}

#[test]
fn nobody_connects_to_what_a_dry_run_tries() {
    let scratch = Scratch::new();
    for name in [scratch.path().join("side.sock").display().to_string(), unix::free_name()] {
        let balancer = without(&name);
        let count = admitted(|| unix::connect(&name).is_ok(), || assert_eq!(try_back(&balancer).0, 200));
        assert_eq!(count, 0, "{name}");
    }
    let balancer = Balancer::start(BINARY, &config(&json!({})));
    // Free a moment ago, at an address of this machine that nobody else uses.
    let address = TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap();
    let mut wanted = balancer.operator().data("/api/config");
    wanted["listeners"]["side"] = json!({ "bind": address.to_string() });
    let dry_run = || drop(balancer.operator().must(200, "PUT", "/api/config?dryRun=true", &wanted));
    assert_eq!(admitted(|| connects(address), dry_run), 0);
    // What it tries, it tries in earnest.
    let _taken = TcpListener::bind(address).unwrap();
    let (_, answer) = balancer.operator().send("PUT", "/api/config?dryRun=true", &wanted);
    assert!(answer.to_string().contains("in use"), "{answer}");
}

/// Whether somebody takes the connection in. One to a port of its own range can meet itself on loopback.
fn connects(to: SocketAddr) -> bool {
    TcpStream::connect(to).is_ok_and(|stream| stream.local_addr().unwrap() != to)
}

#[test]
fn a_dry_run_counts_the_connections_at_the_address_that_goes() {
    let origin = Origin::named("x");
    let start = json!({ "web": { "bind": ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"] } });
    let mut text = config(&start);
    text["pools"]["app"]["servers"][0]["port"] = json!(origin.port());
    let balancer = Balancer::start(BINARY, &text);
    let status = balancer.status();
    let addresses: Vec<_> = (0..3).map(|i| status["listeners"][i]["address"].as_str().unwrap()).collect();
    let connect = |index: usize, count: usize| {
        let mut clients: Vec<_> =
            (0..count).map(|_| RawClient::connect(addresses[index].parse().unwrap())).collect();
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "x");
        }
        clients
    };
    let _clients = [connect(0, 1), connect(1, 2), connect(2, 4)];
    let touched = |listener: &str, binds: &Value| {
        let mut wanted = balancer.operator().data("/api/config");
        wanted["listeners"] = json!({ listener: { "bind": binds } });
        balancer.operator().must(200, "PUT", "/api/config?dryRun=true", &wanted)["data"]["touched"].clone()
    };
    let line = |addresses: &str, count: usize| {
        json!([format!(
            "listener web on {addresses}: {count} client connections end after the exchange that they are in"
        )])
    };
    assert_eq!(touched("web", &json!(addresses)), json!([]));
    assert_eq!(touched("web", &json!([addresses[0], addresses[2]])), line(addresses[1], 2));
    assert_eq!(touched("web", &json!(addresses[2])), line(&addresses[..2].join(", "), 3));
    // As the system chose it, and under another name.
    assert_eq!(touched("front", &json!([addresses[1], "127.0.0.4:0"])), {
        line(&[addresses[0], addresses[2]].join(", "), 5)
    });
    assert_eq!(touched("front", &json!("127.0.0.4:0")), line(&addresses.join(", "), 7));
}
