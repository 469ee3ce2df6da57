//! Configurations: `[count][for each variable: length, value][the file]`.

use std::collections::HashSet;

use loadweaver_config::{Config, Issue, Issues, parse, summary};
use serde_json::Value;

/// The variables that an input may set, in this order. `X` and `Y` stand for what a file may name.
const VARIABLES: [&str; 6] = ["PORT", "WORKER_COUNT", "HEALTH_CHECK_INTERVAL", "X", "Y", "REDIS_URL"];

/// A file is accepted and makes sense, or refused with words that help; twice the same.
pub fn holds(input: &[u8]) {
    let (values, text) = variables(input);
    let environment = |name: &str| {
        let index = VARIABLES.iter().position(|known| *known == name)?;
        values.get(index).cloned()
    };
    let parsed = parse(text, &environment);
    assert_eq!(parsed, parse(text, &environment), "the same file, two verdicts");
    match parsed {
        Ok(parsed) => {
            help(text, &parsed.warnings);
            makes_sense(&parsed.config);
        }
        Err(Issues(issues)) => {
            assert!(!issues.is_empty(), "refused without a word");
            help(text, &issues);
            let shown = Issues(issues).to_string();
            assert!(shown.chars().all(|character| character == '\n' || !character.is_control()));
        }
    }
}

fn variables(input: &[u8]) -> (Vec<String>, &[u8]) {
    let Some((count, mut rest)) = input.split_first() else { return (Vec::new(), input) };
    let mut values = Vec::new();
    for _ in 0..usize::from(*count) % (VARIABLES.len() + 1) {
        let Some((len, after)) = rest.split_first() else { break };
        let (value, after) = after.split_at(usize::from(*len).min(after.len()));
        values.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    (values, rest)
}

/// Every issue says what and what to do, and points at something that stands in the file.
fn help(text: &[u8], issues: &[Issue]) {
    // Of a key that stands twice serde_json knows one, and a pointer may mean the other.
    let twice = issues.iter().any(|issue| issue.problem.contains("twice"));
    let file: Option<Value> = serde_json::from_slice(text).ok().filter(|_| !twice);
    for Issue { at, problem, help } in issues {
        assert!(!problem.trim().is_empty(), "a problem without words at {at:?}");
        assert!(!help.trim().is_empty(), "no remedy for {problem:?} at {at:?}");
        assert!(at.is_empty() || at.starts_with('/'), "{at:?} is no JSON pointer");
        if let Some(file) = &file {
            assert!(file.pointer(at).is_some(), "{at:?} points nowhere: {problem}");
        }
    }
}

/// What was accepted can run: nothing is missing, and names lead somewhere.
fn makes_sense(config: &Config) {
    assert!(!config.listeners.is_empty() && !config.pools.is_empty() && !config.routes.is_empty());
    let pools: HashSet<&str> = config.pools.iter().map(|pool| &*pool.name).collect();
    assert_eq!(pools.len(), config.pools.len(), "two pools of one name");
    assert!(config.routes.iter().all(|route| pools.contains(&*route.pool)), "a route to nowhere");
    for pool in &config.pools {
        let ids: HashSet<&str> = pool.servers.iter().map(|server| &*server.id).collect();
        assert_eq!(ids.len(), pool.servers.len(), "two servers of one id");
        assert!(pool.servers.iter().any(|server| server.weight > 0), "no server with a weight");
        assert!(pool.servers.iter().all(|server| server.port > 0 && !server.host.is_empty()));
        assert!((1..=10).contains(&pool.retry.attempts));
        assert!(!pool.health_check.interval.is_zero() && !pool.health_check.timeout.is_zero());
    }
    let words = summary(config);
    assert!(words.chars().all(|character| character == '\n' || !character.is_control()), "{words:?}");
}
