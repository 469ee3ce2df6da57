#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::access_log::{KnownField, LogField};
use crate::model::log_filter::{IsOrNot, LogTest, Order};

fn shape(text: &str) -> String {
    read(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).to_string()
}

#[test]
fn reads_comparisons_of_every_kind() {
    for (text, reads) in [
        ("status >= 500 or duration > 1s", "status >= 500 or duration > 1s"),
        ("status==200", "status == 200"),
        ("bytesOut > 1MiB", "bytesOut > 1048576"),
        ("attempts != 1", "attempts != 1"),
        ("duration > 1", "duration > 1s"),
        ("totalMs > 1", "duration > 1ms"),
        ("firstByte <= 2.5ms", "firstByte <= 2.5ms"),
        ("connectMs < 0.25", "connect < 0.25ms"),
        ("method == POST", "method == \"POST\""),
        ("host != 'a b'", "host != \"a b\""),
        (r#"path ~ "^/api/\d+\"$""#, r#"path ~ "^/api/\\d+\"$""#),
        ("requestHeader:X-Beta == 1", "requestHeader:x-beta == \"1\""),
        ("clientIp == 10.0.0.1", "clientIp == 10.0.0.1/32"),
        ("client != 10.0.0.0/8", "client != 10.0.0.0/8"),
        ("clientIp == 2001:db8::/32", "clientIp == 2001:db8::/32"),
        ("upgraded == true", "upgraded == \"true\""),
        ("failure != \"\"", "failure != \"\""),
        ("method == and and host == not", "method == \"and\" and host == \"not\""),
    ] {
        assert_eq!(shape(text), reads);
        assert_eq!(shape(reads), reads);
    }
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    for (text, reads) in [
        ("status==1 or status==2 and status==3", "status == 1 or (status == 2 and status == 3)"),
        ("(status==1 or status==2) and status==3", "(status == 1 or status == 2) and status == 3"),
        ("not status==1 and status==2", "not status == 1 and status == 2"),
        ("not (status==1 and status==2)", "not (status == 1 and status == 2)"),
        ("not not status==1", "not not status == 1"),
        ("((status==1))", "status == 1"),
    ] {
        assert_eq!(shape(text), reads);
    }
}

#[test]
fn says_where_what_and_what_to_do() {
    for (text, problem, help) in [
        ("", "the filter is empty", "write a comparison"),
        ("statsu >= 500", "at character 1 of the filter: there is no field \"statsu\"", "\"status\"?"),
        ("status >= 500 or durations > 1s", "at character 18 of", "\"duration\"?"),
        ("status = 500", "at character 8 of the filter: \"=\" means nothing here", "write \"==\""),
        ("status == 1 && status == 2", "\"&&\" means nothing", "write \"and\""),
        ("status == 1 || status == 2", "\"||\" means nothing", "write \"or\""),
        ("!(status == 1)", "\"!\" means nothing", "write \"not\""),
        ("status", "the end does not follow the field \"status\"", "compare it by =="),
        ("status ==", "at character 10 of the filter: the end stands where a value belongs", "a number"),
        ("status == abc", "at character 11 of the filter: \"abc\" is not a whole number", "such as 500"),
        ("status == 1 status == 2", "at character 13 of the filter: \"status\" does not follow", "\"and\""),
        ("(status == 1", "the parenthesis of character 1 is not closed", "add"),
        ("status == 1)", "never opened", "take it out"),
        ("host == \"a", "at character 9 of the filter: the quote", "add \""),
        ("host > a", "is not more or less", "== or !="),
        ("status ~ 5", "looks into texts", "== or !="),
        ("path ~ \"(\"", "does not compile", "correct it"),
        ("duration > 1sec", "not a duration", "did you mean \"1s\"?"),
        ("duration > -1s", "negative", "did you mean 1s?"),
        ("time > 1", "the time of day cannot be compared", "duration"),
        ("clientIp == here", "neither an address nor a network", "10.0.0.0/8"),
        ("upgraded == yes", "neither true nor false", "write true or false"),
        ("ä == 1", "at character 1 of", "there are time"),
        ("host == \"ä\" and statsu == 1", "at character 17 of", "\"status\"?"),
        ("and", "at character 1 of the filter: there is no field \"and\"", ""),
        ("status == 1 and", "at character 16 of the filter: a comparison is missing", "status >= 500"),
        ("header:x == 1", "there is no field", "write \"requestHeader:x\""),
        ("requestHeader:a b == 1", "\"b\" does not follow the field", "compare it by =="),
        ("status == 1\u{7}", "control character", "take it out"),
    ] {
        let fault = read(text).unwrap_err();
        assert!(fault.problem.contains(problem), "{text}: {fault:?}");
        assert!(fault.help.contains(help), "{text}: {fault:?}");
    }
}

#[test]
fn is_bounded_in_length_depth_and_number() {
    let deep = |count| format!("{}status == 1{}", "(".repeat(count), ")".repeat(count));
    assert!(read(&deep(MOST_DEEP)).is_ok());
    assert!(read(&deep(MOST_DEEP + 1)).unwrap_err().problem.contains("32 deep"));
    assert!(read(&format!("{}status == 1", "not ".repeat(1000))).unwrap_err().problem.contains("deep"));
    assert!(read(&"(".repeat(MOST_BYTES + 1)).unwrap_err().problem.contains("longer than 4096"));
    let many = |count| vec!["status==1"; count].join(" or ");
    assert!(read(&many(MOST_TESTS)).is_ok());
    assert!(read(&many(MOST_TESTS + 1)).unwrap_err().problem.contains("more than 64 comparisons"));
}

fn text_field() -> impl Strategy<Value = LogField> {
    prop_oneof![
        Just(LogField::Known(KnownField::Host)),
        Just(LogField::Known(KnownField::Query)),
        Just(LogField::Known(KnownField::Failure)),
        "[a-z][a-z0-9-]{0,8}".prop_map(|name| LogField::RequestHeader(name.into())),
        "[a-z][a-z0-9-]{0,8}".prop_map(|name| LogField::ResponseHeader(name.into())),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    proptest::sample::select(Order::ALL.to_vec())
}

fn is_or_not() -> impl Strategy<Value = IsOrNot> {
    prop_oneof![Just(IsOrNot::Is), Just(IsOrNot::IsNot)]
}

fn comparison() -> impl Strategy<Value = LogTest> {
    let numbers = vec![KnownField::Status, KnownField::BytesIn, KnownField::Attempts];
    let times = vec![KnownField::Connect, KnownField::FirstByte, KnownField::Total];
    let addresses = vec![KnownField::Client, KnownField::ClientIp];
    prop_oneof![
        (proptest::sample::select(numbers), order(), any::<u64>())
            .prop_map(|(field, order, value)| LogTest::Number(field, order, value)),
        (proptest::sample::select(times), order(), 0..86_400_u64, 0..1_000_000_000_u32)
            .prop_map(|(field, order, s, ns)| LogTest::Time(field, order, Duration::new(s, ns))),
        (proptest::sample::select(addresses), is_or_not(), any::<u32>(), 0..=32_u8).prop_map(
            |(field, is, bits, prefix)| LogTest::Address(
                field,
                is,
                ipnet::Ipv4Net::new(bits.into(), prefix).unwrap().into()
            )
        ),
        (text_field(), is_or_not(), "\\PC{0,12}")
            .prop_map(|(field, is, value)| LogTest::Text(field, is, value)),
        (text_field(), "[a-z\\\\.\"' ]{1,3}[a-z]")
            .prop_filter("compiles", |(_, regex)| regex::Regex::new(regex).is_ok())
            .prop_map(|(field, regex)| LogTest::Like(field, regex)),
    ]
}

fn expression() -> impl Strategy<Value = LogFilter> {
    comparison().prop_map(LogFilter::Test).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(LogFilter::Any),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(LogFilter::All),
            inner.prop_map(|part| LogFilter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_as_the_same(filter in expression()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= MOST_BYTES);
        prop_assert_eq!(read(&text).map_err(|fault| format!("{text}: {fault:?}")), Ok(filter));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = read(&text);
    }

    #[test]
    fn any_words_are_read_or_refused(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "and", "or", "not", "(", ")", "status", "host", "clientIp", "duration", ">=", "==", "~",
                "500", "1s", "\"", "'", "a", "\\", "10.0.0.0/8", "é", "requestHeader:",
            ]),
            0..40,
        ),
    ) {
        if let Ok(filter) = read(&words.join(" ")) {
            prop_assert_eq!(read(&filter.to_string()).unwrap(), filter);
        }
    }
}
