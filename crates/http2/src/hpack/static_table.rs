//! The table that both sides know: RFC 7541 appendix A.

use loadweaver_http1::Name;

use super::kind::{Kind, Pseudo};

/// An entry, as its line `name: value CRLF`.
pub(super) struct Entry {
    pub(super) line: &'static [u8],
    pub(super) name_len: usize,
    pub(super) kind: Kind,
}

/// Number of entries; the dynamic table begins behind them.
pub(super) const LEN: usize = ENTRIES.len();

/// The entry with this index, which begins at one.
#[inline]
pub(super) fn get(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.wrapping_sub(1))
}

/// How a field is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Into the table, when it comes a second time.
    Repeats,
    /// Hardly ever the same twice: the table would only lose what is in it.
    Plain,
    /// A secret. On a connection that is shared, whoever can see the size of what we send could guess it letter by
    /// letter (RFC 7541 section 7.1).
    Never,
}

/// The index of a name, zero where there is none, and how its fields are to be written.
pub(super) fn name(name: &[u8]) -> (usize, Habit) {
    let known = NAMES.get(name.len()).copied().unwrap_or_default();
    // Ends tell nearly all of them apart, at less than a call.
    let found = known
        .iter()
        .find(|(known, ..)| known.first() == name.first() && known.last() == name.last() && *known == name);
    found.map_or((0, Habit::Repeats), |(_, index, habit)| (usize::from(*index), *habit))
}

/// Names by their length: that alone leaves a handful to compare with.
#[rustfmt::skip]
static NAMES: [&[(&[u8], u8, Habit)]; 28] = {
    use Habit::{Never, Plain, Repeats};
    [
        &[],
        &[],
        &[],
        &[(b"age", 21, Plain), (b"via", 60, Repeats)],
        &[(b"date", 33, Repeats), (b"etag", 34, Plain), (b"from", 37, Repeats), (b"host", 38, Repeats), (b"link", 45, Repeats), (b"vary", 59, Repeats)],
        &[(b":path", 4, Repeats), (b"allow", 22, Repeats), (b"range", 50, Plain)],
        &[(b"accept", 19, Repeats), (b"cookie", 32, Never), (b"expect", 35, Repeats), (b"server", 54, Repeats)],
        &[(b":method", 2, Repeats), (b":scheme", 6, Repeats), (b":status", 8, Repeats), (b"expires", 36, Plain), (b"referer", 51, Repeats), (b"refresh", 52, Repeats)],
        &[(b"if-match", 39, Plain), (b"if-range", 42, Plain), (b"location", 46, Plain)],
        &[(b"x-api-key", 0, Never)],
        &[(b":authority", 1, Repeats), (b"set-cookie", 55, Never), (b"user-agent", 58, Repeats)],
        &[(b"retry-after", 53, Repeats), (b"traceparent", 0, Plain)],
        &[(b"content-type", 31, Repeats), (b"max-forwards", 47, Repeats), (b"grpc-timeout", 0, Plain), (b"x-csrf-token", 0, Never), (b"x-request-id", 0, Plain), (b"x-auth-token", 0, Never)],
        &[(b"accept-ranges", 18, Repeats), (b"authorization", 23, Never), (b"cache-control", 24, Repeats), (b"content-range", 30, Plain), (b"if-none-match", 41, Plain), (b"last-modified", 44, Plain)],
        &[(b"accept-charset", 15, Repeats), (b"content-length", 28, Plain)],
        &[(b"accept-encoding", 16, Repeats), (b"accept-language", 17, Repeats)],
        &[(b"content-encoding", 26, Repeats), (b"content-language", 27, Repeats), (b"content-location", 29, Repeats), (b"www-authenticate", 61, Repeats)],
        &[(b"if-modified-since", 40, Plain), (b"transfer-encoding", 57, Repeats)],
        &[(b"proxy-authenticate", 48, Repeats)],
        &[(b"content-disposition", 25, Repeats), (b"if-unmodified-since", 43, Plain), (b"proxy-authorization", 49, Never)],
        &[],
        &[],
        &[],
        &[],
        &[],
        &[(b"strict-transport-security", 56, Repeats)],
        &[],
        &[(b"access-control-allow-origin", 20, Repeats)],
    ]
};

macro_rules! entry {
    ($name:literal, $value:literal, $kind:expr) => {
        Entry { line: concat!($name, ": ", $value, "\r\n").as_bytes(), name_len: $name.len(), kind: $kind }
    };
}

