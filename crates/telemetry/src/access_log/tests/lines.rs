//! Chosen fields, formats, filters and samples, as lines of a file.

use loadweaver_config::{Config, KnownField, parse};

use super::*;

/// The settings that this section of a file means.
fn settings(section: &Value) -> Settings {
    let file = json!({
        "listeners": { "web": { "bind": "127.0.0.1:0" } },
        "pools": { "app": { "servers": [{ "host": "127.0.0.1", "port": 1 }] } },
        "accessLog": section,
    });
    let Config { access_log, .. } = parse(file.to_string().as_bytes(), &|_| None).unwrap().config;
    access_log
}

/// The lines that come of these records.
fn lines(section: &Value, records: &[Record<'_>]) -> Vec<String> {
    let (mut reader, output) = io::pipe().unwrap();
    let output = Output::Plain(File::from(std::os::fd::OwnedFd::from(output)));
    let log = AccessLog::with(&settings(section), output).unwrap();
    let mut writer = log.writer();
    for record in records {
        writer.write(record);
    }
    drop(writer);
    log.close();
    drop(log);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn line(section: &Value, record: &Record<'_>) -> String {
    let lines = lines(section, &[*record]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

/// A record that has everything.
fn whole() -> Record<'static> {
    Record {
        connect: Some(Duration::from_micros(250)),
        referer: b"https://example.com/?token=x",
        failure: Some(Failure::ResponseTimeout),
        upgraded: true,
        ..record()
    }
}

#[test]
fn the_usual_fields_are_the_same_line_whether_they_are_named_or_not() {
    let fields: Vec<String> = LogField::usual().iter().map(ToString::to_string).collect();
    let apart = json!({ "fields": fields.iter().rev().collect::<Vec<_>>() });
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let bare = Record { client: None, client_ip: None, method: "", target: "", host: "", ..record() };
    for record in [record(), whole(), bare] {
        let usual = line(&json!({}), &record);
        assert_eq!(line(&json!({ "fields": fields }), &record), usual);
        // In any other order the other writer writes them.
        assert_eq!(read(&line(&apart, &record)), read(&usual));
    }
}

#[test]
fn each_field_by_its_name() {
    let expected = [
        (KnownField::Time, json!("2023-11-14T22:13:20.042Z")),
        (KnownField::RequestId, json!("0af1")),
        (KnownField::Client, json!("10.0.0.1:50000")),
        (KnownField::ClientIp, json!("203.0.113.9")),
        (KnownField::Method, json!("GET")),
        (KnownField::Target, json!("/search?q=a%20b")),
        (KnownField::Path, json!("/search")),
        (KnownField::Query, json!("q=a%20b")),
        (KnownField::Version, json!("1.1")),
        (KnownField::Host, json!("example.com")),
        (KnownField::UserAgent, json!("curl/8.5")),
        (KnownField::Referer, json!("https://example.com/?token=***")),
        (KnownField::Status, json!(200)),
        (KnownField::BytesIn, json!(0)),
        (KnownField::BytesOut, json!(512)),
        (KnownField::Listener, json!("web")),
        (KnownField::Route, json!("rest")),
        (KnownField::Pool, json!("app")),
        (KnownField::Server, json!("app-1")),
        (KnownField::Attempts, json!(2)),
        (KnownField::Connect, json!(0.25)),
        (KnownField::FirstByte, json!(1.5)),
        (KnownField::Total, json!(2.001)),
        (KnownField::Failure, json!("response_timeout")),
        (KnownField::Upgraded, json!(true)),
    ];
    assert_eq!(expected.len(), KnownField::ALL.len());
    for (field, value) in expected {
        let (name, section) = (field.name(), json!({ "fields": [field.name()] }));
        let read: Value = serde_json::from_str(&line(&section, &whole())).unwrap();
        assert_eq!(read, json!({ name: value }));
        let logfmt = line(&json!({ "fields": [name], "format": "logfmt" }), &whole());
        let (key, text) = logfmt.split_once('=').unwrap();
        let text = if text.starts_with('"') { serde_json::from_str(text).unwrap() } else { text.to_owned() };
        assert_eq!(key, name);
        match value {
            Value::String(value) => assert_eq!(text, value),
            Value::Bool(_) => assert_eq!(text, "true"),
            other => assert_eq!(text.parse().ok(), other.as_f64(), "{logfmt}"),
        }
    }
}

#[test]
fn logfmt_quotes_what_would_not_read_back() {
    let section = json!({ "format": "logfmt", "fields": ["method", "userAgent", "route", "status", "host"] });
    let odd = Record { user_agent: b"a \"b\" c=\xff\n", route: None, host: "", ..record() };
    assert_eq!(line(&section, &odd), r#"method=GET userAgent="a \"b\" c=\u00ff\n" status=200 host="""#);
    for byte in 0..=u8::MAX {
        let odd = Record { user_agent: &[b'x', byte, b'y'], ..record() };
        let line = line(&json!({ "format": "logfmt", "fields": ["userAgent"] }), &odd);
        let value = line.strip_prefix("userAgent=").unwrap();
        let quoted = value.starts_with('"');
        assert!(quoted || !value.contains([' ', '=', '"', '\\']), "{line}");
        let text = if quoted { serde_json::from_str(value).unwrap() } else { value.to_owned() };
        assert_eq!(text, format!("x{}y", char::from(byte)));
    }
}

#[test]
fn path_and_query_of_every_form_of_target() {
    let section = json!({ "format": "logfmt", "fields": ["path", "query"] });
    for (target, expected) in [
        ("/a/b", "path=/a/b"),
        ("/a?b=c?d", "path=/a query=\"b=c?d\""),
        ("/a?", "path=/a query=\"\""),
        ("http://host:80/a?b", "path=/a query=b"),
        ("http://host?b", "path=/ query=b"),
        ("*", "path=*"),
        ("host:443", "path=host:443"),
    ] {
        assert_eq!(line(&section, &Record { target, ..record() }), expected);
    }
}

#[test]
fn headers_come_by_name_and_secret_ones_without_their_value() {
    let section = json!({ "fields": [
        "status", "requestHeader:X-Beta", "requestHeader:authorization", "requestHeader:absent",
        "responseHeader:location", "responseHeader:x-own"
    ], "redact": { "headers": ["X-Own"] } });
    let log =
        AccessLog::with(&settings(&section), Output::Plain(File::create("/dev/null").unwrap())).unwrap();
    let writer = log.writer();
    assert_eq!(writer.request_headers(), ["x-beta", "authorization", "absent"].map(Arc::from));
    assert_eq!(writer.response_headers(), ["location", "x-own"].map(Arc::from));
    let record = Record {
        request_headers: &[Some(b"1"), Some(b"Bearer s3cr3t"), None],
        response_headers: &[Some(b"/cb?code=s3cr3t&state=1"), Some(b"s3cr3t")],
        ..record()
    };
    let expected = json!({
        "status": 200, "requestHeader:x-beta": "1", "requestHeader:authorization": "***",
        "responseHeader:location": "/cb?code=***&state=1", "responseHeader:x-own": "***"
    });
    assert_eq!(serde_json::from_str::<Value>(&line(&section, &record)).unwrap(), expected);
}

#[test]
fn secrets_show_in_no_format_unless_that_is_asked_for() {
    let record = Record {
        target: "http://u:s3cr3t@h/p?a=b&token=s3cr3t",
        referer: b"https://h/?api%5fkey=s3cr3t",
        ..record()
    };
    for format in LogFormat::ALL.map(LogFormat::name) {
        let shown = line(&json!({ "format": format }), &record);
        assert!(!shown.contains("s3cr3t") && shown.contains("a=b&token=***"), "{shown}");
        let open = line(&json!({ "format": format, "redact": { "defaults": false } }), &record);
        assert_eq!(open.matches("s3cr3t").count(), 3, "{open}");
    }
}

#[test]
fn the_filter_says_which_exchanges_are_written() {
    let hurt = Record {
        status: 503,
        total: Duration::from_secs(2),
        failure: Some(Failure::ResponseTimeout),
        bytes_out: 2048,
        request_headers: &[Some(b"beta")],
        ..record()
    };
    let unix = Record { client: None, client_ip: None, connect: None, ..record() };
    for (filter, plain, of_hurt) in [
        ("status >= 500 or duration > 1s", false, true),
        ("status == 200", true, false),
        ("status < 500 and not failure != ''", true, false),
        ("bytesOut > 1KiB", false, true),
        ("failure == response_timeout", false, true),
        ("host == EXAMPLE.com", true, true),
        ("path ~ '^/sea' and query == 'q=a%20b'", true, true),
        ("path ~ '^sea'", false, false),
        ("requestHeader:x-kind == beta", false, true),
        ("requestHeader:x-kind ~ .", false, true),
        ("clientIp == 203.0.113.0/24", true, true),
        ("clientIp != 203.0.113.9", false, false),
        ("client == 10.0.0.1", true, true),
        ("method != GET", false, false),
        ("upgraded == false and attempts == 2 and version == 1.1", true, true),
        ("firstByteMs > 1 and totalMs <= 2000", true, true),
        ("connect > 0s", false, false),
        ("connect != 0s", true, true),
        ("userAgent ~ curl and route == rest and pool == app and server == app-1", true, true),
        ("listener == web and requestId == 0af1 and referer == ''", true, true),
    ] {
        let found = lines(&json!({ "filter": filter }), &[record(), hurt]);
        assert_eq!(found.iter().any(|line| line.contains("\"status\":200")), plain, "{filter}");
        assert_eq!(found.iter().any(|line| line.contains("\"status\":503")), of_hurt, "{filter}");
    }
    assert_eq!(lines(&json!({ "filter": "clientIp != 10.0.0.1 and client != 0.0.0.0/0" }), &[unix]).len(), 1);
}

#[test]
fn a_sample_is_its_part_of_the_lines_and_every_failure() {
    let count = 20_000;
    let records = |record: Record<'static>| vec![record; count];
    let sample = json!({ "fields": ["status"], "sample": { "ratio": 0.25 } });
    let written = lines(&sample, &records(record())).len();
    // Ten standard deviations to either side.
    assert!((4388..5612).contains(&written), "{written}");
    let none = json!({ "fields": ["status"], "sample": { "ratio": 0 } });
    assert_eq!(lines(&none, &records(record())).len(), 0);
    let by_client = Record { status: 400, failure: Some(Failure::BadHeader), ..record() };
    assert_eq!(lines(&none, &records(by_client)).len(), 0);
    for failed in [
        Record { status: 500, ..record() },
        Record { status: 0, failure: Some(Failure::ResponseTimeout), ..record() },
    ] {
        assert_eq!(lines(&none, &records(failed)).len(), count);
        let with_the_rest = json!({ "fields": ["status"], "sample": { "ratio": 0, "failures": false } });
        assert_eq!(lines(&with_the_rest, &records(failed)).len(), 0);
    }
    let all = json!({ "fields": ["status"], "sample": { "ratio": 1 } });
    assert_eq!(lines(&all, &records(record())).len(), count);
}

#[test]
fn the_filter_comes_before_the_sample() {
    let section = json!({ "filter": "status == 200", "sample": { "ratio": 0 } });
    let failed = Record { status: 503, ..record() };
    assert_eq!(lines(&section, &[failed, record()]).len(), 0);
}

#[test]
fn a_file_is_set_aside_when_it_has_grown_and_loses_no_line() {
    let scratch = Scratch::new("rotated.log");
    let aside: Vec<PathBuf> =
        (1..=40).map(|number| PathBuf::from(format!("{}.{number}", scratch.0.display()))).collect();
    let output = scratch.0.to_str().unwrap();
    let section = json!({ "output": output, "rotate": { "maxSize": "64KiB", "keep": 40 } });
    let log = AccessLog::open(&settings(&section)).unwrap().unwrap();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let mut writer = log.writer();
            std::thread::spawn(move || {
                for number in 0..1500 {
                    writer.write(&record());
                    if number % 50 == 0 {
                        writer.flush();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(log.reopen().unwrap());
    log.close();
    assert_eq!((log.written(), log.dropped()), (3000, 0));
    let there: Vec<_> = aside.iter().filter(|path| path.exists()).collect();
    assert!(there.len() >= 5, "{there:?}");
    let mut count = scratch.text().lines().count();
    for path in there {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.len() <= 64 * 1024 && text.ends_with('\n'), "{}", text.len());
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        count += text.lines().count();
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(count, 3000);
}
