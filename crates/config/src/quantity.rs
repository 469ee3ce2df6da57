//! Durations, sizes and status ranges as they are written, and written again in the shortest form.

use std::time::Duration;

use crate::issue::{Fault, shown};
use crate::model::probe::StatusRange;

/// How long a duration may be, and whether 0 has a meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DurationBounds {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    /// What 0 means, where it means something.
    pub(crate) zero: Option<&'static str>,
}

/// Units of time in descending order, in milliseconds.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What people write instead.
const TIME_WORDS: [(&str, &str); 17] = [
    ("day", "d"),
    ("days", "d"),
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("msec", "ms"),
    ("millis", "ms"),
    ("millisecond", "ms"),
    ("milliseconds", "ms"),
];

const DURATION_HELP: &str =
    "write a number with a unit, such as \"250ms\", \"5s\", \"1m30s\", \"1h\" or \"1d\"";

/// Reads `"1m30s"`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Fault> {
    if let Some(positive) = text.strip_prefix('-') {
        return Err(negative(text, positive));
    }
    if text.is_empty() {
        return Err(Fault::new("the duration is empty", DURATION_HELP));
    }
    if is_number(text) {
        return Err(Fault::new(
            format!("the duration {} has no unit", shown(text)),
            format!("write \"{text}s\" for seconds or \"{text}ms\" for milliseconds"),
        ));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let millis = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
        let (Some(millis), true) = (millis, is_number(number)) else {
            return Err(unreadable_duration(text, number, unit));
        };
        if millis >= last_unit {
            let problem = format!("the units of {} are not in order", shown(text));
            return Err(Fault::new(problem, "write each unit once and the largest first, as in \"1h30m\""));
        }
        total = scaled(number, millis).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        last_unit = millis;
        rest = after;
    }
    Ok(total)
}

/// Reads a bare number: seconds.
pub(crate) fn duration_from_seconds(seconds: f64) -> Result<Duration, Fault> {
    if seconds < 0.0 {
        let text = seconds.to_string();
        return Err(negative(&text, text.trim_start_matches('-')));
    }
    // A number is not exact: 0.3 must still be 300 ms.
    let rounded = (seconds * 1e6).round() / 1e6;
    Duration::try_from_secs_f64(rounded).map_err(|_| too_long())
}

/// Holds a duration against its bounds.
pub(crate) fn within(duration: Duration, bounds: &DurationBounds) -> Result<Duration, Fault> {
    let (min, max) = (format_duration(bounds.min), format_duration(bounds.max));
    if duration.is_zero() && bounds.zero.is_some() {
        return Ok(duration);
    }
    let found = format_duration(duration);
    if duration.is_zero() {
        return Err(Fault::new("a duration of 0 makes no sense here", format!("write {min} to {max}")));
    }
    let zero = bounds.zero.map(|meaning| format!(", or \"0s\": {meaning}")).unwrap_or_default();
    if duration < bounds.min {
        return Err(Fault::new(format!("{found} is too short"), format!("write {min} to {max}{zero}")));
    }
    if duration > bounds.max {
        return Err(Fault::new(format!("{found} is too long"), format!("write {min} to {max}{zero}")));
    }
    Ok(duration)
}

/// The shortest way to write a duration with one unit; `0s` for none.
pub fn format_duration(duration: Duration) -> String {
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return format!("{duration:?}");
    }
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let fitting = TIME_UNITS.iter().find(|(_, unit)| millis.is_multiple_of(u128::from(*unit)));
    fitting.map_or_else(
        || format!("{duration:?}"),
        |(name, unit)| format!("{}{name}", millis / u128::from(*unit)),
    )
}

const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const SIZE_HELP: &str =
    "write a whole number with a unit, such as \"64KiB\", \"1MiB\" or \"10KB\", or a bare number of bytes";

