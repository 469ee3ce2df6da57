//! Edits by example, and what holds for any document and any edit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod examples;
mod laws;

use serde_json::Value;

use super::rewrite;
use crate::raw::{document, same};

/// The text after the edit, and that it says what it should.
fn rewritten(text: &str, edit: impl FnOnce(&mut Value)) -> String {
    let mut to = document(text.as_bytes()).unwrap();
    edit(&mut to);
    let written = rewrite(text, &to).unwrap_or_else(|issues| panic!("{issues}"));
    assert!(same(&document(written.as_bytes()).unwrap(), &to), "{written}");
    written
}
