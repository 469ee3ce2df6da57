//! Texts that must not be seen.

use std::fmt;

/// A text that is shown nowhere: not in logs, not in answers of the admin listener, not by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it. To compare it with what somebody sent takes a comparison
    /// in constant time, which `==` is not.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn is_not_shown() {
        let shown = format!("{:?}", Some(Secret::new("correct horse battery staple")));
        assert_eq!(shown, "Some(Secret(…))");
    }

    #[test]
    fn what_sends_secrets_does_not_show_them() {
        let config = serde_json::json!({
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "pools": {"app": {"servers": [{"host": "a", "port": 1, "recovery":
                    {"action": "command", "command": ["/bin/true", "hush"], "env": {"KEY": "hush"}}}],
                "recovery": {"action": "http", "url": "https://o/hush", "body": "hush", "headers": {"a": "hush"}}}},
            "webhooks": [{"url": "https://h/hush", "headers": {"authorization": "hush"}, "secret": "hush-hush-hush-hush"}],
            "tracing": {"endpoint": "https://t/hush", "headers": {"api-key": "hush"}},
        });
        let config = crate::parse(config.to_string().as_bytes(), &|_| None).unwrap().config;
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("hush") && shown.contains("https://h") && shown.contains("https://t"),
            "{shown}"
        );
    }
}
