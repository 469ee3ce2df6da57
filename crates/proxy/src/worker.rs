//! A worker: one thread, one runtime, and what its connections share.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use loadweaver_http1::{RequestHead, ResponseHead};
use loadweaver_telemetry::access_log::{AccessLog, AccessLogWriter};
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::event::EventBus;
use loadweaver_telemetry::recent::{Notebook, Recent};
use loadweaver_telemetry::series::Book;
use loadweaver_telemetry::span::{SpanQueue, SpanWriter};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};

use crate::buffer::Stock;
use crate::deadline::Deadlines;
use crate::engine::http2::cuts::Cuts;
use crate::engine::http2::pace::Pace;
use crate::listen::{Bound, Entrances, Patience, Places};
use crate::snapshot::Snapshot;
use crate::tally::Tally;
use crate::upstream::Upstreams;
use crate::upstream::shared::SharedConnections;

mod random;

use random::Random;

/// How often kept connections are looked after and the access log is handed on.
const HOUSEKEEPING: Duration = Duration::from_millis(250);

/// Descriptors that are not connections: listeners, logs, epoll, admin, probes.
const RESERVED_DESCRIPTORS: usize = 64;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) counters: Arc<ProxyCounters>,
    /// What each worker has counted by itself.
    pub(crate) books: Vec<Arc<Book>>,
    /// The last exchanges of all of them.
    pub(crate) recent: Recent,
    /// How many connections each worker keeps for the next exchange, by [`crate::upstream::key`].
    pub(crate) kept: Vec<Mutex<HashMap<u64, u64>>>,
    pub(crate) bus: EventBus,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) spans: SpanQueue,
    pub(crate) connections: Places,
    /// Pipes that each worker may have.
    pub(crate) pipes: usize,
    /// Connections that were cut because a drain had no more time.
    pub(crate) cut: AtomicU64,
    /// What each worker has still to do about a change.
    pub(crate) inboxes: Vec<Inbox>,
}

/// What one worker is told of changes. Each change adds one task for each listener that it touches and the worker
/// empties it whenever it is awake, so it needs no limit of its own.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    tasks: Mutex<Vec<Task>>,
    filled: Notify,
}

impl Inbox {
    pub(crate) fn put(&self, task: Task) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Task> {
        std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A part of a change that only the worker itself can do.
#[derive(Debug)]
pub(crate) enum Task {
    Open(Bound),
    Close(u64),
    /// Clients of a listener may speak something else.
    Review,
    /// Something that connections under way ask about has changed.
    Look,
}

/// What workers are told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Serve,
    /// Finish what is under way, within so much time.
    Drain(Duration),
    Stop,
}

/// What the connections of one worker share.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its place among the workers.
    index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: watch::Receiver<Order>,
    pub(crate) deadlines: Rc<Deadlines>,
    /// Streams with TLS take their blocks from it too.
    pub(crate) stock: Rc<Stock>,
    pub(crate) heads: Heads,
    pub(crate) upstreams: Upstreams,
    pub(crate) shared_upstreams: SharedConnections,
    pub(crate) cuts: RefCell<Cuts>,
    pub(crate) pace: Rc<Pace>,
    pub(crate) log: Option<RefCell<AccessLogWriter>>,
    pub(crate) spans: RefCell<SpanWriter>,
    pub(crate) entrances: Entrances,
    pub(crate) draining: Cell<bool>,
    /// Listeners that have no place for more clients: connections that only wait make room.
    crowds: Cell<usize>,
    /// Its handshakes with clients that are under way.
    pub(crate) patience: Rc<Patience>,
    /// The drain has no more time: whatever is under way ends.
    pub(crate) cutting: Cell<bool>,
    pub(crate) tally: Tally,
    pub(crate) notebook: RefCell<Notebook>,
    /// When its clock began: nanoseconds since 1970.
    pub(crate) base: u64,
    pub(crate) random: Random,
}

/// As long as it is there, connections that only wait make room.
#[derive(Debug)]
pub(crate) struct Crowd<'w>(&'w Worker);

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.0.crowds.set(self.0.crowds.get() - 1);
    }
}

