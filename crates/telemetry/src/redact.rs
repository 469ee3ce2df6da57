//! What stands in a request's target and is nobody's business: values of parameters that are called like credentials.

use std::borrow::Cow;
use std::sync::LazyLock;

pub use parameters::Redaction;

mod parameters;

/// What stands for a secret.
pub const MASK: &str = "***";

/// Parts of names of parameters, header fields and variables that hold credentials.
pub const CREDENTIALS: [&str; 10] =
    ["auth", "cookie", "token", "secret", "password", "passwd", "key", "credential", "signature", "session"];

/// Whole names of parameters that hold credentials, too short to be looked for in others. `code` is OAuth's.
const SHORT: [&str; 5] = ["code", "sig", "pwd", "pass", "sid"];

/// The target with `***` for the values of such parameters, and for all that [`Redaction::default`] hides: where nobody
/// wrote down what to hide, more is hidden. Names may be written with percent signs.
pub fn target(target: &str) -> Cow<'_, str> {
    static USUAL: LazyLock<Redaction> = LazyLock::new(Redaction::default);
    match USUAL.url(target) {
        Cow::Borrowed(target) => by_parts(target),
        Cow::Owned(target) => Cow::Owned(by_parts(&target).into_owned()),
    }
}

fn by_parts(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return target.into() };
    if !query.split(['&', ';']).any(is_secret) {
        return target.into();
    }
    let mut shown = format!("{path}?");
    for pair in query.split_inclusive(['&', ';']) {
        let (own, end) = match pair.strip_suffix(['&', ';']) {
            Some(own) => (own, pair.get(own.len()..).unwrap_or_default()),
            None => (pair, ""),
        };
        match own.split_once('=').filter(|_| is_secret(own)) {
            Some((name, _)) => shown.extend([name, "=", MASK]),
            None => shown.push_str(own),
        }
        shown.push_str(end);
    }
    shown.into()
}

fn is_secret(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let name = decoded(name).to_ascii_lowercase();
    SHORT.contains(&&*name) || CREDENTIALS.iter().any(|part| name.contains(part))
}

/// Without percent signs, as far as that is text.
fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return name.into();
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(decoded) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(decoded);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_parameters_that_are_called_like_credentials_are_not_shown() {
        for (sent, shown) in [
            ("/a", "/a"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?token=x", "/a?token=***"),
            ("/a?b=c&access_token=x=y;d=e", "/a?b=c&access_token=***"),
            ("/a?b=c&my_token=x=y;d=e", "/a?b=c&my_token=***;d=e"),
            ("/a?next=%2Fb%3Fcode%3Dx", "/a?next=%2Fb%3Fcode%3D***"),
            ("/a?API-Key=x&API-Key=z", "/a?API-Key=***&API-Key=***"),
            ("/a?to%6Ben=x", "/a?to%6Ben=***"),
            ("/a?code=x&postcode=1", "/a?code=***&postcode=1"),
            ("/a?token", "/a?token"),
            ("/a?%=x&%zz=y&token=", "/a?%=x&%zz=y&token=***"),
            ("*", "*"),
            ("/token=x?", "/token=x?"),
        ] {
            assert_eq!(target(sent), shown, "{sent}");
        }
    }
}
