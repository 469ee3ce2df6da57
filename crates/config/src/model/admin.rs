//! The admin listener and who may use it.

use std::path::PathBuf;
use std::sync::Arc;

use super::bind::{Bind, SocketMode};
use super::secret::Secret;

/// The listener of operators: status, liveness, readiness.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// A loopback address or a Unix socket, unless there are tokens that guard another one.
    pub bind: Bind,
    /// The mode of a Unix socket's file.
    pub socket_mode: SocketMode,
    /// Who may ask; empty lets everybody who can connect.
    pub tokens: Vec<Token>,
    /// Whether edits are written back into the file.
    pub persist: bool,
    /// Speaks TLS; none is plain text.
    pub tls: Option<AdminTls>,
    /// Origins (scheme, host, port; RFC 6454) whose pages may ask, besides the listener's own.
    pub origins: Vec<String>,
}

impl Admin {
    /// What stands in for every key but `bind`.
    pub fn new(bind: impl Into<Bind>) -> Self {
        Self {
            bind: bind.into(),
            socket_mode: SocketMode::OF_ADMIN,
            tokens: Vec::new(),
            persist: true,
            tls: None,
            origins: Vec::new(),
        }
    }
}

/// What an operator proves to be one with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its own name, or `token-1`, `token-2`, … by position.
    pub name: Arc<str>,
    /// The token; at least 16 characters.
    pub token: Secret,
    /// What may be done with it.
    pub role: Role,
}

/// What may be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Look.
    #[default]
    Read,
    /// Look and change.
    Write,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The word that stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The files that the admin listener needs to speak TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminTls {
    /// Certificates (PEM), its own first.
    pub cert: PathBuf,
    /// The private key (PEM).
    pub key: PathBuf,
}
