//! What one line of the access log costs the worker that writes it, in nanoseconds of that thread's time.
//!
//! `cargo run --release -p loadweaver-telemetry --example access_log_cost`. The budget is 400 ns a line.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use loadweaver_config::{AccessLog as Settings, LogFormat, LogOutput};
use loadweaver_telemetry::access_log::AccessLog;
use loadweaver_telemetry::counters::ServerCounters;
use loadweaver_telemetry::record::{HttpVersion, Record};

const LINES: u32 = 2_000_000;

fn main() {
    for format in LogFormat::ALL {
        let mut costs: Vec<f64> = (0..5).map(|_| line_cost(format)).collect();
        costs.sort_by(f64::total_cmp);
        println!("{format:?}: {:.0} ns a line (median of 5)", costs.get(2).unwrap());
    }
    println!("ServerCounters, one exchange, no contention: {:.1} ns", counters_cost());
}

fn line_cost(format: LogFormat) -> f64 {
    let output = LogOutput::File("/dev/null".into());
    let log = AccessLog::open(&Settings { format, output, ..Settings::default() }).unwrap().unwrap();
    let mut writer = log.writer();
    let mut record = record();
    let start = Instant::now();
    for line in 0..LINES {
        record.at += Duration::from_micros(10);
        record.bytes_out = u64::from(line);
        writer.write(black_box(&record));
    }
    let cost = start.elapsed().as_secs_f64() * 1e9 / f64::from(LINES);
    drop(writer);
    log.close();
    cost
}

fn counters_cost() -> f64 {
    let counters = black_box(ServerCounters::default());
    let start = Instant::now();
    for line in 0..LINES {
        counters.requests.increment();
        counters.reused.increment();
        counters.answered(200, Duration::from_micros(u64::from(line % 5000)));
        counters.bytes_out.add(512);
    }
    black_box(&counters);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(LINES)
}

fn record() -> Record<'static> {
    Record {
        at: SystemTime::now(),
        request_id: "4f1c9a0be2d37766",
        client: Some(SocketAddr::from(([10, 11, 12, 13], 50_123))),
        client_ip: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))),
        method: "GET",
        target: "/api/v1/items?page=17&sort=name&filter=open",
        version: HttpVersion::Http11,
        host: "www.example.com",
        user_agent: b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36",
        referer: b"https://www.example.com/items",
        status: 200,
        bytes_in: 0,
        bytes_out: 5123,
        listener: "web",
        route: Some("rest"),
        pool: Some("app"),
        server: Some("app-1"),
        attempts: 1,
        connect: None,
        first_byte: Some(Duration::from_micros(1523)),
        total: Duration::from_micros(1601),
        failure: None,
        upgraded: false,
        request_headers: &[],
        response_headers: &[],
    }
}
