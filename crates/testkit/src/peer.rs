//! Real servers and proxies of other makers: nginx, HAProxy, Python, Node.
//!
//! Each runs from its own scratch folder on a free port. The port is chosen by binding and letting go, so another
//! process could take it in between; a peer that does not come up is started again on another port.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::eventually::{PATIENCE, holds_within};
use crate::process::Process;
use crate::scratch::Scratch;

/// A running server or proxy of another maker; killed on drop.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    process: Process,
    scratch: Scratch,
}

impl Peer {
    /// nginx that serves the files (name, content), keep-alive.
    pub fn nginx(files: &[(&str, &[u8])]) -> Self {
        Self::nginx_with(files, "", "")
    }

    /// The same with words more of `listen`, such as "ssl http2", and directives more of its server.
    pub fn nginx_with(files: &[(&str, &[u8])], listen: &str, server: &str) -> Self {
        Self::start(|port, scratch| {
            for (name, content) in files {
                scratch.file(name, content);
            }
            let folder = scratch.path().display();
            let server = format!(
                "listen 127.0.0.1:{port} {listen}; root {folder}; {server}\n\
                 location = /echo {{ client_max_body_size 64m; return 200 \"$request_method $server_protocol\"; }}"
            );
            nginx_command(scratch, &server)
        })
    }

    /// Python's http.server over the files.
    pub fn python(files: &[(&str, &[u8])]) -> Self {
        Self::start(|port, scratch| {
            for (name, content) in files {
                scratch.file(name, content);
            }
            let mut command = Command::new("python3");
            command
                .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
                .current_dir(scratch.path());
            command
        })
    }

    /// Python with grpcio running the script, which is given its port and then the arguments.
    pub fn grpcio(script: &str, arguments: &[&Path]) -> Self {
        Self::script(&grpcio_python(), script, arguments)
    }

    /// Python running the script, which is given its port and then the arguments.
    pub fn script(python: &Path, script: &str, arguments: &[&Path]) -> Self {
        Self::start(|port, scratch| {
            let mut command = Command::new(python);
            command.arg(scratch.file("server.py", script)).arg(port.to_string()).args(arguments);
            command
        })
    }

    /// Node running the script, which is given its port as `process.argv[2]`.
    pub fn node(script: &str) -> Self {
        Self::start(|port, scratch| {
            let mut command = Command::new("node");
            command.arg(scratch.file("origin.js", script)).arg(port.to_string());
            command
        })
    }

    /// HAProxy in front of the servers.
    pub fn haproxy(servers: &[SocketAddr]) -> Self {
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        Self::haproxy_with("", &servers)
    }

    /// The same with words more of `bind`, such as "proto h2", and of each server behind its address.
    pub fn haproxy_with(bind: &str, servers: &[String]) -> Self {
        Self::start(|port, scratch| {
            let mut text = format!(
                "global\n maxconn 1000\ndefaults\n mode http\n timeout connect 30s\n timeout client 2m\n\
                 timeout server 2m\nfrontend web\n bind 127.0.0.1:{port} {bind}\n default_backend app\nbackend app\n"
            );
            for (index, server) in servers.iter().enumerate() {
                let _ = writeln!(text, " server s{index} {server}");
            }
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(scratch.file("haproxy.cfg", text));
            command
        })
    }

    /// Any program: the closure is given a free port and a scratch folder. Ready when the port accepts.
    #[track_caller]
    pub fn start(command: impl Fn(u16, &Scratch) -> Command) -> Self {
        for _ in 0..5 {
            let address = free_address();
            if let Some(peer) = Self::start_at(address, &command) {
                return peer;
            }
        }
        let scratch = Scratch::new();
        let program = command(free_address().port(), &scratch);
        panic!("{} did not come up on any of five ports", program.get_program().display())
    }

    /// The same on a port that the caller knows; `None` when it did not come up.
    #[track_caller]
    pub fn start_at(address: SocketAddr, command: impl Fn(u16, &Scratch) -> Command) -> Option<Self> {
        let scratch = Scratch::new();
        let mut process = Process::start(&mut command(address.port(), &scratch));
        holds_within(PATIENCE, || TcpStream::connect(address).is_ok() || !process.is_running());
        let up = process.is_running() && TcpStream::connect(address).is_ok();
        up.then_some(Self { address, process, scratch })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// Ends it at once, as a crash does (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// nginx in the foreground with one server, of which these are the directives; all that it writes goes to the folder.
pub fn nginx_command(scratch: &Scratch, server: &str) -> Command {
    let folder = scratch.path().display();
    let text = format!(
        "daemon off; master_process off; error_log stderr; pid {folder}/pid;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n\
         fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         server {{ {server} }} }}\n"
    );
    let mut command = Command::new("nginx");
    command.arg("-p").arg(scratch.path()).arg("-c").arg(scratch.file("nginx.conf", text));
    command
}

/// The Python that has grpcio and its health service; `./scripts/test` puts it there.
pub fn grpcio_python() -> PathBuf {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = workspace.join("target/grpcio-1.76.0/bin/python");
    assert!(python.exists(), "there is no {}; ./scripts/test grpcio installs it", python.display());
    python
}

/// An address of 127.0.0.1 whose port was free a moment ago, on all addresses. It is none of those that the system gives
/// to whoever asks for any (from 32768 on), so that no connection and no server of another test takes it meanwhile.
pub fn free_address() -> SocketAddr {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Tests are processes of their own: each begins elsewhere.
    let begin = std::process::id().wrapping_mul(61);
    loop {
        let step = ASKED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(begin.wrapping_add(step) % 22_000).expect("below 32768");
        if ["0.0.0.0", "::"].iter().all(|any| TcpListener::bind((*any, port)).is_ok()) {
            return SocketAddr::from(([127, 0, 0, 1], port));
        }
        assert!(step < 22_000, "no port is free");
    }
}
