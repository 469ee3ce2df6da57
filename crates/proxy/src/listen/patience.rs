//! The handshakes under way on one worker, and which of them go when their listener has no place for more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::deadline::{Bell, Nanos, nanos};

/// How long a client may keep a handshake waiting in peace when there is no place for more of them.
const SPARED: Duration = Duration::from_secs(1);

/// Who shares a number of places: the handshakes of all addresses of a listener.
pub(crate) type Crowd = usize;

/// Handshakes under way, by crowd and age. Nothing is searched: the one that has waited the longest is the first.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    waiting: RefCell<BTreeMap<(Crowd, u64), Waiting>>,
    next: Cell<u64>,
}

#[derive(Debug)]
struct Waiting {
    since: Nanos,
    bell: Bell,
    over: Rc<Cell<bool>>,
}

impl Patience {
    /// Enters a handshake that begins now.
    pub(crate) fn enter(self: &Rc<Self>, crowd: Crowd, since: Nanos, bell: Bell) -> Turn {
        let number = (crowd, self.next.get());
        self.next.set(number.1 + 1);
        let over = Rc::<Cell<bool>>::default();
        self.waiting.borrow_mut().insert(number, Waiting { since, bell, over: over.clone() });
        Turn { patience: self.clone(), number, over }
    }

    /// Ends up to `most` of those that have waited for long enough, the longest first; says how many.
    pub(super) fn end(&self, crowd: Crowd, most: usize, now: Nanos) -> usize {
        let mut waiting = self.waiting.borrow_mut();
        let mut ended = 0;
        while ended < most
            && let Some((number, first)) = waiting.range((crowd, 0)..=(crowd, u64::MAX)).next()
            && first.since.saturating_add(nanos(SPARED)) < now
        {
            let number = *number;
            let Some(first) = waiting.remove(&number) else { break };
            first.over.set(true);
            first.bell.ring();
            ended += 1;
        }
        ended
    }
}

/// A handshake's place in the order; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    patience: Rc<Patience>,
    number: (Crowd, u64),
    over: Rc<Cell<bool>>,
}

impl Turn {
    /// Whether it must make room.
    pub(crate) fn is_over(&self) -> bool {
        self.over.get()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.patience.waiting.borrow_mut().remove(&self.number);
    }
}
