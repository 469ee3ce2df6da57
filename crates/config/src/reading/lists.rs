//! Where the servers of each pool stand in the text, and where two texts differ.

use crate::Config;
use crate::document::{self, Node};
use crate::rewrite::place::{self, Entry, Inside, Span};

/// Servers between those that stay. More are read with the rest: each is looked for among all others.
const MOST_NEW: usize = 16;

/// How deep the lists of servers stand: `pools`, a name, `servers`.
const DEPTH: usize = 3;

/// The servers of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List {
    /// Behind the opening bracket.
    pub(super) open: usize,
    /// Before the closing one.
    pub(super) close: usize,
    pub(super) entries: Vec<Span>,
}

/// The lists of all pools, in their order; none at all where they cannot be told.
pub(super) fn of(text: &str, config: &Config) -> Vec<List> {
    let root = place::find(text);
    let Some(Inside::Map(pools)) = root.member("pools").map(|pools| &pools.inside) else { return Vec::new() };
    let list = |pool: &Entry<'_>| {
        let servers = pool.place.member("servers")?;
        let entries = servers.elements()?;
        Some(List { open: servers.start + 1, close: servers.end - 1, entries })
    };
    let lists: Vec<List> = pools.iter().filter_map(list).collect();
    let counts = config.pools.iter().map(|pool| pool.servers.len());
    if lists.iter().map(|list| list.entries.len()).eq(counts) { lists } else { Vec::new() }
}

/// Where two texts differ: within a list of servers, between some that stay and others that do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) list: usize,
    /// Servers that stay before it, and after it.
    pub(super) head: usize,
    pub(super) tail: usize,
    from: usize,
    /// In the new text.
    to: usize,
    /// The lengths of the texts.
    old: usize,
    new: usize,
}

impl Gap {
    pub(super) fn between(old: &str, new: &str, lists: &[List]) -> Option<Self> {
        let (prefix, end) = difference(old, new)?;
        let is_around = |list: &List| list.open <= prefix && end <= list.close;
        let place = lists.iter().position(is_around)?;
        let List { open, close, entries } = lists.get(place)?;
        let head = entries.partition_point(|span| span.end <= prefix);
        let tail = entries.len() - entries.partition_point(|span| span.start < end).max(head);
        let from = head.checked_sub(1).and_then(|last| entries.get(last)).map_or(*open, |span| span.end);
        let to = entries.get(entries.len() - tail).map_or(*close, |span| span.start);
        let to = to + new.len() - old.len();
        Some(Self { list: place, head, tail, from, to, old: old.len(), new: new.len() })
    }

    /// What stands there in the new text, if it is whole servers.
    pub(super) fn entries(&self, text: &str) -> Option<Vec<Node>> {
        let between = text.get(self.from..self.to)?;
        let (before, after) = (self.head > 0, self.tail > 0);
        // A neighbour is some value. If with them it is one list, they are its first and its last, and what stands
        // between is what the new text has between its own.
        let neighbour = |is_there: bool| if is_there { "null" } else { "" };
        let list = format!("[{}{between}{}]", neighbour(before), neighbour(after));
        let mut nodes = document::read_list(&list, DEPTH)?;
        if before {
            nodes.remove(0);
        }
        if after {
            nodes.pop();
        }
        (nodes.len() <= MOST_NEW).then_some(nodes)
    }

    fn moved(&self, at: usize) -> usize {
        at + self.new - self.old
    }
}

impl List {
    /// Behind the last server of all.
    pub(super) fn follow(&mut self, gap: &Gap) {
        if self.open > gap.from {
            self.open = gap.moved(self.open);
            self.close = gap.moved(self.close);
            self.entries.iter_mut().for_each(|span| *span = span.moved(|at| gap.moved(at)));
        }
    }

    /// Takes up the list that the gap is in.
    pub(super) fn put(&mut self, gap: &Gap, text: &str) {
        let tail = self.entries.len() - gap.tail;
        self.close = gap.moved(self.close);
        self.entries.iter_mut().skip(tail).for_each(|span| *span = span.moved(|at| gap.moved(at)));
        self.entries.splice(gap.head..tail, place::spans(text, gap.from, gap.to));
    }
}

/// Where the lists of a text stand in another one that holds the same; as far as can be told without reading it.
pub(super) fn moved(old: &str, new: &str, lists: &[List]) -> Option<Vec<List>> {
    let (prefix, end) = difference(old, new)?;
    let mut behind = 0;
    let follow = |list: &List| {
        let open = if list.close <= prefix {
            list.open
        } else if list.open >= end {
            list.open + new.len() - old.len()
        } else {
            // Something differs on both sides of it.
            behind + new.get(behind..)?.find(old.get(list.open..list.close)?)?
        };
        behind = open + list.close - list.open;
        let entries = list.entries.iter().map(|span| span.moved(|at| at + open - list.open)).collect();
        Some(List { open, close: behind, entries })
    };
    lists.iter().map(follow).collect()
}

/// From where on two texts differ, and up to where in the old one.
fn difference(old: &str, new: &str) -> Option<(usize, usize)> {
    let (one, other) = (old.as_bytes(), new.as_bytes());
    let prefix = common_prefix(one, other);
    let suffix = common_suffix(one.get(prefix..)?, other.get(prefix..)?);
    Some((prefix, old.len() - suffix))
}

/// Compared piece by piece, since pieces are compared quickly.
const PIECE: usize = 512;

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let pieces = one.chunks_exact(PIECE).zip(other.chunks_exact(PIECE));
    let same = PIECE * pieces.take_while(|(one, other)| one == other).count();
    let rest = one.iter().skip(same).zip(other.iter().skip(same));
    same + rest.take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    let pieces = one.rchunks_exact(PIECE).zip(other.rchunks_exact(PIECE));
    let same = PIECE * pieces.take_while(|(one, other)| one == other).count();
    let rest = one.iter().rev().skip(same).zip(other.iter().rev().skip(same));
    same + rest.take_while(|(one, other)| one == other).count()
}
