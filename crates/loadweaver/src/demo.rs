//! `demo`: a balancer, three origins in this process, and what to type to see one of them fail.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use loadweaver_config::{Bind, Config, parse};
use loadweaver_control::Source;
use serde_json::json;

use crate::arguments::DemoPorts;
use crate::config_file::{environment, tell_warnings};
use crate::run::{Addresses, serve};
use crate::terminal::{complain, issue_text, say};
use crate::{FAILED, REFUSED};
use origins::Origins;

mod control;
mod origins;
mod page;

const NAMES: [&str; 3] = ["red", "green", "blue"];
const PORT: u16 = 8080;

/// The command `demo`.
pub(crate) fn command(ports: DemoPorts) -> ExitCode {
    let (origins, control) = match start_origins() {
        Ok(started) => started,
        Err(error) => {
            complain(format_args!("the demo's origins cannot be started: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let (config, source) = match config(ports, &origins) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(why) = check_free(&config) {
        complain(why);
        return ExitCode::from(FAILED);
    }
    serve(config, source, |addresses| say(guide(addresses, control, &origins)))
}

fn start_origins() -> io::Result<(Origins, SocketAddr)> {
    let origins = Origins::start(&NAMES)?;
    let control = control::start(&origins)?;
    Ok((origins, control))
}

/// The demo goes the way of every configuration, so that PORT and its kin work here too.
fn config(ports: DemoPorts, origins: &Origins) -> Result<(Config, Source), ExitCode> {
    let servers: Vec<_> = origins
        .addresses()
        .map(|(name, address)| json!({"id": name, "host": address.ip().to_string(), "port": address.port()}))
        .collect();
    let text = json!({
        "listeners": {"web": {"bind": format!("0.0.0.0:{}", ports.port.unwrap_or(PORT))}},
        "pools": {"demo": {
            "servers": servers,
            "healthCheck": {"type": "http", "path": "/health", "interval": "1s", "timeout": "1s", "rise": 1, "fall": 2},
            "passiveHealth": {"hold": "1s"}
        }},
        "admin": {"bind": format!("127.0.0.1:{}", ports.admin_port)}
    });
    // What is given on the command line wins over the environment.
    let given = ports.port.is_some();
    let from_environment = move |name: &str| if name == "PORT" && given { None } else { environment(name) };
    let text = format!("{text:#}\n");
    match parse(text.as_bytes(), &from_environment) {
        Ok(parsed) => {
            tell_warnings(&parsed.warnings);
            let source = Source { path: None, text: text.into(), environment: Arc::new(from_environment) };
            Ok((parsed.config, source))
        }
        // Only the environment can be wrong here.
        Err(issues) => {
            issues.0.iter().for_each(|issue| complain(issue_text(issue)));
            Err(ExitCode::from(REFUSED))
        }
    }
}

/// A clear word on a port that is taken. The real bind comes a moment later and may still fail, with fewer words.
fn check_free(config: &Config) -> Result<(), String> {
    let web = config.listeners.iter().flat_map(|listener| &listener.binds).map(|bind| (bind, "--port"));
    let admin = config.admin.iter().map(|admin| (&admin.bind, "--admin-port"));
    for (bind, option) in web.chain(admin) {
        let Some(address) = bind.tcp() else { continue };
        if let Err(error) = TcpListener::bind(address) {
            let port = address.port();
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => "another program, or another demo, listens on it".to_owned(),
                _ => error.to_string(),
            };
            let other = if port < 65_000 { port + 1 } else { port - 1 };
            return Err(format!(
                "port {port} cannot be used: {why}\n    choose another one: loadweaver demo {option} {other}"
            ));
        }
    }
    Ok(())
}

fn guide(addresses: &Addresses, control: SocketAddr, origins: &Origins) -> String {
    let first = addresses.listeners.first().and_then(|(_, bind)| bind.tcp());
    let balancer = first.map_or(PORT, |address| address.port());
    let balancer = SocketAddr::from((Ipv4Addr::LOCALHOST, balancer));
    let mut text = format!(
        "\nLoadWeaver demo: one balancer in front of three origins\n\n  balancer  http://{balancer}/\n"
    );
    if let Some(admin) = &addresses.admin {
        // Writing into a String does not fail.
        let _ = writeln!(text, "  dashboard http://{admin}/\n  status    http://{admin}/status");
    }
    for (name, address) in origins.addresses() {
        let _ = writeln!(text, "  origin    http://{address}/  ({name})");
    }
    let [first, ..] = NAMES;
    let _ = write!(
        text,
        "
Ask a few times; the three answer in turn:
  for i in 1 2 3 4 5 6; do curl -s http://{balancer}/; done

Stop one of them as a crash would, and ask again; no request fails, two answer:
  curl -X POST http://{control}/{first}/stop
  for i in 1 2 3 4 5 6; do curl -s http://{balancer}/; done

See what the balancer knows about it, then bring the origin back:
  curl -s http://{status}/status
  curl -X POST http://{control}/{first}/start

Ctrl-C ends the demo.",
        status = addresses.admin.as_ref().and_then(Bind::tcp).unwrap_or(balancer),
    );
    text
}
