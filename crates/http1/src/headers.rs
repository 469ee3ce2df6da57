//! The header block: one buffer with an index.
//!
//! Order, case and duplicates are kept, values are bytes. Removing a field only clears its mark in the index, and
//! adding one appends to the buffer, so editing a head never moves what is already there. The buffers are kept
//! when a block is cleared, which lets one `Headers` serve exchange after exchange without an allocation.
//!
//! Fields are written anew, each as `name: value CRLF`. Most fields already stand in the block in exactly that form,
//! one behind the other; such a run of checked, canonical fields is copied at once. The bytes are the same as if each
//! part were written on its own, at a tenth of the cost.

use crate::name::Name;

/// The header fields of one message.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    block: Vec<u8>,
    fields: Vec<Field>,
    /// Which known names have ever been in the block since it was cleared: the quick way out of a look-up.
    names: u32,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    name_start: u32,
    value_start: u32,
    value_len: u32,
    name_len: u16,
    name: Name,
    live: bool,
    /// The block has `name: value CRLF` from `name_start` on, to the byte.
    canonical: bool,
    /// Must never enter a compression table, neither ours nor that of anybody after us (RFC 7541 section 7.1.3).
    secret: bool,
}

/// One live field, with what an encoder of HTTP/2 wants to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The name, recognised.
    pub known: Name,
    /// The name as it was written.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The whole of `name: value CRLF`, where it stands in the block in just that form.
    pub whole: Option<&'a [u8]>,
    /// The field came as one that no compression table may hold.
    pub secret: bool,
}

impl Field {
    /// Where the line of a canonical field ends in the block.
    #[inline]
    fn line_end(&self) -> usize {
        self.value_start as usize + self.value_len as usize + 2
    }
}

impl Headers {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.block.clear();
        self.fields.clear();
        self.names = 0;
    }

    /// Gives memory back that one unusually large head has claimed.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.block.shrink_to(bytes);
        self.fields.shrink_to(bytes / size_of::<Field>());
    }

    /// Appends a field.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        let name_start = self.block.len();
        self.block.extend_from_slice(name);
        self.block.extend_from_slice(b": ");
        let value_start = self.block.len();
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
        self.index(Name::of(name), (name_start, name.len()), (value_start, value.len()), true);
    }

    /// Appends a field whose line `name: value CRLF` the caller has already made, and whose name it knows: one copy.
    /// `secret` fields stay out of compression tables wherever they go.
    #[inline]
    pub fn append_line(&mut self, known: Name, line: &[u8], name_len: usize, secret: bool) {
        let start = self.block.len();
        self.block.extend_from_slice(line);
        let value_len = line.len().saturating_sub(name_len + 4);
        self.index(known, (start, name_len), (start + name_len + 2, value_len), true);
        if secret && let Some(field) = self.fields.last_mut() {
            field.secret = true;
        }
    }

    /// The live fields in order, each as its line.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.fields.iter().filter(|field| field.live).map(|field| Line {
            known: field.name,
            name: self.name_of(field),
            value: self.value_of(field),
            whole: field.canonical.then(|| {
                let start = field.name_start as usize;
                self.bytes(start, field.line_end() - start)
            }),
            secret: field.secret,
        })
    }

    /// The live fields in order, as they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().filter(|field| field.live).map(|field| (self.name_of(field), self.value_of(field)))
    }

    /// The first value of a known name.
    #[inline]
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of a known name, in order.
    #[inline]
    pub fn get_all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let fields: &[Field] = if self.names & name.bit() == 0 { &[] } else { &self.fields };
        fields.iter().filter(move |field| field.live && field.name == name).map(|field| self.value_of(field))
    }

    /// The first value of any name, compared without regard to case.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether a known name is there.
    #[inline]
    pub fn has(&self, name: Name) -> bool {
        self.names & name.bit() != 0 && self.fields.iter().any(|field| field.live && field.name == name)
    }

    /// Removes every field of a known name.
    #[inline]
    pub fn remove(&mut self, name: Name) {
        if self.names & name.bit() != 0 {
            self.retain(|known, _| known != name);
        }
    }

    /// Removes the fields for which `keep` says no.
    #[inline]
    pub fn retain(&mut self, mut keep: impl FnMut(Name, &[u8]) -> bool) {
        let Self { block, fields, names } = self;
        let mut left = 0;
        for field in fields.iter_mut().filter(|field| field.live) {
            let start = field.name_start as usize;
            let name = block.get(start..start + usize::from(field.name_len)).unwrap_or_default();
            field.live = keep(field.name, name);
            if field.live {
                left |= field.name.bit();
            }
        }
        *names = left;
    }

    /// Removes the fields of known names for which `keep` says no.
    #[inline]
    pub(crate) fn retain_known(&mut self, keep: impl Fn(Name) -> bool) {
        let mut left = 0;
        for field in self.fields.iter_mut().filter(|field| field.live) {
            field.live = keep(field.name);
            if field.live {
                left |= field.name.bit();
            }
        }
        self.names = left;
    }

    /// Puts a value in the place of the first field of a known name and drops the others; appends it with
    /// `spelling` where there was none.
    pub fn set(&mut self, name: Name, spelling: &[u8], value: &[u8]) {
        let value_start = self.block.len();
        let mut found = false;
        for field in self.fields.iter_mut().filter(|field| field.live && field.name == name) {
            if found {
                field.live = false;
            } else {
                field.value_start = offset(value_start);
                field.value_len = offset(value.len());
                field.canonical = false;
                found = true;
            }
        }
        if found {
            self.block.extend_from_slice(value);
        } else {
            self.append(spelling, value);
        }
    }

    /// Number of live fields.
    pub fn len(&self) -> usize {
        self.fields.iter().filter(|field| field.live).count()
    }

    /// Whether no field is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes each live field as `name: value CRLF`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (mut start, mut end) = (0, 0);
        for field in self.fields.iter().filter(|field| field.live) {
            let here = field.name_start as usize;
            if field.canonical && here == end {
                end = field.line_end();
                continue;
            }
            out.extend_from_slice(self.bytes(start, end - start));
            if field.canonical {
                (start, end) = (here, field.line_end());
            } else {
                (start, end) = (0, 0);
                out.extend_from_slice(self.name_of(field));
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.value_of(field));
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(self.bytes(start, end - start));
    }

    /// Puts bytes into the block that belong to no field; says where they stand.
    pub(crate) fn keep_bytes(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.block.len();
        self.block.extend_from_slice(bytes);
        (start, bytes.len())
    }

    /// Takes over the bytes of a received head; [`Headers::index`] then says where its fields are.
    pub(crate) fn load(&mut self, head: &[u8], fields: usize) {
        self.clear();
        self.block.extend_from_slice(head);
        self.fields.reserve(fields);
    }

    /// Marks a field whose bytes already stand in the block; `canonical` if they are just what would be written.
    #[inline]
    pub(crate) fn index(
        &mut self,
        name: Name,
        (name_start, name_len): (usize, usize),
        (value_start, value_len): (usize, usize),
        canonical: bool,
    ) {
        self.names |= name.bit();
        self.fields.push(Field {
            name_start: offset(name_start),
            name_len: u16::try_from(name_len).unwrap_or(u16::MAX),
            value_start: offset(value_start),
            value_len: offset(value_len),
            name,
            live: true,
            canonical,
            secret: false,
        });
    }

    /// Bytes that stand in the block, by offset.
    #[inline]
    pub(crate) fn bytes(&self, start: usize, len: usize) -> &[u8] {
        self.block.get(start..start + len).unwrap_or_default()
    }

    /// Known names that occur, as a set of bits.
    #[inline]
    pub(crate) fn names(&self) -> u32 {
        self.names
    }

    #[inline]
    fn name_of(&self, field: &Field) -> &[u8] {
        self.bytes(field.name_start as usize, usize::from(field.name_len))
    }

    #[inline]
    fn value_of(&self, field: &Field) -> &[u8] {
        self.bytes(field.value_start as usize, field.value_len as usize)
    }
}

