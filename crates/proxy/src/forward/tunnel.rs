//! After an upgrade: bytes both ways until both sides are done.

use std::future::poll_fn;
use std::task::{Context, Poll};

use loadweaver_http1::{Body, Framing};
use loadweaver_policy::failure::Failure;

use crate::deadline::For;
use crate::engine::http1::Next;
use crate::exchange::Exchange;
use crate::forward::Effort;
use crate::forward::answer::Answer;
use crate::forward::flow::{Broken, Coding, Ends, Flow};

/// One direction: the flow, and whether its receiver was told that there is no more.
struct Way {
    flow: Flow,
    body: Body,
    flowed: bool,
    closed: bool,
}

impl Way {
    fn new(made: Vec<u8>) -> Self {
        let body = Body::new(Framing::UntilClose, 0);
        Self { flow: Flow::new(made, Coding::Plain), body, flowed: false, closed: false }
    }

    /// Ready when the receiver has everything and knows it.
    fn poll(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_>) -> Poll<Result<(), Broken>> {
        if !self.flowed {
            std::task::ready!(self.flow.poll(cx, ends, &mut self.body, None))?;
            self.flowed = true;
        }
        if !self.closed {
            std::task::ready!(ends.sink.poll_shutdown(cx)).map_err(|_| Broken::Sink)?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Carries bytes both ways. A side that ends its sending only ends that direction; silence in both for
/// `timeouts.tunnel` ends both.
pub(crate) async fn tunnel(x: &mut Exchange<'_>, effort: &mut Effort, mut answer: Box<Answer>) -> Next {
    x.story.upgraded = true;
    x.worker.shared.counters.tunnels_active.increment();
    let mut up = Way::new(Vec::new());
    let mut down = Way::new(std::mem::take(&mut answer.download.made));
    let limit = effort.pool.config.timeouts.tunnel;
    let (mut up_ended, mut down_ended) = (x.client.ended, false);
    let mut moved = 0;
    x.alarm.set(For::Server, x.worker.deadlines.now(), limit);
    let ended = poll_fn(|cx| {
        let client = &mut *x.client;
        let mut up_ends = Ends {
            source: &mut client.stream,
            buffer: &mut client.buffer,
            ended: &mut up_ended,
            sink: &mut answer.lease.stream,
            stock: &x.worker.stock,
        };
        let upward = up.poll(cx, &mut up_ends);
        let mut down_ends = Ends {
            source: &mut answer.lease.stream,
            buffer: &mut answer.buffer,
            ended: &mut down_ended,
            sink: &mut client.stream,
            stock: &x.worker.stock,
        };
        let downward = down.poll(cx, &mut down_ends);
        match (upward, downward) {
            (Poll::Ready(Err(broken)), _) => return Poll::Ready(Some(blame(&broken, Failure::ClientClosed))),
            (_, Poll::Ready(Err(broken))) => return Poll::Ready(Some(blame(&broken, Failure::ResponseCut))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(None),
            _ => {}
        }
        let now_moved = up.flow.written + down.flow.written;
        if moved != now_moved {
            moved = now_moved;
            x.alarm.set(For::Server, x.worker.deadlines.now(), limit);
        }
        if x.worker.cutting.get() || answer.permit.server.is_cut() {
            Poll::Ready(Some(Failure::DrainDeadline))
        } else if x.alarm.is_due(For::Server) {
            Poll::Ready(Some(Failure::TunnelIdle))
        } else {
            Poll::Pending
        }
    })
    .await;
    x.alarm.clear(For::Server);
    x.worker.shared.counters.tunnels_active.decrement();
    // A tunnel that one side broke off is broken off for the other one too (RFC 8441 section 5); an exchange of HTTP/2
    // that ends without its end is reset in any case.
    // Whoever speaks TLS often ends it without a word, which means no more than the end.
    let broken = match ended {
        Some(Failure::ClientClosed) => !x.client.stream.is_secured(),
        Some(Failure::ResponseCut) => !answer.lease.stream.is_secured(),
        _ => false,
    };
    if broken && !answer.lease.stream.is_framed() {
        answer.lease.stream.close_with_reset();
    }
    x.story.failure = ended;
    effort.taken += up.flow.taken;
    x.story.bytes_out = down.flow.taken;
    answer.permit.server.counters.bytes_in.add(up.flow.taken);
    answer.permit.server.counters.bytes_out.add(down.flow.taken);
    if broken && !x.client.stream.is_framed() { Next::Reset } else { Next::Close }
}

/// A tunnel's end says little about the server: a client that goes away breaks both directions.
fn blame(broken: &Broken, source: Failure) -> Failure {
    match broken {
        Broken::SourceCut | Broken::Malformed | Broken::TooLong => source,
        Broken::Sink if source == Failure::ClientClosed => Failure::ResponseCut,
        Broken::Sink => Failure::ClientClosed,
    }
}
