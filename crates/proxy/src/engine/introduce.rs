//! Whom a connection is from, said in front of it by a proxy (the PROXY protocol), before TLS and before HTTP.
//!
//! The header is looked at where the kernel has it and taken from there to its last byte, so that whatever comes behind
//! it is read by whoever would have read it without one.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use loadweaver_config::ProxyProtocol;
use loadweaver_http1::preface::{self, MOST_V2, Preface, PrefaceError};
use loadweaver_policy::failure::Failure;
use loadweaver_telemetry::log;

use crate::buffer::Buffer;
use crate::deadline::{For, nanos};
use crate::engine::http1::{Client, Connection, Next};
use crate::exchange::Exchange;
use crate::{record, respond};

/// How long a proxy may keep its header waiting in peace when there is no place for more clients.
const SPARED: Duration = Duration::from_secs(1);

/// Why no header was read.
enum Unheard {
    /// The connection ended, or is not wanted any more: as a probe's that only looks whether somebody listens.
    Closed,
    Late,
    Refused(PrefaceError),
}

impl Connection {
    /// Hears whom the connection is from; false when there is no connection then.
    pub(super) async fn introduce(&mut self, rules: &ProxyProtocol) -> bool {
        let from = self.peer.map(|peer| peer.ip().to_canonical());
        if !is_trusted(rules, from) {
            if rules.required {
                tracing::debug!(target: log::LISTEN, proxy = from.map(tracing::field::display), "a connection from nobody who is trusted");
                self.turn_away(Failure::UntrustedProxy).await;
            }
            return !rules.required;
        }
        let heard = self.hear().await;
        self.alarm.clear(For::Client);
        match heard {
            Ok(preface) => {
                if let Some(ends) = preface.ends {
                    self.peer = Some(ends.source);
                }
                if preface != Preface::default() {
                    self.preface = Some(Rc::new(preface));
                }
                true
            }
            Err(Unheard::Closed) => false,
            Err(Unheard::Late) => {
                self.turn_away(Failure::HeadTimeout).await;
                false
            }
            Err(Unheard::Refused(error)) => {
                tracing::debug!(target: log::LISTEN, proxy = from.map(tracing::field::display), %error, "no PROXY header");
                self.turn_away(Failure::BadProxyHeader).await;
                false
            }
        }
    }

    async fn hear(&mut self) -> Result<Preface, Unheard> {
        let since = self.worker.deadlines.now();
        let limit = self.worker.shared.snapshot.load().config.timeouts.request_head;
        self.alarm.set(For::Client, since, limit);
        // What was taken already, and what the kernel has beyond that.
        let mut header = vec![0; MOST_V2];
        let mut taken = 0;
        poll_fn(|cx| {
            loop {
                let room = header.get_mut(taken..).unwrap_or_default();
                let there = match self.stream.poll_peek(cx, room) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Unheard::Closed)),
                    Poll::Ready(Ok(len)) => taken + len,
                    Poll::Pending => break,
                };
                match preface::parse(header.get(..there).unwrap_or_default()) {
                    Err(error) => return Poll::Ready(Err(Unheard::Refused(error))),
                    Ok(heard) => {
                        let until = heard.as_ref().map_or(there, |(_, len)| *len);
                        let more = header.get_mut(taken..until).unwrap_or_default();
                        if self.stream.take_peeked(more).is_err() {
                            return Poll::Ready(Err(Unheard::Closed));
                        }
                        taken = until;
                        if let Some((preface, _)) = heard {
                            return Poll::Ready(Ok(preface));
                        }
                    }
                }
            }
            let worker = &self.worker;
            let patient = worker.deadlines.now() <= since.saturating_add(nanos(SPARED));
            if self.alarm.is_due(For::Client) {
                Poll::Ready(Err(Unheard::Late))
            } else if worker.draining.get() || self.entrance.is_closing() || worker.is_crowded() && !patient {
                Poll::Ready(Err(Unheard::Closed))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// Ends a connection before its first request, with an answer where one can be read.
    async fn turn_away(&mut self, failure: Failure) {
        let mut client = Client { stream: self.stream.take(), buffer: Buffer::default(), ended: false };
        let mut heads = self.worker.heads.take();
        let snapshot = self.worker.shared.snapshot.load_full();
        let speaks_tls = self.entrance.front(&snapshot).is_some();
        let mut exchange = Exchange::new(&self.worker, &self.alarm, &mut client, &mut heads, snapshot);
        exchange.place(self.peer, &self.entrance, true);
        exchange.story.started = self.worker.deadlines.now();
        let next = if speaks_tls {
            exchange.story.refused = true;
            exchange.story.failure = Some(failure);
            exchange.story.made_id = Some(self.worker.random.request_id());
            record::finish(&mut exchange);
            Next::Close
        } else {
            respond::refuse(&mut exchange, failure).await
        };
        self.worker.heads.give_back(heads);
        client.buffer.discard(&self.worker.stock);
        self.stream = client.stream;
        self.linger(next).await;
    }
}

fn is_trusted(rules: &ProxyProtocol, from: Option<IpAddr>) -> bool {
    rules.trusted.iter().any(|trusted| trusted.holds(from))
}