/// A head is far below 4 GiB: its limit is.
#[inline]
fn offset(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::format_collect)]
    use super::*;

    fn written(headers: &Headers) -> String {
        let mut out = Vec::new();
        headers.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn keeps_order_case_and_duplicates() {
        let mut headers = Headers::new();
        headers.append(b"B", b"1");
        headers.append(b"a", b"2");
        headers.append(b"b", b"3");
        assert_eq!(written(&headers), "B: 1\r\na: 2\r\nb: 3\r\n");
    }

    #[test]
    fn sets_in_place_and_drops_later_duplicates() {
        let mut headers = Headers::new();
        headers.append(b"hOST", b"a");
        headers.append(b"x", b"1");
        headers.append(b"Host", b"b");
        headers.set(Name::Host, b"Host", b"c");
        assert_eq!(written(&headers), "hOST: c\r\nx: 1\r\n");
        headers.remove(Name::Host);
        assert!(!headers.has(Name::Host));
        headers.set(Name::Host, b"Host", b"d");
        assert_eq!(written(&headers), "x: 1\r\nHost: d\r\n");
    }

    proptest::proptest! {
        #[test]
        fn writes_the_same_bytes_in_runs_as_one_by_one(
            fields: Vec<(bool, bool, u8)>,
        ) {
            let mut head = Vec::new();
            let mut places = Vec::new();
            for (index, (_, canonical, len)) in fields.iter().enumerate() {
                let (name, value) = (format!("n{index}"), "v".repeat(usize::from(*len)));
                let separator = if *canonical { ": " } else { ":\t" };
                let start = head.len();
                head.extend_from_slice(format!("{name}{separator}{value}\r\n").as_bytes());
                places.push((start, name.len(), start + name.len() + 2, value.len(), *canonical));
            }
            let mut headers = Headers::new();
            headers.load(&head, fields.len());
            for (start, name_len, value, value_len, canonical) in places {
                headers.index(Name::Other, (start, name_len), (value, value_len), canonical);
            }
            let mut index = 0;
            headers.retain(|_, _| { index += 1; fields[index - 1].0 });
            headers.append(b"x", b"y");
            let one_by_one: String = headers
                .iter()
                .map(|(name, value)| format!("{}: {}\r\n", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
                .collect();
            proptest::prop_assert_eq!(written(&headers), one_by_one);
        }
    }

    #[test]
    fn finds_names_without_regard_to_case() {
        let mut headers = Headers::new();
        headers.append(b"X-Beta", b"1");
        assert_eq!(headers.find(b"x-bETA"), Some(b"1".as_slice()));
        assert_eq!(headers.find(b"x-bet"), None);
        assert_eq!(headers.get(Name::Host), None);
    }
}
