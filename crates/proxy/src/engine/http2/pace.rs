//! How much the HTTP/2 connections of a worker's clients set going at once.
//!
//! One read of a connection can bring a hundred requests, and one frame can end a hundred exchanges; each of those is a
//! task with some ten to fifty microseconds of work, and whoever is not among them waits for all of them. So all
//! connections of a worker together begin and end so many, then everybody else has a turn, and then the connections that
//! have more to do get an equal share of the next lot, first come, first served.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Exchanges that are begun or ended in one round: with a new connection to a server for each about a millisecond's work.
const LOT: usize = 16;

/// One more for as long as the round before took: where that was long, others have much to do as well, and get no less
/// of the worker for giving way. It must be more than an exchange costs, or rounds make each other longer.
const ONE_MORE: Duration = Duration::from_micros(256);

/// What is left of a round's lot, and who waits for the next one.
#[derive(Debug)]
pub(crate) struct Pace {
    left: Cell<usize>,
    /// What one connection may have of it.
    share: Cell<usize>,
    /// At most one of each connection.
    queue: RefCell<VecDeque<(Ticket, Waker)>>,
    keeper: RefCell<Option<Waker>>,
}

/// A connection's ticket for the queue: whether it waits there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket(Rc<Cell<bool>>);

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: Cell::new(LOT),
            share: Cell::new(LOT),
            queue: RefCell::default(),
            keeper: RefCell::default(),
        }
    }
}

impl Pace {
    /// What a connection may begin and end now. Who waits for a turn has none before that.
    pub(crate) fn share(&self, ticket: &Ticket) -> usize {
        if ticket.0.get() { 0 } else { self.left.get().min(self.share.get()) }
    }

    /// So much of it was used.
    pub(crate) fn spend(&self, used: usize) {
        self.left.set(self.left.get().saturating_sub(used));
    }

    /// Has the task polled again when it is its turn.
    pub(crate) fn queue(&self, ticket: &Ticket, cx: &Context<'_>) {
        if !ticket.0.replace(true) {
            self.queue.borrow_mut().push_back((ticket.clone(), cx.waker().clone()));
            if let Some(keeper) = &*self.keeper.borrow() {
                keeper.wake_by_ref();
            }
        }
    }

    /// Deals out a lot to each round in which somebody wants one; never returns.
    pub(crate) async fn keep(&self) {
        loop {
            poll_fn(|cx| {
                let mut keeper = self.keeper.borrow_mut();
                if !keeper.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *keeper = Some(cx.waker().clone());
                }
                if self.queue.borrow().is_empty() { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            let asked = Instant::now();
            // Behind all that is ready by now, and behind what the sockets bring then.
            tokio::task::yield_now().await;
            self.deal(asked.elapsed());
        }
    }

    fn deal(&self, round: Duration) {
        let mut queue = self.queue.borrow_mut();
        let more = round.as_nanos() / ONE_MORE.as_nanos();
        let lot = LOT.saturating_add(usize::try_from(more).unwrap_or(usize::MAX));
        let served = queue.len().min(lot);
        self.left.set(lot);
        self.share.set(lot / served.max(1));
        for (ticket, waker) in queue.drain(..served) {
            ticket.0.set(false);
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lot_is_dealt_out_in_equal_shares_to_those_that_wait() {
        let pace = Pace::default();
        let mut cx = Context::from_waker(Waker::noop());
        let [first, second] = [Ticket::default(), Ticket::default()];
        assert_eq!(pace.share(&first), LOT);
        pace.spend(LOT);
        assert_eq!(pace.share(&first), 0);
        pace.queue(&first, &cx);
        pace.queue(&first, &cx);
        pace.queue(&second, &cx);
        assert_eq!(pace.queue.borrow().len(), 2);
        let mut keep = std::pin::pin!(pace.keep());
        // The second time is after the yield, which needs a runtime to be more than that.
        while !pace.queue.borrow().is_empty() {
            assert!(keep.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!((pace.share(&first), pace.share(&second)), (LOT / 2, LOT / 2));
    }

    #[test]
    fn who_waits_takes_nothing_before_its_turn() {
        let pace = Pace::default();
        let ticket = Ticket::default();
        pace.queue(&ticket, &Context::from_waker(Waker::noop()));
        assert_eq!(pace.share(&ticket), 0);
        pace.deal(Duration::ZERO);
        assert_eq!(pace.share(&ticket), LOT);
    }

    #[test]
    fn after_a_long_round_there_is_more() {
        let pace = Pace::default();
        let ticket = Ticket::default();
        pace.queue(&ticket, &Context::from_waker(Waker::noop()));
        pace.deal(100 * ONE_MORE);
        assert_eq!(pace.share(&ticket), LOT + 100);
    }

    #[test]
    fn of_many_that_wait_those_that_came_first_have_one_each() {
        let pace = Pace::default();
        let tickets: Vec<Ticket> = (0..LOT + 3).map(|_| Ticket::default()).collect();
        for ticket in &tickets {
            pace.queue(ticket, &Context::from_waker(Waker::noop()));
        }
        pace.deal(Duration::ZERO);
        let shares: Vec<usize> = tickets.iter().map(|ticket| pace.share(ticket)).collect();
        assert_eq!(shares, [[1; LOT].as_slice(), &[0; 3]].concat());
    }
}
