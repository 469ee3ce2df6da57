//! The examples of RFC 7541 appendix C, and the encoder against the decoder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use loadweaver_http1::Name;
use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Undecodable> {
    let mut block = Block::new(block);
    let mut lines = Vec::new();
    while let Some(field) = decoder.next(&mut block)? {
        let line = String::from_utf8_lossy(field.line).into_owned();
        assert_eq!(field.value(), &field.line[field.name_len + 2..field.line.len() - 2]);
        assert_eq!(Kind::of(&field.line[..field.name_len]), field.kind);
        lines.push(line.trim_end_matches("\r\n").to_owned());
    }
    Ok(lines)
}

#[test]
fn reads_single_fields_as_in_c_2() {
    for (block, line) in [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header"),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path"),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret"),
        ("82", ":method: GET"),
    ] {
        assert_eq!(decoded(&mut Decoder::new(), &bytes(block)).unwrap(), [line]);
    }
}

/// Requests on one connection, as plain text and by Huffman's code.
#[test]
fn reads_requests_as_in_c_3_and_c_4() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        let [one, two, three] = blocks.map(|block| decoded(&mut decoder, &bytes(block)).unwrap());
        assert_eq!(one, [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"]);
        assert_eq!(two[..4], one[..]);
        assert_eq!(two[4], "cache-control: no-cache");
        let last = [
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ];
        assert_eq!(three, last);
    }
}

/// Answers on one connection whose table has 256 bytes, so that fields are pushed out.
#[test]
fn reads_answers_as_in_c_5_and_c_6() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
         3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
         63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        assert_eq!(decoded(&mut decoder, &bytes("3fe1 01")).unwrap(), [""; 0]);
        let [one, two, three] = blocks.map(|block| decoded(&mut decoder, &bytes(block)).unwrap());
        let first = [
            ":status: 302",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ];
        assert_eq!(one, first);
        assert_eq!(two[0], ":status: 307");
        assert_eq!(two[1..], first[1..]);
        let last = [
            ":status: 200",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:22 GMT",
            "location: https://www.example.com",
            "content-encoding: gzip",
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ];
        assert_eq!(three, last);
        // What was pushed out is gone: three fields are left.
        assert_eq!(decoded(&mut decoder, &bytes("be bf c0")).unwrap().len(), 3);
        assert_eq!(decoded(&mut decoder, &bytes("c1")), Err(Undecodable));
    }
}

fn encoded(encoder: &mut Encoder, lines: &[(String, bool)]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (line, secret) in lines {
        let name_len = line.find(':').unwrap();
        let whole = format!("{line}\r\n");
        encoder.line(&mut out, Name::of(&line.as_bytes()[..name_len]), whole.as_bytes(), name_len, *secret);
    }
    out
}

#[test]
fn a_field_goes_into_the_table_when_it_comes_a_second_time() {
    let mut encoder = Encoder::new();
    let line = [("X-Test: some value".to_owned(), false)];
    let blocks = [(); 4].map(|()| encoded(&mut encoder, &line));
    assert_eq!((blocks[0][0], blocks[1][0]), (0, 0x40));
    assert_eq!((&blocks[2][..], &blocks[3][..]), (&[0xbe][..], &[0xbe][..]));
    let mut decoder = Decoder::new();
    for block in blocks {
        assert_eq!(decoded(&mut decoder, &block).unwrap(), ["x-test: some value"]);
    }
}

#[test]
fn secrets_lengths_and_ids_go_into_no_table() {
    let mut encoder = Encoder::new();
    for (line, secret, first) in [
        ("authorization: Bearer x", false, 0x1f),
        ("Cookie: a=b", false, 0x1f),
        ("set-cookie: a=b", false, 0x1f),
        ("x-anything: y", true, 0x10),
        ("content-length: 17", false, 0x0f),
        ("x-request-id: 17", false, 0x00),
        ("etag: \"17\"", false, 0x0f),
    ] {
        for _ in 0..4 {
            assert_eq!(encoded(&mut encoder, &[(line.to_owned(), secret)])[0], first, "{line}");
        }
    }
}

#[test]
fn limits_of_the_table_are_told_before_they_are_used() {
    let mut encoder = Encoder::new();
    let line = [("x-test: some value".to_owned(), false)];
    for _ in 0..3 {
        encoded(&mut encoder, &line);
    }
    encoder.set_limit(100);
    encoder.set_limit(0);
    encoder.set_limit(1 << 20);
    // The smallest and the last one, and what was in the table is written anew.
    assert_eq!(encoded(&mut encoder, &line)[..5], [0x20, 0x3f, 0xe1, 0x1f, 0x40]);
    encoder.set_limit(4096);
    assert_eq!(encoded(&mut encoder, &line), [0xbe]);
    encoder.set_limit(0);
    assert_eq!(encoded(&mut encoder, &line)[..2], [0x20, 0]);
}

proptest! {
    #[test]
    fn what_is_written_is_read_whatever_the_table_has(
        blocks in prop::collection::vec(
            (prop::collection::vec((0..30_u8, 0..40_u8, any::<bool>(), 0..1200_usize), 0..12), prop::option::of(0..5000_usize)),
            1..30,
        )
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (fields, limit) in blocks {
            if let Some(limit) = limit {
                encoder.set_limit(limit);
            }
            let lines: Vec<_> = fields
                .into_iter()
                .map(|(name, value, secret, long)| {
                    let filler = "v".repeat(if long > 1100 { long } else { 3 });
                    (format!("X-Name-{name}: value {value} {filler}"), secret && value == 0)
                })
                .collect();
            let block = encoded(&mut encoder, &lines);
            let expected: Vec<_> = lines
                .iter()
                .map(|(line, _)| {
                    let (name, value) = line.split_once(':').unwrap();
                    format!("{}:{value}", name.to_lowercase())
                })
                .collect();
            prop_assert_eq!(decoded(&mut decoder, &block).unwrap(), expected);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(blocks: Vec<Vec<u8>>) {
        let mut decoder = Decoder::new();
        for block in blocks {
            if decoded(&mut decoder, &block).is_err() {
                break;
            }
        }
    }
}