/// Reads `"64KiB"`.
pub(crate) fn parse_size(text: &str) -> Result<u64, Fault> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        let too_big = || Fault::new(format!("the size {} is too large", shown(text)), SIZE_HELP);
        if !number.is_empty() {
            return number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).ok_or_else(too_big);
        }
    }
    let problem = format!("{} is not a size", shown(text));
    if number.is_empty() {
        return Err(Fault::new(problem, SIZE_HELP));
    }
    let trimmed = unit.trim();
    let meant = SIZE_UNITS.iter().map(|(name, _)| *name).find(|name| {
        name.eq_ignore_ascii_case(trimmed)
            || name.chars().zip(trimmed.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b))
                && trimmed.len() == 1
    });
    let help = match meant {
        Some(unit) => format!("did you mean \"{number}{unit}\"?"),
        None if unit.is_empty() => format!("write {number} without quotes, or \"{number}B\""),
        None => SIZE_HELP.to_owned(),
    };
    Err(Fault::new(problem, help))
}

/// The shortest way to write a size in powers of 1024.
pub fn format_size(bytes: u64) -> String {
    let fitting = SIZE_UNITS.iter().take(3).find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    if bytes == 0 {
        return "0".to_owned();
    }
    fitting.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Reads `"200-399"` or `"503"`.
pub(crate) fn parse_status_range(text: &str, min: u16) -> Result<StatusRange, Fault> {
    let help =
        || format!("write a status such as \"503\" or a range such as \"500-599\", within {min} to 599");
    if let [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] = text.as_bytes() {
        let class = char::from(*class);
        let problem = format!("{} is not a range of statuses", shown(text));
        return Err(Fault::new(problem, format!("did you mean \"{class}00-{class}99\"?")));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |part: &str| (part.len() == 3).then(|| whole_digits(part)).flatten();
    let (Some(first), Some(last)) = (code(first), code(last)) else {
        return Err(Fault::new(format!("{} is not a status or a range of statuses", shown(text)), help()));
    };
    if first > last {
        let problem = format!("the range {} runs backwards", shown(text));
        return Err(Fault::new(problem, format!("did you mean \"{last}-{first}\"?")));
    }
    status_range(u64::from(first), u64::from(last), min)
        .ok_or_else(|| Fault::new(format!("{} is not within {min} to 599", shown(text)), help()))
}

/// Both ends within `min` to 599.
pub(crate) fn status_range(first: u64, last: u64, min: u16) -> Option<StatusRange> {
    let code = |status: u64| u16::try_from(status).ok().filter(|status| (min..=599).contains(status));
    Some(StatusRange { first: code(first)?, last: code(last)? })
}

fn whole_digits(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Digits with at most one point between them.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

/// `number` times `unit` milliseconds, to the nanosecond and without rounding on the way.
fn scaled(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit_nanos = u128::from(unit) * 1_000_000;
    let mut nanos = whole.parse::<u128>().ok()?.checked_mul(unit_nanos)?;
    let fraction = fraction.get(..9).unwrap_or(fraction);
    if !fraction.is_empty() {
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        nanos = nanos.checked_add(fraction.parse::<u128>().ok()? * unit_nanos / scale)?;
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?))
}

fn negative(text: &str, positive: &str) -> Fault {
    let help =
        if positive.is_empty() { DURATION_HELP.to_owned() } else { format!("did you mean {positive}?") };
    Fault::new(format!("the duration {} is negative", shown(text)), help)
}

fn too_long() -> Fault {
    Fault::new(
        "the duration is absurdly long",
        "write at most \"365d\"; where 0 turns a limit off, write \"0s\"",
    )
}

fn unreadable_duration(text: &str, number: &str, unit: &str) -> Fault {
    let problem = format!("{} is not a duration", shown(text));
    let wanted = unit.trim().to_ascii_lowercase();
    let known = TIME_UNITS.iter().map(|(name, _)| *name).find(|name| *name == wanted);
    let meant = known.or_else(|| TIME_WORDS.iter().find(|(word, _)| *word == wanted).map(|(_, unit)| *unit));
    match meant {
        Some(meant) if is_number(number) && text.len() == number.len() + unit.len() => {
            Fault::new(problem, format!("did you mean \"{number}{meant}\"?"))
        }
        _ => Fault::new(problem, DURATION_HELP),
    }
}

#[cfg(test)]
mod tests;
