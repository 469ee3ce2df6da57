//! Traces taken over, begun, told of or not.

use super::*;

#[test]
fn what_fails_or_is_tried_again_is_told_of_though_nothing_else_is() {
    let collector = Collector::start("http", &[]);
    let server = Origin::by_request(|request| match &*request.target {
        "/bad" => reply(503, "no"),
        "/missing" => reply(404, "no"),
        _ => reply(200, "yes"),
    });
    let tracing = collector.section(&json!({ "sampling": { "ratio": 0 } }));
    let balancer =
        start(&[&server], &tracing, &json!({ "pools": { "app": { "retry": { "attempts": 1 } } } }));
    let asked = |path: &str, number, flags| {
        let (trace, field) = parent(number, flags);
        get(&balancer, path, &[&field]);
        trace
    };
    asked("/fine", 1, "00");
    asked("/missing", 2, "00");
    let bad = asked("/bad", 3, "00");
    let wanted = asked("/fine", 4, "01");
    get(&balancer, "/alone", &[]);
    let spans = collector.trace(&bad, 2);
    for span in &spans {
        assert_eq!((number(&span["status"]), &span["attributes"]["error.type"]), (ERROR, &json!("503")));
        assert_eq!(number(&span["flags"]) & 1, 0, "the servers were told that nobody records it");
    }
    collector.trace(&wanted, 2);
    wait_for_counts(&balancer, |exported, lost| (exported, lost) == (4, 0));
    let flags: Vec<String> = told(&server).iter().map(|told| told[53..].to_owned()).collect();
    assert_eq!(flags, ["00", "00", "00", "01", "02"], "one that is begun here has a random id");

    // And not even that, where it is not wanted. The client's word does not count then.
    let quiet = json!({ "sampling": { "ratio": 0, "parent": false, "failures": false } });
    let mut config: Value = serde_json::from_str(&balancer.config_text()).unwrap();
    merge(&mut config["tracing"], &quiet);
    balancer.reload(&config);
    asked("/bad", 5, "01");
    asked("/fine", 6, "01");
    merge(&mut config, &json!({ "tracing": { "sampling": { "ratio": 1 } } }));
    balancer.reload(&config);
    collector.trace(&asked("/missing", 7, "00"), 2);
    let mut traces: Vec<_> = collector.spans().iter().map(|span| text(&span["trace"]).to_owned()).collect();
    traces.dedup();
    assert_eq!(traces.len(), 3, "{traces:?}");
}

#[test]
fn a_traceparent_that_is_none_begins_another_trace() {
    let collector = Collector::start("http", &[]);
    let server = Origin::named("a");
    let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
    let good = format!("00-{TRACE}-{SPAN}-01");
    let twice = format!("traceparent: {good}");
    let bad = [
        vec![],
        vec![format!("traceparent: 00-{}-{SPAN}-01", TRACE.to_uppercase())],
        vec![format!("traceparent: ff-{TRACE}-{SPAN}-01")],
        vec![format!("traceparent: 00-{}-{SPAN}-01", "0".repeat(32))],
        vec![format!("traceparent: {good}-more")],
        vec!["traceparent:".to_owned()],
        vec![twice.clone(), twice],
    ];
    for fields in &bad {
        let mut fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        fields.push("tracestate: vendor=1");
        assert_eq!(get(&balancer, "/", &fields).status, 200);
    }
    let later = format!("traceparent: 2a-{TRACE}-{SPAN}-01-what-comes");
    assert_eq!(get(&balancer, "/", &[&later, "tracestate: vendor=1"]).status, 200);
    eventually("all are told of", || collector.spans().len() == 2 * (bad.len() + 1));
    let spans = collector.spans();
    let exchanges: Vec<&Value> = spans.iter().filter(|span| number(&span["kind"]) == SERVER).collect();
    for (place, request) in server.requests().iter().enumerate() {
        let told = request.fields.all("traceparent");
        let [told] = &told[..] else { panic!("{told:?}") };
        let exchange = exchanges.iter().find(|span| text(&span["trace"]) == &told[3..35]).unwrap();
        let is_taken_over = place == bad.len();
        assert_eq!(text(&exchange["trace"]) == TRACE, is_taken_over);
        assert_eq!(text(&exchange["parent"]), if is_taken_over { SPAN } else { "" });
        assert_eq!(request.fields.get("tracestate"), is_taken_over.then_some("vendor=1"));
        assert_eq!(&told[..3], "00-");
    }
}

#[test]
fn without_tracing_a_trace_passes_as_it_is_and_a_change_turns_it_on_and_off() {
    let collector = Collector::start("http", &[]);
    let server = Origin::named("a");
    let off = one_pool(&[server.address()], &json!({}));
    let balancer = Balancer::start(BINARY, &off);
    let sent = format!("00-{TRACE}-{SPAN}-01");
    let ask = || get(&balancer, "/", &[&format!("Traceparent: {sent}"), "tracestate: vendor=1"]);
    ask();
    let passed = &server.requests()[0].fields;
    assert_eq!((passed.get("traceparent"), passed.get("tracestate")), (Some(&*sent), Some("vendor=1")));
    assert!(!balancer.admin_get("/metrics").text().contains("loadweaver_trace"));
    let mut on = off.clone();
    on["tracing"] = collector.section(&json!({}));
    balancer.reload(&on);
    ask();
    assert_ne!(told(&server)[1], sent);
    collector.trace(TRACE, 2);
    balancer.reload(&off);
    ask();
    assert_eq!(told(&server)[2], sent);
}

#[test]
fn a_tracestate_may_come_in_parts_and_one_that_is_too_long_is_only_passed_on() {
    let collector = Collector::start("http", &[]);
    let server = Origin::named("a");
    let balancer = start(&[&server], &collector.section(&json!({})), &json!({}));
    let (parts, field) = parent(1, "01");
    get(&balancer, "/", &[&field, "tracestate: a=1", "Tracestate: b=2,c=3"]);
    assert_eq!(collector.trace(&parts, 2)[0]["state"], "a=1,b=2,c=3");
    let (long, field) = parent(2, "01");
    let state = format!("a={}", "x".repeat(600));
    let path = format!("/{}", "p".repeat(5000));
    get(&balancer, &path, &[&field, &format!("tracestate: {state}")]);
    let spans = collector.trace(&long, 2);
    assert_eq!((&spans[0]["state"], text(&spans[0]["attributes"]["url.path"]).len()), (&json!(""), 1024));
    let told = server.requests();
    assert_eq!(told[0].fields.all("tracestate"), ["a=1", "b=2,c=3"]);
    assert_eq!((told[1].fields.get("tracestate"), &*told[1].target), (Some(&*state), &*path));
}
