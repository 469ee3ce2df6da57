//! Starting, draining and ending the workers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::counters::ProxyCounters;
use loadweaver_telemetry::event::{Event, EventBus};
use thiserror::Error;
use tokio::sync::watch;

use crate::listen::{self, Bound};
use crate::snapshot::Snapshot;
use crate::worker::{self, Order, Shared};

/// What a proxy is started with, beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// Where records go; none when the access log is off.
    pub access_log: Option<AccessLog>,
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
        address: SocketAddr,
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

/// The running data plane.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    orders: watch::Sender<Order>,
    addresses: Vec<(Arc<str>, SocketAddr)>,
    workers: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Binds every listener, then starts the workers. Nothing is left behind when it fails.
    pub fn start(snapshot: Arc<Snapshot>, options: Options) -> Result<Self, StartError> {
        let workers = match snapshot.config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let mut bound: Vec<Vec<Bound>> = (0..workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        for listener in &snapshot.config.listeners {
            let (sockets, address) = listen::bind(listener, workers).map_err(|source| StartError::Bind {
                listener: listener.name.clone(),
                address: listener.bind,
                source,
            })?;
            addresses.push((listener.name.clone(), address));
            for (worker, socket) in bound.iter_mut().zip(sockets) {
                worker.push(socket);
            }
        }
        let (orders, _) = watch::channel(Order::Serve);
        let descriptors = worker::share_descriptors(snapshot.config.limits.connections, workers);
        let shared = Arc::new(Shared {
            connections: descriptors.connections,
            pipes: descriptors.pipes,
            snapshot: ArcSwap::new(snapshot),
            counters: Arc::new(ProxyCounters::default()),
            bus: options.bus,
            access_log: options.access_log,
            cut: AtomicU64::new(0),
        });
        let mut proxy = Self { shared, orders, addresses, workers: Vec::new() };
        for (index, sockets) in bound.into_iter().enumerate() {
            let started = worker::start(index, proxy.shared.clone(), sockets, proxy.orders.subscribe());
            match started {
                Ok(thread) => proxy.workers.push(thread),
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

    /// What the node did.
    pub fn counters(&self) -> &Arc<ProxyCounters> {
        &self.shared.counters
    }

    /// Each listener with the address that it really has (a configured port 0 is replaced).
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.addresses.clone()
    }

    /// Stops accepting, closes idle connections, lets exchanges finish and cuts what is left after `deadline`.
    /// Returns at once.
    pub fn drain(&self, deadline: Duration) {
        self.shared.bus.emit(Event::ShutdownStarted);
        self.orders.send_replace(Order::Drain(deadline));
    }

    /// Ends at once, whatever is under way.
    pub fn stop(&self) {
        self.orders.send_replace(Order::Stop);
    }

    /// Waits until all workers have ended.
    pub fn join(self) {
        for worker in self.workers {
            // A worker that panicked has said so on its way out.
            let _ = worker.join();
        }
        self.shared.bus.emit(Event::ShutdownFinished { cut: self.shared.cut.load(Ordering::Relaxed) });
    }

    /// Whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(JoinHandle::is_finished)
    }
}
