//! Which exchanges the access log is about: `status >= 500 or duration > 1s`, read and checked.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use super::access_log::{KnownField, LogField};

/// An expression over the fields of an exchange.
#[derive(Debug, Clone, PartialEq)]
pub enum LogFilter {
    /// One of them holds; at least two.
    Any(Vec<Self>),
    /// All of them hold; at least two.
    All(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A comparison.
    Test(LogTest),
}

/// One comparison. What an exchange has not is an empty text, and fails every comparison of a number, a duration or an
/// address but `!=`.
#[derive(Debug, Clone, PartialEq)]
pub enum LogTest {
    /// Of a number or a size.
    Number(KnownField, Order, u64),
    /// Of a duration.
    Time(KnownField, Order, Duration),
    /// Of an address: within the network, or not (`!=`).
    Address(KnownField, IsOrNot, IpNet),
    /// Of a text: the same, or not.
    Text(LogField, IsOrNot, String),
    /// A regular expression that is found in the text.
    Like(LogField, String),
}

/// How two numbers stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Order {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    /// Every one, the longer before those that they begin with.
    pub const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::GreaterOrEqual, Self::Greater, Self::LessOrEqual, Self::Less];

    /// The sign that is written.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    /// Whether it holds.
    pub fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
        }
    }
}

/// The two comparisons of what has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsOrNot {
    /// `==`
    Is,
    /// `!=`
    IsNot,
}

impl IsOrNot {
    const fn sign(self) -> &'static str {
        match self {
            Self::Is => "==",
            Self::IsNot => "!=",
        }
    }
}

/// The names that durations have in a filter beside those of their fields: a filter gives the unit itself.
pub(crate) const DURATIONS: [(&str, KnownField); 3] =
    [("connect", KnownField::Connect), ("firstByte", KnownField::FirstByte), ("duration", KnownField::Total)];

impl fmt::Display for LogFilter {
    /// What reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(parts) => joined(f, parts, " or "),
            Self::All(parts) => joined(f, parts, " and "),
            Self::Not(part) => {
                f.write_str("not ")?;
                part.in_its_place(f)
            }
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl LogFilter {
    fn in_its_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(_) | Self::All(_) => write!(f, "({self})"),
            Self::Not(_) | Self::Test(_) => write!(f, "{self}"),
        }
    }

    /// The fields that it looks at.
    pub fn fields(&self) -> Vec<&LogField> {
        match self {
            Self::Any(parts) | Self::All(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Not(part) => part.fields(),
            Self::Test(LogTest::Text(field, ..) | LogTest::Like(field, _)) => vec![field],
            Self::Test(_) => Vec::new(),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[LogFilter], word: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { word })?;
        part.in_its_place(f)?;
    }
    Ok(())
}

impl fmt::Display for LogTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(field, order, value) => write!(f, "{} {} {value}", field.name(), order.sign()),
            Self::Time(field, order, value) => {
                let name = DURATIONS.iter().find(|(_, known)| known == field).map(|(name, _)| *name);
                let name = name.unwrap_or_else(|| field.name());
                write!(f, "{name} {} {}", order.sign(), Exact(*value))
            }
            Self::Address(field, is, network) => write!(f, "{} {} {network}", field.name(), is.sign()),
            Self::Text(field, is, value) => write!(f, "{field} {} {}", is.sign(), Quoted(value)),
            Self::Like(field, regex) => write!(f, "{field} ~ {}", Quoted(regex)),
        }
    }
}

/// A text in quotes; within them a backslash stands before a quote and before a backslash.
struct Quoted<'t>(&'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        f.write_str("\"")
    }
}

/// A duration to the nanosecond, in milliseconds.
struct Exact(Duration);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos() % 1_000_000;
        if nanos == 0 {
            return f.write_str(&crate::quantity::format_duration(self.0));
        }
        let text = format!("{}.{nanos:06}", self.0.as_millis());
        write!(f, "{}ms", text.trim_end_matches('0'))
    }
}
