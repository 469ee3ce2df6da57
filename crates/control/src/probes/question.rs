//! One question to one server, whatever kind of probe asks it.

use loadweaver_config::{Pool, ProbeKind, Protocol, SendProxyProtocol};
use loadweaver_policy::health::ProbeFailure;
use loadweaver_proxy::ServerState;

use super::http::Answer;
use super::reach::Errand;
use super::tcp::Place;
use super::{exec, grpc, http, tcp};

/// A good answer.
#[derive(Debug, Default)]
pub(super) struct Answered {
    answer: Option<Answer>,
}

impl Answered {
    /// What an `http` probe was answered with.
    pub(super) fn status(&self) -> Option<u16> {
        self.answer.as_ref().and_then(|answer| answer.status)
    }

    /// Does what politeness asks for after the verdict.
    pub(super) async fn take_leave(self) {
        if let Some(answer) = self.answer {
            answer.take_leave().await;
        }
    }
}

/// Asks the server at its address, if that is known, in the way of its pool; takes no longer than `timeout` of the
/// check, but for what a program needs to be ended.
pub(super) async fn ask(pool: &Pool, state: &ServerState) -> Result<Answered, ProbeFailure> {
    let (check, server, address) = (&pool.health_check, &state.config, state.address());
    // What the pool's requests use holds for its probes, unless they go somewhere else.
    let announced = if check.port.is_none() { pool.send_proxy_protocol } else { SendProxyProtocol::Off };
    let place = || {
        let place = address.map(|address| Place { address: address.with_port(check.port), announced });
        place.ok_or_else(|| ProbeFailure::Resolve(format!("nothing known of {}", server.host)))
    };
    let identity = || state.identity().filter(|_| check.port.is_none() || check.tls);
    let answer = match check.kind {
        ProbeKind::Off => None,
        ProbeKind::Tcp => {
            tcp::ask(check, place()?).await?;
            None
        }
        ProbeKind::Http => {
            // A port of its own is another service, which need not speak what the pool's servers do.
            let protocol = match pool.protocol {
                Protocol::Http2 if check.port.is_none() => Protocol::Http2,
                // What TLS agrees on, where requests leave it to that.
                Protocol::Auto if check.port.is_none() && pool.tls.is_some() => Protocol::Auto,
                Protocol::H2c if check.port.is_none() && !check.tls => Protocol::H2c,
                _ => Protocol::Http1,
            };
            Some(http::ask(Errand { check, server, place: place()?, identity: identity(), protocol }).await?)
        }
        ProbeKind::Grpc => {
            // A call goes over HTTP/2, whatever the pool's requests do.
            let secure = identity().is_some() || check.tls;
            let protocol = if secure { Protocol::Http2 } else { Protocol::H2c };
            Some(grpc::ask(Errand { check, server, place: place()?, identity: identity(), protocol }).await?)
        }
        ProbeKind::Exec => {
            exec::ask(check, &pool.name, server).await?;
            None
        }
    };
    Ok(Answered { answer })
}
