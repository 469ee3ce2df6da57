//! The plainest probe: does somebody accept connections there?

use std::io;

use loadweaver_config::{HealthCheck, SendProxyProtocol};
use loadweaver_policy::health::ProbeFailure;
use loadweaver_proxy::{Address, own_header};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where a probe goes, and how servers there are told in front of a connection whom it is from.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: Address,
    pub(super) announced: SendProxyProtocol,
}

#[cfg(test)]
impl Place {
    pub(super) fn plain(address: std::net::SocketAddr) -> Self {
        Self { address: Address::Ip(address), announced: SendProxyProtocol::Off }
    }
}

/// Connects, within the time that the check allows.
pub(super) async fn ask(check: &HealthCheck, place: Place) -> Result<(), ProbeFailure> {
    let connected = timeout(check.timeout, connect(&place)).await;
    connected.unwrap_or(Err(ProbeFailure::Timeout)).map(drop)
}

/// Connects, and says that the connection is our own where something has to be said.
pub(super) async fn connect(place: &Place) -> Result<TcpStream, ProbeFailure> {
    let refused = |error: io::Error| ProbeFailure::Connect(cause(&error));
    let mut stream = place.address.connect().await.map_err(refused)?;
    if place.announced != SendProxyProtocol::Off {
        stream.write_all(&own_header(place.announced)).await.map_err(refused)?;
    }
    Ok(stream)
}

/// What the system says without its number: `connection refused`, not `Connection refused (os error 111)`.
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_lowercase())
}
