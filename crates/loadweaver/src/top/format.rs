//! Numbers and times as people read them, in the words of the dashboard.

use jiff::Timestamp;
use loadweaver_control::words::percent;

/// Where there is no number.
pub(super) const NONE: &str = "–";

/// 0.42, 8.1, 512, 12.3 k
pub(super) fn count(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return NONE.to_owned() };
    match value.abs() {
        size if size >= 1e9 => format!("{} G", digits(value / 1e9)),
        size if size >= 1e6 => format!("{} M", digits(value / 1e6)),
        size if size >= 1e4 => format!("{} k", digits(value / 1e3)),
        _ => digits(value),
    }
}

fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Milliseconds: 0.42 ms, 18 ms, 1.2 s
pub(super) fn millis(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return NONE.to_owned() };
    if value >= 10_000.0 {
        format!("{:.0} s", value / 1000.0)
    } else if value >= 1000.0 {
        format!("{:.1} s", value / 1000.0)
    } else {
        format!("{} ms", digits(value))
    }
}

/// A share of 0 to 1: 12.3 %
pub(super) fn share(share: Option<f64>) -> String {
    share.filter(|share| share.is_finite()).map_or_else(|| NONE.to_owned(), percent)
}

/// A time as the API writes it (RFC 3339), in seconds since 1970.
pub(super) fn moment(text: &str) -> Option<f64> {
    text.parse::<Timestamp>().ok().map(|time| time.as_duration().as_secs_f64())
}

/// The time of day of such a moment, in UTC as logs have it.
pub(super) fn clock(moment: f64) -> String {
    let time = jiff::SignedDuration::try_from_secs_f64(moment)
        .ok()
        .and_then(|since| Timestamp::from_duration(since).ok());
    time.map_or_else(|| NONE.to_owned(), |time| time.strftime("%H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_on_the_dashboard() {
        for (value, text) in
            [(0.0, "0"), (0.42, "0.42"), (8.13, "8.1"), (512.4, "512"), (12_345.0, "12.3 k"), (2e6, "2 M")]
        {
            assert_eq!(count(Some(value)), text);
        }
        assert_eq!((count(None).as_str(), count(Some(f64::NAN)).as_str()), (NONE, NONE));
        for (value, text) in [(0.42, "0.42 ms"), (18.0, "18 ms"), (1234.0, "1.2 s"), (61_000.0, "61 s")] {
            assert_eq!(millis(Some(value)), text);
        }
        assert_eq!((share(Some(0.123)).as_str(), share(None).as_str()), ("12.3 %", NONE));
    }

    #[test]
    fn times_of_the_api_are_moments() {
        assert_eq!(moment("1970-01-01T00:01:00.500Z"), Some(60.5));
        assert_eq!(moment("soon"), None);
        assert_eq!(clock(60.5), "00:01:00 UTC");
        assert_eq!(clock(f64::INFINITY), NONE);
    }
}
