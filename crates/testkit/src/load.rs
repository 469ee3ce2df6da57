//! Many clients at once, each outcome counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::client::RawClient;
use crate::eventually::eventually;

/// Keep-alive connections that send the same request one after another until told to stop.
#[derive(Debug)]
pub struct Load {
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    stop: AtomicBool,
    answered: AtomicU64,
    outcomes: Mutex<BTreeMap<String, u64>>,
}

/// How the exchanges ended: `"200 body"` for whole answers (the body's first 40 bytes), else the error's name.
pub type Outcomes = BTreeMap<String, u64>;

impl Load {
    /// Starts that many connections.
    pub fn start(address: SocketAddr, connections: usize, request: impl Into<Vec<u8>>) -> Self {
        let (state, request) = (Arc::<State>::default(), Arc::new(request.into()));
        let threads = (0..connections).map(|_| {
            let (state, request) = (Arc::clone(&state), Arc::clone(&request));
            std::thread::spawn(move || run(address, &request, &state))
        });
        Self { threads: threads.collect(), state }
    }

    /// How many whole answers came so far.
    pub fn answered(&self) -> u64 {
        self.state.answered.load(Ordering::Relaxed)
    }

    /// Waits until that many more whole answers came.
    #[track_caller]
    pub fn wait_for(&self, more: u64) {
        let wanted = self.answered() + more;
        eventually("the load goes on", || self.answered() >= wanted);
    }

    /// The outcomes so far.
    pub fn outcomes(&self) -> Outcomes {
        self.state.outcomes.lock().unwrap().clone()
    }

    /// Stops and returns all outcomes.
    pub fn stop(self) -> Outcomes {
        self.state.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client thread ends in order");
        }
        self.state.outcomes.lock().unwrap().clone()
    }
}

fn run(address: SocketAddr, request: &[u8], state: &State) {
    let mut client: Option<RawClient> = None;
    while !state.stop.load(Ordering::Relaxed) {
        let outcome = one(&mut client, address, request);
        if outcome.0 {
            state.answered.fetch_add(1, Ordering::Relaxed);
        }
        *state.outcomes.lock().unwrap().entry(outcome.1).or_default() += 1;
    }
}

fn one(slot: &mut Option<RawClient>, address: SocketAddr, request: &[u8]) -> (bool, String) {
    let mut client = match slot.take() {
        Some(client) => client,
        None => match RawClient::try_connect(address) {
            Ok(client) => client,
            Err(error) => return (false, format!("no connection: {:?}", error.kind())),
        },
    };
    let method = if request.starts_with(b"GET") { "GET" } else { "POST" };
    if client.send(request).is_err() {
        return (false, "cut while sending".into());
    }
    match client.read_answer(method) {
        Ok(answer) => {
            let shown = String::from_utf8_lossy(&answer.body[..answer.body.len().min(40)]).into_owned();
            let failure = answer.failure().map(|code| format!(" [{code}]")).unwrap_or_default();
            if !answer.says_close() {
                *slot = Some(client);
            }
            (true, format!("{} {shown}{failure}", answer.status).trim_end().to_owned())
        }
        Err(error) => (false, error_name(&error)),
    }
}

fn error_name(error: &crate::wire::WireError) -> String {
    use crate::wire::WireError;
    match error {
        WireError::Timeout(_) => "timeout".into(),
        WireError::Closed => "closed".into(),
        WireError::Reset => "reset".into(),
        WireError::Cut { status, .. } => format!("cut {status:?}"),
        WireError::Malformed(problem) => format!("malformed: {problem}"),
    }
}
