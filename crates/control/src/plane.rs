//! The control thread.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use loadweaver_proxy::Snapshot;
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::log;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::admin;
use crate::probes;
use crate::readiness::Readiness;
use crate::resolver::{self, Resolver};
use crate::supervisor::Supervisor;
use crate::upkeep;

/// What the control plane looks after.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The configuration in force, with its live state.
    pub snapshot: Arc<Snapshot>,
    /// Where events go.
    pub bus: EventBus,
    /// For its counters; none when the log is off.
    pub access_log: Option<AccessLog>,
    /// The moment that the snapshot's times count from, on both clocks.
    pub started: (Instant, SystemTime),
    /// Set by whoever starts and ends the process.
    pub readiness: Readiness,
}

/// What can be seen of the data plane once it runs.
#[derive(Debug)]
pub struct Sight {
    /// What the node did.
    pub counters: Arc<ProxyCounters>,
    /// Each listener with the address that it really has.
    pub listeners: Vec<(Arc<str>, SocketAddr)>,
}

/// Why the control plane did not start.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The admin listener's address cannot be bound.
    #[error("the admin listener cannot listen on {address}: {source}")]
    Bind {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("the control thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// The running control plane. Dropping it leaves it running; [`Plane::stop`] ends it.
#[derive(Debug)]
pub struct Plane {
    admin: Option<SocketAddr>,
    sight: Arc<OnceLock<Sight>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Plane {
    /// Binds the admin listener and starts the thread; returns when each server's name was looked up once or three
    /// seconds have passed.
    pub fn start(watched: Watched) -> Result<Self, AdminError> {
        let listener = watched.snapshot.config.admin.as_ref().map(|admin| bind(admin.bind)).transpose()?;
        let admin = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let sight = Arc::new(OnceLock::new());
        let (stop, stopped) = oneshot::channel();
        let (resolved, first_round) = mpsc::sync_channel(1);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(resolver::UNDER_WAY)
            .thread_name("control-lookup")
            .build()?;
        let life = Life { watched, listener, sight: Arc::clone(&sight), resolved };
        let thread =
            thread::Builder::new().name("control".to_owned()).spawn(move || life.run(runtime, stopped))?;
        // An error means that the thread died, which its panic has told already.
        let _ = first_round.recv();
        Ok(Self { admin, sight, stop, thread })
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Shows the data plane to the admin listener. Only the first time counts.
    pub fn show(&self, sight: Sight) {
        let _ = self.sight.set(sight);
    }

    /// Ends the thread and everything on it.
    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| AdminError::Bind { address, source })
}

/// What the thread is given.
struct Life {
    watched: Watched,
    listener: Option<TcpListener>,
    sight: Arc<OnceLock<Sight>>,
    resolved: SyncSender<()>,
}

impl Life {
    fn run(self, runtime: Runtime, stopped: oneshot::Receiver<()>) {
        runtime.block_on(async {
            self.begin().await;
            // Both the message and the loss of its sender end the thread.
            let _ = stopped.await;
        });
        // A lookup may hang in the system's resolver; nobody waits for it.
        runtime.shutdown_background();
    }

    async fn begin(self) {
        let Self { watched, listener, sight, resolved } = self;
        let supervisor = Supervisor::new(watched.bus.clone());
        let snapshot = Arc::clone(&watched.snapshot);
        if let Some(listener) = listener {
            tracing::debug!(target: log::ADMIN, "answering");
            let api = admin::Api::new(watched, sight, listener.local_addr().ok());
            supervisor.keep("admin", move || admin::serve(listener.try_clone(), api.clone()));
        }
        let mut resolver = Resolver::new(&snapshot);
        resolver.first_round().await;
        let _ = resolved.send(());
        let mut resolver = Some(resolver);
        let resolved_anew = Arc::clone(&snapshot);
        supervisor
            .keep("resolver", move || resolver.take().unwrap_or_else(|| Resolver::new(&resolved_anew)).run());
        let probed = Arc::clone(&snapshot);
        supervisor.keep("probes", move || probes::run(Arc::clone(&probed)));
        supervisor.keep("upkeep", move || upkeep::run(Arc::clone(&snapshot)));
    }
}
