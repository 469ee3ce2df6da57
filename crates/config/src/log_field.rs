//! The names of what a line of the access log can hold.

use crate::issue::{Fault, shown};
use crate::model::access_log::{KnownField, LogField};
use crate::{suggest, syntax};

/// What people write, coming from other programs and from the sections of the file.
const ALSO: [(&str, &str); 20] = [
    ("timestamp", "time"),
    ("ts", "time"),
    ("id", "requestId"),
    ("ip", "clientIp"),
    ("remoteAddr", "client"),
    ("remote", "client"),
    ("uri", "target"),
    ("url", "target"),
    ("protocol", "version"),
    ("proto", "version"),
    ("code", "status"),
    ("bytes", "bytesOut"),
    ("size", "bytesOut"),
    ("agent", "userAgent"),
    ("referrer", "referer"),
    ("backend", "pool"),
    ("upstream", "server"),
    ("duration", "totalMs"),
    ("latency", "totalMs"),
    ("error", "failure"),
];

/// Reads one: a name, or `requestHeader:` and the name of a header.
pub(crate) fn read(text: &str) -> Result<LogField, Fault> {
    if let Some(field) = KnownField::ALL.into_iter().find(|field| field.name() == text) {
        return Ok(LogField::Known(field));
    }
    if let Some(name) = text.strip_prefix(LogField::REQUEST_HEADER) {
        return syntax::header_name(name).map(|name| LogField::RequestHeader(name.into()));
    }
    if let Some(name) = text.strip_prefix(LogField::RESPONSE_HEADER) {
        return syntax::header_name(name).map(|name| LogField::ResponseHeader(name.into()));
    }
    let problem = format!("there is no field {}", shown(text));
    let names = || KnownField::ALL.map(KnownField::name).into_iter();
    let also = ALSO.iter().find(|(word, _)| suggest::same(word, text)).map(|(_, meant)| *meant);
    if let Some(near) = also.or_else(|| suggest::nearest(text, names())) {
        return Err(Fault::new(problem, format!("did you mean \"{near}\"?")));
    }
    if let Some((_, header)) = text.split_once(':') {
        let help = format!("write {}", shown(&format!("{}{header}", LogField::REQUEST_HEADER)));
        return Err(Fault::new(problem, help));
    }
    let names = names().collect::<Vec<_>>().join(", ");
    Err(Fault::new(problem, format!("there are {names}, requestHeader:NAME and responseHeader:NAME")))
}
