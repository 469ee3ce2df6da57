//! Header compression, decoded the slow way: bit by bit, with lists. It shares the tables of RFC 7541 with the engine,
//! which the tests hold against others, and nothing else.

/// A decoder with its table.
pub struct Decoder {
    table: Vec<Field>,
    limit: usize,
}

type Field = (Vec<u8>, Vec<u8>);

impl Decoder {
    /// One with an empty table of the default size.
    #[expect(clippy::new_without_default, reason = "there is nothing by default about it")]
    pub fn new() -> Self {
        Self { table: Vec::new(), limit: 4096 }
    }

    /// The fields of a block, none if it is wrong.
    pub fn block(&mut self, mut rest: &[u8]) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        while let Some(first) = rest.first().copied() {
            if first >= 0x80 {
                let index = integer(&mut rest, 7)?;
                fields.push(self.field(index)?);
            } else if first >= 0x40 {
                let field = self.literal(&mut rest, 6)?;
                self.table.insert(0, field.clone());
                self.shrink();
                fields.push(field);
            } else if first >= 0x20 {
                let limit = integer(&mut rest, 5)?;
                if limit > 4096 || !fields.is_empty() {
                    return None;
                }
                self.limit = limit;
                self.shrink();
            } else {
                fields.push(self.literal(&mut rest, 4)?);
            }
        }
        Some(fields)
    }

    fn shrink(&mut self) {
        let size =
            |table: &[Field]| table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        while size(&self.table) > self.limit {
            self.table.pop();
        }
    }

    fn field(&self, index: usize) -> Option<Field> {
        if let Some((name, value)) = STATIC.get(index.checked_sub(1)?) {
            return Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        self.table.get(index - 1 - STATIC.len()).cloned()
    }

    fn literal(&self, rest: &mut &[u8], prefix: u32) -> Option<Field> {
        let index = integer(rest, prefix)?;
        let name = if index == 0 { string(rest)? } else { self.field(index)?.0 };
        Some((name, string(rest)?))
    }
}

fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let mask = (1_u64 << prefix) - 1;
    let mut value = u64::from(*rest.first()?) & mask;
    *rest = &rest[1..];
    if value == mask {
        for place in 0.. {
            let byte = *rest.first()?;
            *rest = &rest[1..];
            if place == 5 {
                return None;
            }
            value += u64::from(byte & 0x7f) << (7 * place);
            if value > u64::from(u32::MAX) {
                return None;
            }
            if byte < 0x80 {
                break;
            }
        }
    }
    usize::try_from(value).ok()
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let coded = *rest.first()? >= 0x80;
    let len = integer(rest, 7)?;
    let text = rest.get(..len)?;
    *rest = &rest[len..];
    if coded { huffman(text) } else { Some(text.to_vec()) }
}

fn huffman(text: &[u8]) -> Option<Vec<u8>> {
    let bits = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let codes = codes();
    let (mut out, mut code, mut len) = (Vec::new(), 0_u32, 0_u8);
    for bit in bits {
        code = code << 1 | u32::from(bit);
        len += 1;
        if let Some(symbol) = codes.iter().position(|known| *known == (code, len)) {
            out.push(u8::try_from(symbol).ok()?);
            (code, len) = (0, 0);
        }
        if len > 30 {
            return None;
        }
    }
    (len < 8 && code == (1 << len) - 1).then_some(out)
}

/// The code of each symbol: those of one length count up, and each length goes on where the shorter one ended.
fn codes() -> Vec<(u32, u8)> {
    let mut codes = vec![(0, 0); 257];
    let mut next = 0;
    for len in 1..=30 {
        next <<= 1;
        for (symbol, known) in LENGTHS.iter().enumerate() {
            if *known == len {
                codes[symbol] = (next, len);
                next += 1;
            }
        }
    }
    codes
}

#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
     6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
     5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
    13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
     7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
    15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
     6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
    ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
    ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
    ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
    ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];
