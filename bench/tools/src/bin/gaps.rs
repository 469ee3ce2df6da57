//! When this core was not there for whoever goes first on it: a virtual machine is off its core now and then, and whatever
//! runs there is late through no fault of its own. Prints one JSON line.
//!
//!     gaps --seconds S [--over US]
//!
//! Wants to run every 250 µs and says when it was late by more than US (default 500): `[from, to]` in seconds of the
//! monotonic clock. Whoever starts it gives it a core, and precedence over everybody there.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::{Long, ValueExt};
use rustix::thread::{ClockId, Timespec, clock_nanosleep_absolute};
use rustix::time::clock_gettime;

const EVERY: u64 = 250_000;

fn main() -> ExitCode {
    match arguments() {
        Ok((seconds, over)) => {
            println!("{{\"gaps\":[{}]}}", gaps(seconds, over));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gaps: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Result<(Duration, u64), lexopt::Error> {
    let mut args = lexopt::Parser::from_env();
    let (mut seconds, mut over) = (None, 500_000);
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => {
                let value = args.value()?;
                seconds = Some(value.parse_with(|text| text.parse().map(Duration::from_secs_f64))?);
            }
            Long("over") => over = args.value()?.parse::<u64>()?.saturating_mul(1000),
            other => return Err(other.unexpected()),
        }
    }
    Ok((seconds.ok_or("--seconds is needed")?, over))
}

fn gaps(seconds: Duration, over: u64) -> String {
    let mut found = String::new();
    let end = now() + seconds.as_nanos() as u64;
    let mut next = now();
    while next < end {
        next += EVERY;
        let wanted = Timespec {
            tv_sec: (next / 1_000_000_000).cast_signed(),
            tv_nsec: (next % 1_000_000_000).cast_signed(),
        };
        // Interrupted it is early, which is no gap.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &wanted);
        let now = now();
        if now > next + over {
            let comma = if found.is_empty() { "" } else { "," };
            let _ = write!(found, "{comma}[{:.6},{:.6}]", next as f64 / 1e9, now as f64 / 1e9);
        }
        next = next.max(now.saturating_sub(EVERY));
    }
    found
}

fn now() -> u64 {
    let now = clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
