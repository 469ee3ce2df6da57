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
    headers.load(head);
    let base = head.as_ptr() as usize;
    for field in fields {
        let name_start = (field.name.as_ptr() as usize).wrapping_sub(base);
        let after_name = name_start + field.name.len() + 1;
        // An empty value points nowhere in particular, so it is placed right behind the colon.
        let value_start = if field.value.is_empty() {
            after_name
        } else {
            (field.value.as_ptr() as usize).wrapping_sub(base)
        };
        if !ends_in_crlf(head, value_start + field.value.len()) {
            return Err(BadLine);
        }
        let name = field.name.as_bytes();
        if name.len() > usize::from(u16::MAX) {
            return Err(BadLine);
        }
        headers.index(Name::of(name), (name_start, name.len()), (value_start, field.value.len()));
    }
    if head.ends_with(b"\r\n") { Ok(()) } else { Err(BadLine) }
}

/// Whether optional white space and then CRLF follow at `at`.
#[inline]
pub(crate) fn ends_in_crlf(head: &[u8], mut at: usize) -> bool {
    loop {
        match head.get(at) {
            Some(b' ' | b'\t') => at += 1,
            Some(b'\r') => return head.get(at + 1) == Some(&b'\n'),
            _ => return false,
        }
    }
}

/// The items of a comma-separated header value, without the white space around them and without empty ones.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}
