//! Whom to ask, and with which token: from the arguments, the environment and the configuration, in this order.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use loadweaver_config::{Admin, Bind, Role};
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::arguments::Overview;
use crate::config_file::{self, Refusal};

use super::shapes::Text;

/// Where a demo, and a configuration as the documentation has it, has its admin listener.
const USUAL: &str = "http://127.0.0.1:9090";
/// What stands before the path of a Unix socket.
const UNIX: &str = "unix:";
/// The environment's token.
const TOKEN: &str = "LOADWEAVER_TOKEN";
/// The longest file of a token or of certificates: a thousand authorities are less.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// An admin listener, and who we are to it.
#[derive(Debug)]
pub(super) struct Target {
    /// Ends with a slash: what is asked for stands below it.
    pub(super) url: Url,
    /// Connections go there, whatever the URL says.
    pub(super) socket: Option<PathBuf>,
    /// As people write it.
    pub(super) shown: Text,
    /// `Bearer …`
    pub(super) token: Option<HeaderValue>,
    /// PEM: who signs, instead of the system's signers.
    pub(super) authorities: Option<Vec<u8>>,
}

/// Why nobody can be asked: an argument, a file or the configuration is wrong.
pub(super) enum Unusable {
    Config(Refusal),
    Wrong { problem: String, help: &'static str },
}

fn wrong(problem: impl Into<String>, help: &'static str) -> Unusable {
    Unusable::Wrong { problem: problem.into(), help }
}

impl Target {
    pub(super) fn find(arguments: &Overview) -> Result<Self, Unusable> {
        let admin = admin(arguments)?;
        let (url, socket, shown) = match (&arguments.url, &admin) {
            (Some(url), _) => read_url(url)?,
            (None, Some(admin)) => of_config(admin)?,
            (None, None) => read_url(USUAL)?,
        };
        let token = token(arguments, admin.as_ref())?.map(|token| bearer(&token)).transpose()?;
        let authorities = arguments.ca_file.as_deref().map(read_file).transpose()?;
        Ok(Self { url, socket, shown: Text::new(&shown), token, authorities })
    }
}

/// The section `admin` of the configuration, if there is one to look into. What a file says that was not asked for
/// must not be sent to whoever `--url` names: its tokens belong to its own listener.
fn admin(arguments: &Overview) -> Result<Option<Admin>, Unusable> {
    let path = config_file::path(arguments.config.clone());
    let is_asked_for = arguments.config.is_some();
    let is_implied =
        std::env::var_os("LOADWEAVER_CONFIG").is_some_and(|path| !path.is_empty()) || path.exists();
    if !is_asked_for && (arguments.url.is_some() || !is_implied) {
        return Ok(None);
    }
    let parsed = config_file::checked(&path).map_err(Unusable::Config)?.0;
    let without = || {
        let problem = format!("{}: the configuration has no admin listener", path.display());
        wrong(problem, "add \"admin\": {\"bind\": \"127.0.0.1:9090\"} and start anew, or say --url URL")
    };
    parsed.config.admin.ok_or_else(without).map(Some)
}

type Place = (Url, Option<PathBuf>, String);

fn of_config(admin: &Admin) -> Result<Place, Unusable> {
    let scheme = if admin.tls.is_some() { "https" } else { "http" };
    let Some(address) = admin.bind.tcp() else {
        let Bind::Unix(name) = &admin.bind else { return read_url(USUAL) };
        return of_socket(name, scheme);
    };
    if address.port() == 0 {
        return Err(wrong(
            "the configuration lets the system choose the admin listener's port",
            "say where it listens: --url URL; the log has a line \"listening admin address=…\"",
        ));
    }
    read_url(&format!("{scheme}://{}", SocketAddr::new(reachable(address.ip()), address.port())))
}

/// One cannot connect to "every address of this machine".
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// `@name` is one of the abstract namespace, which the system writes with a zero byte.
fn of_socket(name: &str, scheme: &str) -> Result<Place, Unusable> {
    let path =
        name.strip_prefix('@').map_or_else(|| PathBuf::from(name), |name| PathBuf::from(format!("\0{name}")));
    let url = Url::parse(&format!("{scheme}://localhost/")).map_err(|error| wrong(error.to_string(), ""))?;
    Ok((url, Some(path), format!("{UNIX}{name}")))
}

fn read_url(text: &str) -> Result<Place, Unusable> {
    const HELP: &str = "write http://HOST:PORT, https://HOST:PORT or unix:/PATH: where admin.bind listens";
    if let Some(name) = text.strip_prefix(UNIX) {
        return if name.is_empty() {
            Err(wrong("--url names no socket", HELP))
        } else {
            of_socket(name, "http")
        };
    }
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url =
        Url::parse(&whole).map_err(|error| wrong(format!("--url {text} cannot be used: {error}"), HELP))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("--url {text} is neither HTTP nor HTTPS"), HELP));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Its text would be shown.
        let help = "give the token in a file, with --token-file, or in LOADWEAVER_TOKEN";
        return Err(wrong("--url holds a user name or a password", help));
    }
    url.set_query(None);
    url.set_fragment(None);
    let below = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&below);
    let shown = url.as_str().trim_end_matches('/').to_owned();
    Ok((url, None, shown))
}

