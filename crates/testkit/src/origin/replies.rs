//! Whole answers as bytes.

/// An HTTP/1.1 answer with a Content-Length.
pub fn reply(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    reply_with(status, &[], body)
}

/// The same with further header lines.
pub fn reply_with(status: u16, lines: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
