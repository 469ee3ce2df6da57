//! Where events go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::broadcast;

use super::history::History;
use super::{Event, EventFile, Filter, StampedEvent};

/// Cheap to clone; all clones are one bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: Arc<str>,
    told: Mutex<Told>,
    sender: broadcast::Sender<Arc<StampedEvent>>,
}

impl EventBus {
    /// The bus of this machine, whose listeners may each be `capacity` events behind before they lose some. The node
    /// is called by the machine's host name.
    pub fn new(capacity: usize) -> Self {
        Self::of_node(&host_name(), capacity)
    }

    /// The bus of a node with a name of its own.
    pub fn of_node(node: &str, capacity: usize) -> Self {
        let (sender, _) = broadcast::channel(capacity.max(1));
        Self { shared: Arc::new(Shared { node: node.into(), told: Mutex::default(), sender }) }
    }

    /// The node that the events happen at.
    pub fn node(&self) -> &Arc<str> {
        &self.shared.node
    }

    /// Tells everybody. Never waits for a listener or an output.
    pub fn emit(&self, event: Event) {
        let (event, texts) = event.bounded();
        event.log();
        // The lock also keeps the order of the history, of the file and of what listeners see the same.
        let mut told = self.shared.told();
        let node = Arc::clone(&self.shared.node);
        let id = told.history.last() + 1;
        let stamped = Arc::new(StampedEvent { id, at: SystemTime::now(), node, event });
        told.history.push(Arc::clone(&stamped), texts);
        if let Some(file) = &told.file {
            file.write(&stamped);
        }
        // An error means that nobody listens.
        drop(self.shared.sender.send(stamped));
    }

    /// Writes every event from now on to this file, or to none; whoever wrote the one before ends by itself once all
    /// that it was given is written.
    pub fn write_to(&self, file: Option<EventFile>) {
        let before = std::mem::replace(&mut self.shared.told().file, file);
        // Not within the lock: the last handle wakes its thread.
        drop(before);
    }

    /// The file that events are written to: to open it anew, to close it at the end, for its counters.
    pub fn file(&self) -> Option<EventFile> {
        self.shared.told().file.clone()
    }

    /// Listens from now on.
    pub fn subscribe(&self) -> Receiver {
        Receiver { receiver: self.shared.sender.subscribe(), lost: 0 }
    }

    /// Reads on from the event after `id`: first what the history has, then what comes. An id that was not given
    /// out yet asks for everything.
    pub fn follow(&self, id: u64) -> Follower {
        // Listening begins first, so that nothing falls between the two.
        let receiver = self.shared.sender.subscribe();
        let last = if id > self.last_id() { 0 } else { id };
        Follower { bus: self.clone(), receiver, ahead: self.since(last).into(), last, missed: 0 }
    }

    /// The id of the last event; 0 before the first.
    pub fn last_id(&self) -> u64 {
        self.shared.told().history.last()
    }

    /// The last `count` events, the newest first.
    pub fn recent(&self, count: usize) -> Vec<Arc<StampedEvent>> {
        self.matching(&Filter::default(), 0, count)
    }

    /// All events after an id that are still kept, the oldest first. An id that was not given out yet asks for
    /// everything.
    pub fn since(&self, id: u64) -> Vec<Arc<StampedEvent>> {
        self.shared.told().history.since(id).cloned().collect()
    }

    /// The last `count` events after an id (0 for all) that pass a filter, the newest first.
    pub fn matching(&self, filter: &Filter, after: u64, count: usize) -> Vec<Arc<StampedEvent>> {
        self.shared.told().history.matching(filter, after, count)
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        // A panic of another holder leaves at worst an event out.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event goes through in its turn.
#[derive(Debug, Default)]
struct Told {
    history: History,
    file: Option<EventFile>,
}

/// The kernel's name of this machine, as `hostname` prints it.
fn host_name() -> String {
    let name = rustix::system::uname();
    match name.nodename().to_string_lossy().trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// A listener's end of the bus.
#[derive(Debug)]
pub struct Receiver {
    receiver: broadcast::Receiver<Arc<StampedEvent>>,
    lost: u64,
}

impl Receiver {
    /// The next event; none when the bus is gone.
    pub async fn recv(&mut self) -> Option<Arc<StampedEvent>> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => self.lost += count,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Events that this listener was too slow for.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// A listener that catches up from the history: it loses events only when the history has let go of them.
#[derive(Debug)]
pub struct Follower {
    bus: EventBus,
    receiver: broadcast::Receiver<Arc<StampedEvent>>,
    ahead: VecDeque<Arc<StampedEvent>>,
    last: u64,
    missed: u64,
}

impl Follower {
    /// The next event. Waits for ever on a bus that is silent. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Arc<StampedEvent> {
        loop {
            if let Some(event) = self.ahead.pop_front() {
                self.missed += event.id.saturating_sub(self.last + 1);
                self.last = event.id;
                return event;
            }
            match self.receiver.recv().await {
                Ok(event) if event.id == self.last + 1 => self.ahead.push_back(event),
                // Already read from the history.
                Ok(event) if event.id <= self.last => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.ahead = self.bus.since(self.last).into();
                }
                // This end holds the bus, so that its other end is there.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Events that were gone before they could be read.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
