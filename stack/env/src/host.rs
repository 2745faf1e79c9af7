//! What a host of the simulation sees.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use gameday_signal::{EventKind, Timestamp};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::Clock;
use crate::http_client::{HttpClient, HttpOptions};
use crate::http2_client::Http2Client;
use crate::journal::Journal;
use crate::link::{LinkFault, LinkGuard};
use crate::net::{Address, Connection, Listener, Net, NetError, Route};
use crate::rng::Rng;
use crate::tls::TlsOptions;

/// The environment as one host sees it. A clone is cheap and stands for the same host.
#[derive(Clone)]
pub struct Env {
    host: Arc<str>,
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    net: Net,
    seed: u64,
    journal: Journal,
    virtual_time: bool,
    runtime: Handle,
    tasks: Mutex<BTreeMap<Arc<str>, Tasks>>,
}

/// The running tasks of a host. Finished ones are swept out when their number has doubled.
#[derive(Default)]
struct Tasks {
    handles: Vec<AbortHandle>,
    sweep_at: usize,
}

/// Below this number of tasks nothing is swept.
const SWEEP_MIN: usize = 64;

impl Env {
    pub(crate) fn new(
        clock: Clock,
        net: Net,
        seed: u64,
        journal: Journal,
        virtual_time: bool,
    ) -> Self {
        let tasks = Mutex::default();
        let runtime = Handle::current();
        let shared = Shared {
            clock,
            net,
            seed,
            journal,
            virtual_time,
            runtime,
            tasks,
        };
        Self {
            host: "gameday".into(),
            shared: Arc::new(shared),
        }
    }

    /// The same environment as `host` sees it.
    #[must_use]
    pub fn on(&self, host: &str) -> Self {
        Self {
            host: host.into(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// The name of this host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether time is virtual.
    pub fn is_virtual(&self) -> bool {
        self.shared.virtual_time
    }

    /// The seed that every random stream grows from.
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// The random stream of that name; the same name gives the same stream from its beginning.
    pub fn rng(&self, name: &str) -> Rng {
        Rng::named(self.shared.seed, name)
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Writes an event into the journal.
    pub fn record(&self, kind: EventKind) {
        self.shared.journal.record(kind);
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.shared.net
    }

    /// Listens at `address` for connections to this host.
    ///
    /// # Errors
    /// Where the address is taken or cannot be bound.
    pub async fn listen(&self, address: &Address) -> Result<Listener, NetError> {
        self.shared.net.listen(address).await
    }

    /// Connects from this host to `address`.
    ///
    /// # Errors
    /// Where the name is unknown, nobody listens, or a link fault is in the way.
    pub async fn dial(&self, address: &Address) -> Result<Connection, NetError> {
        self.dial_by(address, Route::default()).await
    }

    /// The same between these of the hosts' addresses.
    ///
    /// # Errors
    /// As [`Env::dial`], and where an address is not one of this host.
    pub async fn dial_by(&self, address: &Address, route: Route) -> Result<Connection, NetError> {
        self.shared
            .net
            .dial(&self.host, address, route, &self.shared.clock)
            .await
    }

    /// Listens at a socket in the file system of this host.
    ///
    /// # Errors
    /// Where the path is taken or cannot be bound.
    pub fn listen_unix(&self, path: &str) -> Result<Listener, NetError> {
        self.shared.net.listen_unix(&self.host, path)
    }

    /// Connects to a socket in the file system of this host.
    ///
    /// # Errors
    /// Where there is no such socket, it is not ours to open, or nobody listens.
    pub async fn dial_unix(&self, path: &str) -> Result<Connection, NetError> {
        self.shared.net.dial_unix(&self.host, path).await
    }

    /// Whether `host` is there in virtual time: it is this one, or any task of it runs.
    pub(crate) fn is_up(&self, host: &str) -> bool {
        let tasks = self.shared.tasks.lock();
        let tasks = tasks.unwrap_or_else(PoisonError::into_inner);
        let runs = |it: &Tasks| it.handles.iter().any(|task| !task.is_finished());
        host == self.host() || tasks.get(host).is_some_and(runs)
    }

    /// A fault on the link between two hosts, which ends when the guard is dropped.
    pub fn fault_link(&self, from: &str, to: &str, fault: LinkFault) -> LinkGuard {
        self.shared.net.links().install(from, to, fault)
    }

    /// An HTTP client that dials from this host and keeps its connections.
    pub fn http_client(&self) -> HttpClient {
        HttpClient::new(self, HttpOptions::default())
    }

    /// The same with options of its own: what it trusts, through which proxy it goes.
    pub fn http_client_with(&self, options: HttpOptions) -> HttpClient {
        HttpClient::new(self, options)
    }

    /// An HTTP/2 client of the server at `address`, over TLS where `tls` is given, that dials from this host and keeps its connection.
    pub fn http2_client(&self, address: Address, tls: Option<TlsOptions>) -> Http2Client {
        Http2Client::new(self, address, tls)
    }

    /// Runs `future` as a task of this host; it ends when the host crashes.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.shared.runtime.spawn(future).abort_handle();
        let mut all = self
            .shared
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let tasks = all.entry(Arc::clone(&self.host)).or_default();
        tasks.handles.push(handle);
        if tasks.handles.len() >= tasks.sweep_at.max(SWEEP_MIN) {
            tasks.handles.retain(|task| !task.is_finished());
            tasks.sweep_at = tasks.handles.len() * 2;
        }
    }

    /// Ends every task of `host` and with them its listeners and connections, as a crash does.
    pub fn crash(&self, host: &str) {
        let tasks = self
            .shared
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(host);
        for task in tasks.unwrap_or_default().handles {
            task.abort();
        }
    }

    pub(crate) fn crash_all(&self) {
        let all = std::mem::take(
            &mut *self
                .shared
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for task in all.into_values().flat_map(|tasks| tasks.handles) {
            task.abort();
        }
    }
}
