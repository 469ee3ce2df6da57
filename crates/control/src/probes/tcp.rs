//! The plainest probe: does somebody accept connections there?

use std::io;
use std::net::SocketAddr;

use loadweaver_config::HealthCheck;
use loadweaver_policy::health::ProbeFailure;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects, within the time that the check allows.
pub(super) async fn ask(check: &HealthCheck, address: SocketAddr) -> Result<(), ProbeFailure> {
    let connected = timeout(check.timeout, connect(address)).await;
    connected.unwrap_or(Err(ProbeFailure::Timeout)).map(drop)
}

pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, ProbeFailure> {
    TcpStream::connect(address).await.map_err(|error| ProbeFailure::Connect(cause(&error)))
}

/// What the system says without its number: `connection refused`, not `Connection refused (os error 111)`.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
}
