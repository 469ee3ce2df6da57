//! Time-outs that cost next to nothing while nothing times out.
//!
//! A timer wheel is touched at each phase of each exchange only to be told that nothing happened. Here a phase
//! stores its deadline in a cell of its connection and that is all; one task per worker sleeps until the earliest
//! deadline that it knows of, then looks at all of them, wakes those that are due, and sleeps until the next.
//! A deadline that moves later (the usual case) is only noticed at that look, so looks are as rare as the shortest
//! configured time-out, and at the soonest [`PAUSE`] apart.
//!
//! Thousands may be due at once: clients that were let in together and say nothing, or all of them, when the worker has
//! news for everybody. They are woken a few at a time ([`BATCH`]), and in between the worker does what else is ready, so
//! nobody's request stands in line behind all of them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

/// Nanoseconds since the worker started.
pub(crate) type Nanos = u64;

const NEVER: Nanos = Nanos::MAX;

/// The least time between two looks: ten thousand connections are looked at in about 50 µs, so this bounds the cost
/// to a hundredth of a core. It also bounds how late a deadline is noticed, as long as few are due at once.
const PAUSE: Nanos = 5_000_000;

/// Connections that are woken before others get their turn. Ending one costs some 10 to 20 µs.
const BATCH: usize = 8;

/// Turns that a look may take at the most: what comes due while it lasts has to wait for the next one.
const TURNS: usize = 512;

/// What a deadline is for; each connection has one of each.
#[derive(Debug, Clone, Copy)]
pub(crate) enum For {
    /// What the client must do next.
    Client = 0,
    /// What the server must do next.
    Server = 1,
    /// The whole attempt.
    Attempt = 2,
    /// The whole exchange.
    Exchange = 3,
}

/// All deadlines of one worker.
#[derive(Debug)]
pub(crate) struct Deadlines {
    base: Instant,
    /// The time of the last look: what is due at it is due.
    looked: Cell<Nanos>,
    next: Cell<Nanos>,
    entries: RefCell<Slab<Rc<Entry>>>,
    /// Entries that are not connections but streams of one.
    streams: Cell<usize>,
    keeper: RefCell<Option<Waker>>,
    /// The next look is to wake everybody.
    everybody: Cell<bool>,
}

#[derive(Debug)]
struct Entry {
    due: [Cell<Nanos>; 4],
    waker: RefCell<Option<Waker>>,
}

