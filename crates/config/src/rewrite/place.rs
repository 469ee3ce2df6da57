//! Where the values of a document stand in its text.

/// A value's place: from its first byte to the one after its last.
pub(super) struct Place<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) inside: Inside<'t>,
}

pub(super) enum Inside<'t> {
    /// A text, a number, a word.
    Nothing,
    List(Vec<Entry<'t>>),
    Map(Vec<Entry<'t>>),
}

/// One element or member, between brackets and commas.
pub(super) struct Entry<'t> {
    /// White space before it.
    pub(super) lead: &'t str,
    /// The key as it is meant, in an object.
    pub(super) key: Option<String>,
    /// The key as it is written, with the colon and the white space around that; empty in a list.
    pub(super) head: &'t str,
    pub(super) place: Place<'t>,
    /// White space after it.
    pub(super) trail: &'t str,
}

impl<'t> Entry<'t> {
    /// What stands between key and value; `otherwise` where that holds a line break.
    pub(super) fn colon<'a>(&self, otherwise: &'a str) -> &'a str
    where
        't: 'a,
    {
        let quoted = Cursor { text: self.head, at: 0 }.string();
        let colon = self.head.get(quoted.len()..).unwrap_or_default();
        if colon.is_empty() || colon.contains('\n') { otherwise } else { colon }
    }
}

/// The places in a text that is known to be a JSON document, perhaps behind a byte order mark. In any other text the
/// places mean nothing, but they lie within it.
pub(super) fn find(text: &str) -> Place<'_> {
    let mut cursor = Cursor { text, at: text.len() - text.trim_start_matches('\u{feff}').len() };
    cursor.white();
    cursor.value()
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
