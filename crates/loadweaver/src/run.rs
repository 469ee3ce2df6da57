//! `run`: the parts put together, and the process's life from start to drain.
//!
//! The main thread only waits for signals. Workers and the control plane have threads of their own.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use loadweaver_config::{Bind, Config};
use loadweaver_control::{Plane, Readiness, Source, Stage, Watched};
use loadweaver_proxy::{Options, Proxy, Snapshot};
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::event::{Event, EventBus};
use loadweaver_telemetry::log::{self, ProgramLog};
use loadweaver_telemetry::span::SpanQueue;
use tokio::time::{interval, sleep_until};

use crate::config_file::Loaded;
use crate::signals::{Asked, Signals};
use crate::terminal::complain;
use crate::{FAILED, REFUSED, config_file, descriptors, logging};

/// Events that a listener of the bus may be behind.
const EVENTS: usize = 1024;
/// How often the workers are looked at while they serve, and while they end.
const LOOK_WHILE_SERVING: Duration = Duration::from_millis(500);
const LOOK_WHILE_ENDING: Duration = Duration::from_millis(10);
/// How long workers may take to end after the drain's deadline, or after they were told to end at once.
const GRACE: Duration = Duration::from_secs(2);

/// Where everything listens.
pub(crate) struct Addresses {
    pub(crate) listeners: Vec<(Arc<str>, Bind)>,
    pub(crate) admin: Option<Bind>,
}

/// The command `run`.
pub(crate) fn command(config: Option<PathBuf>) -> ExitCode {
    let path = config_file::path(config);
    match config_file::load(&path) {
        Err(refusal) => refusal.tell(),
        Ok(Loaded { parsed, source }) => {
            config_file::tell_warnings(&parsed.warnings);
            serve(parsed.config, source, |_| ())
        }
    }
}

/// Runs a configuration to its end. `announce` is called once everything listens.
pub(crate) fn serve(config: Config, source: Source, announce: impl FnOnce(&Addresses)) -> ExitCode {
    let program_log = match logging::start() {
        Ok(program_log) => program_log,
        Err(why) => {
            complain(why);
            return ExitCode::from(REFUSED);
        }
    };
    let outcome = live((config, source), &program_log, announce);
    if let Err(why) = &outcome {
        tracing::error!(target: log::PROCESS, "{why}");
    }
    program_log.close();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

/// The error is a sentence for the operator.
fn live(
    (config, source): (Config, Source),
    program_log: &ProgramLog,
    announce: impl FnOnce(&Addresses),
) -> Result<(), String> {
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot wait for signals: {error}"))?;
    runtime.block_on(async {
        let signals = Signals::take().map_err(|error| format!("cannot wait for signals: {error}"))?;
        let running = Running::start(config, source)?;
        let addresses = running.addresses();
        print_addresses(program_log, &addresses);
        announce(&addresses);
        let outcome = running.watch(signals).await;
        running.end();
        outcome
    })
}

/// The lines that scripts and tests wait for. They take the log's way out, so that they are in order with it.
fn print_addresses(program_log: &ProgramLog, addresses: &Addresses) {
    let line = |text: std::fmt::Arguments<'_>| {
        // The log takes everything.
        let _ = program_log.line().write_all(format!("{text}\n").as_bytes());
    };
    for (name, address) in &addresses.listeners {
        line(format_args!("listening listener={name} address={address}"));
    }
    if let Some(address) = &addresses.admin {
        line(format_args!("listening admin address={address}"));
    }
    line(format_args!("ready"));
}

/// What the first configuration brings, as its event tells it.
fn contents(config: &Config) -> String {
    let (listeners, routes, pools) = (config.listeners.len(), config.routes.len(), config.pools.len());
    let servers: usize = config.pools.iter().map(|pool| pool.servers.len()).sum();
    format!("listeners: {listeners}, routes: {routes}, pools: {pools}, servers: {servers}")
}

/// Everything that runs.
struct Running {
    proxy: Arc<Proxy>,
    plane: Plane,
    access_log: Option<AccessLog>,
    bus: EventBus,
    readiness: Readiness,
}

