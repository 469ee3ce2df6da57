//! Whole files through the checker: what is accepted and how it reads, what is refused and with which words.
//!
//! Beside each `name.json` stands `name.txt`, compared byte for byte. A file `name.env` (`KEY=value` lines)
//! is the environment of that case. `GOLDEN_WRITE=1 cargo test -p loadweaver-config --test golden` writes the
//! expectations anew; each line of them is then read by a person: it must say where, what, and what to do.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use loadweaver_config::{Issues, Parsed, parse, summary};

#[test]
fn accepts_what_it_should_and_says_what_would_run() {
    let count = run("accepted", |outcome, case| {
        let Parsed { config, warnings } =
            outcome.unwrap_or_else(|issues| panic!("{case} is refused:\n{issues}"));
        let mut text = summary(&config);
        for warning in warnings {
            writeln!(text, "\nwarning {warning}").unwrap();
        }
        text
    });
    assert!(count >= 25, "only {count} accepted files");
}

#[test]
fn refuses_what_it_should_and_says_where_what_and_what_to_do() {
    let count = run("refused", |outcome, case| match outcome {
        Ok(_) => panic!("{case} is accepted"),
        Err(issues) => format!("{issues}\n"),
    });
    assert!(count >= 110, "only {count} refused files");
}

fn run(kind: &str, words: impl Fn(Result<Parsed, Issues>, &str) -> String) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    cases.sort();
    let mut wrong = String::new();
    for case in &cases {
        let environment = environment(&case.with_extension("env"));
        let outcome = parse(&fs::read(case).unwrap(), &|name| environment.get(name).cloned());
        let expectation = case.with_extension("txt");
        if waits(&outcome, &expectation) {
            continue;
        }
        let found = words(outcome, &case.display().to_string());
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        if found != expected {
            writeln!(wrong, "{}\n--- expected\n{expected}--- found\n{found}", case.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    cases.len()
}

/// Whether the case is about keys that are refused until what they turn on is built (`waiting` in `shape`). It comes
/// alive with them.
fn waits(outcome: &Result<Parsed, Issues>, expectation: &Path) -> bool {
    let refused = outcome.as_ref().is_err_and(|issues| issues.to_string().contains(NOT_YET));
    refused && !fs::read_to_string(expectation).unwrap_or_default().contains(NOT_YET)
}

const NOT_YET: &str = "is not in this version yet";

fn environment(file: &Path) -> HashMap<String, String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
