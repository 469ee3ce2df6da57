//! The action `process`: a server that LoadWeaver runs itself.
//!
//! One task keeps one child. It starts it, tells its exits, starts it anew when it is asked to, and ends it with
//! itself. Whether and when an exit is followed by a start is not for it to say: that is decided as every other
//! recovery is, with pauses that grow and an end to all patience.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use loadweaver_telemetry::log;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::guard;
use crate::program::{Group, Program, Tail};
use crate::target::Target;

/// Lines of output on their way to the program's log.
mod lines;

/// How long the end of the output is waited for after an exit.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How an action ended, and the end of what it had to say.
pub(super) type Acted = (Result<(), String>, String);

/// What is run, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) target: Target,
    pub(super) program: Program,
    pub(super) stop_timeout: Duration,
}

impl Charge {
    /// Whether the child that runs for one may go on for the other: the same program for the same server. The pool may
    /// be another one, as long as the program is not told of it by its configuration; `LOADWEAVER_POOL` then says in
    /// which one it was started.
    pub(super) fn is_of_same_child(&self, other: &Self) -> bool {
        let told = |charge: &Self| {
            let env = charge.program.env.iter().filter(|(name, _)| name != Target::POOL);
            env.cloned().collect::<Vec<_>>()
        };
        let server =
            |charge: &Self| (charge.target.server.clone(), charge.target.host.clone(), charge.target.port);
        server(self) == server(other)
            && self.program.argv == other.program.argv
            && self.program.directory == other.program.directory
            && told(self) == told(other)
    }
}

/// A charge that may change while its child runs.
pub(super) type Shared = Arc<Mutex<Charge>>;

fn now(charge: &Shared) -> Charge {
    charge.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// What can be seen of a child.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Its process group; none while nothing runs.
    pub(super) pid: Option<u32>,
    pub(super) started: Option<SystemTime>,
    /// How often it was started.
    pub(super) starts: u64,
}