impl Running {
    fn start(config: Config, source: Source) -> Result<Self, String> {
        let started = (Instant::now(), SystemTime::now());
        let bus = EventBus::new(EVENTS);
        let access_log = AccessLog::open(&config.access_log).map_err(|error| error.to_string())?;
        let spans = SpanQueue::default();
        let summary = contents(&config);
        let snapshot = Snapshot::build(1, config, &bus, started.0);
        let snapshot = snapshot.map_err(|issues| format!("the configuration is refused\n{issues}"))?;
        let readiness = Readiness::default();
        let plane = Plane::start(Watched {
            snapshot: Arc::clone(&snapshot),
            source,
            bus: bus.clone(),
            access_log: access_log.clone(),
            spans: spans.clone(),
            started,
            readiness: readiness.clone(),
        })
        .map_err(|error| error.to_string())?;
        let options = Options { access_log: access_log.clone(), spans, bus: bus.clone() };
        let proxy = Arc::new(Proxy::start(snapshot, options).map_err(|error| error.to_string())?);
        plane.show(Arc::clone(&proxy));
        bus.emit(Event::ConfigApplied { version: 1, origin: "start".to_owned(), summary });
        readiness.reach(Stage::Ready);
        Ok(Self { proxy, plane, access_log, bus, readiness })
    }

    fn addresses(&self) -> Addresses {
        Addresses { listeners: self.proxy.addresses(), admin: self.plane.admin_address() }
    }

    /// Waits for the end: the one that was asked for, or the workers' own.
    async fn watch(&self, mut signals: Signals) -> Result<(), String> {
        let mut look = interval(LOOK_WHILE_SERVING);
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End => break,
                    other => self.heed(other),
                },
                _ = look.tick() => if self.proxy.is_finished() {
                    return Err("all workers have ended although nobody asked them to".to_owned());
                },
            }
        }
        self.readiness.reach(Stage::Draining);
        let drain = self.proxy.snapshot().config.timeouts.drain;
        self.proxy.drain(drain);
        let mut look = interval(LOOK_WHILE_ENDING);
        let mut limit = tokio::time::Instant::now() + drain + GRACE;
        let mut at_once = false;
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End => {
                        tracing::warn!(target: log::PROCESS, "a second signal: ending at once");
                        self.proxy.stop();
                        at_once = true;
                        limit = tokio::time::Instant::now() + GRACE;
                    }
                    other => self.heed(other),
                },
                _ = look.tick() => if self.proxy.is_finished() { return Ok(()) },
                () = sleep_until(limit) => {
                    let when = if at_once { "when told to" } else { "at the deadline" };
                    return Err(format!("not all workers ended {when}"));
                }
            }
        }
    }

    /// Does what was asked, other than to end.
    fn heed(&self, asked: Asked) {
        match asked {
            Asked::End => {}
            Asked::Reload => self.plane.reload(),
            Asked::Reopen => self.reopen_logs(),
            Asked::Nothing => tracing::warn!(target: log::PROCESS, "SIGUSR2 has no meaning here"),
        }
    }

    fn reopen_logs(&self) {
        match self.bus.file().map(|file| file.reopen()) {
            None => {}
            Some(Ok(())) => {
                tracing::info!(target: log::EVENTS, "SIGUSR1: the file of events is opened anew");
            }
            Some(Err(error)) => {
                tracing::error!(target: log::EVENTS, "SIGUSR1: {error}; the old file stays in use");
            }
        }
        match self.access_log.as_ref().map_or(Ok(false), AccessLog::reopen) {
            Ok(true) => tracing::info!(target: log::ACCESS_LOG, "SIGUSR1: the access log is opened anew"),
            Ok(false) if self.bus.file().is_some() => {}
            Ok(false) => tracing::warn!(
                target: log::ACCESS_LOG,
                "SIGUSR1: neither access log nor events go to a file or a syslog server, so there is nothing to open anew"
            ),
            Err(error) => {
                tracing::error!(target: log::ACCESS_LOG, "SIGUSR1: {error}; the old file stays in use");
            }
        }
    }

    /// In this order: the workers' last records, then the log that takes them, then the rest. Workers that did not
    /// end are left behind; the process's end takes them.
    fn end(self) {
        if self.proxy.is_finished() {
            self.proxy.join();
        }
        if let Some(access_log) = self.access_log {
            access_log.close();
        }
        self.plane.stop();
    }
}
