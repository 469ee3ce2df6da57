//! Starting, draining and ending the workers.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use loadweaver_config::Bind;
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::event::{Event, EventBus};
use loadweaver_telemetry::recent::Recent;
use loadweaver_telemetry::series::Book;
use loadweaver_telemetry::span::SpanQueue;
use thiserror::Error;
use tokio::sync::watch;

use crate::listen::{self, Bound, Listening, Opened, Wanted};
use crate::server::{Cut, ServerState};
use crate::snapshot::Snapshot;
use crate::worker::{self, Inbox, Order, Shared, Task};
use plan::{Listeners, Plan};

pub use plan::Closing;

mod plan;

/// What a proxy is started with, beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// Where records go; none when the access log is off.
    pub access_log: Option<AccessLog>,
    /// Where spans go, while the configuration has any made.
    pub spans: SpanQueue,
    /// Where events go.
    pub bus: EventBus,
}

/// Why a proxy did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener's address cannot be bound.
    #[error("listener {listener} cannot listen on {address}: {source}")]
    Bind {
        /// Name of the listener.
        listener: Arc<str>,
        /// Its address.
        address: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// A worker thread or its runtime cannot be started.
    #[error("worker {index} cannot be started: {source}")]
    Worker {
        /// Number of the worker.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// A configuration with all that it needs bound. Dropping it closes what was opened for it.
#[derive(Debug)]
pub struct Ready {
    staying: Vec<Listening>,
    opened: Vec<Opened>,
    going: Vec<Listening>,
    next: Arc<Snapshot>,
}

/// Connections to servers that wait for their next exchange.
#[derive(Debug)]
pub struct Kept(HashMap<u64, u64>);

impl Kept {
    /// Those to a server's address, which may be another server's too.
    pub fn at(&self, server: &ServerState) -> u64 {
        self.0.get(&server.upstream()).copied().unwrap_or(0)
    }
}

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    orders: watch::Sender<Order>,
    listening: Mutex<Listeners>,
    next_number: AtomicU64,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Proxy {
    /// Binds every listener, then starts the workers. Nothing is left behind when it fails.
    pub fn start(snapshot: Arc<Snapshot>, options: Options) -> Result<Self, StartError> {
        let workers = match snapshot.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let mut bound: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
        let mut listening = Vec::new();
        let all = (0..).zip(Wanted::all(&snapshot.config.listeners));
        for opened in open(all.map(|(number, wanted)| (number, wanted, false)), workers)? {
            listening.push(opened.listening);
            for (worker, socket) in bound.iter_mut().zip(opened.sockets) {
                worker.push(socket);
            }
        }
        snapshot.settle(&listening);
        let (orders, _) = watch::channel(Order::Serve);
        let descriptors = worker::share_descriptors(snapshot.config.limits.connections, workers);
        let shared = Arc::new(Shared {
            connections: descriptors.connections,
            pipes: descriptors.pipes,
            snapshot: ArcSwap::new(snapshot),
            counters: Arc::new(ProxyCounters::default()),
            books: (0..workers).map(|_| Arc::default()).collect(),
            recent: Recent::default(),
            kept: (0..workers).map(|_| Mutex::default()).collect(),
            bus: options.bus,
            access_log: options.access_log,
            spans: options.spans,
            cut: AtomicU64::new(0),
            inboxes: (0..workers).map(|_| Inbox::default()).collect(),
        });
        let next_number = AtomicU64::new(listening.len() as u64);
        let listening = Mutex::new(Listeners { serving: listening, leaving: Vec::new() });
        let proxy = Self { shared, orders, listening, next_number, workers: Mutex::default() };
        for (index, sockets) in bound.into_iter().enumerate() {
            let started = worker::start(index, proxy.shared.clone(), sockets, proxy.orders.subscribe());
            match started {
                Ok(thread) => proxy.threads().push(thread),
                Err(source) => {
                    proxy.stop();
                    proxy.join();
                    return Err(StartError::Worker { index, source });
                }
            }
        }
        Ok(proxy)
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// Binds what is new in another configuration, made by [`Snapshot::next`] from the one in force: all of a change
    /// that can fail. It may wait for others who are at the same folder, up to about a second. From here to
    /// [`Proxy::apply`] there is no other change; without it, nothing has changed.
    pub fn prepare(&self, next: Arc<Snapshot>) -> Result<Ready, StartError> {
        let Plan { staying, fresh, going } = Plan::new(&self.listening(), &next);
        let workers = self.shared.inboxes.len();
        let number = || self.next_number.fetch_add(1, Ordering::Relaxed);
        let opened = open(fresh.iter().map(|fresh| (number(), fresh.wanted, fresh.shared)), workers)?;
        Ok(Ready { staying, opened, going, next })
    }

    /// Puts a configuration in force.
    ///
    /// Exchanges under way end as they began. An address that stays keeps its sockets and their queues, under whatever
    /// name and beside whatever others; one that is gone stops accepting, and its connections end after the exchange
    /// that they are in. So do those that speak what the listener is not for any more.
    pub fn apply(&self, ready: Ready) {
        let Ready { staying, opened, going, next } = ready;
        let mut listening = self.listening();
        let workers = self.shared.inboxes.len();
        let descriptors = worker::share_descriptors(next.config.limits.connections, workers);
        self.shared.connections.limit(descriptors.connections.most());
        let before = self.shared.snapshot.load_full();
        next.take_over(&before);
        let modes: Vec<_> =
            next.config.listeners.iter().map(|each| (each.name.clone(), each.socket_mode)).collect();
        let mut now = staying;
        now.extend(opened.iter().map(|opened| opened.listening.clone()));
        next.settle(&now);
        let speaks_otherwise = now.iter().any(|each| next.speaks_otherwise(&before, each.number));
        self.shared.snapshot.store(next);
        if speaks_otherwise {
            self.tell(|| Task::Review);
        }
        for opened in opened {
            for (inbox, bound) in self.shared.inboxes.iter().zip(opened.sockets) {
                inbox.put(Task::Open(bound));
            }
        }
        listening.leaving.retain(Listening::is_present);
        for old in going {
            // Before anybody closes: whoever has connected is served, and nobody else comes.
            old.hide();
            self.tell(|| Task::Close(old.number));
            listening.leaving.push(old);
        }
        for listening in &now {
            if let Some((_, mode)) = modes.iter().find(|(name, _)| *name == listening.name) {
                listening.set_mode(*mode);
            }
        }
        listening.serving = now;
    }

    /// Whether [`Proxy::prepare`] could bind what is new in a configuration, as far as that can be known without doing
    /// it: nobody can connect meanwhile, and nothing is left behind. It may wait for a moment.
    pub fn could_apply(&self, next: &Snapshot) -> Result<(), StartError> {
        let plan = Plan::new(&self.listening(), next);
        // Each is held until all are tried: two may be in each other's way.
        let tried = plan.fresh.iter().map(|fresh| {
            let tried = listen::try_out(fresh.wanted.bind, fresh.shared);
            tried.map_err(|source| refusal(&fresh.wanted, source))
        });
        tried.collect::<Result<Vec<_>, _>>().map(drop)
    }

    /// Ends what is still under way at servers that were removed.
    pub fn cut(&self, cuts: impl IntoIterator<Item = Cut>) {
        let busy = cuts.into_iter().filter(Cut::make).count();
        if busy > 0 {
            self.tell(|| Task::Look);
        }
    }

    fn tell(&self, task: impl Fn() -> Task) {
        self.shared.inboxes.iter().for_each(|inbox| inbox.put(task()));
    }

    /// What the node did.
    pub fn counters(&self) -> &Arc<ProxyCounters> {
        &self.shared.counters
    }

    /// The last exchanges of all workers.
    pub fn recent(&self) -> &Recent {
        &self.shared.recent
    }

    /// What each worker has counted by itself.
    pub fn books(&self) -> &[Arc<Book>] {
        &self.shared.books
    }

    /// How many connections wait for their next exchange, all workers together, as of a moment ago.
    pub fn kept(&self) -> Kept {
        let mut sums = HashMap::new();
        for kept in &self.shared.kept {
            for (key, count) in &*kept.lock().unwrap_or_else(PoisonError::into_inner) {
                *sums.entry(*key).or_default() += count;
            }
        }
        Kept(sums)
    }

    /// Each listener's addresses as they really are (a configured port 0 is replaced), in the configuration's order.
    pub fn addresses(&self) -> Vec<(Arc<str>, Bind)> {
        let listening = self.listening();
        let snapshot = self.snapshot();
        let place = |each: &&Listening| {
            let mut all = Wanted::all(&snapshot.config.listeners);
            all.position(|wanted| wanted.listener.name == each.name && *wanted.bind == each.bind)
        };
        let mut serving: Vec<_> = listening.serving.iter().collect();
        serving.sort_by_key(place);
        serving.into_iter().map(|each| (each.name.clone(), each.address.clone())).collect()
    }

    /// Stops accepting, closes idle connections, lets exchanges finish and cuts what is left after `deadline`.
    /// Returns at once.
    pub fn drain(&self, deadline: Duration) {
        self.shared.bus.emit(Event::ShutdownStarted);
        self.orders.send_replace(Order::Drain(deadline));
        self.hide();
    }

    /// Ends at once, whatever is under way.
    pub fn stop(&self) {
        self.orders.send_replace(Order::Stop);
        self.hide();
    }

    /// Takes the files of Unix sockets away, so that whoever starts next finds none and nobody connects to nobody.
    fn hide(&self) {
        let listening = self.listening();
        listening.serving.iter().for_each(Listening::hide);
    }

    /// Waits until all workers have ended.
    pub fn join(&self) {
        for worker in std::mem::take(&mut *self.threads()) {
            // A worker that panicked has said so on its way out.
            let _ = worker.join();
        }
        self.shared.bus.emit(Event::ShutdownFinished { cut: self.shared.cut.load(Ordering::Relaxed) });
    }

    /// What [`Proxy::apply`] would stop listening on, listener by listener.
    pub fn closing(&self, next: &Snapshot) -> Vec<Closing> {
        Plan::new(&self.listening(), next).closing()
    }

    /// Whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.threads().iter().all(JoinHandle::is_finished)
    }

    /// Nobody waits for anything while holding it: those who only look would wait, too.
    fn listening(&self) -> MutexGuard<'_, Listeners> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens on all of the addresses, or on none. Whoever listens and then goes resets those who have come meanwhile, so
/// none does before all are bound.
fn open<'w>(
    all: impl Iterator<Item = (u64, Wanted<'w>, bool)>,
    workers: usize,
) -> Result<Vec<Opened>, StartError> {
    let mut opened = Vec::new();
    for (number, wanted, shared) in all {
        let bound = listen::bind(&wanted, workers, number, shared);
        opened.push((wanted, bound.map_err(|source| refusal(&wanted, source))?));
    }
    for (wanted, opened) in &opened {
        opened.listen().map_err(|source| refusal(wanted, source))?;
    }
    Ok(opened.into_iter().map(|(_, opened)| opened).collect())
}

fn refusal(wanted: &Wanted<'_>, source: io::Error) -> StartError {
    StartError::Bind { listener: wanted.listener.name.clone(), address: wanted.bind.clone(), source }
}