impl Worker {
    /// A listener has no place for more clients.
    pub(crate) fn crowd(&self) -> Crowd<'_> {
        self.crowds.set(self.crowds.get() + 1);
        Crowd(self)
    }

    /// Whether there is no place for more clients.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowds.get() > 0
    }

    async fn keep_house(&self) {
        let mut departures = self.shared.snapshot.load().departures;
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            self.upstreams.sweep(self.deadlines.now());
            self.shared_upstreams.sweep();
            self.count_kept();
            let snapshot = self.shared.snapshot.load_full();
            self.tally.keep(&snapshot);
            self.notebook.borrow_mut().hand_over();
            if std::mem::replace(&mut departures, snapshot.departures) != snapshot.departures {
                let count = snapshot.pools.iter().map(|pool| pool.servers.len()).sum();
                let mut servers = HashSet::with_capacity(count);
                let all = snapshot.pools.iter().flat_map(|pool| &pool.servers);
                servers.extend(all.map(|server| server.upstream()));
                self.upstreams.keep_only(&servers);
                self.shared_upstreams.keep_only(&servers);
            }
            self.flush();
        }
    }

    /// Whoever reads just now sees what was kept a moment ago.
    fn count_kept(&self) {
        let kept = self.shared.kept.get(self.index);
        if let Some(mut counts) = kept.and_then(|kept| kept.try_lock().ok()) {
            counts.clear();
            self.upstreams.count(&mut counts);
        }
    }

    /// Does its part of changes as they come.
    async fn follow_changes(self: Rc<Self>, index: usize) {
        let Some(inbox) = self.shared.inboxes.get(index) else { return };
        loop {
            inbox.filled.notified().await;
            for task in inbox.take() {
                match task {
                    Task::Open(bound) if !self.draining.get() => self.entrances.open(&self, bound),
                    Task::Open(_) => {}
                    Task::Close(number) => {
                        self.entrances.close(number);
                        self.deadlines.wake_all();
                    }
                    Task::Review => {
                        self.entrances.review(&self.shared.snapshot.load());
                        self.deadlines.wake_all();
                    }
                    Task::Look => self.deadlines.wake_all(),
                }
            }
        }
    }

    /// Hands on what it has gathered for others.
    fn flush(&self) {
        self.spans.borrow_mut().flush();
        if let Some(log) = &self.log {
            log.borrow_mut().flush();
        }
    }
}

/// Heads that wait for their next exchange, so that an exchange allocates none.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "a pair is large and goes in and out for each exchange")]
pub(crate) struct Heads(RefCell<Vec<Box<HeadPair>>>);

/// The two heads of an exchange and the buffers that they are written to.
#[derive(Debug, Default)]
pub(crate) struct HeadPair {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// Fields that we add to the request.
    pub(crate) added: Vec<u8>,
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    /// Servers that the exchange has had.
    pub(crate) tried: Vec<usize>,
}

impl Heads {
    /// Pairs kept: as many exchanges as may be under way before one has to allocate.
    const STOCK: usize = 128;
    /// Bytes that a kept buffer may have: one giant head does not stay forever.
    const MOST: usize = 32 * 1024;

    pub(crate) fn take(&self) -> Box<HeadPair> {
        self.0.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut pair: Box<HeadPair>) {
        let mut stock = self.0.borrow_mut();
        if stock.len() < Self::STOCK {
            pair.request.headers.shrink_to(Self::MOST);
            pair.response.headers.shrink_to(Self::MOST);
            for buffer in [&mut pair.added, &mut pair.to_server, &mut pair.to_client] {
                buffer.clear();
                buffer.shrink_to(Self::MOST);
            }
            stock.push(pair);
        }
    }
}

/// Starts a worker thread; returns when its runtime stands.
pub(crate) fn start(
    index: usize,
    shared: Arc<Shared>,
    sockets: Vec<Bound>,
    orders: watch::Receiver<Order>,
) -> io::Result<JoinHandle<()>> {
    let (ready, started) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let worker = Rc::new(build(index, shared, orders));
        drop(ready.send(Ok(())));
        runtime.block_on(run(index, worker, sockets));
    })?;
    match started.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the thread ended before it stood")),
    }
}

