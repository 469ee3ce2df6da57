//! Numbers, times and causes as people read them: the same words wherever operators look.

use std::error::Error as _;

/// A share of 0 to 1: `12.3 %`. Nothing but all is 100 %, nothing but none is 0 %.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value <= 0.0 {
        "0 %".to_owned()
    } else if value >= 100.0 {
        "100 %".to_owned()
    } else if value < 0.01 {
        "< 0.01 %".to_owned()
    } else if value < 1.0 {
        format!("{value:.2} %")
    } else if value > 99.9 {
        format!("{:.2} %", value.min(99.99))
    } else {
        format!("{value:.1} %")
    }
}

/// Seconds: `12 s`, `4 min`, `3 h 20 min`, `12 d`.
pub fn span(seconds: f64) -> String {
    let all =
        std::time::Duration::try_from_secs_f64(seconds.round().max(0.0)).map_or(0, |span| span.as_secs());
    match all {
        0..60 => format!("{all} s"),
        60..3600 => format!("{} min", all / 60),
        3600..86_400 if all % 3600 >= 60 => format!("{} h {} min", all / 3600, all % 3600 / 60),
        3600..86_400 => format!("{} h", all / 3600),
        _ => format!("{} d", all / 86_400),
    }
}

/// `1 server`, `3 servers`.
pub fn several(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// Why a client of ours cannot be made, or has no answer, in the words of whoever found it. The library's own sentence
/// says little, and it has the URL in it.
pub fn cause(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !words.is_empty() {
            text = words;
        }
        cause = next.source();
    }
    if text.contains("CaUsedAsEndEntity") {
        // What `openssl req -x509` makes unless it is told otherwise, so many will meet it.
        return "the target's certificate is that of an authority and not of a server (self-signed? it needs \
                basicConstraints=CA:FALSE)"
            .to_owned();
    }
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None if text.is_empty() && error.is_connect() => "no connection".to_owned(),
        None if text.is_empty() => "the request failed".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_do_not_lie_at_the_ends() {
        for (share, text) in [
            (0.0, "0 %"),
            (1.0, "100 %"),
            (0.000_05, "< 0.01 %"),
            (0.005, "0.50 %"),
            (0.123, "12.3 %"),
            (0.999_99, "99.99 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (-3.0, "0 s"),
            (12.4, "12 s"),
            (250.0, "4 min"),
            (12_000.0, "3 h 20 min"),
            (7200.0, "2 h"),
            (1.1e6, "12 d"),
            (f64::NAN, "0 s"),
            (f64::INFINITY, "0 s"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!((several(1, "server").as_str(), several(0, "server").as_str()), ("1 server", "0 servers"));
    }
}
