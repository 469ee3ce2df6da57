//! The control thread.

use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use loadweaver_config::{Admin, Bind};
use loadweaver_proxy::unix::SocketFile;
use loadweaver_proxy::{Proxy, Snapshot};
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::log;
use loadweaver_telemetry::span::SpanQueue;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, oneshot};

use crate::admin::Numbers;
use crate::admin::door::{Bound, Door};
use crate::admin::tls::Identity;
use crate::coordinator::{self, Coordinator, Source};
use crate::current::Current;
use crate::followers::{Files, Followers};
use crate::history::History;
use crate::rates::Rates;
use crate::readiness::Readiness;
use crate::recovery::{Recoveries, guard};
use crate::resolver::{self, Resolver};
use crate::spans::Spans;
use crate::supervisor::Supervisor;
use crate::upkeep::{self, Halvings};
use crate::webhooks::Webhooks;
use crate::{admin, certificates, precedence, probes, reload};

/// What the control plane looks after.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The first configuration, with its live state.
    pub snapshot: Arc<Snapshot>,
    /// Where it came from.
    pub source: Source,
    /// Where events go.
    pub bus: EventBus,
    /// For its counters; none when the log is off.
    pub access_log: Option<AccessLog>,
    /// Spans on their way from the workers.
    pub spans: SpanQueue,
    /// The moment that the snapshot's times count from, on both clocks.
    pub started: (Instant, SystemTime),
    /// Set by whoever starts and ends the process.
    pub readiness: Readiness,
}

/// Why the control plane did not start.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The admin listener's address cannot be bound.
    #[error("the admin listener cannot listen on {address}: {source}")]
    Bind {
        /// The configured address.
        address: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// Something that the configuration names cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The thread or its runtime cannot be started.
    #[error("the control thread cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Threads that parse, read and write for the coordinator, beside those that look names up.
const CHANGES: usize = 4;

/// What can be seen of the data plane once it runs, and the way to change it.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) coordinator: Coordinator,
    pub(crate) followers: Followers,
}

