//! What a pool does about servers that are not well, beyond probes.

use std::fmt::{self, Write};

use crate::issue::shown;
use crate::model::pool::Pool;
use crate::model::probe::FlapDamping;
use crate::model::recovery::{Recovery, RecoveryAction};
use crate::quantity::format_duration;
use crate::url::without_path;

pub(super) fn write(out: &mut String, pool: &Pool) -> fmt::Result {
    match &pool.flap_damping {
        FlapDamping { limit: 0, .. } => writeln!(out, "  flap damping: off")?,
        FlapDamping { limit, reuse, half_life } => writeln!(
            out,
            "  flap damping: a penalty of {limit} holds a server out until it is down to {reuse}; it halves every {}",
            format_duration(*half_life)
        )?,
    }
    if !pool.slow_start.is_zero() {
        writeln!(out, "  slow start: {}", format_duration(pool.slow_start))?;
    }
    match pool.panic_percent {
        0 => writeln!(out, "  panic: off")?,
        percent => writeln!(
            out,
            "  panic: with less than {percent} % healthy, traffic goes to all but the unreachable"
        )?,
    }
    match &pool.recovery {
        Some(recovery) => writeln!(out, "  recovery: {}", self::recovery(recovery)),
        None => Ok(()),
    }
}

pub(super) fn recovery(recovery: &Recovery) -> String {
    let action = match &recovery.action {
        RecoveryAction::Command(command) => format!("runs {}", command_line(&command.argv)),
        RecoveryAction::Http(call) => {
            format!("sends {} to {}", call.method, without_path(&call.url))
        }
        RecoveryAction::Process { command, stop_timeout } => format!(
            "starts and watches {} ({} to stop),",
            command_line(&command.argv),
            format_duration(*stop_timeout)
        ),
    };
    format!(
        "{action} after {} down, up to {} attempts with {} to {} between them, at most {} at a time, each to succeed within {}",
        format_duration(recovery.after),
        recovery.attempts,
        format_duration(recovery.backoff),
        format_duration(recovery.max_backoff),
        recovery.max_concurrent,
        format_duration(recovery.within)
    )
}

/// Arguments as a person would type them; cut where they are long.
pub(super) fn command_line(argv: &[String]) -> String {
    let plain = |text: &String| {
        !text.is_empty()
            && text.len() <= 60
            && text.chars().all(|c| c.is_ascii_graphic() && !"\"'\\$`*".contains(c))
    };
    let mut words: Vec<String> =
        argv.iter().take(8).map(|text| if plain(text) { text.clone() } else { shown(text) }).collect();
    if argv.len() > words.len() {
        words.push(format!("… ({} more)", argv.len() - words.len()));
    }
    words.join(" ")
}
