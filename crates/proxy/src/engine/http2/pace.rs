//! How much the HTTP/2 connections of a worker's clients set going at once.
//!
//! One read of a connection can bring a hundred requests, and one frame can end a hundred exchanges; each of those is a
//! task with some ten to fifty microseconds of work, and whoever is not among them waits for all of them. So all
//! connections of a worker together begin and end so many, then everybody else has a turn, and then those that have more
//! to do get an equal share of the next lot; at least one each, which is what a connection of HTTP/1 has.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Exchanges that are begun or ended in one round: with a new connection to a server for each about half a millisecond's
/// work.
const LOT: usize = 8;

/// One more for as long as the round before took: where that was long, others have much to do as well.
const ONE_MORE: Duration = Duration::from_micros(256);

/// The largest lot, however long the round: were each more than [`ONE_MORE`]'s work, rounds would make each other longer.
const MOST: usize = 16 * LOT;

/// What is left of a round's lot, and who waits for the next one.
#[derive(Debug)]
pub(crate) struct Pace {
    /// For whoever has not waited.
    left: Cell<usize>,
    /// At most one of each connection.
    queue: RefCell<Vec<(Ticket, Waker)>>,
    keeper: RefCell<Option<Waker>>,
}

/// What a connection has of the lots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket(Rc<Cell<Stand>>);

#[derive(Debug, Clone, Copy, Default)]
enum Stand {
    /// It takes of what is left.
    #[default]
    Free,
    /// It has nothing before the next round.
    Waiting,
    /// It has waited, and this is its own.
    Dealt(usize),
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: Cell::new(LOT), queue: RefCell::default(), keeper: RefCell::default() }
    }
}

impl Pace {
    /// What a connection may begin and end now.
    pub(crate) fn share(&self, ticket: &Ticket) -> usize {
        match ticket.0.get() {
            Stand::Free => self.left.get(),
            Stand::Waiting => 0,
            Stand::Dealt(share) => share,
        }
    }

    /// So much of it was used. What a connection does not use of its own, `done` with all that it had to do, is forfeit.
    pub(crate) fn spend(&self, ticket: &Ticket, used: usize, done: bool) {
        match ticket.0.get() {
            Stand::Free => {
                self.left.set(self.left.get().saturating_sub(used));
                if self.left.get() == 0 && used > 0 {
                    self.call_keeper();
                }
            }
            Stand::Waiting => {}
            Stand::Dealt(share) if done || used >= share => ticket.0.set(Stand::Free),
            Stand::Dealt(share) => ticket.0.set(Stand::Dealt(share - used)),
        }
    }

    /// Has the task polled again when there is something for it.
    pub(crate) fn queue(&self, ticket: &Ticket, cx: &Context<'_>) {
        if !matches!(ticket.0.replace(Stand::Waiting), Stand::Waiting) {
            self.queue.borrow_mut().push((ticket.clone(), cx.waker().clone()));
            self.call_keeper();
        }
    }

    fn call_keeper(&self) {
        if let Some(keeper) = &*self.keeper.borrow() {
            keeper.wake_by_ref();
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
                let wanted = self.left.get() == 0 || !self.queue.borrow().is_empty();
                if wanted { Poll::Ready(()) } else { Poll::Pending }
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
        if queue.is_empty() {
            return self.left.set(LOT);
        }
        let more = round.as_nanos() / ONE_MORE.as_nanos();
        let lot = LOT.saturating_add(usize::try_from(more).unwrap_or(MOST)).min(MOST);
        let share = (lot / queue.len()).max(1);
        self.left.set(lot.saturating_sub(share * queue.len()));
        for (ticket, waker) in queue.drain(..) {
            ticket.0.set(Stand::Dealt(share));
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting<const N: usize>(pace: &Pace) -> [Ticket; N] {
        let tickets = [(); N].map(|()| Ticket::default());
        for ticket in &tickets {
            pace.queue(ticket, &Context::from_waker(Waker::noop()));
            assert_eq!(pace.share(ticket), 0, "who waits has nothing before its turn");
        }
        tickets
    }

    #[test]
    fn a_lot_is_dealt_out_in_equal_shares_to_those_that_wait() {
        let pace = Pace::default();
        let [first, second] = waiting(&pace);
        pace.queue(&first, &Context::from_waker(Waker::noop()));
        assert_eq!(pace.queue.borrow().len(), 2, "nobody waits twice");
        pace.deal(Duration::ZERO);
        assert_eq!((pace.share(&first), pace.share(&second)), (LOT / 2, LOT / 2));
        let newcomer = Ticket::default();
        assert_eq!(pace.share(&newcomer), 0, "what was dealt is not taken by who comes meanwhile");
        pace.spend(&first, 3, false);
        assert_eq!(pace.share(&first), LOT / 2 - 3, "it keeps what it could not use yet");
        pace.spend(&first, 1, true);
        assert_eq!(pace.share(&first), 0, "and gives up what it does not need");
    }

    #[test]
    fn of_many_that_wait_each_has_one() {
        let pace = Pace::default();
        let tickets: [Ticket; 3 * LOT] = waiting(&pace);
        pace.deal(Duration::ZERO);
        assert!(tickets.iter().all(|ticket| pace.share(ticket) == 1));
    }

    #[test]
    fn after_a_long_round_there_is_more_and_never_too_much() {
        let pace = Pace::default();
        let [one] = waiting(&pace);
        pace.deal(100 * ONE_MORE);
        assert_eq!(pace.share(&one), LOT + 100);
        pace.spend(&one, 1, true);
        let [other] = waiting(&pace);
        pace.deal(Duration::from_mins(1));
        assert_eq!(pace.share(&other), MOST);
    }

    #[test]
    fn what_is_used_up_is_there_again_a_round_later_though_nobody_waits() {
        let pace = Pace::default();
        let free = Ticket::default();
        let mut keep = std::pin::pin!(pace.keep());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(keep.as_mut().poll(&mut cx).is_pending());
        pace.spend(&free, LOT, true);
        assert_eq!(pace.share(&free), 0);
        // To the yield, and past it.
        assert!(keep.as_mut().poll(&mut cx).is_pending());
        assert!(keep.as_mut().poll(&mut cx).is_pending());
        assert_eq!(pace.share(&free), LOT);
    }
}
