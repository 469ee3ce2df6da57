//! Listeners with several addresses, and those that keep to one network interface.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};

use loadweaver_testkit::config::one_pool;
use loadweaver_testkit::peer::free_address;
use loadweaver_testkit::scratch::Scratch;
use loadweaver_testkit::{Balancer, Origin, RawClient, eventually, unix};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::process::Signal;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_loadweaver");

fn config(origin: &Origin, bind: &Value) -> Value {
    one_pool(&[origin.address()], &json!({ "workers": 2, "listeners": { "web": { "bind": bind } } }))
}

/// The addresses of a listener as the status has them, in their order.
fn addresses(balancer: &Balancer, name: &str) -> Vec<String> {
    let status = balancer.status();
    let all = status["listeners"].as_array().unwrap().iter();
    all.filter(|each| each["name"] == name).map(|each| each["address"].as_str().unwrap().to_owned()).collect()
}

fn get(address: &str) -> String {
    RawClient::connect(address.parse().unwrap()).get("/").text()
}

#[test]
fn a_listener_serves_at_each_of_its_addresses() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let socket = scratch.path().join("web.sock").display().to_string();
    let bind = json!(["127.0.0.1:0", "[::1]:0", "127.0.0.2:0", format!("unix:{socket}")]);
    let balancer = Balancer::start(BINARY, &config(&origin, &bind));
    let all = addresses(&balancer, "web");
    let starts = ["127.0.0.1:", "[::1]:", "127.0.0.2:", "unix:/"];
    assert!(all.len() == 4 && all.iter().zip(starts).all(|(at, start)| at.starts_with(start)), "{all:?}");
    for address in &all {
        let line = format!("listening listener=web address={address}");
        assert!(balancer.stderr().contains(&line), "{line}");
    }
    assert!(all.iter().take(3).all(|address| get(address) == "x"));
    assert_eq!(RawClient::connect_unix(&socket).get("/").text(), "x");
}

#[test]
fn the_ipv6_wildcard_takes_ipv4_too_and_both_may_be_written() {
    let origin = Origin::named("x");
    for bind in [json!("[::]:0"), json!(["0.0.0.0:0", "[::]:0"])] {
        let balancer = Balancer::start(BINARY, &config(&origin, &bind));
        let all = addresses(&balancer, "web");
        let port = all.last().unwrap().rsplit_once(':').unwrap().1.to_owned();
        assert_eq!(get(&format!("[::1]:{port}")), "x", "{bind}");
        assert_eq!(get(&format!("127.0.0.1:{port}")), "x", "{bind}");
    }
    // With a port the one is within the other, and no second socket is opened.
    let port = free_address().port();
    let both = json!([format!("0.0.0.0:{port}"), format!("[::]:{port}")]);
    let balancer = Balancer::start(BINARY, &config(&origin, &both));
    assert_eq!(addresses(&balancer, "web"), [format!("[::]:{port}")]);
    assert!(balancer.stderr().iter().any(|line| line.contains("takes IPv4 too")), "{:?}", balancer.stderr());
    assert_eq!(get(&format!("127.0.0.1:{port}")), "x");
}

#[test]
fn an_address_that_stays_keeps_its_connections_whatever_comes_and_goes_around_it() {
    let origin = Origin::named("x");
    let balancer = Balancer::start(BINARY, &config(&origin, &json!(["127.0.0.1:0", "127.0.0.2:0"])));
    let all = addresses(&balancer, "web");
    let (kept, gone) = (all[0].clone(), all[1].clone());
    let mut stays = RawClient::connect(kept.parse().unwrap());
    let mut goes = RawClient::connect(gone.parse().unwrap());
    assert_eq!((stays.get("/").text(), goes.get("/").text()), ("x".to_owned(), "x".to_owned()));

    balancer.reload(&config(&origin, &json!(["127.0.0.3:0", "127.0.0.1:0"])));
    assert_eq!(addresses(&balancer, "web")[1], kept, "in the file's order");
    goes.expect_closed();
    eventually("nobody listens there", || TcpStream::connect(gone.parse::<SocketAddr>().unwrap()).is_err());
    assert_eq!(stays.get("/").text(), "x");

    // As one address, and under another name.
    balancer.reload(&config(&origin, &json!(kept)));
    let mut renamed = config(&origin, &json!(null));
    renamed["listeners"] = json!({ "front": { "bind": ["127.0.0.4:0", kept] } });
    balancer.reload(&renamed);
    assert_eq!(addresses(&balancer, "front")[1], kept);
    assert_eq!(stays.get("/").text(), "x");
}

