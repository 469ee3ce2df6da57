//! Values that are texts with a form of their own, or numbers.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::bounds;
use crate::model::event::EVENT_NAMES;
use crate::model::probe::StatusRange;
use crate::quantity;

/// Where a number stands, a text with a variable may stand too: what it holds is not known beforehand.
pub(super) const VARIABLE: &str = r"\$\{";

/// One address, or a list of them.
#[derive(Serialize)]
pub(super) struct Addresses(Vec<String>);

impl JsonSchema for Addresses {
    fn schema_name() -> Cow<'static, str> {
        "Addresses".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": bounds::BINDS },
        ] })
    }
}

/// Adds "or a text with a variable" to the schema of a number or a flag.
pub(super) fn or_variable(schema: &mut Schema) {
    let kept = ["description", "default"].map(|key| (key, schema.remove(key)));
    schema.remove("format");
    let plain = std::mem::take(schema);
    *schema = json_schema!({ "anyOf": [plain, { "type": "string", "pattern": VARIABLE }] });
    for (key, value) in kept {
        if let Some(value) = value {
            schema.insert(key.to_owned(), value);
        }
    }
}

/// A duration as it is written.
pub(super) struct Span(pub(super) Duration);

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&quantity::format_duration(self.0))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration: a text with units (ms, s, m, h, d; the largest first), or a number of seconds.",
            "anyOf": [
                { "type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$" },
                { "type": "string", "pattern": VARIABLE },
                { "type": "number", "minimum": 0 }
            ],
            "examples": ["250ms", "5s", "1m30s", 10]
        })
    }
}

/// A size as it is written.
pub(super) struct Size(pub(super) u64);

impl Size {
    /// Sizes of the model fit: their limits are far below.
    pub(super) fn new(size: usize) -> Self {
        Self(size as u64)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_u64(0),
            size => serializer.serialize_str(&quantity::format_size(size)),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: a text with a unit (B, KB, MB, GB in powers of 1000; KiB, MiB, GiB in powers of 1024), or a number of bytes.",
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+(B|KB|MB|GB|KiB|MiB|GiB)$" },
                { "type": "string", "pattern": VARIABLE },
                { "type": "integer", "minimum": 0 }
            ],
            "examples": ["64KiB", "1MiB", 4096]
        })
    }
}

/// One status or a range of them.
pub(super) struct Statuses(pub(super) StatusRange);

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "StatusRange".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One status or a range of statuses, both ends included.",
            "anyOf": [
                { "type": "string", "pattern": "^[2-5][0-9][0-9](-[2-5][0-9][0-9])?$" },
                { "type": "string", "pattern": VARIABLE },
                { "type": "integer", "minimum": 200, "maximum": 599 }
            ],
            "examples": ["200-399", "503", 503]
        })
    }
}

/// What may stand in `retry.on`.
pub(super) struct Reason(pub(super) String);

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Reason {
    fn schema_name() -> Cow<'static, str> {
        "RetryReason".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A reason to try again: a word, or a status or range of statuses from 400 to 599.",
            "anyOf": [
                { "enum": ["connect_failure", "reset", "timeout", "unavailable"] },
                { "type": "string", "pattern": "^[45][0-9][0-9](-[45][0-9][0-9])?$" },
                { "type": "string", "pattern": VARIABLE },
                { "type": "integer", "minimum": 400, "maximum": 599 }
            ]
        })
    }
}

/// Defines a type whose schema is the list of words that a closed enum of the model knows.
macro_rules! words {
    ($name:ident, $model:ty) => {
        #[derive(Default)]
        pub(super) struct $name(pub(super) $model);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.name())
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words = <$model>::ALL.map(<$model>::name);
                json_schema!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] })
            }
        }
    };
}

/// A share in percent, or `off`.
pub(super) struct Percent(pub(super) u32);

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": bounds::PERCENT.start(), "maximum": bounds::PERCENT.end() },
                { "const": "off" },
                { "type": "string", "pattern": VARIABLE }
            ]
        })
    }
}

/// A part of a whole.
pub(super) struct Fraction(pub(super) f64);

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl JsonSchema for Fraction {
    fn schema_name() -> Cow<'static, str> {
        "Fraction".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "type": "string", "pattern": VARIABLE }]
        })
    }
}

/// Which events are wanted.
pub(super) struct EventName(pub(super) String);

impl Serialize for EventName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for EventName {
    fn schema_name() -> Cow<'static, str> {
        "EventName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of an event, or * for all.",
            "anyOf": [{ "const": "*" }, { "enum": EVENT_NAMES }, { "type": "string", "pattern": VARIABLE }]
        })
    }
}

/// What a recovery does.
pub(super) struct RecoveryAction;

impl Serialize for RecoveryAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl JsonSchema for RecoveryAction {
    fn schema_name() -> Cow<'static, str> {
        "RecoveryAction".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = crate::model::recovery::RecoveryAction::NAMES;
        json_schema!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": VARIABLE }] })
    }
}

words!(Algorithm, crate::model::pool::Algorithm);
words!(Protocol, crate::model::pool::Protocol);
words!(SendProxyProtocol, crate::model::pool::SendProxyProtocol);
words!(ProbeKind, crate::model::probe::ProbeKind);
words!(ClientProtocol, crate::model::listener::ClientProtocol);
words!(ForwardedHeaders, crate::model::listener::ForwardedHeaders);
words!(LogFormat, crate::model::access_log::LogFormat);
words!(ServerState, crate::model::pool::ServerState);
words!(Role, crate::model::admin::Role);
words!(TlsVersion, crate::model::tls::TlsVersion);
words!(ClientCertificateMode, crate::model::tls::ClientCertificateMode);
words!(WebhookFormat, crate::model::event::WebhookFormat);
words!(Facility, crate::model::syslog::Facility);
words!(Severity, crate::model::syslog::Severity);
words!(TracingProtocol, crate::model::tracing::TracingProtocol);
