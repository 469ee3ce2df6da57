//! Where somebody listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use super::pool::UNIX;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// An IP address and a port; port 0 lets the system choose one.
    Ip(SocketAddr),
    /// The same, for what comes in at this network interface alone.
    Device(SocketAddr, Arc<str>),
    /// A Unix socket: its path, or `@` and its name in the abstract namespace.
    Unix(Arc<str>),
}

impl Bind {
    /// Its IP address and port, if it has them.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) | Self::Device(address, _) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The interface that it keeps to.
    pub fn device(&self) -> Option<&str> {
        match self {
            Self::Device(_, device) => Some(device),
            Self::Ip(_) | Self::Unix(_) => None,
        }
    }

    /// The same place with another port, where it has one at all.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        match &mut self {
            Self::Ip(address) | Self::Device(address, _) => address.set_port(port),
            Self::Unix(_) => {}
        }
        self
    }

    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().to_canonical().is_loopback())
    }

    /// Whether the same address means the same socket: not with port 0, where each has a port of its own.
    pub fn is_definite(&self) -> bool {
        self.tcp().is_none_or(|address| address.port() != 0)
    }

    /// Whether a connection could be meant for either. `[::]` takes IPv4 connections too.
    pub fn overlaps(&self, other: &Self) -> bool {
        if let (Self::Unix(one), Self::Unix(other)) = (self, other) {
            return one == other;
        }
        let (Some(one), Some(two)) = (self.tcp(), other.tcp()) else { return false };
        let devices = match (self.device(), other.device()) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        one.port() == two.port() && one.port() != 0 && devices && (covers(one, two) || covers(two, one))
    }

    /// Whether every connection for the other one could be meant for this one.
    pub fn covers(&self, other: &Self) -> bool {
        if let (Self::Unix(one), Self::Unix(other)) = (self, other) {
            return one == other;
        }
        let (Some(one), Some(two)) = (self.tcp(), other.tcp()) else { return false };
        let devices = self.device().is_none() || self.device() == other.device();
        one.port() == two.port() && one.port() != 0 && devices && covers(one, two)
    }
}

fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    let scope = |address: SocketAddr| match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    };
    let (a, b) = (wide.ip().to_canonical(), narrow.ip().to_canonical());
    let is_everything = match a {
        IpAddr::V4(v4) => v4.is_unspecified() && b.is_ipv4(),
        IpAddr::V6(v6) => v6.is_unspecified(),
    };
    is_everything || a == b && scope(wide) == scope(narrow)
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Device(SocketAddr::V4(address), device) => {
                write!(f, "{}%{device}:{}", address.ip(), address.port())
            }
            Self::Device(SocketAddr::V6(address), device) => {
                write!(f, "[{}]%{device}:{}", address.ip(), address.port())
            }
            Self::Unix(name) => write!(f, "{UNIX}{name}"),
        }
    }
}

/// Who may be somebody that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trusted {
    /// Whoever connects from an address of the network.
    Network(IpNet),
    /// Whoever connects to a Unix socket: they have no address.
    Unix,
}

impl Trusted {
    /// Whether it is true of somebody who connects from there; without an address, to a Unix socket.
    pub fn holds(&self, from: Option<IpAddr>) -> bool {
        match (self, from) {
            (Self::Network(network), Some(ip)) => network.contains(&ip),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str(UNIX),
        }
    }
}

/// Who may connect to the file of a Unix socket, as `chmod` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(pub u32);

impl SocketMode {
    /// Of a listener: its owner and its group. It does not depend on the umask of whoever starts us.
    pub const OF_LISTENER: Self = Self(0o660);

    /// Of the admin listener: its owner alone, since whoever connects may need no token.
    pub const OF_ADMIN: Self = Self(0o600);

    /// Whether anybody on this machine may connect.
    pub fn is_open_to_all(self) -> bool {
        self.0 & 0o002 != 0
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}
