//! An HTTP/2 connection, as the task that drives it and the tasks of its streams share it on one worker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::task::Waker;

use loadweaver_http2::{Code, Connection, Event, StreamId};

use crate::upstream::ByKey;

/// One HTTP/2 connection, as its streams share it.
#[derive(Debug)]
pub(crate) struct Multiplex {
    pub(crate) engine: RefCell<Connection>,
    pub(super) seats: RefCell<HashMap<u32, Seat, BuildHasherDefault<ByKey>>>,
    /// The task that reads and writes the socket.
    driver: RefCell<Option<Waker>>,
    /// The driver is woken already.
    woken: Cell<bool>,
    /// The socket is gone: nothing comes any more and nothing leaves.
    lost: Cell<bool>,
    /// Nobody shall open a stream on it any more.
    retired: Cell<bool>,
    /// An answer on it is late: it may be dead without having said so.
    doubted: Cell<bool>,
    /// Requests that may still be sent on it.
    pub(super) left: Cell<u64>,
    /// Who waits to know what the server takes.
    pub(super) curious: RefCell<Vec<Waker>>,
}

/// What is known of a stream beside what the engine knows.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) waker: Option<Waker>,
    pub(super) reset: Option<Code>,
}

impl Multiplex {
    pub(crate) fn new(engine: Connection) -> Rc<Self> {
        Rc::new(Self {
            engine: RefCell::new(engine),
            seats: RefCell::default(),
            driver: RefCell::default(),
            woken: Cell::new(false),
            lost: Cell::new(false),
            retired: Cell::new(false),
            doubted: Cell::new(false),
            left: Cell::new(u64::MAX),
            curious: RefCell::default(),
        })
    }

    /// No more than so many requests are to be sent on it.
    pub(crate) fn limit(&self, requests: u64) {
        self.left.set(requests);
    }

    /// Gives back memory, while nothing is under way.
    pub(crate) fn free(&self) {
        self.engine.borrow_mut().free();
        self.seats.borrow_mut().shrink_to(0);
    }

    /// Makes the task that polls the one that drives.
    pub(crate) fn driven_by(&self, waker: &Waker) {
        self.woken.set(false);
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    /// There is something to write, or something else for the driver to see.
    pub(crate) fn wake_driver(&self) {
        if !self.woken.replace(true)
            && let Some(driver) = &*self.driver.borrow()
        {
            driver.wake_by_ref();
        }
    }

    /// Tells the streams what has happened to them; what is the driver's business is handed to it, which says whether
    /// that begins something. As many are begun and ended as are `left`: the rest stays for another time. Whether that
    /// was all.
    pub(crate) fn tell(&self, left: &mut usize, mut notice: impl FnMut(Event) -> bool) -> bool {
        loop {
            let event = {
                let mut engine = self.engine.borrow_mut();
                if *left > 0 { engine.next_event() } else { engine.next_light_event() }
            };
            let much = match event {
                None => {
                    self.satisfy();
                    return self.engine.borrow().is_told();
                }
                Some(Event::Readable(id) | Event::Writable(id)) => {
                    self.wake(id, None);
                    false
                }
                Some(Event::Reset(id, code)) => self.wake(id, Some(code)),
                // The head of an answer: somebody waits for it. That of a request: nobody has a seat yet.
                Some(Event::Head(id)) if self.wake(id, None) => false,
                Some(event) => notice(event),
            };
            *left = left.saturating_sub(usize::from(much));
        }
    }

    /// Wakes those that wait to know what the server takes, once that is known or never will be.
    fn satisfy(&self) {
        if !self.curious.borrow().is_empty() && (self.lost.get() || self.engine.borrow().is_settled()) {
            self.curious.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Whether anybody works with the stream.
    fn wake(&self, id: StreamId, reset: Option<Code>) -> bool {
        let mut seats = self.seats.borrow_mut();
        let Some(seat) = seats.get_mut(&id.number()) else { return false };
        seat.reset = seat.reset.or(reset);
        if let Some(waker) = &seat.waker {
            waker.wake_by_ref();
        }
        true
    }

    /// The socket is gone: there is something to tell to every stream.
    pub(crate) fn lose(&self) {
        self.lost.set(true);
        self.engine.borrow_mut().lost();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// Nobody opens a stream on it any more; what is under way goes on.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.wake_driver();
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// An answer on it is late.
    pub(super) fn doubt(&self) {
        self.doubted.set(true);
        self.wake_driver();
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted.get()
    }

    /// It has shown that it lives.
    pub(crate) fn believe(&self) {
        self.doubted.set(false);
    }

    /// Whether requests may be sent on it, now or when there is room.
    pub(crate) fn is_open(&self) -> bool {
        !self.retired.get() && self.engine.borrow().is_open()
    }

    /// Whether another request may be sent on it now.
    pub(crate) fn has_room(&self) -> bool {
        let engine = self.engine.borrow();
        // A server says at the start how many streams it takes; until then only the one that it was opened for goes.
        !self.retired.get() && engine.is_settled() && engine.no_room().is_none()
    }
}
