//! How long an attempt waits, for whom, and whether somebody still waits for it.

use std::task::{Context, Poll};
use std::time::Duration;

use loadweaver_policy::failure::Failure;

use super::Talk;
use crate::deadline::For;
use crate::exchange::Exchange;
use crate::forward::Effort;
use crate::forward::flow::{Upload, Waits};

/// How long an answer may take before it is worth two system calls to notice that nobody waits for it any more.
const PATIENCE: Duration = Duration::from_millis(20);

impl Talk {
    /// Moves the deadlines when somebody has done something, or somebody else has to.
    pub(super) fn set_deadlines(&mut self, x: &Exchange<'_>, effort: &Effort) {
        let uploading = self.answer.uploaded == Upload::Flowing;
        let waits = if uploading { self.answer.upload.waits } else { Waits::Source };
        let now_watched = (waits, uploading, self.answer.upload.written + self.answer.upload.taken);
        let before = self.watched.replace(now_watched);
        let rearm = std::mem::take(&mut self.rearm);
        // The first time round without a body the deadline stands already.
        if (before == Some(now_watched) || (before.is_none() && !uploading)) && !rearm {
            return;
        }
        let now = x.worker.deadlines.now();
        let timeouts = &effort.pool.config.timeouts;
        if self.waits_for_client() {
            x.alarm.clear(For::Server);
            x.alarm.clear(For::Attempt);
            x.alarm.set(For::Client, now, x.snapshot.config.timeouts.body);
        } else {
            x.alarm.clear(For::Client);
            x.alarm.set(For::Server, now, if uploading { timeouts.idle } else { timeouts.response });
            x.alarm.set(For::Attempt, now, effort.pool.config.retry.per_try_timeout);
        }
    }

    pub(super) fn waits_for_client(&self) -> bool {
        self.answer.uploaded == Upload::Flowing && self.answer.upload.waits == Waits::Source
    }

    pub(super) fn overdue(&self, x: &Exchange<'_>) -> Option<Failure> {
        let sending = self.answer.uploaded == Upload::Flowing;
        if x.worker.cutting.get() || self.answer.permit.server.is_cut() {
            Some(Failure::DrainDeadline)
        } else if x.alarm.is_due(For::Exchange) {
            Some(Failure::TotalTimeout)
        } else if x.alarm.is_due(For::Client) && self.answer.uploaded == Upload::Flowing {
            Some(Failure::BodyTimeout)
        } else if x.alarm.is_due(For::Server) {
            Some(if sending { Failure::UploadStalled } else { Failure::ResponseTimeout })
        } else if x.alarm.is_due(For::Attempt) {
            Some(Failure::PerTryTimeout)
        } else {
            None
        }
    }

    /// Watches the client while it has nothing to do but wait.
    pub(super) fn watch_client(
        &mut self,
        cx: &mut Context<'_>,
        x: &mut Exchange<'_>,
    ) -> Poll<Result<(), Failure>> {
        if self.answer.uploaded == Upload::Flowing {
            return Poll::Pending;
        }
        // To watch a socket that the reactor does not know of costs system calls, which an answer that comes soon
        // would not repay. So it is watched from when the answer is late.
        if !x.client.stream.is_known() && !x.alarm.is_due(For::Client) {
            if !self.patient {
                self.patient = true;
                x.alarm.set(For::Client, x.worker.deadlines.now(), PATIENCE);
            }
            return Poll::Pending;
        }
        x.alarm.clear(For::Client);
        watch(cx, x).map(Err)
    }
}

/// Notices a client that is gone, and takes in what it sends next. An end of its sending is not the end: it may have
/// half-closed and wait for the answer.
pub(crate) fn watch(cx: &mut Context<'_>, x: &mut Exchange<'_>) -> Poll<Failure> {
    let client = &mut *x.client;
    if let Some(stream) = client.stream.framed() {
        return stream.poll_gone(cx).map(|()| Failure::ClientClosed);
    }
    while !client.ended && client.buffer.takes_more() {
        match std::task::ready!(client.stream.poll_read(cx, &mut client.buffer, &x.worker.stock)) {
            Ok(0) => client.ended = true,
            Ok(_) => {}
            Err(_) => return Poll::Ready(Failure::ClientClosed),
        }
    }
    Poll::Pending
}
