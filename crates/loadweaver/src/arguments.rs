//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A Layer-7 HTTP load balancer: one binary, one config.json.
#[derive(Debug, Parser)]
#[command(name = "loadweaver", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const ENVIRONMENT: &str = "\
Environment:
  LOADWEAVER_CONFIG      the file that `run`, `explain` and `top` read when --config is not given
  LOADWEAVER_TOKEN       the token that `top` shows to the admin API when --token-file is not given
  LOADWEAVER_LOG         what is logged: info (default), debug, or by category, as in info,health=debug;
                         categories: health, config, listen, upstream, recovery, webhooks, admin, resolve,
                         process, access_log, spans, events
  PORT                   replaces the first listener's port
  WORKER_COUNT           replaces workers
  HEALTH_CHECK_INTERVAL  replaces the interval of all probes, in milliseconds

Exit codes: 0, 1 (failed while running), 2 (bad arguments or configuration)";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the load balancer
    Run {
        /// The configuration; default: $LOADWEAVER_CONFIG, then ./config.json
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say what a configuration would do, or everything that is wrong with it
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Say which way a request would go, and why
    Explain(Question),
    /// Show what a running balancer does and what is wrong with it, live in the terminal
    #[command(after_help = TOP)]
    Top(Overview),
    /// Print the JSON Schema of config.json
    Schema,
    /// Print the OpenAPI document of the admin API
    Openapi,
    /// Run a balancer in front of three embedded origins; needs no file
    Demo(DemoPorts),
    /// Run a server's program and end it when standard input ends; what recoveries start
    #[command(name = loadweaver_control::guard::COMMAND, hide = true)]
    Keep {
        /// Milliseconds that the program may take to end
        patience: u64,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

/// What `explain` is asked.
#[derive(Debug, Args)]
pub(crate) struct Question {
    /// The URL that a client asks for, or a path alone
    pub(crate) url: String,
    /// The configuration; default: $LOADWEAVER_CONFIG, then ./config.json
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The method
    #[arg(long, short = 'X', value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// A header, written "name: value"; may be given several times
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// The address that the client connects from
    #[arg(long, value_name = "IP")]
    pub(crate) client_ip: Option<String>,
    /// The listener that the request comes in at; found by the URL unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// Print the whole explanation as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const TOP: &str = "\
Asks the admin listener of --url, or that of the configuration, or http://127.0.0.1:9090 where there is none.
The token is that of --token-file, $LOADWEAVER_TOKEN, or the configuration; one with the role \"read\" will do.
Keys: q ends, ? says the others. NO_COLOR=1 takes the colours away.";

/// Whom `top` asks, and how it shows the answers.
#[derive(Debug, Args)]
pub(crate) struct Overview {
    /// The admin listener: http://HOST:PORT, https://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The configuration whose admin listener is asked; default: $LOADWEAVER_CONFIG, then ./config.json
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A file with a token of admin.tokens
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's, for https
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print one overview as text and end; what happens anyway where standard output is no terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one overview as JSON and end
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the demo listens.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DemoPorts {
    /// The balancer's port; default: $PORT, then 8080. 0 takes a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// The admin listener's port. 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    pub(crate) admin_port: u16,
}

/// Reads the command line, or ends the process with what clap has to say about it.
pub(crate) fn read() -> Command {
    Arguments::parse().command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
