//! The switchboard of the demo's origins: `POST /red/stop`, `POST /red/start`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::runtime::Builder;

use super::origins::Origins;

type Answer = (StatusCode, String);

/// Starts it on a free port and a thread of its own; it ends with the process.
pub(super) fn start(origins: &Origins) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let router = Router::new()
        .route("/", get(list))
        .route("/{name}/stop", post(stop))
        .route("/{name}/start", post(restart))
        .with_state(origins.clone());
    thread::Builder::new().name("demo-control".to_owned()).spawn(move || {
        runtime.block_on(async {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                let _ = axum::serve(listener, router).await;
            }
        });
    })?;
    Ok(address)
}

async fn list(State(origins): State<Origins>) -> String {
    let line = |(name, address): (&str, SocketAddr)| {
        format!("{name} http://{address}/ {}\n", if origins.runs(name) { "runs" } else { "is stopped" })
    };
    origins.addresses().map(line).collect()
}

async fn stop(State(origins): State<Origins>, Path(name): Path<String>) -> Answer {
    match origins.stop(&name) {
        None => unknown(&name),
        Some(true) => (StatusCode::OK, format!("{name} is stopped\n")),
        Some(false) => (StatusCode::OK, format!("{name} was stopped already\n")),
    }
}

async fn restart(State(origins): State<Origins>, Path(name): Path<String>) -> Answer {
    match origins.restart(&name) {
        None => unknown(&name),
        Some(Ok(true)) => (StatusCode::OK, format!("{name} runs again\n")),
        Some(Ok(false)) => (StatusCode::OK, format!("{name} runs already\n")),
        Some(Err(error)) => (StatusCode::CONFLICT, format!("{name} cannot be started: {error}\n")),
    }
}

fn unknown(name: &str) -> Answer {
    (StatusCode::NOT_FOUND, format!("there is no origin called {name}; see /\n"))
}