/// The running control plane. Dropping it leaves it running; [`Plane::stop`] ends it.
#[derive(Debug)]
pub struct Plane {
    admin: Option<Bind>,
    /// The file of the admin listener's Unix socket; it goes with the plane.
    file: Option<SocketFile>,
    hand_over: Mutex<Option<oneshot::Sender<Arc<Proxy>>>>,
    reload: Arc<Notify>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Plane {
    /// Binds the admin listener and starts the thread; returns when each server's name was looked up once or three
    /// seconds have passed.
    pub fn start(watched: Watched) -> Result<Self, AdminError> {
        let bound = watched.snapshot.config.admin.as_ref().map(bind).transpose()?;
        let (listener, file) = match bound {
            Some(Bound { door, address, file }) => (Some((door, address)), file),
            None => (None, None),
        };
        let admin = listener.as_ref().map(|(_, address)| address.clone());
        let (hand_over, proxy) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (resolved, first_round) = mpsc::sync_channel(1);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(resolver::UNDER_WAY + CHANGES)
            .thread_name("control-blocking")
            .build()?;
        let reload = Arc::new(Notify::new());
        let life = Life { watched, listener, proxy, reload: Arc::clone(&reload), resolved };
        let thread =
            thread::Builder::new().name("control".to_owned()).spawn(move || life.run(runtime, stopped))?;
        match first_round.recv() {
            Ok(Ok(())) => {}
            Ok(Err(reasons)) => return Err(AdminError::Unusable(reasons.join("; "))),
            Err(_) => return Err(AdminError::Unusable("the control thread ended".to_owned())),
        }
        Ok(Self { admin, file, hand_over: Mutex::new(Some(hand_over)), reload, stop, thread })
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> Option<Bind> {
        self.admin.clone()
    }

    /// Gives the control plane the data plane that it changes and shows. Only the first time counts.
    pub fn show(&self, proxy: Arc<Proxy>) {
        let hand_over = self.hand_over.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hand_over) = hand_over {
            // A thread that died has said so.
            let _ = hand_over.send(proxy);
        }
    }

    /// Has the configuration file read again, as SIGHUP asks for. Returns at once.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Ends the thread and everything on it.
    pub fn stop(self) {
        if let Some(file) = &self.file {
            file.remove();
        }
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn bind(admin: &Admin) -> Result<Bound, AdminError> {
    Door::bind(admin).map_err(|source| AdminError::Bind { address: admin.bind.clone(), source })
}

/// What the thread is given.
struct Life {
    watched: Watched,
    listener: Option<(Door, Bind)>,
    proxy: oneshot::Receiver<Arc<Proxy>>,
    reload: Arc<Notify>,
    resolved: SyncSender<Result<(), Vec<String>>>,
}

impl Life {
    fn run(self, runtime: Runtime, stopped: oneshot::Receiver<()>) {
        precedence::take();
        runtime.block_on(async {
            let supervisor = Supervisor::new(self.watched.bus.clone());
            let followers = self.followers(&supervisor);
            tokio::spawn(self.begin(supervisor, followers.clone()));
            // Both the message and the loss of its sender end the thread.
            let _ = stopped.await;
            followers.end().await;
        });
        // A lookup may hang in the system's resolver; nobody waits for it.
        runtime.shutdown_background();
    }

    fn followers(&self, supervisor: &Supervisor) -> Followers {
        let Watched { bus, spans, started, .. } = &self.watched;
        let guard = Some(guard::ourselves());
        Followers {
            webhooks: Webhooks::start(bus.clone(), supervisor),
            spans: Spans::start(spans.clone(), bus.node(), supervisor),
            recoveries: Recoveries::new(bus.clone(), *started, guard),
            admin: Identity::default(),
            bus: bus.clone(),
        }
    }

    async fn begin(self, supervisor: Supervisor, followers: Followers) {
        let Self { watched, listener, proxy, reload, resolved } = self;
        match followers.prepare(&watched.snapshot.config, Files::All) {
            Ok(prepared) => {
                followers.begin(&prepared);
                followers.apply(prepared, &watched.snapshot);
            }
            Err(reasons) => return drop(resolved.send(Err(reasons))),
        }
        let current = Current::new(Arc::clone(&watched.snapshot));
        let halvings = Halvings::default();
        let sight = Arc::new(OnceLock::new());
        let source = watched.source.clone();
        if let Some((listener, address)) = listener {
            tracing::debug!(target: log::ADMIN, "answering");
            let (rates, seen) = (Rates::default(), Arc::clone(&sight));
            let history = History::default();
            let numbers = Numbers { rates: rates.clone(), history: history.clone() };
            let bound = address.tcp();
            let api = admin::Api::new(watched, current.clone(), Arc::clone(&sight), bound, numbers);
            supervisor.keep("rates", move || rates.clone().run(Arc::clone(&seen)));
            let (sampled, halved, seen) = (current.clone(), halvings.clone(), Arc::clone(&sight));
            supervisor.keep("history", move || {
                history.clone().run((sampled.clone(), Arc::clone(&seen)), halved.clone())
            });
            let identity = followers.admin.clone();
            supervisor
                .keep("admin", move || admin::serve(listener.try_clone(), identity.clone(), api.clone()));
        }
        let mut resolver = Resolver::new(current.clone());
        resolver.first_round().await;
        let _ = resolved.send(Ok(()));
        let (mut resolver, names) = (Some(resolver), current.clone());
        supervisor
            .keep("resolver", move || resolver.take().unwrap_or_else(|| Resolver::new(names.clone())).run());
        let probed = current.clone();
        supervisor.keep("probes", move || probes::run(probed.clone()));
        let (shown, bus, renewed) = (current.clone(), followers.bus.clone(), Arc::<Notify>::default());
        let renewals = Arc::clone(&renewed);
        supervisor.keep("certificates", move || {
            certificates::run(shown.clone(), bus.clone(), Arc::clone(&renewals))
        });
        let tended = current.clone();
        supervisor.keep("upkeep", move || upkeep::run(tended.clone(), halvings.clone()));
        // Without a data plane there is nothing to change.
        let Ok(proxy) = proxy.await else { return };
        let path = source.path.clone();
        let recoveries = followers.recoveries.clone();
        supervisor.keep("recovery", move || recoveries.clone().run());
        let (coordinator, desk) =
            coordinator::coordinator(source, current, Arc::clone(&proxy), followers.clone());
        let _ = sight.set(Sight { proxy, coordinator: coordinator.clone(), followers });
        supervisor.keep("coordinator", move || desk.clone().run());
        supervisor.keep("reload", move || {
            let asked = (Arc::clone(&reload), Arc::clone(&renewed));
            reload::run(path.clone(), asked, coordinator.clone())
        });
    }
}
