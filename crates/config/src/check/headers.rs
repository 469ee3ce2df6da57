//! Objects of header names and values.

use crate::bounds;
use crate::issue::{Fault, Report, shown};
use crate::spot::Spot;
use crate::syntax;

/// What the headers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request must have them.
    Match,
    /// They are sent. What is sent may be secret, so a message never shows the value.
    Send,
    /// An answer must have them.
    Expect,
}

/// Those that say how a message is read (RFC 9112, 6; RFC 9110, 7.6.1): they are ours to write.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names in lower case, each once, in written order.
pub(super) fn read(spot: &Spot<'_>, purpose: Purpose, report: &mut Report) -> Option<Vec<(String, String)>> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let entries = spot.entries(report, "an object of header names and values")?;
    if entries.len() > bounds::HEADER_FIELDS {
        let problem =
            format!("{} headers are more than the {} that may be", entries.len(), bounds::HEADER_FIELDS);
        let help = match purpose {
            Purpose::Match => "name only those that tell requests apart",
            Purpose::Send => "name only those that are looked at",
            Purpose::Expect => "name only those that tell a good answer",
        };
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    for (name, entry) in entries {
        let name = entry.settle(report, syntax::header_name(name));
        let value = value(&entry, purpose, report);
        let (Some(name), Some(value)) = (name, value) else { continue };
        if let Some(fault) = misplaced(&name, purpose) {
            entry.refuse(report, fault);
        } else if headers.iter().any(|(other, _)| *other == name) {
            let problem =
                format!("the header {} stands here twice: case does not tell names apart", shown(&name));
            entry.refuse(report, Fault::new(problem, "keep one of the two"));
        } else {
            headers.push((name, value.to_owned()));
        }
    }
    Some(headers)
}

fn value<'a>(spot: &Spot<'a>, purpose: Purpose, report: &mut Report) -> Option<&'a str> {
    if purpose != Purpose::Send {
        let text = spot.text(report, "the header's value")?;
        return spot.settle(report, syntax::header_value(text, "header value"));
    }
    let text = spot.hidden_text(report, "the header's value")?;
    let checked = syntax::header_value(text, "header value");
    spot.settle(
        report,
        checked.map_err(|_| {
            let help = format!(
                "write at most {} visible ASCII characters and spaces, with no space at either end",
                syntax::MAX_HEADER_VALUE
            );
            Fault::new("the header's value cannot be sent", help)
        }),
    )
}

fn misplaced(name: &str, purpose: Purpose) -> Option<Fault> {
    match purpose {
        Purpose::Match if name == "host" => Some(Fault::new(
            "the Host header is not matched as text",
            "write the host in \"hosts\": [ … ], which knows about case and ports",
        )),
        Purpose::Send if name == "host" => Some(Fault::new(
            "the Host header is not sent from here",
            "write it as \"host\", or in the \"url\"",
        )),
        Purpose::Send if FRAMING.contains(&name) => {
            let problem = format!("the header {name} says how a message is read, and is written for you");
            Some(Fault::new(problem, "take it out"))
        }
        _ => None,
    }
}
