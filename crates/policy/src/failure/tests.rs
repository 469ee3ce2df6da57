#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashSet;

use super::{Blame, Failure, RetryKind, RetryRule};

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[test]
fn index_is_the_place_in_all() {
    for (at, failure) in Failure::ALL.iter().enumerate() {
        assert_eq!(failure.index(), at);
    }
}

#[test]
fn code_is_the_name_in_snake_case_and_unique() {
    let mut seen = HashSet::new();
    for failure in Failure::ALL {
        assert_eq!(failure.code(), snake_case(&format!("{failure:?}")));
        assert_eq!(failure.to_string(), failure.code());
        assert!(seen.insert(failure.code()), "{failure} is there twice");
    }
}

#[test]
fn only_a_server_s_failure_is_ever_tried_again() {
    for failure in Failure::ALL {
        if failure.retry() != RetryRule::Never {
            assert_eq!(failure.blame(), Blame::Server, "{failure}");
        }
    }
}

#[test]
fn a_word_of_retry_on_governs_exactly_what_may_be_tried_again() {
    for failure in Failure::ALL {
        assert_eq!(failure.retry() == RetryRule::Never, failure.kind() == RetryKind::None, "{failure}");
    }
}

#[test]
fn always_is_for_failures_before_a_connection_exists() {
    for failure in Failure::ALL {
        assert_eq!(
            failure.retry() == RetryRule::Always,
            failure.kind() == RetryKind::ConnectFailure,
            "{failure}"
        );
    }
}

#[test]
fn nothing_is_tried_again_once_an_answer_is_under_way() {
    for failure in Failure::ALL {
        if failure.status() == 0 {
            assert_eq!(failure.retry(), RetryRule::Never, "{failure}");
        }
    }
}

#[test]
fn status_tells_whose_fault_it_is() {
    for failure in Failure::ALL {
        match (failure.status(), failure.blame()) {
            (0 | 400 | 403 | 405 | 408 | 413 | 414 | 417 | 421 | 431 | 501 | 505, Blame::Client)
            | (0 | 502 | 504, Blame::Server)
            | (0 | 404 | 500 | 503, Blame::Operator) => {}
            // The operator's own limit on the whole exchange, which a server may have reached or not.
            (504, Blame::Operator) if *failure == Failure::TotalTimeout => {}
            (status, blame) => panic!("{failure}: {status} for the {blame:?}"),
        }
    }
}

#[test]
fn message_is_a_sentence_that_reveals_nothing() {
    for failure in Failure::ALL {
        let message = failure.message();
        assert!(message.ends_with('.') && message.len() < 80, "{failure}: {message}");
        for word in ["upstream", "backend", "pool", "timeouts.", "limits.", "server", "descriptor"] {
            assert!(!message.to_lowercase().contains(word), "{failure}: {message}");
        }
    }
}
