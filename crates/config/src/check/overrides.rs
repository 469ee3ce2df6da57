//! Environment variables that stand above the file.

use std::time::Duration;

use crate::bounds::{self, Whole};
use crate::expand::Env;
use crate::issue::{Fault, Report, shown};
use crate::model::Config;
use crate::model::bind::Bind;
use crate::quantity;

/// Applies `PORT`, `WORKER_COUNT` and `HEALTH_CHECK_INTERVAL`. A variable that is set to nothing counts as
/// unset, since that is how compose files pass on what they do not know.
pub(super) fn apply(config: &mut Config, env: Env<'_>, report: &mut Report) {
    if let Some(port) = number("PORT", &bounds::BIND_PORT, env, report)
        && let Ok(port) = u16::try_from(port)
    {
        set_port(config, port, report);
    }
    if let Some(workers) = number("WORKER_COUNT", &bounds::WORKERS, env, report)
        && let Ok(workers) = usize::try_from(workers)
    {
        config.workers = workers;
    }
    let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let interval = millis(bounds::INTERVAL.min)..=millis(bounds::INTERVAL.max);
    if let Some(interval) = number("HEALTH_CHECK_INTERVAL", &interval, env, report) {
        for pool in &mut config.pools {
            pool.health_check.interval = Duration::from_millis(interval);
        }
    }
    if env("REDIS_URL").is_some_and(|value| !value.is_empty()) {
        let problem = "the environment variable REDIS_URL is set, but nothing in this version uses Redis";
        report.warn("", Fault::new(problem, "unset it, or leave it for a version that shares its state"));
    }
}

/// The first listener with a port has this one instead, on each of its addresses that have its first one's: they are
/// one service.
fn set_port(config: &mut Config, port: u16, report: &mut Report) {
    let of = |bind: &Bind| bind.tcp().map(|address| address.port());
    let mut listeners = config.listeners.iter_mut();
    let found = listeners.find_map(|listener| {
        let first = listener.binds.iter().find_map(of)?;
        Some((listener, first))
    });
    let Some((listener, first)) = found else {
        let problem = "the environment variable PORT is set, but no listener has a port";
        return report
            .warn("", Fault::new(problem, "unset it, or let a listener bind an address and a port"));
    };
    for bind in listener.binds.iter_mut().filter(|bind| of(bind) == Some(first)) {
        *bind = bind.clone().with_port(port);
    }
}

fn number(name: &str, range: &Whole, env: Env<'_>, report: &mut Report) -> Option<u64> {
    let value = env(name).filter(|value| !value.is_empty())?;
    let plain = value.bytes().all(|byte| byte.is_ascii_digit());
    let found = plain.then(|| value.parse().ok()).flatten().filter(|found| range.contains(found));
    if found.is_none() {
        let (min, max) = (range.start(), range.end());
        let problem = format!(
            "the environment variable {name} is {}, not a whole number from {min} to {max}",
            shown(&value)
        );
        let help = match name {
            "HEALTH_CHECK_INTERVAL" => {
                let shortest = quantity::format_duration(bounds::INTERVAL.min);
                format!("set it in milliseconds, at least {shortest}, such as 5000 for 5 s; or unset it")
            }
            _ => format!("set it to such a number, or unset {name}"),
        };
        report.issue("", Fault::new(problem, help));
    }
    found
}
