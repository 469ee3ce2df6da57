//! The real binary under test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::client::RawClient;
use crate::eventually::{PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wire::Answer;

/// A running `loadweaver run`; killed on drop.
#[derive(Debug)]
pub struct Balancer {
    process: Process,
    listeners: Vec<(String, SocketAddr)>,
    admin: Option<SocketAddr>,
    scratch: Scratch,
}

impl Balancer {
    /// Starts the binary with the config and waits until it is ready. Callers pass
    /// `env!("CARGO_BIN_EXE_loadweaver")`, which only their own package knows.
    #[track_caller]
    pub fn start(binary: &str, config: &Value) -> Self {
        Self::start_with(binary, config, &[])
    }

    /// The same with `name=value` settings of the environment.
    #[track_caller]
    pub fn start_with(binary: &str, config: &Value, environment: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(program(binary)), config, environment)
    }

    /// The same with at most that many file descriptors.
    #[track_caller]
    pub fn start_with_descriptors(binary: &str, config: &Value, descriptors: u32) -> Self {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")).arg(program(binary));
        Self::spawn(command, config, &[])
    }

    #[track_caller]
    fn spawn(mut command: Command, config: &Value, environment: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let file = scratch.file("config.json", serde_json::to_vec_pretty(config).expect("a value is text"));
        for name in ["PORT", "WORKER_COUNT", "REDIS_URL", "HEALTH_CHECK_INTERVAL", "LOADWEAVER_CONFIG"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).arg("run").arg("--config").arg(file);
        let mut process = Process::start(&mut command);
        process.wait_for_stderr("ready", |line| (line == "ready").then_some(()));
        let lines = process.stderr();
        let listeners = lines.iter().filter_map(|line| {
            let (name, address) = line.strip_prefix("listening listener=")?.split_once(" address=")?;
            Some((name.to_owned(), address.parse().ok()?))
        });
        let admin = lines.iter().find_map(|line| line.strip_prefix("listening admin address=")?.parse().ok());
        Self { listeners: listeners.collect(), admin, process, scratch }
    }

    /// The first listener's address.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.listeners.first().expect("a line `listening listener=NAME address=ADDRESS` was printed").1
    }

    /// A new client connection to the first listener.
    #[track_caller]
    pub fn client(&self) -> RawClient {
        RawClient::connect(self.address())
    }

    /// One GET on its own connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.client().exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    }

    /// The admin listener's address.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("a line `listening admin address=ADDRESS` was printed")
    }

    /// Somebody who uses its admin API.
    #[track_caller]
    pub fn operator(&self) -> crate::Operator {
        crate::Operator::new(self.admin())
    }

    /// One GET at the admin listener.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Answer {
        let mut client = RawClient::connect(self.admin());
        client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin()))
    }

    /// `data` of `GET /status`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let answer = self.admin_get("/status");
        assert_eq!(answer.status, 200, "{answer:?}");
        let value: Value = serde_json::from_slice(&answer.body).expect("the status is JSON");
        assert_eq!(value["success"], Value::Bool(true), "{value}");
        value["data"].clone()
    }

    /// Waits until the status is as the closure wants it, and returns it.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let came = crate::eventually::holds_within(PATIENCE, || {
            last = self.status();
            wanted(&last)
        });
        assert!(came, "the status never showed {what}; the last one: {last:#}");
        last
    }

    /// The lines of standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Waits for a line of standard error that holds the text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("the log says {text:?}"), || {
            self.stderr().iter().any(|line| line.contains(text))
        });
    }

    /// The lines of standard output so far (the access log, when it goes there).
    pub fn stdout(&self) -> Vec<String> {
        self.process.stdout()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The processor time that it has used, in clock ticks (hundredths of a second on Linux).
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        behind.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    }

    /// Lowers its limit of file descriptors while it runs, behind the back of whatever it computed at its start.
    pub fn limit_descriptors(&self, most: u64) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.id()).expect("a process id"));
        let limit = rustix::process::Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::prlimit(id, rustix::process::Resource::Nofile, limit)
            .expect("a child's limit can be set");
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// Asks it to end in order (SIGTERM).
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Sends any signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits for its end; `None` when it still runs at the limit.
    pub fn wait_for_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.wait_for_exit(limit)
    }

    /// Its configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.scratch.path().join("config.json")
    }

    /// What it says.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(self.config_file()).expect("the configuration file can be read")
    }

    /// Puts another text in the place of the configuration file, as editors and tools that care do it: written
    /// beside it and renamed over it.
    pub fn write_config_text(&self, text: impl AsRef<[u8]>) {
        let fresh = self.scratch.file("config.json.fresh", text);
        std::fs::rename(fresh, self.config_file()).expect("a scratch file can be renamed");
    }

    /// The same with a configuration.
    pub fn write_config(&self, config: &Value) {
        self.write_config_text(serde_json::to_vec_pretty(config).expect("a value is text"));
    }

    /// Writes another configuration, asks for it with SIGHUP and waits until it is in force; its version.
    #[track_caller]
    pub fn reload(&self, config: &Value) -> u64 {
        let before = self.version();
        self.write_config(config);
        self.signal(Signal::HUP);
        let mut now = before;
        eventually("the configuration is in force", || {
            now = self.version();
            now > before
        });
        now
    }

    /// The number of the configuration in force.
    #[track_caller]
    pub fn version(&self) -> u64 {
        // The status says it, too, with everything else: a hundred times the work for those who ask again and again.
        let answer = self.admin_get("/api/health");
        let health: Value = serde_json::from_slice(&answer.body).expect("the answer is JSON");
        health["data"]["configVersion"].as_u64().unwrap_or_else(|| panic!("no version in {health}"))
    }

    /// Where a listener is now, as the status says.
    #[track_caller]
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        let status = self.status();
        let listeners = status["listeners"].as_array().expect("listeners are a list");
        let listener = listeners.iter().find(|listener| listener["name"] == name)?;
        listener["address"].as_str()?.parse().ok()
    }

    /// The folder with its config.
    pub fn folder(&self) -> &std::path::Path {
        self.scratch.path()
    }
}

/// `LOADWEAVER_TEST_BINARY` names another build (or a stand-in) to run the same tests against.
fn program(binary: &str) -> PathBuf {
    std::env::var_os("LOADWEAVER_TEST_BINARY").map_or_else(|| PathBuf::from(binary), PathBuf::from)
}
