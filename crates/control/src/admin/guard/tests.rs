#![allow(clippy::unwrap_used)]
use std::net::SocketAddr;

use loadweaver_config::{Secret, Token};

use super::*;

fn admin(tokens: &[(&str, Role)]) -> Admin {
    let mut admin = Admin::new(SocketAddr::from(([127, 0, 0, 1], 9090)));
    let token = |(index, (token, role)): (usize, &(&str, Role))| Token {
        name: format!("token-{}", index + 1).into(),
        token: Secret::new(*token),
        role: *role,
    };
    admin.tokens = tokens.iter().enumerate().map(token).collect();
    admin
}

fn sent(values: &[&'static str]) -> HeaderMap {
    values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect()
}

#[test]
fn a_token_is_known_by_all_of_it() {
    let admin = admin(&[("0123456789abcdef", Role::Write), ("0123456789abcdeg", Role::Read)]);
    let role = |token: &str| role_of(&admin, &hash(token)).map(|(name, role)| (name.to_string(), role));
    assert_eq!(role("0123456789abcdef"), Some(("token-1".to_owned(), Role::Write)));
    assert_eq!(role("0123456789abcdeg"), Some(("token-2".to_owned(), Role::Read)));
    for wrong in ["", "0123456789abcde", "0123456789abcdeff", "0123456789ABCDEF"] {
        assert_eq!(role(wrong), None, "{wrong}");
    }
}

#[test]
fn a_token_is_sent_once_and_as_bearer() {
    assert_eq!(proof(&sent(&["Bearer abc"])), Some(hash("abc")));
    assert_eq!(proof(&sent(&["bearer  abc"])), Some(hash("abc")));
    for wrong in [&["Basic abc"][..], &["abc"], &[], &["Bearer abc", "Bearer abc"]] {
        assert_eq!(proof(&sent(wrong)), None, "{wrong:?}");
    }
}