fn build(index: usize, shared: Arc<Shared>, orders: watch::Receiver<Order>) -> Worker {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, crate::deadline::nanos);
    let stock = Rc::<Stock>::default();
    stock.pipes.limit(shared.pipes);
    let tally = Tally::new(shared.books.get(index).cloned().unwrap_or_default());
    Worker {
        notebook: RefCell::new(shared.recent.notebook()),
        base: now,
        index,
        tally,
        spans: RefCell::new(shared.spans.writer()),
        log: shared.access_log.as_ref().map(|log| RefCell::new(log.writer())),
        shared,
        orders,
        deadlines: Deadlines::new(),
        stock,
        heads: Heads::default(),
        upstreams: Upstreams::default(),
        shared_upstreams: SharedConnections::default(),
        cuts: RefCell::default(),
        pace: Rc::default(),
        entrances: Entrances::default(),
        patience: Rc::default(),
        draining: Cell::new(false),
        crowds: Cell::new(0),
        cutting: Cell::new(false),
        random: Random::new(index, now),
    }
}

async fn run(index: usize, worker: Rc<Worker>, sockets: Vec<Bound>) {
    let deadlines = worker.deadlines.clone();
    tokio::task::spawn_local(async move { deadlines.keep().await });
    let pace = worker.pace.clone();
    tokio::task::spawn_local(async move { pace.keep().await });
    let housekeeper = worker.clone();
    tokio::task::spawn_local(async move { housekeeper.keep_house().await });
    tokio::task::spawn_local(worker.clone().follow_changes(index));
    for bound in sockets {
        worker.entrances.open(&worker, bound);
    }
    obey(&worker).await;
    worker.flush();
}

/// Waits for the order to end, and ends as it says.
async fn obey(worker: &Worker) {
    let mut orders = worker.orders.clone();
    loop {
        let order = *orders.borrow_and_update();
        match order {
            Order::Serve => {
                // The sender is gone when the process is on its way out.
                if orders.changed().await.is_err() {
                    return;
                }
            }
            Order::Stop => return,
            Order::Drain(limit) => {
                worker.draining.set(true);
                worker.entrances.close_all();
                worker.deadlines.wake_all();
                tokio::select! {
                    () = all_closed(worker) => {}
                    () = tokio::time::sleep(limit) => {}
                    _ = orders.wait_for(|order| matches!(order, Order::Stop)) => {}
                }
                let left = worker.deadlines.len() as u64;
                worker.shared.cut.fetch_add(left, Ordering::Relaxed);
                cut(worker).await;
                return;
            }
        }
    }
}

/// Ends what is left, with a moment for each exchange to tell its story.
async fn cut(worker: &Worker) {
    worker.cutting.set(true);
    worker.deadlines.wake_all();
    let _ = tokio::time::timeout(Duration::from_millis(500), all_closed(worker)).await;
}

async fn all_closed(worker: &Worker) {
    // A drain is rare and takes long; asking now and then is simpler than counting.
    while worker.deadlines.len() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How the descriptors that the process may have are shared out.
#[derive(Debug, Clone)]
pub(crate) struct Descriptors {
    pub(crate) connections: Places,
    /// Pipes for each worker.
    pub(crate) pipes: usize,
}

/// An eighth of the descriptors is for pipes, [`MOST_PIPES`] a worker at the most. Client connections are limited as
/// configured, or so that each can have one to a server with what is left.
pub(crate) fn share_descriptors(configured: usize, workers: usize) -> Descriptors {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let pipes = (descriptors / 16 / workers.max(1)).min(MOST_PIPES);
    let reserved = RESERVED_DESCRIPTORS.min(descriptors / 4);
    let left = descriptors.saturating_sub(reserved + 2 * pipes * workers);
    let connections = Places::new(if configured > 0 { configured } else { (left / 2).max(1) });
    Descriptors { connections, pipes }
}

/// Pipes of one worker, in use and idle: long bodies beyond that are copied.
const MOST_PIPES: usize = 256;
