//! Moves requests: listeners, protocol engines, forwarding, upstream connections.
//!
//! One `current_thread` runtime per worker thread, each with its own listening sockets, upstream connections and
//! connection tasks. Workers share the snapshot and the counters and nothing else, so nothing on the request path
//! waits for another core. Read the modules in the order below: it is the order in which a request meets them.

mod address;
pub mod pool;
mod proxy;
pub mod server;
pub mod snapshot;
pub mod tls;

mod buffer;
mod deadline;
mod listen;
mod stream;
mod tally;
mod worker;

mod edit;
mod engine;
mod exchange;
pub mod explain;
mod forward;
mod grpc;
mod record;
mod respond;
mod trace;
mod upstream;
mod websocket;

pub use address::Address;
pub use listen::unix;
pub use pool::{HealthView, PoolState, Seen};
pub use proxy::{Closing, Kept, Options, Proxy, Ready, StartError};
pub use server::{Cut, ServerState};
pub use snapshot::{Sameness, Snapshot};
pub use upstream::announce::own_header;
