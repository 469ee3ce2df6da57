//! Which exchanges are written: the filter, then the sample. Nothing here allocates or waits for another worker.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use loadweaver_config::{
    AccessLog, IsOrNot, KnownField, LogField, LogFilter, LogSample, LogTest, MAX_REGEX_SIZE, Order,
};
use loadweaver_policy::failure::Blame;
use regex::bytes::{Regex, RegexBuilder};

use crate::record::Record;

use super::shown_status;
use super::value::Source;

/// The choice of one worker: the next number is its own, and so are the caches of its regular expressions.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    filter: Option<Rule>,
    sample: Option<Sample>,
}

impl Choice {
    /// The error can be a regular expression that does not compile, and only where the settings were never checked.
    pub(super) fn new(settings: &AccessLog) -> io::Result<Self> {
        let headers = settings.headers();
        let filter = settings.filter.as_ref().map(|filter| Rule::new(filter, &headers)).transpose()?;
        Ok(Self { filter, sample: Sample::new(settings.sample) })
    }

    /// The same for another worker, whose numbers are others.
    pub(super) fn for_worker(&self) -> Self {
        let mut choice = self.clone();
        if let Some(sample) = &mut choice.sample {
            sample.state = seed();
        }
        choice
    }

    pub(super) fn takes(&mut self, record: &Record<'_>) -> bool {
        self.filter.as_ref().is_none_or(|rule| rule.holds(record))
            && self.sample.as_mut().is_none_or(|sample| sample.takes(record))
    }
}

/// A number that differs from worker to worker and from start to start.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

#[derive(Debug, Clone)]
struct Sample {
    /// What the next number must be below.
    limit: u64,
    failures: bool,
    state: u64,
}

impl Sample {
    /// None where everything is written.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to below 2^64")]
    fn new(settings: LogSample) -> Option<Self> {
        const ALL: f64 = 18_446_744_073_709_551_616.0;
        let limit = (settings.ratio < 1.0).then_some((settings.ratio * ALL) as u64)?;
        Some(Self { limit, failures: settings.failures, state: seed() })
    }

    /// Draws by SplitMix64 (Steele, Lea and Flood, 2014). Not by the request's id: clients choose that, and could
    /// choose never to be seen.
    fn takes(&mut self, record: &Record<'_>) -> bool {
        if self.failures && has_failed(record) {
            return true;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.state;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ number >> 31) < self.limit
    }
}

/// What clients do wrong is none: whoever knocks at a thousand doors must not fill the log.
fn has_failed(record: &Record<'_>) -> bool {
    record.status >= 500 || record.failure.is_some_and(|failure| failure.blame() != Blame::Client)
}

/// A filter made ready.
#[derive(Debug, Clone)]
enum Rule {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Number(KnownField, Order, u64),
    Time(KnownField, Order, std::time::Duration),
    Address(KnownField, bool, IpNet),
    Text(Source, bool, Box<[u8]>),
    Host(bool, Box<[u8]>),
    Like(Source, Regex),
}

type Headers = (Vec<Arc<str>>, Vec<Arc<str>>);

impl Rule {
    fn new(filter: &LogFilter, headers: &Headers) -> io::Result<Self> {
        let all = |parts: &[LogFilter]| {
            parts.iter().map(|part| Self::new(part, headers)).collect::<io::Result<Vec<_>>>()
        };
        Ok(match filter {
            LogFilter::Any(parts) => Self::Any(all(parts)?),
            LogFilter::All(parts) => Self::All(all(parts)?),
            LogFilter::Not(part) => Self::Not(Box::new(Self::new(part, headers)?)),
            LogFilter::Test(test) => Self::test(test, headers)?,
        })
    }

    fn test(test: &LogTest, headers: &Headers) -> io::Result<Self> {
        let is = |is: &IsOrNot| *is == IsOrNot::Is;
        Ok(match test {
            LogTest::Number(field, order, value) => Self::Number(*field, *order, *value),
            LogTest::Time(field, order, value) => Self::Time(*field, *order, *value),
            LogTest::Address(field, equal, network) => Self::Address(*field, is(equal), *network),
            LogTest::Text(LogField::Known(KnownField::Host), equal, value) => {
                Self::Host(is(equal), value.as_bytes().into())
            }
            LogTest::Text(field, equal, value) => {
                Self::Text(Source::of(field, headers), is(equal), value.as_bytes().into())
            }
            LogTest::Like(field, regex) => {
                let regex = RegexBuilder::new(regex).size_limit(MAX_REGEX_SIZE).build();
                Self::Like(Source::of(field, headers), regex.map_err(io::Error::other)?)
            }
        })
    }

    fn holds(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.holds(record)),
            Self::All(parts) => parts.iter().all(|part| part.holds(record)),
            Self::Not(part) => !part.holds(record),
            Self::Number(field, order, value) => order.holds(&number(*field, record), value),
            Self::Time(field, order, value) => match time(*field, record) {
                Some(time) => order.holds(&time, value),
                None => *order == Order::NotEqual,
            },
            Self::Address(field, is, network) => {
                address(*field, record).is_some_and(|address| network.contains(&address)) == *is
            }
            Self::Text(source, is, value) => (source.text(record) == &**value) == *is,
            Self::Host(is, value) => record.host.as_bytes().eq_ignore_ascii_case(value) == *is,
            Self::Like(source, regex) => regex.is_match(source.text(record)),
        }
    }
}

fn number(field: KnownField, record: &Record<'_>) -> u64 {
    match field {
        KnownField::BytesIn => record.bytes_in,
        KnownField::BytesOut => record.bytes_out,
        KnownField::Attempts => u64::from(record.attempts),
        // No other field is compared as a number.
        _ => u64::from(shown_status(record)),
    }
}

fn time(field: KnownField, record: &Record<'_>) -> Option<std::time::Duration> {
    match field {
        KnownField::Connect => record.connect,
        KnownField::FirstByte => record.first_byte,
        _ => Some(record.total),
    }
}

fn address(field: KnownField, record: &Record<'_>) -> Option<IpAddr> {
    let address = match field {
        KnownField::Client => record.client.map(|client| client.ip()),
        _ => record.client_ip,
    };
    address.map(|address| address.to_canonical())
}
