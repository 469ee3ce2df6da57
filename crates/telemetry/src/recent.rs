//! The last exchanges, each with what became of it, attempt by attempt.
//!
//! A worker notes each exchange in a batch of its own, which nobody else can see: numbers side by side, texts one behind
//! the other, so that a note is a few dozen bytes copied and allocates nothing. Full batches, and four times a second
//! those that are not, go to the shelf that all workers share. If somebody looks at the shelf just then the worker does
//! not wait: it tries again with its next note.
//!
//! The shelf keeps the last `KEPT` notes, or fewer where they take more than `MOST_BYTES`: some 3 MiB as a rule.
//! Whoever reads holds it for as long as it takes to count one more owner for each batch.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadweaver_policy::failure::Failure;

use crate::record::HttpVersion;
use crate::series::Series;

/// Exchanges that are kept at the least, where they are not very large.
pub const KEPT: usize = 10_000;

/// Bytes that all notes together take at the most, but for the batches of the workers.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Notes of a batch. More would have readers copy more, fewer would have workers hand over more often.
const BATCH: usize = 64;

/// Notes that a worker holds back while others look. A reader holds the shelf for some microseconds, unless its thread
/// has to wait for a core; what comes after that is lost.
const PATIENCE: usize = 4 * BATCH;

/// Bytes that are kept of a target; a longer one is cut.
const TARGET: usize = 256;

/// Bytes that are kept of any other text. A request's id is no longer.
const TEXT: usize = 128;

/// The length of what stands elsewhere: a made id, or the method of nearly every request. Each text less that has to be
/// copied is a few dozen instructions less.
const ELSEWHERE: u16 = u16::MAX;
const USUAL_METHOD: &[u8] = b"GET";

/// Attempts that are told of one exchange: as many as there can be, and as many that did not count.
const ATTEMPTS: usize = 20;

/// The numbers of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// When its first byte was read: nanoseconds since 1970. Those that follow count from then.
    pub began: u64,
    /// When it was over.
    pub total: u64,
    /// When the last attempt began.
    pub last_attempt: u64,
    /// What the last attempt took to connect; none where a kept connection served it.
    pub connect: Option<u64>,
    /// From the first byte of the request to the first of the answer.
    pub first_byte: Option<u64>,
    /// Bytes of body received from the client.
    pub bytes_in: u64,
    /// Bytes of body sent to the client.
    pub bytes_out: u64,
    /// Who asked, as far as that is known.
    pub client: Option<IpAddr>,
    /// The final status; 0 is none.
    pub status: u16,
    /// Attempts begun.
    pub attempts: u32,
    /// Why the answer was ours, or why there was none.
    pub failure: Option<Failure>,
    /// What the client spoke.
    pub version: HttpVersion,
    /// The connection became a tunnel.
    pub upgraded: bool,
}

/// An attempt that did not bring the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The server.
    pub server: Arc<str>,
    /// When it began: nanoseconds after the exchange did.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// What it took to connect; none where a kept connection served it, or none came about.
    pub connect: Option<u64>,
    /// What became of it.
    pub end: End,
}

/// How an attempt ended that did not bring the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It failed.
    Failed(Failure),
    /// An answer with this status was set aside for a better one.
    SetAside(u16),
    /// The server had closed a kept connection before it saw the request: not one of the attempts.
    Stale,
}

/// A request's id.
#[derive(Debug, Clone, Copy)]
pub enum Id<'i> {
    /// That it came with.
    Sent(&'i [u8]),
    /// That was made for it.
    Made([u8; 16]),
}

/// What a worker notes of an exchange that is over.
#[derive(Debug)]
pub struct Note<'n> {
    /// The numbers.
    pub numbers: Numbers,
    /// Where it came in and went to; none where that is not there any more.
    pub way: Option<Arc<Series>>,
    /// The request's id.
    pub id: Id<'n>,
    /// As sent; empty when no request line could be read.
    pub method: &'n [u8],
    /// As sent.
    pub host: &'n [u8],
    /// As sent, with its query.
    pub target: &'n [u8],
    /// The attempts before the last one, or all of them where none brought an answer.
    pub lost: Vec<Lost>,
}

/// What is kept of an exchange.
#[derive(Debug)]
pub struct Kept<'k> {
    /// The numbers.
    pub numbers: &'k Numbers,
    /// Where it came in and went to; none where that was not there any more.
    pub way: Option<&'k Series>,
    /// The request's id.
    pub id: &'k [u8],
    /// As sent.
    pub method: &'k [u8],
    /// As sent, perhaps cut.
    pub host: &'k [u8],
    /// As sent, perhaps cut.
    pub target: &'k [u8],
    /// The attempts before the last one, or all of them where none brought an answer.
    pub lost: &'k [Lost],
}

impl Kept<'_> {
    /// When its first byte was read.
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.numbers.began)
    }

    fn ended(&self) -> u64 {
        self.numbers.began.saturating_add(self.numbers.total)
    }
}

/// Where the last exchanges of all workers are.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    full: VecDeque<Arc<Batch>>,
    /// The next one.
    open: Batch,
    /// Of full ones.
    notes: usize,
    bytes: usize,
    /// Exchanges that workers could not note.
    missed: u64,
}

/// Notes, in the order in which they came.
#[derive(Debug, Default, Clone)]
struct Batch {
    entries: Vec<Entry>,
    /// Of all entries: id, method, host, target.
    text: Vec<u8>,
    /// Of all entries.
    lost: Vec<Lost>,
}

#[derive(Debug, Clone)]
struct Entry {
    numbers: Numbers,
    way: Option<Arc<Series>>,
    /// The id, where it was made for the request.
    made: [u8; 16],
    lengths: [u16; 4],
    lost: u16,
}