static ENTRIES: [Entry; 61] = [
    entry!(":authority", "", Kind::Pseudo(Pseudo::Authority)),
    entry!(":method", "GET", Kind::Pseudo(Pseudo::Method)),
    entry!(":method", "POST", Kind::Pseudo(Pseudo::Method)),
    entry!(":path", "/", Kind::Pseudo(Pseudo::Path)),
    entry!(":path", "/index.html", Kind::Pseudo(Pseudo::Path)),
    entry!(":scheme", "http", Kind::Pseudo(Pseudo::Scheme)),
    entry!(":scheme", "https", Kind::Pseudo(Pseudo::Scheme)),
    entry!(":status", "200", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "204", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "206", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "304", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "400", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "404", Kind::Pseudo(Pseudo::Status)),
    entry!(":status", "500", Kind::Pseudo(Pseudo::Status)),
    entry!("accept-charset", "", Kind::Field(Name::Other)),
    entry!("accept-encoding", "gzip, deflate", Kind::Field(Name::Other)),
    entry!("accept-language", "", Kind::Field(Name::Other)),
    entry!("accept-ranges", "", Kind::Field(Name::Other)),
    entry!("accept", "", Kind::Field(Name::Other)),
    entry!("access-control-allow-origin", "", Kind::Field(Name::Other)),
    entry!("age", "", Kind::Field(Name::Other)),
    entry!("allow", "", Kind::Field(Name::Other)),
    entry!("authorization", "", Kind::Field(Name::Other)),
    entry!("cache-control", "", Kind::Field(Name::Other)),
    entry!("content-disposition", "", Kind::Field(Name::Other)),
    entry!("content-encoding", "", Kind::Field(Name::Other)),
    entry!("content-language", "", Kind::Field(Name::Other)),
    entry!("content-length", "", Kind::Field(Name::ContentLength)),
    entry!("content-location", "", Kind::Field(Name::Other)),
    entry!("content-range", "", Kind::Field(Name::Other)),
    entry!("content-type", "", Kind::Field(Name::Other)),
    entry!("cookie", "", Kind::Cookie),
    entry!("date", "", Kind::Field(Name::Date)),
    entry!("etag", "", Kind::Field(Name::Other)),
    entry!("expect", "", Kind::Field(Name::Expect)),
    entry!("expires", "", Kind::Field(Name::Other)),
    entry!("from", "", Kind::Field(Name::Other)),
    entry!("host", "", Kind::Field(Name::Host)),
    entry!("if-match", "", Kind::Field(Name::Other)),
    entry!("if-modified-since", "", Kind::Field(Name::Other)),
    entry!("if-none-match", "", Kind::Field(Name::Other)),
    entry!("if-range", "", Kind::Field(Name::Other)),
    entry!("if-unmodified-since", "", Kind::Field(Name::Other)),
    entry!("last-modified", "", Kind::Field(Name::Other)),
    entry!("link", "", Kind::Field(Name::Other)),
    entry!("location", "", Kind::Field(Name::Other)),
    entry!("max-forwards", "", Kind::Field(Name::Other)),
    entry!("proxy-authenticate", "", Kind::Field(Name::Other)),
    entry!("proxy-authorization", "", Kind::Field(Name::Other)),
    entry!("range", "", Kind::Field(Name::Other)),
    entry!("referer", "", Kind::Field(Name::Referer)),
    entry!("refresh", "", Kind::Field(Name::Other)),
    entry!("retry-after", "", Kind::Field(Name::Other)),
    entry!("server", "", Kind::Field(Name::Other)),
    entry!("set-cookie", "", Kind::Field(Name::Other)),
    entry!("strict-transport-security", "", Kind::Field(Name::StrictTransportSecurity)),
    entry!("transfer-encoding", "", Kind::Refused),
    entry!("user-agent", "", Kind::Field(Name::UserAgent)),
    entry!("vary", "", Kind::Field(Name::Other)),
    entry!("via", "", Kind::Field(Name::Via)),
    entry!("www-authenticate", "", Kind::Field(Name::Other)),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_and_kinds_are_those_of_the_entries() {
        for (place, entry) in ENTRIES.iter().enumerate() {
            let text = entry.line.get(..entry.name_len).unwrap();
            assert_eq!(Kind::of(text), entry.kind);
            let first = ENTRIES.iter().position(|other| other.line.get(..other.name_len) == Some(text));
            assert_eq!(name(text).0, first.unwrap() + 1, "{place}");
        }
        assert_eq!(name(b"x"), (0, Habit::Repeats));
        assert!(get(0).is_none() && get(62).is_none());
    }
}
