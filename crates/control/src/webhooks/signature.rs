//! `X-LoadWeaver-Signature`.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use loadweaver_config::Secret;

/// `sha256=` and the HMAC-SHA256 (RFC 2104) of the body's exact bytes under the secret's bytes, in lower-case hex.
pub(super) fn of(secret: &Secret, body: &[u8]) -> String {
    let tag = sign(&Key::new(HMAC_SHA256, secret.reveal().as_bytes()), body);
    let mut text = String::from("sha256=");
    for byte in tag.as_ref() {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_one_of_rfc_4231() {
        // Section 4.3, test case 2.
        assert_eq!(
            of(&Secret::new("Jefe"), b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
