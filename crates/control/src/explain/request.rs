//! What is asked about: a request that nobody sent, and where it would come in.

use std::fmt;
use std::net::IpAddr;

use axum::http::Uri;
use loadweaver_config::Listener;

use super::Scene;

/// A request to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method; `GET` unless said otherwise.
    pub method: String,
    /// The field `Host`; none is the listener's own address.
    pub host: Option<String>,
    /// The target: path and query.
    pub path: String,
    /// Further headers, in order.
    pub headers: Vec<(String, String)>,
    /// Who connects.
    pub client: Option<IpAddr>,
    /// The listener's name.
    pub listener: Option<String>,
    /// Whether the client speaks TLS, where that is known.
    pub tls: Option<bool>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            host: None,
            path: "/".to_owned(),
            headers: Vec::new(),
            client: None,
            listener: None,
            tls: None,
        }
    }
}

/// What cannot be understood of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The part, as a parameter of the admin API is called.
    pub at: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl Misfit {
    pub(crate) fn new(at: &'static str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, problem: problem.into(), help: help.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}

/// The listener, and why this one.
pub(super) struct Located<'l> {
    pub(super) listener: &'l Listener,
    pub(super) reason: String,
}

impl Asked {
    /// A request for a URL, or for a path at the first listener.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn of_url(url: &str) -> Result<Self, Misfit> {
        if url.starts_with('/') {
            return Ok(Self { path: url.to_owned(), ..Self::default() });
        }
        let wrong = |problem: &str| {
            Misfit::new("url", problem, "write it as http://example.com/path, or as a path alone")
        };
        let parsed: Uri = url.parse().map_err(|_| wrong("this is no URL"))?;
        let tls = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("neither http:// nor https:// stands in front of it")),
        };
        let authority = parsed.authority().ok_or_else(|| wrong("it names no host"))?;
        // Not what stands before an @: it is for the client alone.
        let host = match authority.port_u16() {
            Some(port) => format!("{}:{port}", authority.host()),
            None => authority.host().to_owned(),
        };
        let path = parsed.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { host: Some(host), path: path.to_owned(), tls: Some(tls), ..Self::default() })
    }

    /// Adds a header, written `name: value`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add_header(&mut self, text: &str) -> Result<(), Misfit> {
        let help = "write it as \"name: value\"";
        let (name, value) =
            text.split_once(':').ok_or_else(|| Misfit::new("header", "there is no colon in it", help))?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace()) {
            return Err(Misfit::new("header", format!("{name:?} is no name of a header"), help));
        }
        if name.eq_ignore_ascii_case("host") {
            self.host = Some(value.trim().to_owned());
        } else {
            self.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(())
    }

    /// Takes up who connects.
    ///
    /// # Errors
    /// It is no address.
    pub fn set_client(&mut self, text: &str) -> Result<(), Misfit> {
        let wrong =
            |_| Misfit::new("clientIp", format!("{text:?} is no IP address"), "write 192.0.2.7 or ::1");
        self.client = Some(text.parse().map_err(wrong)?);
        Ok(())
    }

    pub(super) fn locate<'s>(&self, scene: &Scene<'s>) -> Result<Located<'s>, Misfit> {
        let all = &scene.snapshot.config.listeners;
        if let Some(wanted) = &self.listener {
            let found = all.iter().find(|listener| *listener.name == **wanted);
            let asked_for = |listener| Located { listener, reason: "it was asked for".to_owned() };
            return found.map(asked_for).ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|listener| &*listener.name).collect();
                let help = format!("there are: {}", names.join(", "));
                Misfit::new("listener", format!("there is no listener \"{wanted}\""), help)
            });
        }
        if let [listener] = all.as_slice() {
            return Ok(Located { listener, reason: "it is the only one".to_owned() });
        }
        let said = self.host.as_deref().and_then(port_of);
        let port = said.or(self.tls.map(|tls| if tls { 443 } else { 80 }));
        let speaks = |listener: &&Listener| self.tls.is_none_or(|tls| tls == listener.tls.is_some());
        let is_at = |listener: &&Listener| {
            let mut own = scene.addresses.iter().filter(|(name, _)| *name == listener.name);
            own.any(|(_, bind)| bind.tcp().map(|address| address.port()) == port && port.is_some())
        };
        if let Some(listener) = all.iter().filter(is_at).find(speaks).or_else(|| all.iter().find(is_at)) {
            return Ok(Located { listener, reason: format!("it is on port {}", port.unwrap_or_default()) });
        }
        let first = all.iter().find(speaks).or(all.first());
        let reason = match self.tls {
            Some(true) => "taken for the one meant: the first with TLS",
            Some(false) => "taken for the one meant: the first without TLS",
            None => "taken for the one meant: the first",
        };
        let located = |listener| Located { listener, reason: reason.to_owned() };
        first.map(located).ok_or_else(|| Misfit::new("listener", "there is no listener", "configure one"))
    }

    /// What stands in `Host`; without one, what a client says that knows nothing but the address.
    pub(super) fn host_at(&self, listener: &Listener, scene: &Scene<'_>) -> String {
        let own = || {
            let (_, bind) = scene.addresses.iter().find(|(name, _)| *name == listener.name)?;
            bind.tcp().map(|address| address.to_string())
        };
        self.host.clone().or_else(own).unwrap_or_else(|| "localhost".to_owned())
    }

    /// The head as it would be sent.
    pub(super) fn head(&self, host: &str) -> Result<Vec<u8>, Misfit> {
        let parts = [("method", &*self.method), ("host", host), ("path", &*self.path)];
        let headers =
            self.headers.iter().flat_map(|(name, value)| [("header", &**name), ("header", &**value)]);
        for (at, text) in parts.into_iter().chain(headers) {
            if text.contains(|c: char| c.is_control() && c != '\t') {
                return Err(Misfit::new(at, "there is a control character in it", "leave it out"));
            }
        }
        if self.method.is_empty() || self.method.contains(' ') || self.path.contains(' ') {
            let help = "a method is one word, and a space in a path is written %20";
            return Err(Misfit::new("path", "method and path must not be empty or hold spaces", help));
        }
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
    }
}

/// The port that is written behind a host; the colons of an IPv6 address are its own.
fn port_of(host: &str) -> Option<u16> {
    let (_, port) = host.rsplit_once(':')?;
    port.parse().ok()
}
