//! What a head says of the connection that it came on, and how that is taken out of it: RFC 9110 section 7.6.1.

use crate::headers::Headers;
use crate::lines::list;
use crate::name::Name;
use crate::request::Version;

/// Names whose presence makes a second look necessary.
const HOP_BY_HOP: u32 = 1 << Name::Connection as u32
    | 1 << Name::KeepAlive as u32
    | 1 << Name::ProxyConnection as u32
    | 1 << Name::Upgrade as u32
    | 1 << Name::Te as u32
    | 1 << Name::TransferEncoding as u32
    | 1 << Name::Http2Settings as u32;

pub(crate) const SPEAKS_OF_CONNECTION: u32 = HOP_BY_HOP | 1 << Name::Expect as u32;

/// Options that a `Connection` may have. Each may name a field to be removed, so their number times that of the fields
/// is work that a peer could have us do; nobody has more than a handful.
pub(crate) const MAX_OPTIONS: usize = 32;

/// What the `Connection` fields of a message say.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, none of which rules out another")]
pub(crate) struct Connection {
    close: bool,
    keep: bool,
    pub(crate) upgrade: bool,
    /// Names fields beyond the ones that are removed anyway.
    pub(crate) others: bool,
    /// How many options there are.
    pub(crate) options: usize,
}

impl Connection {
    pub(crate) fn keep_alive(self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep)
    }
}

pub(crate) fn read_connection(headers: &Headers) -> Connection {
    let mut connection = Connection::default();
    for item in headers.get_all(Name::Connection).flat_map(list) {
        connection.options += 1;
        if item.eq_ignore_ascii_case(b"close") {
            connection.close = true;
        } else if item.eq_ignore_ascii_case(b"keep-alive") {
            connection.keep = true;
        } else if item.eq_ignore_ascii_case(b"upgrade") {
            connection.upgrade = true;
        } else {
            connection.others = true;
        }
    }
    connection
}

pub(crate) fn strip_hop_by_hop(headers: &mut Headers, names_others: bool) {
    if headers.names() & HOP_BY_HOP == 0 {
        return;
    }
    if !names_others {
        return headers.retain_known(|known| !known.is_hop_by_hop());
    }
    let named: Vec<Vec<u8>> = headers.get_all(Name::Connection).flat_map(list).map(<[u8]>::to_vec).collect();
    headers.retain(|known, name| {
        !known.is_hop_by_hop()
            && (known.is_protected() || !named.iter().any(|option| option.eq_ignore_ascii_case(name)))
    });
}
