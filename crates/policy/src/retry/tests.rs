#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use loadweaver_config::{Retry, RetryOn, StatusRange};
use proptest::prelude::*;

use super::{Attempted, RetryRules, is_idempotent};
use crate::failure::{Failure, RetryKind, RetryRule};

fn attempted(failure: Failure) -> Attempted {
    Attempted { failure, bytes_sent: true, idempotent: true, replayable: true }
}

fn rules(change: impl FnOnce(&mut Retry)) -> RetryRules {
    let mut retry = Retry::default();
    change(&mut retry);
    RetryRules::new(&retry)
}

#[test]
fn tries_again_by_default_after_each_failure_that_may_be() {
    for &failure in Failure::ALL {
        assert_eq!(
            rules(|_| ()).after_failure(&attempted(failure)),
            failure.retry() != RetryRule::Never,
            "{failure}"
        );
    }
}

#[test]
fn tries_a_post_again_when_no_connection_came_about() {
    let post = Attempted { idempotent: false, bytes_sent: false, ..attempted(Failure::ConnectRefused) };
    assert!(rules(|_| ()).after_failure(&post));
}

#[test]
fn never_sends_a_post_twice() {
    let post = Attempted { idempotent: false, ..attempted(Failure::ServerClosed) };
    assert!(!rules(|_| ()).after_failure(&post));
    assert!(!rules(|_| ()).after_status(503, false, true));
}

#[test]
fn tries_a_post_again_of_which_no_byte_was_sent() {
    let post = Attempted { idempotent: false, bytes_sent: false, ..attempted(Failure::ServerClosed) };
    assert!(rules(|_| ()).after_failure(&post));
}

#[test]
fn sends_a_post_twice_where_the_operator_says_so() {
    let rules = rules(|retry| retry.non_idempotent = true);
    assert!(rules.after_failure(&Attempted { idempotent: false, ..attempted(Failure::ServerClosed) }));
    assert!(rules.after_status(503, false, true));
}

#[test]
fn makes_an_unavailable_call_again_only_where_the_operator_says_so() {
    assert!(!rules(|_| ()).after_unavailable(true));
    assert!(!rules(|retry| retry.non_idempotent = true).after_unavailable(true));
    let on = rules(|retry| retry.on.unavailable = true);
    assert!(on.after_unavailable(true) && !on.after_unavailable(false));
}

#[test]
fn gives_up_when_the_body_is_gone() {
    for &failure in Failure::ALL {
        assert!(!rules(|_| ()).after_failure(&Attempted { replayable: false, ..attempted(failure) }));
    }
    assert!(!rules(|_| ()).after_status(503, true, false));
}

#[test]
fn each_word_of_on_governs_its_own_failures() {
    let off = || RetryOn {
        connect_failure: false,
        reset: false,
        timeout: false,
        unavailable: false,
        statuses: Vec::new(),
    };
    for (kind, on) in [
        (RetryKind::ConnectFailure, RetryOn { connect_failure: true, ..off() }),
        (RetryKind::Reset, RetryOn { reset: true, ..off() }),
        (RetryKind::Timeout, RetryOn { timeout: true, ..off() }),
    ] {
        let rules = rules(|retry| retry.on = on);
        for &failure in Failure::ALL {
            assert_eq!(rules.after_failure(&attempted(failure)), failure.kind() == kind, "{failure}");
        }
    }
}

#[test]
fn tries_again_on_listed_statuses_alone() {
    let rules = rules(|retry| retry.on.statuses = vec![StatusRange { first: 502, last: 503 }]);
    let taken: Vec<u16> = (0..1_000).filter(|&status| rules.after_status(status, true, true)).collect();
    assert_eq!(taken, [502, 503]);
}

#[test]
fn one_attempt_means_no_retry() {
    let rules = rules(|retry| retry.attempts = 1);
    assert_eq!(rules.attempts(), 1);
    assert!(!rules.after_failure(&attempted(Failure::ConnectRefused)));
    assert!(!rules.after_status(503, true, true));
}

#[test]
fn idempotent_methods_are_those_of_rfc_9110() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(is_idempotent(method), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "get", "Put", "", "GETS", "PROPFIND"] {
        assert!(!is_idempotent(method), "{method}");
    }
}

proptest! {
    #[test]
    fn what_a_server_may_have_acted_on_is_sent_again_only_if_harmless(
        failure in proptest::sample::select(Failure::ALL),
        bytes_sent: bool, idempotent: bool, replayable: bool, non_idempotent: bool,
        connect_failure: bool, reset: bool, timeout: bool,
    ) {
        let on = RetryOn { connect_failure, reset, timeout, unavailable: false, statuses: Vec::new() };
        let rules = rules(|retry| (retry.on, retry.non_idempotent) = (on, non_idempotent));
        if rules.after_failure(&Attempted { failure, bytes_sent, idempotent, replayable }) {
            prop_assert!(replayable);
            let reached = bytes_sent && failure.kind() != RetryKind::ConnectFailure;
            prop_assert!(!reached || idempotent || non_idempotent);
        }
    }
}
