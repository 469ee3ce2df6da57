//! Programs that the configuration names, run on this machine: recoveries and `exec` probes.
//!
//! A program is started without a shell, with an environment of its own, no standard input, and no descriptor but its
//! output. It leads a process group, and whatever has to end ends as a group: SIGTERM, a while to tidy up, SIGKILL.
//! A program that exits by itself may leave others of its group behind; they are what it was run for, as often as
//! not (a script that starts a server); only a probe has nothing to leave behind. Their output goes on being read, and is thrown away, because a pipe that
//! nobody reads would kill them at their next word.
//!
//! Who leaves the group (`setsid`, a service manager) is out of reach, on purpose.

use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::precedence;

/// The end of what a program says.
mod tail;

pub(crate) use tail::{Tail, harmless};

/// Where programs are looked for whose path is not given; the environment is otherwise what was configured.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long a program that ran out of time may take to end after SIGTERM.
pub(crate) const LAST_MOMENTS: Duration = Duration::from_secs(2);
/// How long output is waited for after a program's exit: what it left in the pipe is there at once.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Programs, and those that they left behind, that are listened to at a time: each is two descriptors. The output of
/// more goes nowhere.
static LISTENED_TO: Semaphore = Semaphore::const_new(256);

/// Bytes that one read of output may bring where every line of it counts.
pub(crate) const READ: usize = 16 * 1024;
/// A read of so many bytes was of a program that talks faster than anybody reads, and how long it is left alone then.
const MUCH: usize = 4 * 1024;
const BREATH: Duration = Duration::from_millis(1);

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// None is where we run ourselves.
    pub(crate) directory: Option<PathBuf>,
}

/// What becomes of those whom a program leaves behind in its group.
#[derive(Debug, Clone, Copy)]
enum Leftovers {
    GoOn,
    AreKilled,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Exited(ExitStatus),
    OutOfTime,
    /// It was called off.
    CalledOff,
    NotStarted(io::Error),
}

impl Ending {
    /// What happened, for an operator.
    pub(crate) fn in_words(&self, program: &Program, limit: Duration) -> String {
        let name = program.argv.first().map_or("", String::as_str);
        match self {
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("{name} exited with status {code}"),
                (None, Some(signal)) => format!("{name} was killed by signal {signal}"),
                (None, None) => format!("{name} ended: {status}"),
            },
            Self::OutOfTime => format!("{name} did not end within {limit:?}"),
            Self::CalledOff => format!("{name} was called off"),
            Self::NotStarted(error) => format!("cannot start {name}: {error}"),
        }
    }
}

impl Program {
    /// Runs it to its end, or until the time is up or `called_off` is; what it leaves behind goes on. Dropping the
    /// future kills the group.
    pub(crate) async fn run(
        &self,
        limit: Duration,
        called_off: impl Future<Output = ()>,
    ) -> (Ending, String) {
        self.run_with(Leftovers::GoOn, limit, called_off).await
    }

    /// The same for a program that has nothing to leave behind: whoever is left of its group is killed.
    pub(crate) async fn run_alone(&self, limit: Duration) -> (Ending, String) {
        self.run_with(Leftovers::AreKilled, limit, pending()).await
    }

    async fn run_with(
        &self,
        leftovers: Leftovers,
        limit: Duration,
        called_off: impl Future<Output = ()>,
    ) -> (Ending, String) {
        let tail = Tail::default();
        let mut command = self.command();
        let permit = LISTENED_TO.try_acquire().ok();
        let output = || if permit.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdout(output()).stderr(output());
        let mut group = match Group::start(&mut command) {
            Ok(group) => group,
            Err(error) => return (Ending::NotStarted(error), String::new()),
        };
        let mut readers = listen(&mut group, &tail, permit);
        let ending = tokio::select! {
            status = group.wait() => match status {
                Ok(status) => {
                    match leftovers {
                        Leftovers::GoOn => group.let_be(),
                        Leftovers::AreKilled => group.kill(),
                    }
                    Ending::Exited(status)
                }
                Err(error) => Ending::NotStarted(error),
            },
            () = sleep(limit) => Ending::OutOfTime,
            () = called_off => Ending::CalledOff,
        };
        if !matches!(ending, Ending::Exited(_)) {
            group.end(LAST_MOMENTS).await;
        }
        // An error means that somebody whom the program left behind can still talk.
        let _ = timeout(LAST_WORDS, async { while readers.join_next().await.is_some() {} }).await;
        readers.detach_all();
        (ending, tail.text())
    }

    /// The program with all but its output settled.
    pub(crate) fn command(&self) -> Command {
        let (program, arguments) =
            self.argv.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// A child and the process group that it leads. Dropped, the group is killed, unless it was let be.
#[derive(Debug)]
pub(crate) struct Group {
    /// None only while it is dropped.
    child: Option<Child>,
    id: Option<Pid>,
}

impl Group {
    /// Starts the command, which must lead a group of its own.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        id.into_iter().for_each(precedence::give_back);
        Ok(Self { child: Some(child), id })
    }

    /// The leader's process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The ends of the leader's pipes that are ours; each can be taken once.
    pub(crate) fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        let Some(child) = &mut self.child else { return (None, None, None) };
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    }

    /// Waits until the leader has ended.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match &mut self.child {
            Some(child) => child.wait().await,
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Leaves alone whoever is still in the group.
    fn let_be(&mut self) {
        self.id = None;
    }

    /// SIGTERM, some time for the leader to end, and SIGKILL for whoever is left.
    pub(crate) async fn end(&mut self, patience: Duration) {
        if !patience.is_zero() {
            self.signal(Signal::TERM);
            // Whether it ended in time or not, what is left of the group is killed.
            let _ = timeout(patience, self.wait()).await;
        }
        self.kill();
        // The leader is reaped here. Nobody survives that, but one that hangs in the kernel may take its time.
        let _ = timeout(LAST_MOMENTS, self.wait()).await;
    }

    /// SIGKILL for all who are left; they get no other signal after that.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // An error means that nobody is left.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // tokio reaps a child whose handle is dropped only when another one ends; until then it would be a zombie.
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), Handle::try_current()) {
            runtime.spawn(async move { child.wait().await });
        }
    }
}

/// Reads both outputs to their ends; the permit is given back with the last of them.
fn listen(group: &mut Group, tail: &Tail, permit: Option<SemaphorePermit<'static>>) -> JoinSet<()> {
    let permit = Arc::new(permit);
    let mut readers = JoinSet::new();
    let (_, stdout, stderr) = group.pipes();
    if let Some(stdout) = stdout {
        readers.spawn(follow(stdout, tail.clone(), Arc::clone(&permit)));
    }
    if let Some(stderr) = stderr {
        readers.spawn(follow(stderr, tail.clone(), permit));
    }
    readers
}

async fn follow(
    mut output: impl AsyncRead + Unpin,
    tail: Tail,
    _permit: Arc<Option<SemaphorePermit<'static>>>,
) {
    let mut buffer = [0; 4096];
    while let Ok(count) = output.read(&mut buffer).await
        && count > 0
    {
        tail.add(buffer.get(..count).unwrap_or_default());
        breathe(count).await;
    }
}

/// Waits a moment after a read that brought much, so that a program that talks without end does not take the thread
/// from everybody else who lives on it; it waits itself, at its next word, and can still say megabytes a second.
pub(crate) async fn breathe(count: usize) {
    if count >= MUCH {
        sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests;
