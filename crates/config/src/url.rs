//! URLs of webhooks and recoveries, and origins of pages.

use crate::issue::{Fault, shown};
use crate::{address, bounds, syntax};

/// A URL that is kept as it was written. It may carry a secret (as those of chat programs do), so a message shows
/// no more of it than its host.
pub(crate) fn url(text: &str) -> Result<&str, Fault> {
    let example = "write a whole URL, such as \"https://ops.example.com/hook\"";
    if text.len() > bounds::URL {
        return Err(Fault::new(
            format!("the URL is longer than {} bytes", bounds::URL),
            "write a shorter one",
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Fault::new("the URL has no scheme", example));
    };
    if !matches!(scheme, "http" | "https") {
        let problem = format!("the scheme {} is not spoken here", shown(scheme));
        return Err(Fault::new(problem, "write a URL that begins with https:// or http://"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if authority.contains('@') {
        return Err(Fault::new(
            "the URL holds credentials",
            "write them in \"headers\", as \"authorization\"",
        ));
    }
    address::host_header(authority)
        .map_err(|fault| Fault::new(format!("in the URL, {}", fault.problem), fault.help))?;
    if authority.ends_with(":0") {
        return Err(Fault::new("the URL's port is 0", "ports go from 1 to 65535"));
    }
    if target.contains('#') {
        return Err(Fault::new("the URL holds a fragment", "take out the \"#\" and what follows it"));
    }
    let path = target.find('?').map_or(target, |at| target.get(..at).unwrap_or_default());
    if !(path.is_empty() || path.starts_with('/')) || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::new(
            "the URL holds a space, a control character or a character beyond ASCII",
            "write such characters percent-encoded, such as %20 for a space",
        ));
    }
    Ok(text)
}

/// The URL up to its path, which may be as good as a password. No slash at the end.
pub fn without_path(url: &str) -> &str {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    let end = url.find(['?', '#']).map_or(end, |query| query.min(end));
    url.get(..end).unwrap_or_default()
}

/// The URL's host, without its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether what is sent there can be read on its way.
pub(crate) fn is_open_to_others(url: &str) -> bool {
    let host = host(url);
    let here = host.parse::<std::net::IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost"),
        |address| address.to_canonical().is_loopback(),
    );
    url.starts_with("http://") && !here
}

/// An origin as browsers write it (RFC 6454, 6.2): no path, no default port, lower case.
pub(crate) fn origin(text: &str) -> Result<&str, Fault> {
    let problem = || format!("{} is not an origin", shown(text));
    if text == "*" {
        return Err(Fault::new(
            "every page of the world would be let in",
            "name the origins of your own pages, such as \"https://ops.example.com\"",
        ));
    }
    let Some((scheme, authority)) =
        text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
    else {
        return Err(Fault::new(problem(), "write scheme and host, such as \"https://ops.example.com\""));
    };
    if let Some(end) = authority.find(['/', '?', '#']) {
        let bare = authority.get(..end).unwrap_or_default();
        return Err(Fault::new(
            problem(),
            format!("leave the path out: {}", shown(&format!("{scheme}://{bare}"))),
        ));
    }
    if authority.contains('*') {
        return Err(Fault::new(problem(), "name each origin: there are no wildcards here"));
    }
    address::host_header(authority).map_err(|fault| Fault::new(problem(), fault.help))?;
    let default = if scheme == "https" { ":443" } else { ":80" };
    let usual = authority.strip_suffix(default).unwrap_or(authority).to_ascii_lowercase();
    if usual != authority {
        return Err(Fault::new(problem(), format!("write it as browsers do: \"{scheme}://{usual}\"")));
    }
    Ok(text)
}

/// The method of a request that is sent from here.
pub(crate) fn sent_method(text: &str) -> Result<String, Fault> {
    let method = syntax::method(text).map_err(|fault| {
        let better = fault.help.starts_with("did you mean");
        if better { fault } else { Fault::new(fault.problem, "write one word, such as \"GET\" or \"POST\"") }
    })?;
    if method == "CONNECT" {
        return Err(Fault::new(
            "CONNECT asks for a tunnel, not for an answer",
            "write another method, such as \"GET\"",
        ));
    }
    Ok(method)
}
