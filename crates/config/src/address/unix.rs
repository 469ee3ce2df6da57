//! Unix sockets: `unix:/run/app.sock`, and `unix:@app` for one in the abstract namespace of Linux, which has no file.

use crate::issue::{Fault, shown};
use crate::model::pool::UNIX;

/// Longest name (unix(7): `sun_path` has 108 bytes, of which one is a zero).
const MOST: usize = 107;

/// What a name may hold beside letters and digits. It becomes a server's id, a metric label and an argument of
/// programs, so there is nothing in it that a shell reads.
const SIGNS: &str = "._-:[]@/";

/// The name of a Unix socket with its `unix:`, if the text means one. What names the same file in more words has the
/// same name: `unix:/run/./app.sock`, `unix:/run//app.sock`.
pub(crate) fn socket(text: &str) -> Option<Result<String, Fault>> {
    match text.strip_prefix(UNIX) {
        Some(name) => Some(check(text, name).map(|()| format!("{UNIX}{}", without_detours(name)))),
        None => otherwise_written(text).map(|name| {
            let problem = format!("{} looks like a Unix socket", shown(text));
            Err(Fault::new(problem, format!("write {}", shown(&format!("{UNIX}{name}")))))
        }),
    }
}

/// Whether the text means one, rightly written or not.
pub(crate) fn is_meant(text: &str) -> bool {
    socket(text).is_some()
}

fn check(text: &str, name: &str) -> Result<(), Fault> {
    let problem = |what: &str| format!("{} {what}", shown(text));
    if name.is_empty() || name == "@" {
        let help = "write the socket's path, \"unix:/run/app.sock\", or \"unix:@app\" for one without a file";
        return Err(Fault::new(problem("names no socket"), help));
    }
    if let Some(path) = name.strip_prefix("//") {
        let help = format!("write {}", shown(&format!("{UNIX}/{}", path.trim_start_matches('/'))));
        return Err(Fault::new(problem("is a URL, not the name of a socket"), help));
    }
    let len = name.strip_prefix('@').unwrap_or(name).len();
    if len > MOST {
        let problem = format!("the name of the Unix socket has {len} bytes; the system takes {MOST}");
        return Err(Fault::new(
            problem,
            "choose a shorter path, or a relative one: it counts from where LoadWeaver was started",
        ));
    }
    if name.ends_with('/') || name == "." || name.ends_with("/.") {
        return Err(Fault::new(problem("is a directory"), "name the socket in it"));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || SIGNS.contains(c);
    match name.chars().find(|c| !allowed(*c)) {
        Some(wrong) => Err(Fault::new(
            problem(&format!("holds {wrong:?}")),
            format!("use letters, digits and the signs {SIGNS} only"),
        )),
        None => Ok(()),
    }
}

/// A path without the parts that lead nowhere. `..` stays: behind a link it leads elsewhere than it seems to.
fn without_detours(name: &str) -> String {
    if name.starts_with('@') {
        return name.to_owned();
    }
    let parts = name.split('/').filter(|part| !part.is_empty() && *part != ".");
    let root = if name.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.collect::<Vec<_>>().join("/"))
}

/// How other programs and people name one: a path alone, `unix@…` and `abns@…` (HAProxy), `unix/…` (Caddy).
fn otherwise_written(text: &str) -> Option<String> {
    if let Some(name) = text.strip_prefix("abns@") {
        return Some(format!("@{name}"));
    }
    if let Some((word, name)) = text.split_at_checked(UNIX.len())
        && word.eq_ignore_ascii_case(UNIX)
    {
        return Some(name.to_owned());
    }
    let path = text.strip_prefix("unix@").or_else(|| text.strip_prefix("unix/")).unwrap_or(text);
    let is_path = path.starts_with('/') || path.starts_with("./") || path.starts_with("../");
    let is_abstract = path.len() == text.len() && path.starts_with('@');
    (is_path || is_abstract).then(|| path.to_owned())
}
