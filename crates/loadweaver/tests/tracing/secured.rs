//! Collectors behind TLS.

use super::*;

#[test]
fn a_collector_behind_tls_has_to_be_who_it_says_it_is() {
    for (protocol, speaks) in [("http", "http/1.1"), ("grpc", "h2")] {
        let collector = Collector::start(protocol, &[]);
        let (authority, other, files) = (Authority::new("Ours"), Authority::new("Other"), Scratch::new());
        let signed = authority.sign(&["127.0.0.1"]);
        let tls = TlsOrigin {
            signed: &signed,
            clients: None,
            versions: rustls::ALL_VERSIONS,
            protocols: &[speaks],
        };
        let bridge = tls.bridge(([127, 0, 0, 1], collector.port).into());
        let server = Origin::named("a");
        let (ours, others) = (files.file("ours.pem", &authority.pem), files.file("other.pem", &other.pem));
        let endpoint = format!("https://{}", bridge.address());
        let tracing = collector.section(&json!({ "endpoint": endpoint, "caFile": others }));
        let mut config = one_pool(&[server.address()], &json!({ "tracing": tracing }));
        let balancer = Balancer::start(BINARY, &config);
        let (trace, field) = parent(1, "01");
        get(&balancer, "/", &[&field]);
        balancer.wait_for_log("the collector does not take spans");
        assert!(collector.requests().is_empty());
        // The spans wait for another try meanwhile, and for this.
        merge(&mut config, &json!({ "tracing": { "caFile": ours } }));
        balancer.reload(&config);
        collector.trace(&trace, 2);
        wait_for_counts(&balancer, |exported, lost| (exported, lost) == (2, 0));
        // Connections are kept: a handshake for each batch would cost the collector more than the spans.
        let before = bridge.handshakes();
        let (trace, field) = parent(2, "01");
        get(&balancer, "/", &[&field]);
        collector.trace(&trace, 2);
        assert_eq!(bridge.handshakes(), before);
    }
}
