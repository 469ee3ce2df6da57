#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

fn ends(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn read(input: &[u8]) -> Result<Option<(Preface, usize)>, PrefaceError> {
    parse(input)
}

/// A header of version 2 with this kind, family and body.
fn binary(kind: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[kind, family]);
    header.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    header.extend_from_slice(body);
    header
}

/// The same with addresses of IPv4 and these fields.
fn with_fields(fields: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb];
    binary(0x21, 0x11, &[&addresses, fields].concat())
}

#[test]
fn reads_lines_of_version_1() {
    let four = ends("192.0.2.1:56324", "192.0.2.2:443");
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n";
    let (preface, len) = read(line).unwrap().unwrap();
    assert_eq!((preface.ends, &line[len..]), (Some(four), &b"GET / HTTP/1.1\r\n"[..]));
    let six = ends("[2001:db8::1]:1", "[::1]:0");
    assert_eq!(read(b"PROXY TCP6 2001:db8::1 ::1 1 0\r\n").unwrap().unwrap().0.ends, Some(six));
    for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 whatever 1 2 3\r\n"] {
        let (preface, len) = read(unknown.as_bytes()).unwrap().unwrap();
        assert_eq!((preface, len), (Preface::default(), unknown.len()));
    }
}

#[test]
fn refuses_lines_that_are_not_of_the_form() {
    use PrefaceError::{Malformed, Other, TooLong, Unknown};
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    for (line, why) in [
        ("GET / HTTP/1.1\r\n", Other),
        ("POST / HTTP/1.1\r\n", Other),
        ("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Other),
        ("PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n", Other),
        ("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", Unknown),
        ("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", Unknown),
        ("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", Unknown),
        ("PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rGET", Malformed),
        ("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", Malformed),
        ("PROXY TCP4 ::1 ::1 1 2\r\n", Malformed),
        ("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", Malformed),
        ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\u{e9}\r\n", Malformed),
        (&long, TooLong),
    ] {
        assert_eq!(read(line.as_bytes()), Err(why), "{line:?}");
    }
}

#[test]
fn a_line_of_just_the_longest_length_is_read() {
    let fill = "x".repeat(MOST_V1 - "PROXY UNKNOWN \r\n".len());
    let line = format!("PROXY UNKNOWN {fill}\r\n");
    assert_eq!(read(line.as_bytes()).unwrap().unwrap().1, MOST_V1);
    let longer = format!("PROXY UNKNOWN {fill}x\r\n");
    assert!(read(longer.as_bytes()).is_err());
}

#[test]
fn reads_headers_of_version_2() {
    let (preface, len) = read(&[&with_fields(b"")[..], b"GET"].concat()).unwrap().unwrap();
    assert_eq!((preface.ends, len), (Some(ends("192.0.2.1:56324", "192.0.2.2:443")), 28));
    let mut body = [0; 36];
    (body[0], body[1], body[15], body[31]) = (0x20, 0x01, 1, 1);
    body[32..].copy_from_slice(&[0, 80, 0, 81]);
    let (preface, _) = read(&binary(0x21, 0x21, &body)).unwrap().unwrap();
    assert_eq!(preface.ends, Some(ends("[2001::1]:80", "[::1]:81")));
    // Nothing is known of these, and that is no fault.
    for known in [binary(0x21, 0x00, b""), binary(0x21, 0x31, &[0; 216]), binary(0x20, 0x11, b"anything")] {
        let (preface, len) = read(&known).unwrap().unwrap();
        assert_eq!((preface, len), (Preface::default(), known.len()));
    }
}

#[test]
fn refuses_headers_of_version_2_that_are_not_of_the_form() {
    use PrefaceError::{Malformed, Other, TooLong, Unknown};
    let mut huge = binary(0x21, 0x11, b"");
    huge[14..16].copy_from_slice(&[0xff, 0xff]);
    for (header, why) in [
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Other),
        (b"\r\nGET / HTTP/1.1".to_vec(), Other),
        (binary(0x11, 0x11, &[0; 12]), Unknown),
        (binary(0x31, 0x11, &[0; 12]), Unknown),
        (binary(0x22, 0x11, &[0; 12]), Unknown),
        (binary(0x21, 0x12, &[0; 12]), Unknown),
        (binary(0x21, 0x32, &[0; 216]), Unknown),
        (binary(0x21, 0x41, &[0; 216]), Unknown),
        (binary(0x21, 0x11, &[0; 11]), Malformed),
        (binary(0x21, 0x21, &[0; 35]), Malformed),
        (binary(0x21, 0x31, &[0; 215]), Malformed),
        (with_fields(&[0x02]), Malformed),
        (with_fields(&[0x02, 0]), Malformed),
        (with_fields(&[0x02, 0, 2, b'a']), Malformed),
        (with_fields(&[0x02, 0, 1, 0xff]), Malformed),
        (with_fields(&[0x02, 0, 1, b'a', 0x02, 0, 1, b'a']), Malformed),
        (with_fields(&[&[0x05, 0, 129][..], &[0; 129]].concat()), Malformed),
        (with_fields(&[0x20, 0, 4, 1, 0, 0, 0]), Malformed),
        (with_fields(&[0x20, 0, 8, 1, 0, 0, 0, 0, 0x21, 0, 1]), Malformed),
        (with_fields(&[0x03, 0, 3, 0, 0, 0]), Malformed),
        (with_fields(&[0x03, 0, 4, 1, 2, 3, 4]), PrefaceError::Checksum),
        (huge, TooLong),
        (binary(0x21, 0x00, &vec![0; MOST_V2 - 15]), TooLong),
    ] {
        assert_eq!(read(&header), Err(why), "{header:?}");
    }
}