#[test]
fn a_list_with_one_that_cannot_be_bound_changes_nothing() {
    let origin = Origin::named("x");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let balancer = Balancer::start(BINARY, &config(&origin, &json!("127.0.0.1:0")));
    let before = addresses(&balancer, "web");
    let free = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    for (bad, why) in [(taken.to_string(), "in use"), ("%nowhere0:0".to_owned(), "No such device")] {
        balancer.write_config(&config(&origin, &json!([before[0], free.to_string(), bad])));
        balancer.signal(Signal::HUP);
        balancer.wait_for_log(why);
        assert!(TcpStream::connect(free).is_err(), "what could be bound is given back");
        assert_eq!((balancer.version(), addresses(&balancer, "web")), (1, before.clone()));
    }
    assert_eq!(get(&before[0]), "x");
}

#[test]
fn the_variable_port_moves_all_addresses_of_the_service() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let port = free_address().port();
    let socket = format!("unix:{}", scratch.path().join("web.sock").display());
    let config = config(&origin, &json!([socket, "127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:0"]));
    let balancer = Balancer::start_with(BINARY, &config, &[("PORT", &port.to_string())]);
    let all = addresses(&balancer, "web");
    assert_eq!(all[..3], [socket, format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")]);
    assert!(!all[3].ends_with(&format!(":{port}")));
}

#[test]
fn a_listener_may_keep_to_an_interface() {
    let origin = Origin::named("x");
    for (bind, shown, to) in [
        ("%lo:0", "[::]%lo:", "127.0.0.1"),
        ("%lo:0", "[::]%lo:", "[::1]"),
        ("0.0.0.0%lo:0", "0.0.0.0%lo:", "127.0.0.2"),
        ("127.0.0.5%lo:0", "127.0.0.5%lo:", "127.0.0.5"),
    ] {
        let balancer = Balancer::start(BINARY, &config(&origin, &json!(bind)));
        let all = addresses(&balancer, "web");
        let port = all[0].strip_prefix(shown).unwrap_or_else(|| panic!("{bind}: {all:?}"));
        assert_eq!(get(&format!("{to}:{port}")), "x", "{bind}");
        // The same interface may be written in another way, and it is the same socket.
        let mut client = RawClient::connect(format!("{to}:{port}").parse().unwrap());
        assert_eq!(client.get("/").text(), "x");
        balancer.reload(&config(&origin, &json!([all[0], "127.0.0.9:0"])));
        assert_eq!(client.get("/").text(), "x", "{bind}");
    }
}

/// Rounds in which the machine may be too busy to see it.
const ROUNDS: usize = 20;

#[test]
fn operators_are_answered_while_a_listener_waits_for_its_folder() {
    let (scratch, origin) = (Scratch::new(), Origin::named("x"));
    let balancer = Balancer::start(BINARY, &config(&origin, &json!("127.0.0.1:0")));
    let folder = openat(CWD, scratch.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, scratch.path(), WatchFlags::OPEN).unwrap();
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut seen = inotify::Reader::new(&watch, &mut space);
    let answered_meanwhile = |round: usize| {
        let path = scratch.path().join(format!("{round}.sock"));
        while seen.next().is_ok() {}
        flock(&folder, FlockOperation::LockExclusive).unwrap();
        let bind = json!(["127.0.0.1:0", format!("unix:{}", path.display())]);
        balancer.write_config(&config(&origin, &bind));
        balancer.signal(Signal::HUP);
        // It opens the folder to lock it, and waits for a while.
        eventually("it opens the folder", || seen.next().is_ok());
        assert_eq!(balancer.admin_get("/livez").status, 200);
        let it_waits = !path.exists();
        flock(&folder, FlockOperation::Unlock).unwrap();
        eventually("it listens", || unix::connect(path.to_str().unwrap()).is_ok());
        balancer.reload(&config(&origin, &json!("127.0.0.1:0")));
        it_waits
    };
    assert!((0..ROUNDS).any(answered_meanwhile));
}