impl Deadlines {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            base: Instant::now(),
            looked: Cell::new(0),
            next: Cell::new(NEVER),
            entries: RefCell::default(),
            streams: Cell::new(0),
            keeper: RefCell::default(),
            everybody: Cell::new(false),
        })
    }

    /// The time now.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        nanos(self.base.elapsed())
    }

    /// Deadlines for one connection.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let entry = Rc::new(Entry { due: [const { Cell::new(NEVER) }; 4], waker: RefCell::default() });
        let key = self.entries.borrow_mut().insert(entry.clone());
        Alarm { entry, key, of_stream: false, deadlines: self.clone() }
    }

    /// Deadlines for one stream of a connection.
    pub(crate) fn alarm_of_stream(self: &Rc<Self>) -> Alarm {
        self.streams.set(self.streams.get() + 1);
        let mut alarm = self.alarm();
        alarm.of_stream = true;
        alarm
    }

    /// Wakes every connection, soon: something that all of them must see has changed.
    pub(crate) fn wake_all(&self) {
        self.everybody.set(true);
        self.call_keeper();
    }

    fn call_keeper(&self) {
        if let Some(keeper) = &*self.keeper.borrow() {
            keeper.wake_by_ref();
        }
    }

    /// Number of connections.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len() - self.streams.get()
    }

    /// Looks at the deadlines as they come due; never returns.
    pub(crate) async fn keep(&self) {
        loop {
            let mut sleep =
                pin!(tokio::time::sleep_until((self.base + Duration::from_nanos(self.wait_until())).into()));
            let mut armed = self.next.get();
            poll_fn(|cx| {
                let mut keeper = self.keeper.borrow_mut();
                if !keeper.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    *keeper = Some(cx.waker().clone());
                }
                if self.everybody.get() {
                    return Poll::Ready(());
                }
                if self.next.get() < armed {
                    armed = self.next.get();
                    sleep.as_mut().reset((self.base + Duration::from_nanos(self.wait_until())).into());
                }
                sleep.as_mut().poll(cx)
            })
            .await;
            self.look().await;
        }
    }

    /// When to look next; an hour stands for never.
    fn wait_until(&self) -> Nanos {
        self.next.get().min(self.now() + 3_600_000_000_000)
    }

    async fn look(&self) {
        let now = self.now();
        self.looked.set(now);
        let everybody = self.everybody.take();
        // Whatever is set from here on says itself when it is due.
        self.next.set(NEVER);
        let mut from = 0;
        while let Some(left) = self.look_from(from, (now, everybody)) {
            from = left;
            tokio::task::yield_now().await;
        }
        self.next.set(self.next.get().max(now + PAUSE));
    }

    /// Looks at the entries from this place on until a batch of them is awake; says where to go on.
    fn look_from(&self, from: usize, (now, everybody): (Nanos, bool)) -> Option<usize> {
        let entries = self.entries.borrow();
        let batch = BATCH.max(entries.len() / TURNS);
        let mut woken = 0;
        // No entry stands beyond the capacity.
        for place in from..entries.capacity() {
            let Some(entry) = entries.get(place) else { continue };
            if woken == batch {
                return Some(place);
            }
            if everybody || entry.due.iter().any(|due| due.get() <= now) {
                entry.wake();
                woken += 1;
            }
            let next = entry.due.iter().map(Cell::get).filter(|due| *due > now).min().unwrap_or(NEVER);
            self.next.set(self.next.get().min(next));
        }
        None
    }
}

impl Entry {
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// The deadlines of one connection; gone when dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    entry: Rc<Entry>,
    key: usize,
    of_stream: bool,
    deadlines: Rc<Deadlines>,
}

impl Alarm {
    /// Makes the task that polls with this waker the one that is woken. Once per task is enough: tokio's tasks keep
    /// their waker.
    pub(crate) fn wakes(&self, waker: &Waker) {
        *self.entry.waker.borrow_mut() = Some(waker.clone());
    }

    /// What wakes the task from elsewhere.
    pub(crate) fn bell(&self) -> Bell {
        Bell(self.entry.clone())
    }

    /// Sets a deadline `after` from `from`; no time at all means no deadline.
    #[inline]
    pub(crate) fn set(&self, what: For, from: Nanos, after: Duration) {
        if after.is_zero() {
            return self.clear(what);
        }
        let due = from.saturating_add(nanos(after));
        self.cell(what).set(due);
        if due < self.deadlines.next.get() {
            self.deadlines.next.set(due);
            self.deadlines.call_keeper();
        }
    }

    /// Takes a deadline away.
    #[inline]
    pub(crate) fn clear(&self, what: For) {
        self.cell(what).set(NEVER);
    }

    /// Whether a deadline has passed, as far as the last look knows.
    #[inline]
    pub(crate) fn is_due(&self, what: For) -> bool {
        self.cell(what).get() <= self.deadlines.looked.get()
    }

    fn cell(&self, what: For) -> &Cell<Nanos> {
        let [client, server, attempt, exchange] = &self.entry.due;
        match what {
            For::Client => client,
            For::Server => server,
            For::Attempt => attempt,
            For::Exchange => exchange,
        }
    }
}

/// Wakes the task of an [`Alarm`].
#[derive(Debug)]
pub(crate) struct Bell(Rc<Entry>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.wake();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.deadlines.entries.borrow_mut().try_remove(self.key);
        if self.of_stream {
            self.deadlines.streams.set(self.deadlines.streams.get() - 1);
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