/// Keeps one child. Dropped, it ends the child beside whatever else goes on; [`Keeper::stop`] waits for that.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Tells it from every other one.
    pub(super) number: u64,
    charge: Shared,
    asks: mpsc::Sender<oneshot::Sender<Acted>>,
    task: JoinHandle<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Keeper {
    /// Starts the child once `previous` is done. `ended` is told each exit that nobody asked for.
    pub(super) fn start(
        (number, charge): (u64, Charge),
        guard: Option<PathBuf>,
        previous: Option<JoinHandle<()>>,
        ended: impl Fn(String, String) + Send + 'static,
    ) -> Self {
        let (asks, asked) = mpsc::channel(1);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let charge = Arc::new(Mutex::new(charge));
        let duty =
            Duty { charge: Arc::clone(&charge), guard, seen: Arc::clone(&seen), tail: Tail::default() };
        let task = tokio::spawn(async move {
            if let Some(previous) = previous {
                // Its port is free only when it is gone.
                let _ = previous.await;
            }
            duty.run(asked, ended).await;
        });
        Self { number, charge, asks, task, seen }
    }

    /// Whether its child can go on for this charge.
    pub(super) fn suits(&self, charge: &Charge) -> bool {
        now(&self.charge).is_of_same_child(charge)
    }

    /// Goes on for this charge.
    pub(super) fn take_up(&self, charge: Charge) {
        *self.charge.lock().unwrap_or_else(PoisonError::into_inner) = charge;
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the child, if it runs, and starts it. The outcome comes when that is done.
    pub(super) fn restart(&self) -> impl Future<Output = Acted> + Send + use<> {
        let asks = self.asks.clone();
        async move {
            let (reply, outcome) = oneshot::channel();
            let gone = |()| (Err("the process is not kept any more".to_owned()), String::new());
            if asks.send(reply).await.is_err() {
                return gone(());
            }
            drop(asks);
            outcome.await.unwrap_or_else(|_| gone(()))
        }
    }

    /// Ends the child; done when the task is.
    pub(super) fn stop(self) -> JoinHandle<()> {
        self.task
    }
}

/// What the task is given.
struct Duty {
    charge: Shared,
    guard: Option<PathBuf>,
    seen: Arc<Mutex<Seen>>,
    tail: Tail,
}

/// A child that runs.
struct Running {
    group: Group,
    readers: JoinSet<()>,
    /// While it is open, whoever guards the child knows that we live.
    _life: Option<ChildStdin>,
}

impl Duty {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<Acted>>,
        ended: impl Fn(String, String) + Send,
    ) {
        let mut running = match self.spawn() {
            Ok(running) => Some(running),
            Err(why) => {
                ended(why, String::new());
                None
            }
        };
        loop {
            tokio::select! {
                ask = asked.recv() => {
                    if let Some(running) = running.take() {
                        self.end(running).await;
                    }
                    let Some(reply) = ask else { return };
                    let result = self.spawn().map(|new| running = Some(new));
                    let _ = reply.send((result, self.tail.text()));
                }
                status = exit(running.as_mut()), if running.is_some() => {
                    let how = self.ended_how(status);
                    if let Some(running) = running.take() {
                        self.bury(running).await;
                    }
                    let Charge { target, .. } = now(&self.charge);
                    tracing::warn!(target: log::RECOVERY, pool = %target.pool, server = %target.server, how, "the server's process ended");
                    ended(how, self.tail.text());
                }
            }
        }
    }

    fn spawn(&mut self) -> Result<Running, String> {
        let Charge { target, program, stop_timeout } = now(&self.charge);
        let mut command = match &self.guard {
            None => program.command(),
            Some(guard) => {
                let patience = format!("{}", stop_timeout.as_millis());
                let own = [guard.display().to_string(), guard::COMMAND.to_owned(), patience, "--".to_owned()];
                let argv = own.into_iter().chain(program.argv.iter().cloned()).collect();
                let mut command = Program { argv, ..program.clone() }.command();
                command.arg0("loadweaver").stdin(Stdio::piped());
                command
            }
        };
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let first = program.argv.first().map_or("", String::as_str);
        let mut group =
            Group::start(&mut command).map_err(|error| format!("cannot start {first}: {error}"))?;
        let pid = group.id();
        tracing::info!(target: log::RECOVERY, pool = %target.pool, server = %target.server, program = first, pid, "started the server's process");
        self.see(|seen| *seen = Seen { pid, started: Some(SystemTime::now()), starts: seen.starts + 1 });
        self.tail = Tail::default();
        let (life, stdout, stderr) = group.pipes();
        let readers = lines::follow(&self.charge, &self.tail, stdout, stderr);
        Ok(Running { group, readers, _life: life })
    }

    /// Ends a child as it was asked for.
    async fn end(&self, mut running: Running) {
        let Charge { target, stop_timeout, .. } = now(&self.charge);
        tracing::info!(target: log::RECOVERY, pool = %target.pool, server = %target.server, "ending the server's process");
        running.group.end(stop_timeout).await;
        self.bury(running).await;
    }

    /// Whoever the leader left behind would hold its port.
    async fn bury(&self, mut running: Running) {
        running.group.kill();
        self.see(|seen| seen.pid = None);
        let _ = timeout(LAST_WORDS, async { while running.readers.join_next().await.is_some() {} }).await;
    }

    fn ended_how(&self, status: std::io::Result<ExitStatus>) -> String {
        let status = match status {
            Ok(status) => status,
            Err(error) => return format!("the process is lost: {error}"),
        };
        // Whoever guards the child tells a signal as shells do.
        let told = status.code().filter(|code| self.guard.is_some() && *code > 128).map(|code| code - 128);
        match (status.signal().or(told), status.code()) {
            (Some(signal), _) => format!("the process was killed by signal {signal}"),
            (None, Some(127)) if self.guard.is_some() => "the process cannot be started".to_owned(),
            (None, Some(code)) => format!("the process exited with status {code}"),
            (None, None) => format!("the process ended: {status}"),
        }
    }

    fn see(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn exit(running: Option<&mut Running>) -> std::io::Result<ExitStatus> {
    match running {
        Some(running) => running.group.wait().await,
        None => std::future::pending().await,
    }
}
