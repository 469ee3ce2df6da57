//! The admin listener and who may use it.

use crate::bounds;
use crate::document::Node;
use crate::issue::{Fault, Report};
use crate::model::admin::{Admin, AdminTls, Role, Token};
use crate::model::bind::{Bind, SocketMode};
use crate::model::secret::Secret;
use crate::shape;
use crate::spot::{Section, Spot};
use crate::url;

use super::webhook::Names;
use super::{clients, program};

/// Without tokens only on loopback: whoever can connect is then an operator.
#[allow(clippy::option_option)] // the outer one says whether the section could be read
pub(super) fn admin(spot: &Spot<'_>, report: &mut Report) -> Option<Option<Admin>> {
    let section = Section::open(spot, &shape::ADMIN, report)?;
    let (mut tokens, mut persist, mut tls, mut origins) = (Vec::new(), true, None, Vec::new());
    section.set("tokens", report, &mut tokens, self::tokens);
    section.set("persist", report, &mut persist, Spot::flag);
    section.set("tls", report, &mut tls, |spot, report| self::tls(spot, report).map(Some));
    section.set("origins", report, &mut origins, self::origins);
    let spot = section.need("bind", report, "say where operators connect: \"bind\": \"127.0.0.1:9090\"")?;
    let bind = clients::bind_address(&spot, report)?;
    let mut socket_mode = SocketMode::OF_ADMIN;
    section.set("socketMode", report, &mut socket_mode, clients::socket_mode);
    clients::mode_is_of_use(&section, std::slice::from_ref(&bind), report);
    let guarded = section.get("tokens").is_some_and(|tokens| !tokens.is_empty_list());
    if bind.device().is_some() {
        let problem = "the admin listener keeps to no network interface";
        spot.refuse(report, Fault::new(problem, "bind an address of that interface, and its port"));
    } else if !bind.is_local() && !guarded {
        let problem = format!("the admin listener would be open to others on {bind}, and no token guards it");
        let port = bind.tcp().map_or(0, |address| address.port());
        let help = format!("bind it to this machine only, \"127.0.0.1:{port}\", or add \"tokens\"");
        spot.refuse(report, Fault::new(problem, help));
    } else if !bind.is_local() && tls.is_none() {
        let problem = format!("tokens would go over the network to {bind} in plain text");
        report.warn(&spot.at, Fault::new(problem, "add \"tls\", or bind it to this machine only"));
    }
    let is_nobodys = |name: &str| name.starts_with('@') || socket_mode.is_open_to_all();
    let nobodys = matches!(&bind, Bind::Unix(name) if is_nobodys(name));
    if nobodys && !guarded {
        let problem =
            format!("everybody on this machine may change everything through {bind}: no token guards it");
        let help = "add \"tokens\", or take a path and a \"socketMode\" such as \"0600\"";
        report.warn(&spot.at, Fault::new(problem, help));
    }
    Some(Some(Admin { bind, socket_mode, tokens, persist, tls, origins }))
}

fn tokens(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<Token>> {
    if let Node::Text(_) = spot.node {
        let help = "write a list: [ { \"token\": \"${ADMIN_TOKEN}\", \"role\": \"write\" } ]";
        spot.refuse(report, Fault::new("expected a list of tokens, found a text", help));
        return None;
    }
    let entries = spot.list(report, "tokens")?;
    if entries.len() > bounds::TOKENS {
        let problem = format!("{} tokens are more than the {} that may be", entries.len(), bounds::TOKENS);
        spot.refuse(report, Fault::new(problem, "let those who do the same work share one"));
        return None;
    }
    let (mut names, mut tokens) = (Names::default(), Vec::<Token>::new());
    for (index, entry) in entries.iter().enumerate() {
        let Some(token) = token(index, entry, &mut names, report) else { continue };
        if tokens.iter().any(|other| other.token == token.token) {
            let problem = "this token stands in the list twice, so what it may do would be a guess";
            entry.refuse(report, Fault::new(problem, "give each its own token"));
        }
        tokens.push(token);
    }
    Some(tokens)
}

fn token(index: usize, spot: &Spot<'_>, names: &mut Names, report: &mut Report) -> Option<Token> {
    if let Node::Text(_) = spot.node {
        let help = "write { \"token\": \"${ADMIN_TOKEN}\", \"role\": \"read\" }, or the role \"write\"";
        spot.refuse(
            report,
            Fault::new("a token is an object that also says what it may do, not a text", help),
        );
        return None;
    }
    let section = Section::open(spot, &shape::TOKEN, report)?;
    let name = names.take(&section, &format!("token-{}", index + 1), report);
    let role = section.need("role", report, "say what it may do: \"role\": \"read\" or \"write\"");
    let role = role.and_then(|spot| spot.word(report, Role::ALL, Role::name));
    let spot = section.need("token", report, "write it: \"token\": \"${ADMIN_TOKEN}\"")?;
    let text = spot.hidden_text(report, "a token")?;
    // What can stand after "Bearer" (RFC 6750, 2.1), and a little more.
    let sendable = text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= bounds::SECRET;
    if text.len() < bounds::TOKEN_MIN || !sendable {
        let problem =
            if sendable { "the token is too short" } else { "the token cannot be sent in a header" };
        let help = format!(
            "write {} to {} visible ASCII characters without spaces, such as `openssl rand -hex 32` prints",
            bounds::TOKEN_MIN,
            bounds::SECRET
        );
        spot.refuse(report, Fault::new(problem, help));
        return None;
    }
    Some(Token { name, token: Secret::new(text), role: role? })
}

fn tls(spot: &Spot<'_>, report: &mut Report) -> Option<AdminTls> {
    let section = Section::open(spot, &shape::ADMIN_TLS, report)?;
    let cert = section.need("cert", report, "name the file of certificates: \"cert\": \"admin.pem\"");
    let cert = cert.and_then(|spot| program::file(&spot, report));
    let key = section.need("key", report, "name the file of the private key: \"key\": \"admin.key\"");
    let key = key.and_then(|spot| program::file(&spot, report));
    Some(AdminTls { cert: cert?, key: key? })
}

fn origins(spot: &Spot<'_>, report: &mut Report) -> Option<Vec<String>> {
    let entries = spot.list(report, "origins such as \"https://ops.example.com\"")?;
    if entries.len() > bounds::ORIGINS {
        let problem = format!("{} origins are more than the {} that may be", entries.len(), bounds::ORIGINS);
        spot.refuse(report, Fault::new(problem, "name only those of your own pages"));
        return None;
    }
    let mut origins: Vec<String> = Vec::new();
    for entry in &entries {
        let Some(text) = entry.text(report, "an origin such as \"https://ops.example.com\"") else {
            continue;
        };
        let Some(origin) = entry.settle(report, url::origin(text)) else { continue };
        if origins.iter().any(|other| other == origin) {
            report.warn(&entry.at, Fault::new("this origin stands in the list twice", "take one out"));
        } else {
            origins.push(origin.to_owned());
        }
    }
    Some(origins)
}
