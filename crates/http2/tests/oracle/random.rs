//! What is asked for and answered, made of a seed.

/// Random enough, and the same for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub(crate) fn size(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn text(&mut self, len: usize, alphabet: &[u8]) -> String {
        (0..len).map(|_| char::from(alphabet[self.size(alphabet.len() as u64)])).collect()
    }
}

/// One exchange.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: usize,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) answer_fields: Vec<(String, String)>,
    pub(crate) answer_body: usize,
    pub(crate) answer_trailers: Vec<(String, String)>,
    pub(crate) lengths: bool,
    pub(crate) abort: Abort,
}

/// Whether somebody gives up on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abort {
    Nobody,
    Client,
    Server,
}

impl Plan {
    /// Both ends make the same plan of a number: only that has to be told.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(1_000_003) + number + 1);
        let large = random.chance(10);
        let most = if large { 400_000 } else { 3_000 };
        let method = ["GET", "POST", "PUT", "PATCH", "DELETE"][random.size(5)];
        let body = if method == "GET" || random.chance(20) { 0 } else { random.size(most) };
        Self {
            number,
            method,
            path: format!("/{}?n={number}", random.clone().text(12, b"abcxyz0189-_~%+")),
            fields: fields(&mut random, "q"),
            body,
            trailers: if body > 0 && random.chance(30) { fields(&mut random, "t") } else { Vec::new() },
            status: [200, 201, 404, 500, 299, 503][random.size(6)],
            answer_fields: fields(&mut random, "a"),
            answer_body: if random.chance(15) { 0 } else { random.size(most) },
            answer_trailers: if random.chance(30) { fields(&mut random, "u") } else { Vec::new() },
            lengths: random.chance(50),
            abort: [Abort::Nobody, Abort::Nobody, Abort::Nobody, Abort::Client, Abort::Server]
                [random.size(5)],
        }
    }

    pub(crate) fn number_of(path: &str) -> u64 {
        path.rsplit('=').next().unwrap().parse().unwrap()
    }

    /// The bytes of a body: told from each other by place and exchange.
    pub(crate) fn bytes(&self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|at| u8::try_from((at * 7 + usize::try_from(self.number).unwrap() * 13) % 251).unwrap())
            .collect()
    }
}

fn fields(random: &mut Random, kind: &str) -> Vec<(String, String)> {
    let count = random.size(9);
    (0..count)
        .map(|_| {
            // Some come again and again, and some never do; tables are used and overrun.
            if random.chance(50) {
                let which = random.size(20);
                return (format!("{kind}-often-{which}"), format!("value number {which}"));
            }
            let name_len = 1 + random.size(20);
            let value_len = if random.chance(5) { random.size(3000) } else { random.size(60) };
            let name = random.text(name_len, b"abcdefghijklmnopqrstuvwxyz0123456789-_");
            let value = random.text(value_len, b"abcABCxyz0123456789-_./:;=\"{}[]<>|~^%$#@! ");
            (format!("{kind}-{name}"), value.trim().to_owned())
        })
        .collect()
}

/// Fields in the order in which a map that keeps lists by name gives them back.
pub(crate) fn sorted(
    fields: impl IntoIterator<Item = (String, String)>,
    kind: &str,
) -> Vec<(String, String)> {
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| name.starts_with(kind)).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

pub(crate) fn of_map(map: &http::HeaderMap, kind: &str) -> Vec<(String, String)> {
    let all = map.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    sorted(all.collect::<Vec<_>>(), kind)
}

pub(crate) fn of_headers(headers: &loadweaver_http1::Headers, kind: &str) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    sorted(headers.iter().map(|(name, value)| (text(name), text(value))).collect::<Vec<_>>(), kind)
}

pub(crate) fn to_map(fields: &[(String, String)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        map.append(name, value.parse().unwrap());
    }
    map
}
