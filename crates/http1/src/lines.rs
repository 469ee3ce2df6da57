//! What `httparse` tolerates and we do not.

use crate::headers::Headers;
use crate::limits::MAX_FIELDS;
use crate::name::Name;

/// Room for the fields of one head. Not initialised: clearing 8 KiB for each head would cost more than parsing it.
pub(crate) type FieldTable<'b> = [std::mem::MaybeUninit<httparse::Header<'b>>; MAX_FIELDS];

pub(crate) fn field_table<'b>() -> FieldTable<'b> {
    [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS]
}

/// A header line that ends in anything but CRLF.
#[derive(Debug)]
pub(crate) struct BadLine;

/// Copies `head` into `headers` and indexes its fields, refusing line ends other than CRLF, which `httparse`
/// takes and RFC 9112 section 2.2 only tolerates: a peer that does not tolerate them would see another message.
#[inline]
pub(crate) fn take_fields(
    headers: &mut Headers,
    head: &[u8],
    fields: &[httparse::Header<'_>],
) -> Result<(), BadLine> {
    headers.load(head, fields.len());
    let base = head.as_ptr() as usize;
    for field in fields {
        let name_start = (field.name.as_ptr() as usize).wrapping_sub(base);
        let colon = name_start + field.name.len();
        // An empty value points nowhere in particular, so it is placed right behind the colon.
        let value_start = if field.value.is_empty() {
            colon + 1
        } else {
            (field.value.as_ptr() as usize).wrapping_sub(base)
        };
        let end = line_end(head, value_start + field.value.len()).ok_or(BadLine)?;
        let name = field.name.as_bytes();
        if name.len() > usize::from(u16::MAX) {
            return Err(BadLine);
        }
        // `httparse` takes no space before the colon, so one space after it is all that is left to see.
        let canonical = value_start == colon + 2
            && head.get(colon + 1) == Some(&b' ')
            && end == value_start + field.value.len();
        headers.index(Name::of(name), (name_start, name.len()), (value_start, field.value.len()), canonical);
    }
    if head.ends_with(b"\r\n") { Ok(()) } else { Err(BadLine) }
}

/// Where CRLF stands at `at` or after optional white space.
#[inline]
pub(crate) fn line_end(head: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match head.get(at) {
            Some(b' ' | b'\t') => at += 1,
            Some(b'\r') if head.get(at + 1) == Some(&b'\n') => return Some(at),
            _ => return None,
        }
    }
}

/// The items of a comma-separated header value, without the white space around them and without empty ones.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}
