#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn states() -> impl Strategy<Value = State> {
    proptest::sample::select(vec![State::Unknown, State::Up, State::Down, State::Unstable])
}

#[test]
fn nothing_known_is_no_uptime() {
    let mut uptime = Uptime::default();
    uptime.advance(State::Unknown, s(1_000));
    for window in Window::ALL {
        assert_eq!(uptime.share(window, State::Unknown, s(2_000)), None);
        assert_eq!(uptime.share(window, State::Up, s(2_000)), Some(1.0));
        assert_eq!(uptime.share(window, State::Unstable, s(2_000)), Some(0.0));
    }
}

#[test]
fn what_is_over_leaves_the_hour_and_then_the_day() {
    let mut uptime = Uptime::default();
    // Ten minutes down, and up ever since.
    uptime.advance(State::Down, s(600));
    let share = |window, at| uptime.share(window, State::Up, s(at)).unwrap();
    assert!((share(Window::Hour, 1_200) - 0.5).abs() < 1e-9);
    assert!(share(Window::Hour, 4_230) > 0.999 && share(Window::Day, 4_230) < 0.9);
    assert!(share(Window::Day, 86_400 + 1_000) > 0.999 && share(Window::Start, 86_400 + 1_000) < 0.999);
}

#[test]
fn a_day_is_told_step_by_step() {
    let mut uptime = Uptime::default();
    uptime.advance(State::Unknown, s(360));
    uptime.advance(State::Up, s(360 + 270));
    uptime.advance(State::Down, s(360 + 360));
    let day = uptime.day(State::Up, s(720 + 10));
    assert_eq!(day.len(), 241);
    assert_eq!(day[..238].iter().flatten().count(), 0);
    assert_eq!(day[238..], [None, Some(0.75), Some(1.0)]);
    // Two days later nothing of it is left.
    assert!(uptime.day(State::Down, s(2 * 86_400 + 10)).iter().all(|share| *share == Some(0.0)));
}

#[test]
fn buckets_are_bounded_whatever_the_age() {
    let mut uptime = Uptime::default();
    for day in 1..400 {
        uptime.advance(if day % 2 == 0 { State::Up } else { State::Down }, s(day * 7_000));
    }
    uptime.advance(State::Up, s(400 * 365 * 86_400));
    let bytes = [&uptime.hour, &uptime.day].map(|ring| ring.closed.capacity() * size_of::<Bucket>());
    assert!(bytes.iter().sum::<usize>() <= 1_536, "{bytes:?}");
    assert_eq!(uptime.share(Window::Hour, State::Up, s(400 * 365 * 86_400)), Some(1.0));
}

#[test]
fn a_clock_reading_from_before_the_last_one_counts_nothing() {
    let mut uptime = Uptime::default();
    uptime.advance(State::Up, s(100));
    uptime.advance(State::Down, s(50));
    assert_eq!(uptime.share(Window::Start, State::Down, s(70)), Some(1.0));
}

/// The share from `start` on, by going through all that happened.
fn exact(story: &[(State, Duration)], start: Duration) -> Option<f64> {
    let (mut from, mut all) = (Duration::ZERO, Span::default());
    for &(state, until) in story {
        all.add(&Span::of(state, until.saturating_sub(from.max(start))));
        from = until;
    }
    all.share()
}

proptest! {
    /// The answer is exact for a window that begins with a bucket; what remains is rounding.
    #[test]
    fn is_exact_but_for_the_begin_of_the_window_and_rounding(
        story in prop::collection::vec((states(), prop_oneof![0_u64..5_000, 0_u64..600_000, 0_u64..30_000_000]), 1..60),
    ) {
        let (mut uptime, mut now, mut told) = (Uptime::default(), Duration::ZERO, Vec::new());
        for (state, lasted) in story {
            // Now and then the account is made in the middle of a state too.
            now += Duration::from_micros(lasted * 997);
            told.push((state, now));
            for (window, width, rounding) in
                [(s(3_600), 30_000, 0.002), (s(86_400), 360_000, 0.02), (Duration::MAX, 1, 1e-9)]
            {
                let asked = now.saturating_sub(window).as_millis() / width * width;
                let start = Duration::from_millis(u64::try_from(asked).unwrap());
                let (due, name) = match width {
                    30_000 => (exact(&told, start), Window::Hour),
                    360_000 => (exact(&told, start), Window::Day),
                    _ => (exact(&told, Duration::ZERO), Window::Start),
                };
                match (due, uptime.share(name, state, now)) {
                    (Some(due), Some(share)) => {
                        // Of little known time rounding is a greater part.
                        let known: Duration = known(&told, if name == Window::Start { Duration::ZERO } else { start });
                        let slack = rounding * 240.0 * 0.5 / known.as_secs_f64().max(0.001) + 1e-9;
                        prop_assert!((due - share).abs() <= slack, "{:?}: {} for {}", name, share, due);
                    }
                    (due, share) => {
                        // Less than half a unit of known time may have been rounded away.
                        prop_assert!(due.is_none() || known(&told, start) < Duration::from_millis(1_200), "{:?} {:?}", due, share);
                        prop_assert!(share.is_none() || known(&told, start) > Duration::ZERO);
                    }
                }
            }
            uptime.advance(state, now);
        }
    }

    /// Between two answers about the window as it is asked and as it is kept lies less than a bucket.
    #[test]
    fn an_hour_is_off_by_less_than_a_bucket(
        story in prop::collection::vec((any::<bool>(), 1_u64..300_000), 30..90),
    ) {
        let (mut uptime, mut now, mut told) = (Uptime::default(), Duration::ZERO, Vec::new());
        for (up, lasted) in story {
            let state = if up { State::Up } else { State::Down };
            now += Duration::from_millis(lasted);
            uptime.advance(state, now);
            told.push((state, now));
        }
        let due = exact(&told, now.saturating_sub(s(3_600))).unwrap();
        let share = uptime.share(Window::Hour, State::Up, now).unwrap();
        let known = now.min(s(3_600)).as_secs_f64();
        prop_assert!((due - share).abs() <= 30.1 / known, "{} for {}", share, due);
    }
}

fn known(story: &[(State, Duration)], start: Duration) -> Duration {
    let (mut from, mut all) = (Duration::ZERO, Span::default());
    for &(state, until) in story {
        all.add(&Span::of(state, until.saturating_sub(from.max(start))));
        from = until;
    }
    all.known
}
