//! The only door to time, network, entropy, processes and the journal.
//!
//! ```text
//!            Sim (one runtime on one thread)
//!             |
//!   Env ------+-- Clock    an epoch plus the time that has passed: tokio's Instant, or virtual time with timers of its own
//!   (a host)  +-- Net      listen and dial by name: in-memory pipes or TCP on loopback, with link faults on the way;
//!             |            TLS and proxies on top; datagrams, ICMP echo, sockets in the file system, names to addresses
//!             +-- Rng      ChaCha8 streams by name, all from one seed
//!             +-- Journal  what a person would want on the timeline, once, in order
//! ```
//!
//! Entry: [`Sim::new`], then [`Sim::env`] and [`Env::on`] for the hosts of the scenario.
//!
//! Invariants: no other room names a clock, a socket, a thread or a source of entropy. In virtual time nothing here blocks
//! on the outside world: time stands still while any task can run and jumps to the next timer when none can. A host that crashes
//! takes its tasks and its connections with it.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this room is the door that the other rooms go through"
)]

mod certificate;
mod clock;
mod datagram;
mod echo;
mod echo_socket;
mod host;
mod http2_client;
mod http_client;
mod http_pool;
mod http_server;
mod journal;
mod link;
mod local;
mod lookup;
mod net;
mod pipe;
mod process;
mod proxy;
mod proxy_handshake;
mod rng;
mod side_by_side;
mod sim;
mod timer;
mod tls;
mod tls_verifier;
mod watchdog;

pub use certificate::Certificate;
pub use clock::{Clock, Elapsed, Sleep, Stopwatch, Timeout};
pub use datagram::{DatagramClient, DatagramSocket};
pub use echo::{Echo, EchoError, EchoOptions, EchoReply};
pub use host::Env;
pub use http_client::{AnswerLimit, HttpClient, HttpError, HttpErrorKind, HttpOptions};
pub use http_server::{ServeOptions, serve, serve_http2, serve_tls};
pub use http2_client::Http2Client;
pub use journal::Journal;
pub use link::{LinkFault, LinkGuard, LinkVerdict};
pub use net::{Address, AddressError, Connection, Listener, Net, NetError, Route};
pub use process::{Child, Hangups, ProcessError, environment_variable, interrupted, parent_gone};
pub use proxy::{ProxyError, ProxyOptions, ProxyUrl};
pub use proxy_handshake::HttpWay;
pub use rng::Rng;
pub use side_by_side::side_by_side;
pub use sim::{Mode, Sim, SimConfig};
pub use tls::{TlsClient, TlsError, TlsOptions, TlsServer, TlsSession, TlsVersion};
