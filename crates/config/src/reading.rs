//! A configuration that is read again and again, a little different each time.
//!
//! With thousands of servers nearly all of a text are servers, and a change is nearly always of one of them. A
//! [`Reading`] knows where each of them stands. When the next text differs within the servers of one pool alone, what
//! stays of the list is taken as it is, and only what stands between is read and checked.
//!
//! That is right because a reader of JSON knows nothing but how deep it is and what may come next: up to the last
//! server that stays it is where a reader of the old text was, and if whole servers follow up to the first one after
//! the difference, it is there again. Whatever is not of the plainest kind (a problem, another warning, a variable
//! that says something else by now) makes the whole text be read, so nothing that is said about a text depends on what
//! was there before. When it differs around the servers, what stands around them is read alone, with a number for each
//! list (`frame`). Debug builds read the whole text as well and hold the two against each other.

mod edit;
mod frame;
mod lists;
mod warnings;

use std::cell::RefCell;
use std::sync::Arc;

use crate::check::{is_circle, misfit, server_alone};
use crate::document::{self, Node};
use crate::expand::{self, Env};
use crate::issue::{Issues, Report};
use crate::model::pool::Server;
use crate::rewrite::layout::Layout;
use crate::{Config, Parsed};

pub use edit::ServerEdit;
use frame::Frame;
use lists::{Gap, List};

/// Longest text that is read in parts. It cannot hold as many values as a file may, so nobody has to count them.
const LONGEST: usize = document::MAX_VALUES;

/// A text and what it says.
#[derive(Debug, Clone)]
pub struct Reading {
    text: Arc<str>,
    parsed: Parsed,
    /// Where the servers of each pool stand.
    lists: Vec<List>,
    /// What the environment was asked for, and what it said.
    asked: Vec<Asked>,
}

type Asked = (String, Option<String>);

impl Reading {
    /// Reads all of a text, as [`parse`](crate::parse) does.
    ///
    /// # Errors
    /// Every problem of the text at once.
    pub fn new(text: Arc<str>, env: Env<'_>) -> Result<Self, Issues> {
        let asked = RefCell::default();
        let parsed = crate::parse(text.as_bytes(), &|name| ask(name, env, &asked))?;
        let lists = lists::of(&text, &parsed.config);
        Ok(Self { text, parsed, lists, asked: sorted(asked.into_inner()) })
    }

    /// Reads the text that follows this one. It comes to what [`Reading::new`] would come to, and costs little where
    /// the two differ in a few servers of one pool.
    ///
    /// # Errors
    /// Every problem of the text at once.
    pub fn next(&self, text: Arc<str>, env: Env<'_>) -> Result<Self, Issues> {
        let Some(next) = self.in_parts(&text, env) else { return Self::new(text, env) };
        if cfg!(debug_assertions) {
            let whole = Self::new(text, env)?;
            debug_assert_eq!(next.parsed, whole.parsed, "what was read in parts");
            debug_assert_eq!(next.lists, whole.lists, "where it stands");
        }
        Ok(next)
    }

    /// The text.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// What it says.
    pub fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// Has servers that say the same as those of `other` stand in memory once.
    pub fn share_with(&mut self, other: &Config) {
        for pool in &mut self.parsed.config.pools {
            if let Some(known) = other.pools.iter().find(|known| known.name == pool.name) {
                pool.servers.share_with(&known.servers);
            }
        }
    }

    fn in_parts(&self, text: &Arc<str>, env: Env<'_>) -> Option<Self> {
        let unchanged = |(name, answer): &Asked| env(name) == *answer;
        if text.len() > LONGEST || !self.asked.iter().all(unchanged) {
            return None;
        }
        if *text == self.text {
            return Some(Self { text: Arc::clone(text), ..self.clone() });
        }
        let Some(gap) = Gap::between(&self.text, text, &self.lists) else { return self.around(text, env) };
        let asked = RefCell::new(self.asked.clone());
        let nodes = gap.entries(text)?;
        let added: Option<Vec<_>> =
            nodes.into_iter().map(|node| read(node, &|name| ask(name, env, &asked))).collect();
        let (parsed, pool) = (self.parsed_with(&gap, added?)?, gap.list);
        let mut lists = self.lists.clone();
        for list in &mut lists {
            list.follow(&gap);
        }
        lists.get_mut(pool)?.put(&gap, text);
        Some(Self { text: Arc::clone(text), parsed, lists, asked: sorted(asked.into_inner()) })
    }

    /// The text that follows, if its lists of servers are those of this one.
    fn around(&self, text: &Arc<str>, env: Env<'_>) -> Option<Self> {
        if !warnings::are_plain(&self.parsed) {
            return None;
        }
        let lists = lists::moved(&self.text, text, &self.lists)?;
        let asked = RefCell::new(self.asked.clone());
        let frame = Frame::of(text, &lists)?;
        let parsed = frame.read(&self.parsed.config, &|name| ask(name, env, &asked))?;
        Some(Self { text: Arc::clone(text), parsed, lists, asked: sorted(asked.into_inner()) })
    }

    /// How the text is laid out.
    fn layout(&self) -> Layout {
        Layout::with_servers_at(&self.text, self.lists.iter().map(|list| list.entries.as_slice()))
    }

    fn parsed_with(&self, gap: &Gap, added: Vec<Arc<Server>>) -> Option<Parsed> {
        let Parsed { config, warnings } = &self.parsed;
        let before = config.pools.get(gap.list)?;
        let tail = before.servers.len() - gap.tail;
        let (head, gone, rest) = (
            before.servers.get(..gap.head)?,
            before.servers.get(gap.head..tail)?,
            before.servers.get(tail..)?,
        );
        let others = || head.iter().chain(rest);
        for (index, server) in added.iter().enumerate() {
            let known = added.get(..index).unwrap_or_default();
            if others().chain(known).any(|other| is_taken(other, server)) {
                return None;
            }
        }
        if added.iter().any(|server| misfit(before, server).is_some()) {
            return None;
        }
        if gone.iter().chain(&added).any(|server| is_circle(config, server)) {
            return None;
        }
        let servers = before.servers.spliced(gap.head..tail, added)?;
        if servers.tally().weightless == servers.len() || servers.tally().active == 0 {
            return None;
        }
        let mut config = config.clone();
        let pool = config.pools.get_mut(gap.list)?;
        pool.servers = servers;
        let warnings = warnings::after(warnings, before, pool)?;
        Some(Parsed { config, warnings })
    }
}

/// Asks the environment and remembers what it said.
fn ask(name: &str, env: Env<'_>, asked: &RefCell<Vec<Asked>>) -> Option<String> {
    let answer = env(name);
    asked.borrow_mut().push((name.to_owned(), answer.clone()));
    answer
}

fn sorted(mut asked: Vec<Asked>) -> Vec<Asked> {
    asked.sort_unstable();
    asked.dedup();
    asked
}

/// A server about which there is nothing to say.
fn read(mut node: Node, env: Env<'_>) -> Option<Arc<Server>> {
    let mut report = Report::default();
    expand::expand(&mut node, env, &mut report);
    let server = server_alone(&node, &mut report)?;
    report.is_empty().then(|| Arc::new(server))
}

/// Whether two servers of one pool are the same, or look alike enough for the checker to have a word on it.
fn is_taken(known: &Server, new: &Server) -> bool {
    known.id == new.id || (known.port == new.port && known.host == new.host)
}

impl Config {
    /// The place of a pool among the pools.
    pub(crate) fn place_of_pool(&self, name: &str) -> Option<usize> {
        self.pools.iter().position(|pool| *pool.name == *name)
    }
}

#[cfg(test)]
mod tests;