#[test]
fn takes_a_checksum_that_is_right() {
    let mut header = with_fields(&[0x04, 0, 1, 0, 0x03, 0, 4, 0, 0, 0, 0]);
    let sum = checksum::crc32c(header.iter().copied());
    let end = header.len();
    header[end - 4..].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(read(&header).unwrap().unwrap().1, end);
}

#[test]
fn keeps_what_is_of_use_and_writes_it_again() {
    let details = Details {
        alpn: Some(b"h2".to_vec()),
        authority: Some("a.example".to_owned()),
        unique_id: Some(vec![0, 1, 2]),
        tls: Some(TlsDetails {
            version: Some("TLSv1.3".to_owned()),
            cipher: Some("TLS_AES_128_GCM_SHA256".to_owned()),
            common_name: Some("ops".to_owned()),
            verified: true,
            resumed: false,
        }),
    };
    let resumed = TlsDetails { resumed: true, ..details.tls.clone().unwrap() };
    let resumed = Details { tls: Some(resumed), ..details.clone() };
    let all = [(ends("192.0.2.1:1", "192.0.2.2:2"), details), (ends("[2001:db8::1]:1", "[::1]:2"), resumed)];
    for (ends, details) in all {
        let preface = Preface { ends: Some(ends), details };
        let mut out = Vec::new();
        write_v2(&mut out, &preface);
        assert_eq!(read(&out).unwrap().unwrap(), (preface, out.len()));
        let mut line = Vec::new();
        write_v1(&mut line, Some(ends));
        assert_eq!(read(&line).unwrap().unwrap().0.ends, Some(ends));
    }
}

#[test]
fn a_client_without_tls_is_told_as_one() {
    let header = with_fields(&[0x20, 0, 5, 0, 0, 0, 0, 0]);
    assert_eq!(read(&header).unwrap().unwrap().0.details.tls, None);
    // A certificate that was not found good proves nobody.
    let header = with_fields(&[0x20, 0, 5, 3, 0, 0, 0, 1]);
    assert!(!read(&header).unwrap().unwrap().0.details.tls.unwrap().verified);
}

#[test]
fn ends_of_two_families_are_written_in_the_one_that_holds_both() {
    let mut line = Vec::new();
    write_v1(&mut line, Some(ends("192.0.2.1:1", "[2001:db8::1]:2")));
    assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n");
    line.clear();
    write_v1(&mut line, Some(ends("[::ffff:192.0.2.1]:1", "192.0.2.2:2")));
    assert_eq!(line, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    line.clear();
    write_v1(&mut line, Some(ends("[2001:db8::1]:1", "0.0.0.0:2")));
    assert_eq!(line, b"PROXY TCP6 2001:db8::1 :: 1 2\r\n");
    line.clear();
    write_v1(&mut line, None);
    assert_eq!(line, b"PROXY UNKNOWN\r\n");
    line.clear();
    write_v2(&mut line, &Preface::default());
    assert_eq!(line, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0");
}

#[test]
fn every_cut_is_waited_out() {
    let v2 = with_fields(&[0x02, 0, 1, b'a']);
    for whole in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"[..], &v2] {
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Ok(None), "{cut} of {whole:?}");
        }
        assert_eq!(read(whole).unwrap().unwrap().1, whole.len());
    }
}
