//! Listeners of a running proxy through changes that follow each other closely.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use loadweaver_config::{Bind, Config};
use loadweaver_proxy::{Options, Proxy, Snapshot, StartError};
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::span::SpanQueue;

/// A proxy with two workers, and what is in force.
struct Running(Proxy);

impl Running {
    fn start(listeners: &[(&str, &str)]) -> Self {
        let bus = EventBus::new(16);
        let snapshot = Snapshot::build(1, config(listeners), &bus, Instant::now()).unwrap();
        Self(Proxy::start(snapshot, Options { access_log: None, spans: SpanQueue::default(), bus }).unwrap())
    }

    fn change(&self, listeners: &[(&str, &str)]) -> Result<(), StartError> {
        self.change_to(config(listeners))
    }

    fn change_to(&self, config: Config) -> Result<(), StartError> {
        let now = self.0.snapshot();
        let ready = self.0.prepare(now.next(now.version + 1, config).unwrap())?;
        self.0.apply(ready);
        Ok(())
    }

    fn address(&self, name: &str) -> SocketAddr {
        let addresses = self.0.addresses();
        addresses.into_iter().find(|(each, _)| &**each == name).unwrap().1.tcp().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
        self.0.join();
    }
}

fn config(listeners: &[(&str, &str)]) -> Config {
    let listeners: Vec<_> =
        listeners.iter().map(|(name, bind)| format!("\"{name}\": {{\"bind\": \"{bind}\"}}")).collect();
    with_listeners(&listeners.join(", "))
}

fn with_listeners(listeners: &str) -> Config {
    let text = format!(
        "{{\"workers\": 2, \"listeners\": {{{listeners}}}, \"pools\": {{\"app\": {{\"servers\": [
            {{\"host\": \"127.0.0.1\", \"port\": 9}}]}}}}}}"
    );
    loadweaver_config::parse(text.as_bytes(), &|_| None).unwrap().config
}

#[test]
fn a_listener_that_was_removed_a_moment_ago_can_come_back() {
    let running = Running::start(&[("web", "127.0.0.1:0"), ("side", "127.0.0.1:0")]);
    let side = running.address("side").to_string();
    // Nobody waits until the workers have closed it.
    for _ in 0..100 {
        running.change(&[("web", "127.0.0.1:0")]).unwrap();
        running.change(&[("web", "127.0.0.1:0"), ("back", &side)]).unwrap();
        assert_eq!(running.address("back").to_string(), side);
    }
}

#[test]
fn a_port_that_the_system_gave_to_one_listener_is_not_shared_with_another() {
    let running = Running::start(&[("web", "127.0.0.1:0")]);
    let port = running.address("web").port();
    for taken in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        let refused = running.change(&[("web", "127.0.0.1:0"), ("side", &taken)]).unwrap_err();
        let StartError::Bind { listener, .. } = &refused else { unreachable!("{refused}") };
        assert_eq!(&**listener, "side", "{refused}");
    }
    assert_eq!(running.0.addresses().len(), 1);
    // But it may be handed on.
    let web = format!("127.0.0.1:{port}");
    running.change(&[("other", "127.0.0.1:0"), ("side", &web)]).unwrap();
    assert_eq!(running.address("side").port(), port);
    let wide = format!("0.0.0.0:{port}");
    running.change(&[("other", "127.0.0.1:0"), ("side", &wide)]).unwrap();
    assert_eq!(running.address("side").to_string(), wide);
}

#[test]
fn a_foreign_program_s_port_is_refused_whatever_was_ours() {
    let running = Running::start(&[("web", "127.0.0.1:0")]);
    let foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = foreign.local_addr().unwrap().to_string();
    assert!(running.change(&[("side", &taken)]).is_err());
    let before: Vec<(Arc<str>, Bind)> = running.0.addresses();
    assert_eq!((before.len(), &*before[0].0), (1, "web"));
}

#[test]
fn nobody_comes_to_an_address_of_a_change_that_is_refused() {
    let folder = std::env::temp_dir().join(format!("loadweaver-listeners-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let taken = folder.join("taken.sock");
    let _foreign = std::os::unix::net::UnixListener::bind(&taken).unwrap();
    let running = Running::start(&[("web", "0.0.0.0:0")]);
    let port = running.address("web").port();
    // The second address waits until somebody else has left the folder, and is then found taken.
    let wanted = with_listeners(&format!(
        r#""web": {{"bind": ["127.0.0.1:{port}", "unix:{}"]}}"#,
        taken.to_str().unwrap()
    ));
    let busy = std::fs::File::open(&folder).unwrap();
    busy.lock().unwrap();
    let refused = std::thread::scope(|scope| {
        let change = scope.spawn(|| running.change_to(wanted));
        let mut answers = 0;
        while !change.is_finished() {
            // The server does not listen: whoever comes so far is served.
            assert!(ask(([127, 0, 0, 1], port).into()).starts_with("HTTP/1.1 50"));
            answers += 1;
            if answers == 100 {
                busy.unlock().unwrap();
            }
        }
        change.join().unwrap()
    });
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(refused.unwrap_err().to_string().contains("another program listens there"));
}

/// The first line of the answer to a request on a connection of its own.
fn ask(at: SocketAddr) -> String {
    let mut client = TcpStream::connect(at).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Changes in a row.
const SWAPS: usize = 300;

#[test]
fn what_an_address_does_stays_with_it_when_two_listeners_change_their_names() {
    let running = Running::start(&[("one", "127.0.0.1:0"), ("other", "127.0.0.1:0")]);
    let (plain, second) = (running.address("one"), running.address("other"));
    let named = |plain_is: &str, second_is: &str| {
        with_listeners(&format!(
            r#""{plain_is}": {{"bind": "{plain}", "protocols": ["http1"]}},
               "{second_is}": {{"bind": "{second}", "protocols": ["http2"]}}"#
        ))
    };
    running.change_to(named("one", "other")).unwrap();
    let stop = AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        let clients = [(); 2].map(|()| {
            scope.spawn(|| {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(ask(plain));
                }
                answers.retain(|answer| !answer.starts_with("HTTP/1.1 50") || answer.contains(" 505 "));
                answers
            })
        });
        for round in 0..SWAPS {
            let (one, other) = if round % 2 == 0 { ("other", "one") } else { ("one", "other") };
            running.change_to(named(one, other)).unwrap();
            // Both workers are there again before the next change.
            ask(plain);
        }
        stop.store(true, Ordering::Relaxed);
        clients.map(|client| client.join().unwrap()).concat()
    });
    assert_eq!(refused, Vec::<String>::new());
}
