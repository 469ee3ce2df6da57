//! One comparison: which fields take which signs and values.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::bounds;
use crate::issue::{Fault, shown};
use crate::model::access_log::{KnownField, LogField};
use crate::model::log_filter::{DURATIONS, IsOrNot, LogTest, Order};
use crate::{log_field, quantity, suggest, syntax};

use super::token::{Token, Tokens};

/// Reads what follows the name of a field.
pub(super) fn read(tokens: &mut Tokens<'_>, at: usize, name: &str) -> Result<LogTest, Fault> {
    let field = field(name).map_err(|fault| tokens.fault(at, &fault.problem, &fault.help))?;
    let (sign_at, sign) = tokens.next()?;
    let order = match sign {
        Token::Like => None,
        Token::Order(order) => Some(order),
        other => {
            let problem = format!("{other} does not follow the field {}", shown(name));
            return Err(tokens.fault(
                sign_at,
                &problem,
                "compare it by ==, !=, >, >=, <, <= or ~, as in status >= 500",
            ));
        }
    };
    let (value_at, value) = tokens.next()?;
    let value = match value {
        Token::Word(word) => word.to_owned(),
        Token::Quoted(text) => text,
        other => {
            let problem = format!("{other} stands where a value belongs");
            return Err(tokens.fault(value_at, &problem, "write a number, a word, or a text in quotes"));
        }
    };
    let Some(order) = order else {
        return like(field, name, value).map_err(|fault| tokens.fault(sign_at, &fault.problem, &fault.help));
    };
    test(field, name, order, value).map_err(|fault| tokens.fault(value_at, &fault.problem, &fault.help))
}

fn field(name: &str) -> Result<LogField, Fault> {
    let duration = DURATIONS.iter().find(|(word, _)| *word == name);
    let field = match duration {
        Some((_, field)) => LogField::Known(*field),
        None => log_field::read(name).map_err(|fault| {
            let near = suggest::nearest(name, DURATIONS.map(|(word, _)| word));
            match near {
                Some(near) if !fault.help.starts_with("did you mean") => {
                    Fault::new(fault.problem, format!("did you mean \"{near}\"?"))
                }
                _ => fault,
            }
        })?,
    };
    if field == LogField::Known(KnownField::Time) {
        let help = "leave it out; how long an exchange took is \"duration\"";
        return Err(Fault::new("the time of day cannot be compared", help));
    }
    Ok(field)
}

/// What kind of value a field has.
enum Kind {
    Number { size: bool },
    Time { bare_is_millis: bool },
    Address,
    Flag,
    Text,
}

fn kind(field: &LogField, name: &str) -> Kind {
    let LogField::Known(field) = field else { return Kind::Text };
    match field {
        KnownField::Status | KnownField::Attempts => Kind::Number { size: false },
        KnownField::BytesIn | KnownField::BytesOut => Kind::Number { size: true },
        KnownField::Connect | KnownField::FirstByte | KnownField::Total => {
            Kind::Time { bare_is_millis: field.name() == name }
        }
        KnownField::Client | KnownField::ClientIp => Kind::Address,
        KnownField::Upgraded => Kind::Flag,
        KnownField::Time
        | KnownField::RequestId
        | KnownField::Method
        | KnownField::Target
        | KnownField::Path
        | KnownField::Query
        | KnownField::Version
        | KnownField::Host
        | KnownField::UserAgent
        | KnownField::Referer
        | KnownField::Listener
        | KnownField::Route
        | KnownField::Pool
        | KnownField::Server
        | KnownField::Failure => Kind::Text,
    }
}

fn like(field: LogField, name: &str, regex: String) -> Result<LogTest, Fault> {
    if !matches!(kind(&field, name), Kind::Text) {
        let problem = format!("\"~\" looks into texts, and {} is none", shown(name));
        return Err(Fault::new(problem, "compare it by == or !="));
    }
    syntax::regex(&regex)?;
    Ok(LogTest::Like(field, regex))
}

fn test(field: LogField, name: &str, order: Order, value: String) -> Result<LogTest, Fault> {
    match (kind(&field, name), field) {
        (Kind::Number { size }, LogField::Known(field)) => {
            number(&value, size).map(|value| LogTest::Number(field, order, value))
        }
        (Kind::Time { bare_is_millis }, LogField::Known(field)) => {
            time(&value, bare_is_millis).map(|value| LogTest::Time(field, order, value))
        }
        (Kind::Address, LogField::Known(field)) => {
            let is = is_or_not(name, order)?;
            network(&value).map(|value| LogTest::Address(field, is, value))
        }
        (Kind::Flag, _) if !matches!(&*value, "true" | "false") => {
            Err(Fault::new(format!("{} is neither true nor false", shown(&value)), "write true or false"))
        }
        (_, field) => Ok(LogTest::Text(field, is_or_not(name, order)?, value)),
    }
}

fn is_or_not(name: &str, order: Order) -> Result<IsOrNot, Fault> {
    match order {
        Order::Equal => Ok(IsOrNot::Is),
        Order::NotEqual => Ok(IsOrNot::IsNot),
        _ => {
            let problem = format!("{} is not more or less than anything", shown(name));
            Err(Fault::new(problem, "compare it by == or !="))
        }
    }
}

fn number(text: &str, size: bool) -> Result<u64, Fault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ if size => quantity::parse_size(text),
        _ => Err(Fault::new(format!("{} is not a whole number", shown(text)), "write one, such as 500")),
    }
}

fn time(text: &str, bare_is_millis: bool) -> Result<Duration, Fault> {
    let found = match text.parse::<f64>() {
        Ok(number) if bare_is_millis => quantity::duration_from_seconds(number / 1000.0),
        Ok(number) => quantity::duration_from_seconds(number),
        Err(_) => quantity::parse_duration(text),
    }?;
    if found > bounds::OPTIONAL.max {
        return Err(Fault::new("the duration is absurdly long", "write at most 365d"));
    }
    Ok(found)
}

fn network(text: &str) -> Result<IpNet, Fault> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        let problem = format!("{} is neither an address nor a network", shown(text));
        Fault::new(problem, "write one, such as 10.0.0.5 or 10.0.0.0/8")
    })
}
