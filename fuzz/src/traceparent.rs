//! What clients say of their trace: the value of a `traceparent`.
//!
//! It is taken for what the specification's grammar makes of it and for nothing else, and what servers are told is in
//! that grammar, with the flags that are known and no others.

use loadweaver_telemetry::span::Parent;

/// What a second reader makes of it: the trace, the span, the flags.
type Told<'v> = (&'v [u8], &'v [u8], u8);

/// Two readers agree, and what is written is read again.
pub fn holds(value: &[u8]) {
    let read = Parent::read(value);
    let Some((trace, span, flags)) = strictly(value) else {
        assert_eq!(read, None, "taken for a traceparent");
        return;
    };
    let read = read.expect("a traceparent was refused");
    assert_eq!(digits(read.trace.bytes()), trace, "another trace");
    assert_eq!(read.span.digits(), span, "another span");
    assert_eq!((read.is_sampled, read.is_random), (flags & 1 == 1, flags & 2 == 2), "other flags");
    let written = read.write();
    assert_eq!(strictly(&written), Some((trace, span, flags & 3)), "servers are told something else");
    assert_eq!(written[..3], *b"00-", "a version that is not known here was passed on");
    assert_eq!(Parent::read(&written), Some(read), "what was written is not read");
}

/// W3C Trace Context, section 3.2.2, and 4.2 for versions to come: fields between dashes.
fn strictly(value: &[u8]) -> Option<Told<'_>> {
    let mut fields = value.splitn(5, |byte| *byte == b'-');
    let mut field = |len: usize| {
        let field = fields.next().filter(|field| field.len() == len)?;
        field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(field)
    };
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let is_whole = version != b"00" || fields.next().is_none();
    let is_good = version != b"ff" && trace != [b'0'; 32] && span != [b'0'; 16];
    let flags = u8::from_str_radix(str::from_utf8(flags).ok()?, 16).ok()?;
    (is_whole && is_good).then_some((trace, span, flags))
}

fn digits(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}
