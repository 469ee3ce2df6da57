#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn reads_back_every_duration_that_it_writes(millis in 0..40_000_000_000_u64) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn reads_back_every_size_that_it_writes(size in prop_oneof![1..u64::MAX, (1..4096_u64).prop_map(|n| n << 20)]) {
        prop_assert_eq!(parse_size(&format_size(size)), Ok(size));
    }

    #[test]
    fn a_bare_number_is_as_exact_as_a_text(millis in 0..10_000_000_u32) {
        let seconds = f64::from(millis) / 1_000.0;
        prop_assert_eq!(duration_from_seconds(seconds), Ok(Duration::from_millis(u64::from(millis))));
    }
}

#[test]
fn adds_up_units_and_fractions_exactly() {
    let cases =
        [("1m30s", 90_000), ("1.5h", 5_400_000), ("1d2h3m4s5ms", 93_784_005), ("0.1s", 100), ("0s", 0)];
    for (text, millis) in cases {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn refuses_what_is_only_like_a_duration() {
    for text in
        ["", "5", "s", "5 s", "+5s", "-5s", "5S", "1e3s", ".5s", "5.s", "1s1m", "1m1m", "5s ", "٥s", "1..5s"]
    {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn refuses_what_is_only_like_a_size() {
    for text in
        ["", "KiB", "5", "1.5MiB", "-1B", "+1B", "1 KiB", "1kib", "1KIB", "1TiB", "18446744073709551615KiB"]
    {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn refuses_what_is_only_like_a_range_of_statuses() {
    for text in
        ["", "-", "200-", "-200", "200-199", "2xx", "0200", "+20", "200-300-400", "99", "600", "200 - 299"]
    {
        assert!(parse_status_range(text, 200).is_err(), "{text}");
    }
    assert_eq!(parse_status_range("200-599", 200), Ok(StatusRange { first: 200, last: 599 }));
    assert_eq!(parse_status_range("503", 400), Ok(StatusRange { first: 503, last: 503 }));
    assert!(parse_status_range("399", 400).is_err());
}
