//! Where the values of a document stand in its text.

/// From a value's first byte to the one after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn moved(self, to: impl Fn(usize) -> usize) -> Self {
        Self { start: to(self.start), end: to(self.end) }
    }
}

/// A value's place: from its first byte to the one after its last.
pub(crate) struct Place<'t> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) inside: Inside<'t>,
}

impl Place<'_> {
    pub(crate) fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }

    /// What stands under a key of an object.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        let Inside::Map(entries) = &self.inside else { return None };
        entries.iter().find(|entry| entry.key.as_deref() == Some(key)).map(|entry| &entry.place)
    }

    /// Where the elements of a list stand.
    pub(crate) fn elements(&self) -> Option<Vec<Span>> {
        let Inside::List(entries) = &self.inside else { return None };
        Some(entries.iter().map(|entry| entry.place.span()).collect())
    }
}

pub(crate) enum Inside<'t> {
    /// A text, a number, a word.
    Nothing,
    List(Vec<Entry<'t>>),
    Map(Vec<Entry<'t>>),
}

/// One element or member, between brackets and commas.
pub(crate) struct Entry<'t> {
    /// White space before it.
    pub(crate) lead: &'t str,
    /// The key as it is meant, in an object.
    pub(crate) key: Option<String>,
    /// The key as it is written, with the colon and the white space around that; empty in a list.
    pub(crate) head: &'t str,
    pub(crate) place: Place<'t>,
    /// White space after it.
    pub(crate) trail: &'t str,
}

impl<'t> Entry<'t> {
    /// What stands between key and value; none where that holds a line break.
    pub(crate) fn colon(&self) -> Option<&'t str> {
        let quoted = Cursor { text: self.head, at: 0 }.string();
        let colon = self.head.get(quoted.len()..).unwrap_or_default();
        (!colon.is_empty() && !colon.contains('\n')).then_some(colon)
    }
}

/// Where the servers of each pool stand, in the order of the document.
pub(crate) fn servers(root: &Place<'_>) -> Vec<Vec<Span>> {
    let Some(Inside::Map(pools)) = root.member("pools").map(|pools| &pools.inside) else { return Vec::new() };
    let servers = pools.iter().filter_map(|pool| pool.place.member("servers")?.elements());
    servers.collect()
}

/// The places in a text that is known to be a JSON document, perhaps behind a byte order mark. In any other text the
/// places mean nothing, but they lie within it.
pub(crate) fn find(text: &str) -> Place<'_> {
    let mut cursor = Cursor { text, at: text.len() - text.trim_start_matches('\u{feff}').len() };
    cursor.white();
    cursor.value()
}

/// The value that begins there.
pub(crate) fn at(text: &str, start: usize) -> Place<'_> {
    Cursor { text, at: start }.value()
}

/// The elements of a list that stand between two places of it.
pub(crate) fn spans(text: &str, from: usize, to: usize) -> Vec<Span> {
    let mut cursor = Cursor { text, at: from };
    let mut spans = Vec::new();
    loop {
        cursor.white();
        match cursor.next() {
            Some(b',') => cursor.at += 1,
            Some(b']') | None => return spans,
            Some(_) if cursor.at >= to => return spans,
            Some(_) => spans.push(cursor.value().span()),
        }
    }
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        while self.next().is_some_and(&holds) {
            self.at += 1;
        }
        self.since(start)
    }

    /// RFC 8259, section 2.
    fn white(&mut self) -> &'t str {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// A text in its quotes.
    fn string(&mut self) -> &'t str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.next() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
        self.since(start)
    }

    /// As deep as the document, which has a limit.
    fn value(&mut self) -> Place<'t> {
        let start = self.at;
        let inside = match self.next() {
            Some(b'[') => Inside::List(self.entries(b']')),
            Some(b'{') => Inside::Map(self.entries(b'}')),
            Some(b'"') => {
                self.string();
                Inside::Nothing
            }
            _ => {
                self.skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
                Inside::Nothing
            }
        };
        Place { start, end: self.at, inside }
    }

    /// From the opening bracket to the closing one.
    fn entries(&mut self, close: u8) -> Vec<Entry<'t>> {
        let mut entries = Vec::new();
        loop {
            self.at += 1; // the bracket, or a comma
            let lead = self.white();
            if self.next().is_none_or(|byte| byte == close) {
                break;
            }
            let start = self.at;
            let mut key = None;
            if close == b'}' {
                key = serde_json::from_str(self.string()).ok();
                self.white();
                self.at += 1; // the colon
                self.white();
            }
            let head = self.since(start);
            let place = self.value();
            entries.push(Entry { lead, key, head, place, trail: self.white() });
            if self.next() != Some(b',') {
                break;
            }
        }
        self.at = (self.at + 1).min(self.text.len());
        entries
    }
}
