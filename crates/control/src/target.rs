//! The server that something is done for, as programs and endpoints are told.

use std::sync::Arc;

use loadweaver_config::{HostCommand, Server};
use loadweaver_telemetry::event::ServerRef;

use crate::program::Program;

/// A server, by all that tells it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pool: Arc<str>,
    pub(crate) server: Arc<str>,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// How a value is written where it is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// As it is: an argument, a variable.
    Plain,
    /// Percent-encoded, all but RFC 3986's unreserved characters.
    Url,
    /// As the inside of a JSON string.
    Json,
}

impl Target {
    /// The variable that tells a program the pool.
    pub(crate) const POOL: &str = "LOADWEAVER_POOL";

    pub(crate) fn of(pool: &Arc<str>, server: &Server) -> Self {
        Self { pool: pool.clone(), server: server.id.clone(), host: server.host.clone(), port: server.port }
    }

    /// How events name it.
    pub(crate) fn reference(&self) -> ServerRef {
        ServerRef { id: self.server.clone(), address: Server::address_text(&self.host, self.port) }
    }

    /// A Unix socket has none.
    pub(crate) fn port(&self) -> Option<u16> {
        (self.port != 0).then_some(self.port)
    }

    fn port_text(&self) -> String {
        self.port().map(|port| port.to_string()).unwrap_or_default()
    }

    /// Puts the server's values in the places of `{serverId}`, `{host}`, `{port}` and `{pool}`. Ids, hosts and pool
    /// names hold no white space, no quotes and nothing that a shell reads, by the rules of the configuration.
    pub(crate) fn fill(&self, text: &str, writing: Writing) -> String {
        let port = self.port_text();
        let places = [
            ("{serverId}", &*self.server),
            ("{host}", &self.host),
            ("{port}", &port),
            ("{pool}", &self.pool),
        ];
        places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, &writing.write(value)))
    }

    /// The program that the command means for this server.
    pub(crate) fn program(&self, command: &HostCommand) -> Program {
        let fill = |text: &String| self.fill(text, Writing::Plain);
        let told = [
            (Self::POOL, self.pool.to_string()),
            ("LOADWEAVER_SERVER_ID", self.server.to_string()),
            ("LOADWEAVER_SERVER_HOST", self.host.clone()),
            ("LOADWEAVER_SERVER_PORT", self.port_text()),
        ];
        let told = told.map(|(name, value)| (name.to_owned(), value));
        let own = command.env.iter().map(|(name, value)| (name.clone(), fill(value)));
        Program {
            argv: command.argv.iter().map(fill).collect(),
            env: told.into_iter().chain(own).collect(),
            directory: command.directory.clone(),
        }
    }
}

impl Writing {
    pub(crate) fn write(self, value: &str) -> String {
        match self {
            Self::Plain => value.to_owned(),
            Self::Url => value.bytes().map(percent_encoded).collect(),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                // A string always has its quotes.
                quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
            }
        }
    }
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_values_where_they_are_asked_for() {
        let target =
            Target { pool: "app".into(), server: "[::1]:80".into(), host: "::1".to_owned(), port: 80 };
        let filled = target.fill("/{pool}/{serverId}/{port}{other}", Writing::Url);
        assert_eq!(filled, "/app/%5B%3A%3A1%5D%3A80/80{other}");
        let command = HostCommand {
            argv: vec!["/bin/x".into(), "--port={port}".into()],
            env: vec![("AT".into(), "{host}".into())],
            directory: None,
        };
        let program = target.program(&command);
        assert_eq!(program.argv, ["/bin/x", "--port=80"]);
        assert_eq!(program.env.last(), Some(&("AT".to_owned(), "::1".to_owned())));
        assert_eq!(program.env.first(), Some(&("LOADWEAVER_POOL".to_owned(), "app".to_owned())));
    }

    #[test]
    fn texts_from_outside_stay_inside_their_quotes() {
        assert_eq!(Writing::Json.write("a\"b\\\n"), "a\\\"b\\\\\\n");
        assert_eq!(Writing::Json.write("\""), "\\\"");
    }
}