impl Recent {
    /// The newest first, as far as they are wanted, `limit` of them at the most; each is made into something that lasts.
    pub fn newest<T>(
        &self,
        limit: usize,
        wanted: impl Fn(&Kept<'_>) -> bool,
        make: impl FnMut(&Kept<'_>) -> T,
    ) -> Vec<T> {
        let (full, open) = {
            let held = self.lock();
            (held.full.clone(), held.open.clone())
        };
        let mut found: Vec<Kept<'_>> =
            full.iter().map(|batch| &**batch).chain([&open]).flat_map(Batch::read).filter(wanted).collect();
        found.sort_by_key(|kept| std::cmp::Reverse(kept.ended()));
        found.iter().take(limit).map(make).collect()
    }

    /// Exchanges that could not be noted, because somebody looked for too long.
    pub fn missed(&self) -> u64 {
        self.lock().missed
    }

    /// For a worker.
    pub fn notebook(&self) -> Notebook {
        Notebook { batch: Batch::default(), missed: 0, recent: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Takes all of a worker's notes.
    fn take(&mut self, batch: &mut Batch) {
        self.open.entries.append(&mut batch.entries);
        self.open.text.append(&mut batch.text);
        self.open.lost.append(&mut batch.lost);
        if self.open.entries.len() < BATCH {
            return;
        }
        let mut next = None;
        while self.is_over(self.open.entries.len(), self.open.bytes()) {
            let Some(oldest) = self.full.pop_front() else { break };
            self.notes -= oldest.entries.len();
            self.bytes -= oldest.bytes();
            next = Arc::into_inner(oldest);
        }
        // Its memory serves again, unless somebody reads it still.
        let mut next = next.unwrap_or_default();
        next.clear();
        let full = std::mem::replace(&mut self.open, next);
        self.notes += full.entries.len();
        self.bytes += full.bytes();
        self.full.push_back(Arc::new(full));
    }

    /// Whether the oldest batch can go when so much comes.
    fn is_over(&self, notes: usize, bytes: usize) -> bool {
        let oldest = self.full.front().map_or(0, |oldest| oldest.entries.len());
        self.notes + notes >= KEPT + oldest || self.bytes + bytes > MOST_BYTES
    }
}

impl Batch {
    fn clear(&mut self) {
        self.entries.clear();
        self.text.clear();
        self.lost.clear();
    }

    /// What it takes.
    fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.text.capacity()
            + self.lost.capacity() * size_of::<Lost>()
    }

    #[inline]
    fn add(&mut self, note: Note<'_>) {
        let Note { numbers, way, id, method, host, target, lost } = note;
        let (id, made) = match id {
            Id::Sent(id) => (self.put(id, TEXT), [0; 16]),
            Id::Made(id) => (ELSEWHERE, id),
        };
        let method = if method == USUAL_METHOD { ELSEWHERE } else { self.put(method, TEXT) };
        let lengths = [id, method, self.put(host, TEXT), self.put(target, TARGET)];
        let lost = if lost.is_empty() { 0 } else { self.put_lost(lost) };
        self.entries.push(Entry { numbers, way, made, lengths, lost });
    }

    #[inline]
    fn put(&mut self, text: &[u8], most: usize) -> u16 {
        let text = text.get(..most).unwrap_or(text);
        self.text.extend_from_slice(text);
        // Not longer than `most`.
        u16::try_from(text.len()).unwrap_or(0)
    }

    #[cold]
    fn put_lost(&mut self, lost: Vec<Lost>) -> u16 {
        let before = self.lost.len();
        self.lost.extend(lost.into_iter().take(ATTEMPTS));
        u16::try_from(self.lost.len() - before).unwrap_or(0)
    }

    fn read(&self) -> impl Iterator<Item = Kept<'_>> {
        let (mut text, mut lost) = (&*self.text, &*self.lost);
        self.entries.iter().map(move |entry| {
            let mut next = |length: u16, elsewhere| {
                if length == ELSEWHERE {
                    return elsewhere;
                }
                let (one, rest) = text.split_at_checked(length.into()).unwrap_or_default();
                text = rest;
                one
            };
            let [id, method, host, target] = entry.lengths;
            let (id, method) = (next(id, entry.made.as_slice()), next(method, USUAL_METHOD));
            let (host, target) = (next(host, &[]), next(target, &[]));
            let (own, rest) = lost.split_at_checked(entry.lost.into()).unwrap_or_default();
            lost = rest;
            let (numbers, way) = (&entry.numbers, entry.way.as_deref());
            Kept { numbers, way, id, method, host, target, lost: own }
        })
    }
}

/// What a worker writes into.
#[derive(Debug)]
pub struct Notebook {
    batch: Batch,
    missed: u64,
    recent: Recent,
}

impl Notebook {
    /// Notes an exchange that is over.
    #[inline]
    pub fn write(&mut self, note: Note<'_>) {
        if self.batch.entries.len() >= PATIENCE {
            self.missed += 1;
        } else {
            self.batch.add(note);
        }
        if self.batch.entries.len() >= BATCH {
            self.hand_over();
        }
    }

    /// Hands over what there is, unless somebody reads just now. Called now and then, so that nothing waits for long.
    pub fn hand_over(&mut self) {
        if self.batch.entries.is_empty() {
            return;
        }
        if let Ok(mut shelf) = self.recent.0.try_lock() {
            shelf.take(&mut self.batch);
            shelf.missed += std::mem::take(&mut self.missed);
        }
    }
}

#[cfg(test)]
mod tests;
