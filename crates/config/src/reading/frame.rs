//! A text around its servers.
//!
//! What is changed is either one of thousands of servers or something small beside them. In a frame a number stands
//! for all servers of a pool, so that what stands around them is read and edited without them. An edit that says where in
//! a list something stands is not for a frame: there the list is one long. The number begins with digits
//! that stand nowhere else in the frame, so where it is read as the list of that pool there was that list, and no
//! other place can have meant it.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use serde_json::Value;

use crate::document::{self, Node};
use crate::expand::{self, Env};
use crate::issue::Report;
use crate::rewrite::place;
use crate::{Config, Parsed};

use super::lists::List;

/// Most lists; as many as four digits can tell apart.
const MOST_LISTS: usize = 10_000;

/// What the numbers begin with, 14 digits that nobody outside can know: whoever sent them would mean a list. Behind them
/// stands which list it is.
static MARK: LazyLock<(u64, String)> = LazyLock::new(|| {
    let random = RandomState::new().build_hasher().finish();
    let first = 9 * TEN_TO_13 + random % TEN_TO_13;
    (first, first.to_string())
});
const TEN_TO_13: u64 = 10_000_000_000_000;

/// A text with a number in each list of servers.
pub(super) struct Frame {
    pub(super) text: String,
    lists: usize,
}

impl Frame {
    pub(super) fn of(text: &str, lists: &[List]) -> Option<Self> {
        if lists.is_empty() || lists.len() > MOST_LISTS {
            return None;
        }
        let mut frame = String::new();
        let mut from = 0;
        for (number, list) in lists.iter().enumerate() {
            frame.push_str(text.get(from..list.open)?);
            write!(frame, "{}", mark(number)).ok()?;
            // On as many lines as it was, and what follows on the same: that is how its neighbours are written.
            if let Some((_, last)) = text.get(list.open..list.close)?.rsplit_once('\n') {
                frame.push('\n');
                frame.push_str(last.get(..last.len() - last.trim_start_matches([' ', '\t']).len())?);
            }
            from = list.close;
        }
        frame.push_str(text.get(from..)?);
        (frame.matches(&*MARK.1).count() == lists.len()).then_some(Self { text: frame, lists: lists.len() })
    }

    /// What it says with the servers of `known`, in the order of the lists. None where there is anything the matter
    /// with it, or a number does not stand for the servers of its pool.
    pub(super) fn read(&self, known: &Config, env: Env<'_>) -> Option<Parsed> {
        let mut report = Report::default();
        let mut document = document::read(self.text.as_bytes(), &mut report).ok()?;
        expand::expand(&mut document, env, &mut report);
        for (number, pool) in known.pools.iter().enumerate() {
            let servers = servers_of(&mut document, &pool.name)?;
            match servers {
                Node::List(list) if matches!(&**list, [Node::Number(only)] if only.as_u64() == Some(mark(number))) =>
                {
                    *servers = Node::Servers(pool.servers.clone());
                }
                _ => return None,
            }
        }
        let parsed = crate::judge(&document, env, report).ok()?;
        let names = |config: &Config| config.pools.iter().map(|pool| pool.name.clone()).collect::<Vec<_>>();
        (known.pools.len() == self.lists && names(&parsed.config) == names(known)).then_some(parsed)
    }

    /// Whether a document that was made of this one's leaves the servers alone.
    pub(super) fn is_of(&self, document: &Value, known: &Config) -> bool {
        let stays = |(number, name): (usize, &str)| {
            let servers = document.get("pools").and_then(|pools| pools.get(name)?.get("servers")?.as_array());
            matches!(servers.map(Vec::as_slice), Some([only]) if only.as_u64() == Some(mark(number)))
        };
        let names = known.pools.iter().map(|pool| &*pool.name);
        known.pools.len() == self.lists && names.enumerate().all(stays) && marks_in(document) == self.lists
    }

    /// A text that was made of this one's, with the lists of `text` where the numbers stand.
    pub(super) fn fill(frame: &str, known: &Config, (text, lists): (&str, &[List])) -> Option<String> {
        let root = place::find(frame);
        let pools = root.member("pools")?;
        let place = |(number, list): (usize, &List)| {
            let servers = pools.member(&known.pools.get(number)?.name)?.member("servers")?;
            let (open, close) = (servers.start + 1, servers.end.checked_sub(1)?);
            let is_it = frame.get(open..close)?.trim() == mark(number).to_string();
            is_it.then_some((open, close, text.get(list.open..list.close)?))
        };
        let mut places: Vec<_> = lists.iter().enumerate().map(place).collect::<Option<_>>()?;
        places.sort_unstable_by_key(|(open, ..)| *open);
        let mut whole = String::with_capacity(text.len() + frame.len());
        let mut from = 0;
        for (open, close, servers) in places {
            whole.push_str(frame.get(from..open)?);
            whole.push_str(servers);
            from = close;
        }
        whole.push_str(frame.get(from..)?);
        Some(whole)
    }
}

/// The number that stands for a list.
pub(super) fn mark(list: usize) -> u64 {
    MARK.0 * MOST_LISTS as u64 + list as u64
}

fn servers_of<'n>(document: &'n mut Node, pool: &str) -> Option<&'n mut Node> {
    let mut here = document;
    for key in ["pools", pool, "servers"] {
        let Node::Map(map) = here else { return None };
        here = map.get_mut(key)?;
    }
    Some(here)
}

/// How many of its numbers could stand for a list.
fn marks_in(value: &Value) -> usize {
    match value {
        Value::Number(number) => usize::from(number.to_string().contains(&*MARK.1)),
        Value::Array(list) => list.iter().map(marks_in).sum(),
        Value::Object(map) => map.values().map(marks_in).sum(),
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
    }
}
