//! The demo's three HTTP servers.
//!
//! Each lives on a thread of its own with a runtime of its own, because stopping one has to look like a crash: the
//! runtime is dropped and with it the listener and every connection, whatever was under way.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::routing::get;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::page;

/// All origins. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Origins(Arc<[Origin]>);

#[derive(Debug)]
struct Origin {
    name: &'static str,
    address: SocketAddr,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Origins {
    /// Starts one for each name on a free port of 127.0.0.1.
    pub(super) fn start(names: &[&'static str]) -> io::Result<Self> {
        let origins: io::Result<Vec<Origin>> = names.iter().map(|name| Origin::start(name)).collect();
        Ok(Self(origins?.into()))
    }

    /// Names and addresses, which stay the same through stops and starts.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.0.iter().map(|origin| (origin.name, origin.address))
    }

    /// Ends an origin at once; none when there is none of that name, false when it was stopped already.
    pub(super) fn stop(&self, name: &str) -> Option<bool> {
        self.find(name).map(Origin::stop)
    }

    /// Starts an origin again; none when there is none of that name, false when it runs already.
    pub(super) fn restart(&self, name: &str) -> Option<io::Result<bool>> {
        self.find(name).map(Origin::restart)
    }

    /// Whether an origin runs.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.find(name).is_some_and(|origin| origin.lock().is_some())
    }

    fn find(&self, name: &str) -> Option<&Origin> {
        self.0.iter().find(|origin| origin.name == name)
    }
}

impl Origin {
    fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok(Self { name, address, running: Mutex::new(Some(run(name, listener)?)) })
    }

    fn stop(&self) -> bool {
        match self.lock().take() {
            None => false,
            Some(running) => {
                // An error means that it has ended by itself.
                let _ = running.stop.send(());
                let _ = running.thread.join();
                true
            }
        }
    }

    fn restart(&self) -> io::Result<bool> {
        let mut running = self.lock();
        if running.is_some() {
            return Ok(false);
        }
        *running = Some(run(self.name, TcpListener::bind(self.address)?)?);
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(name: &'static str, listener: TcpListener) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("origin-{name}")).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let router = Router::new()
                .route("/health", get(|| async { "ok\n" }))
                .fallback(move |request| std::future::ready(page::answer(name, &request)));
            tokio::select! {
                _ = axum::serve(listener, router) => {}
                _ = stopped => {}
            }
        });
    })?;
    Ok(Running { stop, thread })
}
