//! RFC 7541: how header blocks are compressed.

use loadweaver_testkit::http2::raw::flag;

use super::case::Outcome::{Answers, Ends};
use super::case::{COMPRESSION, Case, case, head, settings};

/// GET, http, and an authority of "test", by appendix A; a path has to follow.
const BEGIN: [u8; 9] = [0x82, 0x86, 0x01, 4, b't', b'e', b's', b't', 0x04];
/// The path "/".
const ROOT: &[u8] = b"\x01/";
/// The path of which the origin wants the field "custom-key: custom-value".
const FIELD: &[u8] = b"\x06/field";
/// Appendix C.4.3: both in Huffman's code.
const KEY: [u8; 9] = [0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
const VALUE: [u8; 10] = [0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];
const PLAIN_KEY: &[u8] = b"\x0acustom-key";
const PLAIN_VALUE: &[u8] = b"\x0ccustom-value";

/// A request whose block ends with these parts.
fn ask(stream: u32, path: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    head(flag::END_STREAM, stream, &[&BEGIN[..], path, &rest.concat()].concat())
}

/// One whose block begins with this.
fn begin(stream: u32, first: &[u8], rest: &[&[u8]]) -> Vec<u8> {
    head(flag::END_STREAM, stream, &[first, &BEGIN[..], FIELD, &rest.concat()].concat())
}

pub(crate) fn representations() -> Vec<Case> {
    let field = |kind: u8, name: &[u8], value: &[u8]| ask(1, FIELD, &[&[kind], name, value]);
    let indexed = head(flag::END_STREAM, 1, &[0x82, 0x86, 0x84, 0x41, 4, b't', b'e', b's', b't']);
    let add = || ask(1, FIELD, &[&[0x40], PLAIN_KEY, PLAIN_VALUE]);
    vec![
        case("6.1 fields of the static table", [indexed], Answers(1)),
        case("6.1 a field of the dynamic table", [add(), ask(3, FIELD, &[&[0xbe]])], Answers(3)),
        case("6.1 no field has the index 0", [ask(1, ROOT, &[&[0x80]])], Ends(COMPRESSION)),
        case("6.2.1 a new name, kept", [field(0x40, PLAIN_KEY, PLAIN_VALUE)], Answers(1)),
        case("6.2.1 both in Huffman's code", [field(0x40, &KEY, &VALUE)], Answers(1)),
        case("6.2.1 the name in Huffman's code", [field(0x40, &KEY, PLAIN_VALUE)], Answers(1)),
        case("6.2.1 the value in Huffman's code", [field(0x40, PLAIN_KEY, &VALUE)], Answers(1)),
        case("6.2.1 a name of the table", [add(), ask(3, FIELD, &[&[0x7e], &VALUE])], Answers(3)),
        case("6.2.2 a new name, not kept", [field(0x00, PLAIN_KEY, PLAIN_VALUE)], Answers(1)),
        case("6.2.2 both in Huffman's code", [field(0x00, &KEY, &VALUE)], Answers(1)),
        case("6.2.2 a name of the table", [add(), ask(3, FIELD, &[&[0x0f, 0x2f], &VALUE])], Answers(3)),
        case(
            "6.2.2 it is not kept",
            [field(0x00, &KEY, &VALUE), ask(3, ROOT, &[&[0xbe]])],
            Ends(COMPRESSION),
        ),
        case("6.2.3 a new name, never kept", [field(0x10, PLAIN_KEY, PLAIN_VALUE)], Answers(1)),
        case("6.2.3 both in Huffman's code", [field(0x10, &KEY, &VALUE)], Answers(1)),
        case("6.2.3 a name of the table", [add(), ask(3, FIELD, &[&[0x1f, 0x2f], PLAIN_VALUE])], Answers(3)),
        case(
            "6.2.3 it is not kept",
            [field(0x10, &KEY, &VALUE), ask(3, ROOT, &[&[0xbe]])],
            Ends(COMPRESSION),
        ),
    ]
}

pub(crate) fn tables() -> Vec<Case> {
    let add = || ask(1, FIELD, &[&[0x40], &KEY, &VALUE]);
    let literal = || [&[0x40][..], &KEY, &VALUE].concat();
    vec![
        case("2.3.3 an index behind the tables", [ask(1, ROOT, &[&[0xc6]])], Ends(COMPRESSION)),
        case("2.3.3 the first of an empty table", [ask(1, ROOT, &[&[0xbe]])], Ends(COMPRESSION)),
        case("2.3.3 a name behind the tables", [ask(1, ROOT, &[&[0x7f, 0x07, 1, b'x']])], Ends(COMPRESSION)),
        case("2.3.3 the last of the static table", [ask(1, ROOT, &[&[0xbd]])], Answers(1)),
        case("4.2 a size at the beginning", [begin(1, &[0x20], &[&literal()])], Answers(1)),
        case(
            "4.2 two sizes at the beginning",
            [begin(1, &[0x20, 0x3f, 0xe1, 0x1f], &[&literal()])],
            Answers(1),
        ),
        case("4.2 a size at the end", [ask(1, ROOT, &[&[0x20]])], Ends(COMPRESSION)),
        case(
            "4.2 a size between fields",
            [ask(1, FIELD, &[&[0x3f, 0xe1, 0x1f], &literal()])],
            Ends(COMPRESSION),
        ),
        case("4.3 a size of 0 empties the table", [add(), begin(3, &[0x20], &[&[0xbe]])], Ends(COMPRESSION)),
        case(
            "4.4 a field above the size is not kept",
            [begin(1, &[0x3f, 0x01], &[&literal(), &[0xbe]])],
            Ends(COMPRESSION),
        ),
        case(
            "6.3 a size above what we allow",
            [begin(1, &[0x3f, 0xe2, 0x1f], &[&literal()])],
            Ends(COMPRESSION),
        ),
        case(
            "6.3 the client's own setting is for our side",
            [settings(&[(1, 1 << 20)]), begin(1, &[0x3f, 0xe2, 0x1f], &[&literal()])],
            Ends(COMPRESSION),
        ),
    ]
}

pub(crate) fn primitives() -> Vec<Case> {
    let value = |bytes: &[u8]| ask(1, ROOT, &[&[0x40], &KEY, bytes]);
    let padded = [&[0x8a][..], &VALUE[1..], &[0xff]].concat();
    vec![
        case("5.1 a number without an end", [ask(1, ROOT, &[&[0xff]])], Ends(COMPRESSION)),
        case(
            "5.1 a number that is too large",
            [ask(1, ROOT, &[&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]])],
            Ends(COMPRESSION),
        ),
        case("5.2 a value longer than its block", [value(&[5, b'a'])], Ends(COMPRESSION)),
        case("5.2 a name longer than its block", [ask(1, ROOT, &[&[0x40, 9, b'a']])], Ends(COMPRESSION)),
        case("5.2 no value", [ask(1, ROOT, &[&[0x40], &KEY])], Ends(COMPRESSION)),
        // "a" has five bits, 00011; what fills its byte has to be the beginning of the end's symbol, ones.
        case("5.2 Huffman's code, filled with ones", [value(&[0x81, 0x1f])], Answers(1)),
        case("5.2 Huffman's code, filled with zeros", [value(&[0x81, 0x18])], Ends(COMPRESSION)),
        case("5.2 Huffman's code, filled with a byte", [value(&padded)], Ends(COMPRESSION)),
        case("5.2 the end's symbol", [value(&[0x84, 0xff, 0xff, 0xff, 0xff])], Ends(COMPRESSION)),
        case(
            "5.2 the end's symbol behind a letter",
            [value(&[0x85, 0x1f, 0xff, 0xff, 0xff, 0xff])],
            Ends(COMPRESSION),
        ),
    ]
}
