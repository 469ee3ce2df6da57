//! The small languages inside texts: names, tokens, header values, paths. Addresses have their own file.
//!
//! Each function answers with the value as it is kept, or says what is wrong and what to write.

use regex::RegexBuilder;

use crate::issue::{Fault, shown};
use crate::{MAX_REGEX_SIZE, bounds};

/// Longest name of a listener, route or pool: names are metric labels and log fields.
pub(crate) const MAX_NAME: usize = 64;

/// Longest server id: the longest `host:port` fits.
pub(crate) const MAX_SERVER_ID: usize = 264;

/// Longest path in a route or probe.
pub(crate) const MAX_PATH: usize = 2_048;

/// Longest header value that is written in the file.
pub(crate) const MAX_HEADER_VALUE: usize = 4_096;

/// The name of a listener, route or pool.
pub(crate) fn name(text: &str) -> Result<&str, Fault> {
    word(text, MAX_NAME, "name", "._-")
}

/// The id of a server: `host:port` must be one, and `unix:/path`.
pub(crate) fn server_id(text: &str) -> Result<&str, Fault> {
    word(text, MAX_SERVER_ID, "server id", "._-:[]@/")
}

fn word<'t>(text: &'t str, max: usize, what: &str, also: &str) -> Result<&'t str, Fault> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(c);
    if text.is_empty() {
        return Err(Fault::new(format!("the {what} is empty"), format!("give it a {what}, such as \"app\"")));
    }
    if text.len() > max {
        let problem = format!("the {what} {} is longer than {max} bytes", shown(text));
        return Err(Fault::new(problem, "choose a shorter one"));
    }
    let Some(wrong) = text.chars().find(|c| !allowed(*c)) else { return Ok(text) };
    let better: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    Err(Fault::new(
        format!("the {what} {} holds {wrong:?}", shown(text)),
        format!("use letters, digits and the signs {also} only, such as {}", shown(&better)),
    ))
}

/// A token (RFC 9110, 5.6.2): what methods and header names are.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Methods that are defined (RFC 9110, 9.3; RFC 5789), for suggestions only: any token may be a method.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Longest method; the same as what servers take.
const MAX_METHOD: usize = 32;

pub(crate) fn method(text: &str) -> Result<String, Fault> {
    let upper = text.to_ascii_uppercase();
    if upper != text && METHODS.contains(&upper.as_str()) {
        let problem = format!("{} is not a method: the case of methods counts", shown(text));
        return Err(Fault::new(problem, format!("did you mean \"{upper}\"?")));
    }
    if !is_token(text) || text.len() > MAX_METHOD {
        let problem = format!("{} is not a method", shown(text));
        return Err(Fault::new(
            problem,
            "write one method per entry, such as \"GET\"; leave the list out for all",
        ));
    }
    Ok(text.to_owned())
}

/// A header name, kept in lower case.
pub(crate) fn header_name(text: &str) -> Result<String, Fault> {
    if !is_token(text) || text.len() > 256 {
        let problem = format!("{} is not a header name", shown(text));
        return Err(Fault::new(
            problem,
            "write a name such as \"x-beta\": letters, digits and \"-\", no colon",
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A header value (RFC 9110, 5.5) of visible ASCII and inner spaces.
pub(crate) fn header_value<'t>(text: &'t str, what: &str) -> Result<&'t str, Fault> {
    if text.len() > MAX_HEADER_VALUE {
        let problem = format!("the {what} is longer than {MAX_HEADER_VALUE} bytes");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.trim_matches([' ', '\t']) != text {
        let problem = format!("the {what} {} begins or ends with a space", shown(text));
        return Err(Fault::new(problem, "take it out: such spaces are not part of a header value"));
    }
    if let Some(wrong) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        let problem = format!("the {what} {} holds {wrong:?}", shown(text));
        return Err(Fault::new(problem, "use visible ASCII characters and spaces only"));
    }
    Ok(text)
}

/// The path of a route or probe; `query` says whether a "?" may follow.
pub(crate) fn path(text: &str, query: bool) -> Result<&str, Fault> {
    if !text.starts_with('/') {
        let problem = format!("the path {} does not begin with \"/\"", shown(text));
        let help = if text.contains("://") {
            "write the path alone, such as \"/v1/\"; hosts go in \"hosts\"".to_owned()
        } else {
            format!("write {}", shown(&format!("/{text}")))
        };
        return Err(Fault::new(problem, help));
    }
    if text.len() > MAX_PATH {
        let problem = format!("the path is longer than {MAX_PATH} bytes");
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.contains('#') || !query && text.contains('?') {
        let problem = format!("the path {} holds a query or a fragment", shown(text));
        return Err(Fault::new(problem, "write the path alone: nothing after \"?\" or \"#\" is looked at"));
    }
    if let Some(wrong) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let problem = format!("the path {} holds {wrong:?}", shown(text));
        let help = if wrong.is_control() {
            "take it out".to_owned()
        } else {
            format!("write it percent-encoded: \"{}\"", percent_encoded(wrong))
        };
        return Err(Fault::new(problem, help));
    }
    let bare = text.split('?').next().unwrap_or_default();
    if bare.split('/').any(|segment| segment == "." || segment == "..") {
        let problem = format!("the path {} holds a \".\" or \"..\" segment", shown(text));
        return Err(Fault::new(problem, "write the path that it comes to"));
    }
    broken_escape(text).map_or(Ok(text), |escape| {
        let problem = format!("the path {} holds the broken escape {}", shown(text), shown(escape));
        Err(Fault::new(problem, "write two hexadecimal digits after \"%\", or \"%25\" for the sign itself"))
    })
}

fn percent_encoded(character: char) -> String {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).bytes();
    bytes.fold(String::new(), |out, byte| format!("{out}%{byte:02X}"))
}

fn broken_escape(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(at, _)| {
        let escape = text.get(at..at + 3);
        let good = escape.is_some_and(|e| e.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()));
        (!good).then(|| escape.or(text.get(at..)).unwrap_or("%"))
    })
}

/// A regular expression that a path or a body is held against.
pub(crate) fn regex(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new(
            "the regular expression is empty, so it takes everything",
            "leave the key out",
        ));
    }
    if text.len() > bounds::REGEX_TEXT {
        let problem = format!("the regular expression is longer than {} bytes", bounds::REGEX_TEXT);
        return Err(Fault::new(problem, "write a shorter one"));
    }
    if text.contains(char::is_control) {
        let problem = format!("the regular expression {} holds a control character", shown(text));
        return Err(Fault::new(problem, "take it out, or write an escape such as \\n with two backslashes"));
    }
    let built = RegexBuilder::new(text).size_limit(MAX_REGEX_SIZE).build();
    built.map(|_| ()).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Fault::new(
            format!("the regular expression {} needs more than 1 MiB when compiled", shown(text)),
            "make its repetitions smaller, or write [a-z0-9] for \\w and [0-9] for \\d, which know all of Unicode",
        ),
        other => {
            // The last line names the reason; those before draw the place with carets.
            let drawn = other.to_string();
            let reason = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let problem = format!("the regular expression {} does not compile: {reason}", shown(text));
            Fault::new(problem, "correct it; in JSON each backslash is written twice, and look-around does not exist")
        }
    })
}