fn token(arguments: &Overview, admin: Option<&Admin>) -> Result<Option<String>, Unusable> {
    const HELP: &str = "its one line is a token of admin.tokens";
    if let Some(file) = &arguments.token_file {
        let text = String::from_utf8(read_file(file)?)
            .map_err(|_| wrong(format!("{}: this is not text", file.display()), HELP))?;
        let token = text.trim();
        if token.is_empty() {
            return Err(wrong(format!("{}: the file is empty", file.display()), HELP));
        }
        return Ok(Some(token.to_owned()));
    }
    if let Some(token) = config_file::environment(TOKEN).filter(|token| !token.trim().is_empty()) {
        return Ok(Some(token.trim().to_owned()));
    }
    let tokens = admin.map(|admin| admin.tokens.as_slice()).unwrap_or_default();
    // To look is all that it takes.
    let reader = tokens.iter().find(|token| token.role == Role::Read).or(tokens.first());
    Ok(reader.map(|token| token.token.reveal().to_owned()))
}

fn bearer(token: &str) -> Result<HeaderValue, Unusable> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| wrong("the token holds what no token can hold", "a token is one line of text"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Unusable> {
    let unreadable = |error: std::io::Error| {
        wrong(
            format!("{}: it cannot be read: {error}", path.display()),
            "name a file that this user may read",
        )
    };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST_FILE).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn place(text: &str) -> (String, Option<PathBuf>, String) {
        let Ok((url, socket, shown)) = read_url(text) else { panic!("{text} is refused") };
        (url.to_string(), socket, shown)
    }

    #[test]
    fn places_are_written_as_people_write_them() {
        for (text, url, shown) in [
            ("127.0.0.1:9090", "http://127.0.0.1:9090/", "http://127.0.0.1:9090"),
            ("localhost:9090", "http://localhost:9090/", "http://localhost:9090"),
            ("[::1]:9090", "http://[::1]:9090/", "http://[::1]:9090"),
            ("https://ops.test/lw", "https://ops.test/lw/", "https://ops.test/lw"),
            ("https://ops.test/lw/?a#b", "https://ops.test/lw/", "https://ops.test/lw"),
        ] {
            assert_eq!(place(text), (url.to_owned(), None, shown.to_owned()), "{text}");
        }
        let (_, socket, shown) = place("unix:/run/a.sock");
        assert_eq!((socket.unwrap().to_str(), shown.as_str()), (Some("/run/a.sock"), "unix:/run/a.sock"));
        assert_eq!(place("unix:@a").1.unwrap().to_str(), Some("\0a"));
        for text in ["", "ftp://a", "http://", "unix:", "http://me:secret@a", "http://a:70000", "http://a b"]
        {
            assert!(read_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_reached_at_the_loopback_address() {
        for (bind, url) in [
            ("0.0.0.0:9090", "http://127.0.0.1:9090/"),
            ("[::]:9090", "http://[::1]:9090/"),
            ("10.1.2.3:9090", "http://10.1.2.3:9090/"),
        ] {
            let address: SocketAddr = bind.parse().unwrap();
            let Ok((found, ..)) = of_config(&Admin::new(address)) else { panic!("{bind}") };
            assert_eq!(found.as_str(), url);
        }
        assert!(of_config(&Admin::new("127.0.0.1:0".parse::<SocketAddr>().unwrap())).is_err());
    }
}
