use super::*;

fn usual(text: &str) -> String {
    Redaction::default().url(text).into_owned()
}

#[test]
fn hides_the_values_of_secret_parameters_and_nothing_else() {
    for (text, shown) in [
        ("/", "/"),
        ("/a?page=1&sort=name", "/a?page=1&sort=name"),
        ("/a?token=abc", "/a?token=***"),
        ("/a?x=1&token=abc&y=2", "/a?x=1&token=***&y=2"),
        ("/a?token=&y=2", "/a?token=&y=2"),
        ("/a?token", "/a?token"),
        ("/token=abc/b?x=1", "/token=abc/b?x=1"),
        ("/a?tokens=3&mytoken=x", "/a?tokens=3&mytoken=x"),
        ("/a?q=1", "/a?q=1"),
        ("*", "*"),
        ("", ""),
    ] {
        assert_eq!(usual(text), shown);
    }
}

#[test]
fn every_usual_name_is_hidden_however_it_is_spelled() {
    for name in Redact::QUERY {
        let other = [name.to_uppercase(), name.replace('_', "-"), name.replace('_', "")];
        let percent: String = name.bytes().fold(String::new(), |out, byte| format!("{out}%{byte:02x}"));
        for name in other.into_iter().chain([name.to_owned(), percent.replace('%', "%25"), percent]) {
            assert_eq!(usual(&format!("/a?{name}=s3cr3t")), format!("/a?{name}=***"));
            assert_eq!(usual(&format!("/a?b=c;{name}=s3cr3t;d")), format!("/a?b=c;{name}=***"));
            assert_eq!(usual(&format!("/a?{name}[]=s3cr3t&x=1")), format!("/a?{name}[]=***&x=1"));
        }
    }
}

#[test]
fn no_way_of_writing_lets_a_secret_through() {
    for text in [
        "/a?user[password]=s3cr3t",
        "/a?user%5Bpassword%5D=s3cr3t",
        "/a?user.password=s3cr3t",
        "/a?password%3Ds3cr3t",
        "/a?password=p%26s3cr3t",
        "/a?password=p;s3cr3t",
        "/a?password=p?s3cr3t#s3cr3t",
        "/a?next=/login?token=s3cr3t",
        "/a?next=%2Fcb%3Fcode%3Ds3cr3t%26state%3D1",
        "/a?next=https%253A%252F%252Fx%252F%253Faccess_token%253Ds3cr3t",
        "/a?%2525252574oken=s3cr3t",
        "/a?tok%65n=s3cr3t",
        "/a?TOKEN=s3cr3t",
        "/a? token=s3cr3t",
        "/a?+token=s3cr3t",
        "/a?token%00=s3cr3t",
        "/a?&&;token=s3cr3t",
        "/a?x==token=s3cr3t",
        "/a;jsessionid=s3cr3t/b",
        "/a;x;jsessionid=s3cr3t?b=c",
        "/a#access_token=s3cr3t",
        "http://user:s3cr3t@host/a?b=c",
        "http://us@er:s3cr3t@host?token=s3cr3t",
        "https://host/cb?code=s3cr3t&state=1",
        "/a?token=s3cr3t&token=s3cr3t",
        "/%zz?x=%zz&token=s3cr3t%",
    ] {
        let shown = usual(text);
        assert!(!shown.contains("s3cr3t") && shown.contains(MASK), "{text}: {shown}");
    }
}

#[test]
fn what_is_around_a_secret_stays() {
    assert_eq!(usual("/a;jsessionid=x/b?c=d"), "/a;jsessionid=***/b?c=d");
    assert_eq!(usual("http://me:pw@host/a?b=c"), "http://***@host/a?b=c");
    assert_eq!(usual("/@a?b=c@d"), "/@a?b=c@d");
    assert_eq!(usual("https://host/@me"), "https://host/@me");
    assert_eq!(usual("/a?ä=ö&code=1&ü=%zz"), "/a?ä=ö&code=***&ü=%zz");
}

#[test]
fn names_are_added_and_the_usual_ones_left_out() {
    let more =
        Redact { query: vec!["pin".to_owned(), "ключ".to_owned(), "p".to_owned()], ..Redact::default() };
    let more = Redaction::new(&more);
    for name in ["pin", "PIN", "ключ", "p", "token"] {
        assert_eq!(more.url(&format!("/?a=b&{name}=1")), format!("/?a=b&{name}=***"));
    }
    let none = Redact { defaults: false, query: vec!["pin".to_owned()], headers: vec!["X-Own".to_owned()] };
    let none = Redaction::new(&none);
    assert_eq!(none.url("/?token=1&pin=2"), "/?token=1&pin=***");
    assert!(none.hides_header("x-own") && !none.hides_header("authorization"));
    let nothing = Redaction::new(&Redact { defaults: false, ..Redact::default() });
    assert_eq!(nothing.url("http://u:p@h/?token=1"), "http://u:p@h/?token=1");
}

#[test]
fn headers_are_known_without_regard_to_case() {
    let usual = Redaction::default();
    for name in Redact::HEADERS {
        assert!(usual.hides_header(name) && usual.hides_header(&name.to_uppercase()), "{name}");
    }
    assert!(!usual.hides_header("accept"));
}

/// Whatever bytes come, what is left is theirs in their order, and looking again changes nothing.
#[test]
fn any_bytes_are_taken() {
    let mut state = 1_u64;
    let mut room = Vec::new();
    let alphabet = b"?&;#=%/[].@:+token25code\x80\xff3dD ";
    for _ in 0..20_000 {
        let text: Vec<u8> = (0..24)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *alphabet.get((state >> 33) as usize % alphabet.len()).unwrap_or(&b'a')
            })
            .collect();
        let once = Redaction::default().shown(&text, &mut room).to_vec();
        let twice = Redaction::default().shown(&once, &mut room).to_vec();
        assert_eq!(once, twice, "{}", text.escape_ascii());
    }
}
