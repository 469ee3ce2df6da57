//! Finding files, and what they define.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a folder.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

/// Every page of the repository; what tools made or fetched is none of ours.
pub(crate) fn markdown_files(root: &Path) -> Vec<PathBuf> {
    files(root, "md")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let theirs = name.starts_with('.') || ["target", "node_modules", "corpus", "out"].contains(&&*name);
        if path.is_dir() && !theirs {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found
}

/// Whether a file defines `name`, or `Type::name` and both parts of it.
pub(crate) fn defines(source: &str, symbol: &str) -> bool {
    symbol.split("::").all(|name| source.lines().any(|line| is_definition(line, name)))
}

fn is_definition(line: &str, name: &str) -> bool {
    const KINDS: [&str; 8] = ["fn", "struct", "enum", "const", "static", "type", "trait", "mod"];
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    if line.trim_start().starts_with("//") {
        return false;
    }
    // The word before the name: `pub(crate) const fn name`, `impl Name`.
    let mut before = words.next().unwrap_or_default();
    words.any(|word| {
        let hit = word == name && KINDS.contains(&before);
        before = word;
        hit
    })
}

#[test]
fn tells_definitions_from_mentions() {
    assert!(defines("pub(crate) const fn run() {}\nstruct Way {", "Way::run"));
    assert!(!defines("// fn run\nlet x = run();", "run"));
    assert!(!defines("fn running() {}", "run"));
}
