//! Edits of one server, written into the text where it stands.

use serde_json::{Map, Value};

use crate::raw::document;
use crate::rewrite::{rewrite_like, splice};

use super::frame::Frame;
use super::{LONGEST, Reading};

/// What becomes of one server of a pool.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEdit {
    /// It is added behind the others.
    Add(Map<String, Value>),
    /// The one at this place is taken out; it must not be the last that there is.
    Remove(usize),
    /// The one at a place gets another value of a key, or one more.
    Set(usize, String, Value),
}

impl ServerEdit {
    /// Makes the edit in a document.
    ///
    /// # Errors
    /// The key that does not hold what it holds in a document that was checked.
    pub fn apply(&self, document: &mut Value, pool: &str) -> Result<(), String> {
        let mut here = document;
        for key in ["pools", pool, "servers"] {
            here = here.get_mut(key).ok_or(key)?;
        }
        let servers = here.as_array_mut().ok_or("servers")?;
        match self {
            Self::Add(server) => servers.push(Value::Object(server.clone())),
            Self::Remove(place) if *place < servers.len() => drop(servers.remove(*place)),
            Self::Remove(_) => return Err("servers".to_owned()),
            Self::Set(place, key, value) => {
                let server = servers.get_mut(*place).and_then(Value::as_object_mut).ok_or("servers")?;
                server.insert(key.clone(), value.clone());
            }
        }
        Ok(())
    }
}

impl Reading {
    /// The text after an edit of one server: what [`rewrite`](crate::rewrite()) makes of the document with that edit,
    /// without a look at all the others. None where there is no such place, or it cannot be told in the text.
    pub fn edited(&self, pool: &str, edit: &ServerEdit) -> Option<String> {
        let list = self.lists.get(self.parsed.config.place_of_pool(pool)?)?;
        match edit {
            ServerEdit::Add(server) => splice::append(&self.text, &list.entries, server, &|| self.layout()),
            ServerEdit::Remove(place) => splice::remove(&self.text, &list.entries, *place),
            ServerEdit::Set(place, key, value) => {
                splice::set(&self.text, *list.entries.get(*place)?, (key, value), &|| self.layout())
            }
        }
    }

    /// The text after an edit of the document that leaves the servers of all pools alone: what
    /// [`rewrite`](crate::rewrite()) makes of it, without a look at them. `edit` is asked for it with a document in which
    /// a number stands for the servers of each pool, so it may not tell them apart by their places. None where the edit
    /// does not go with that, or refuses it: it may still go with the whole document.
    pub fn reworked<E>(&self, edit: impl Fn(&Value) -> Result<Value, E>) -> Option<String> {
        if self.text.len() > LONGEST {
            return None;
        }
        let (known, frame) = (&self.parsed.config, Frame::of(&self.text, &self.lists)?);
        let from = document(frame.text.as_bytes()).ok()?;
        let to = edit(&from).ok()?;
        if !frame.is_of(&to, known) {
            return None;
        }
        let written = rewrite_like(&frame.text, (&from, &to), &|| self.layout()).ok()?;
        Frame::fill(&written, known, (&self.text, &self.lists))
    }
}
