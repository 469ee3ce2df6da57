//! The handshake with a client, in the connection's own task.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use loadweaver_telemetry::log;
use rustls::ProtocolVersion;

use crate::deadline::{Alarm, For};
use crate::listen::Entrance;
use crate::stream::{HandshakeError, Secured, Stream};
use crate::tls::{Chosen, Front, Greeting, Refusal, take_chosen};
use crate::worker::Worker;

/// Shakes hands, and counts how that went.
pub(crate) async fn greet(
    worker: &Rc<Worker>,
    alarm: &Alarm,
    stream: &mut Stream,
    (entrance, front): (&Entrance, &Arc<Front>),
) -> Result<Greeting, Refusal> {
    let greeting = shake(worker, alarm, stream, (entrance, front)).await;
    alarm.clear(For::Client);
    let counters = &worker.shared.counters.tls;
    match &greeting {
        Ok(greeting) => {
            match greeting.facts.version {
                ProtocolVersion::TLSv1_2 => counters.tls12.increment(),
                // Nothing older is spoken, and nothing newer known.
                _ => counters.tls13.increment(),
            }
            if greeting.facts.resumed {
                counters.resumed.increment();
            }
        }
        // Told as an exchange, with a page.
        Err(Refusal::Handshake(HandshakeError::PlainHttp)) => {}
        Err(refusal) => {
            match refusal {
                Refusal::Timeout => counters.timed_out.increment(),
                Refusal::Crowded => counters.crowded_out.increment(),
                Refusal::Handshake(_) => counters.failed.increment(),
                Refusal::Closing => {}
            }
            let listener = entrance.name(&worker.shared.snapshot.load());
            tracing::debug!(target: log::TLS, listener = &*listener, %refusal, "no handshake");
        }
    }
    greeting
}

async fn shake(
    worker: &Rc<Worker>,
    alarm: &Alarm,
    stream: &mut Stream,
    (entrance, front): (&Entrance, &Arc<Front>),
) -> Result<Greeting, Refusal> {
    let config = front.config();
    stream.secure(|socket| Secured::server(socket, &worker.stock, config)).map_err(HandshakeError::Tls)?;
    let since = worker.deadlines.now();
    alarm.set(For::Client, since, front.timeout());
    let turn = worker.patience.enter(front.crowd(), since, alarm.bell());
    let mut answered = Chosen::default();
    let facts = poll_fn(|cx| {
        let shaken = stream.poll_handshake(cx);
        if let Some(chosen) = take_chosen() {
            answered = chosen;
        }
        match shaken {
            Poll::Ready(facts) => return Poll::Ready(facts.map_err(Refusal::Handshake)),
            Poll::Pending => {}
        }
        if alarm.is_due(For::Client) {
            Poll::Ready(Err(Refusal::Timeout))
        } else if worker.draining.get() || entrance.is_closing() {
            Poll::Ready(Err(Refusal::Closing))
        } else if turn.is_over() {
            Poll::Ready(Err(Refusal::Crowded))
        } else {
            Poll::Pending
        }
    })
    .await?;
    Ok(front.greeting(facts, answered))
}
