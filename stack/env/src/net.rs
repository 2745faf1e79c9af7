//! Listening and dialling by name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsStream;

use crate::clock::{Clock, Sleep};
use crate::datagram::Datagrams;
use crate::link::{LinkVerdict, Links, RESEND_FIRST, RESEND_TURN};
use crate::local::OwnPath;
use crate::pipe::{Pipe, pipe};

/// A host name (or an IP address) and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The name.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {0:?}: expected host:port, for example \"checkout:8080\"")]
pub struct AddressError(pub String);

impl Address {
    /// The address of `port` on `host`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(error());
        }
        Ok(Self::new(host, port.parse().map_err(|_| error())?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection or no listener.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The port is taken.
    #[error("port {} is taken: another process listens at {address}", address.port)]
    Taken {
        /// Where.
        address: Address,
    },
    /// The name is not known.
    #[error("no such host: {host}")]
    UnknownHost {
        /// The name.
        host: String,
    },
    /// Nobody listens there, or a link fault refuses.
    #[error("dial tcp {address}: connection refused")]
    Refused {
        /// Where.
        address: Address,
    },
    /// Anything else that the operating system says.
    #[error("{address}: {source}")]
    Io {
        /// Where.
        address: Address,
        /// What it says.
        source: io::Error,
    },
    /// The same of a socket in the file system.
    #[error("unix {path}: {source}")]
    Unix {
        /// Its path.
        path: String,
        /// What it says.
        source: io::Error,
    },
}

/// By which of their addresses two hosts are connected, where the network has addresses: in memory this means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The address to connect from; the system chooses if there is none.
    pub from: Option<IpAddr>,
    /// The address of the other side; its name is looked up if there is none.
    pub to: Option<IpAddr>,
}

/// The network: pipes in memory, or TCP.
#[derive(Clone)]
pub struct Net {
    kind: Kind,
    links: Links,
    datagrams: Datagrams,
    /// The sockets in the file systems of the hosts, in memory: by host and path.
    pub(crate) local: Arc<Mutex<BTreeMap<(String, String), Pipes>>>,
}

/// Takes the far ends of new pipes in memory.
pub(crate) type Pipes = mpsc::UnboundedSender<Pipe>;

#[derive(Clone)]
enum Kind {
    Memory(Arc<Mutex<BTreeMap<Address, Pipes>>>),
    Tcp(Arc<Mutex<BTreeMap<Address, SocketAddr>>>),
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    pub(crate) fn in_memory(links: Links) -> Self {
        Self {
            kind: Kind::Memory(Arc::default()),
            links,
            datagrams: Datagrams::default(),
            local: Arc::default(),
        }
    }

    pub(crate) fn tcp(links: Links) -> Self {
        Self {
            kind: Kind::Tcp(Arc::default()),
            links,
            datagrams: Datagrams::default(),
            local: Arc::default(),
        }
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn datagrams(&self) -> &Datagrams {
        &self.datagrams
    }

    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory(_))
    }

    /// Whether anybody listens, or has listened, on `host`, in memory.
    pub(crate) fn has_listened(&self, host: &str) -> bool {
        match &self.kind {
            Kind::Memory(listeners) => locked(listeners).keys().any(|it| it.host == host),
            Kind::Tcp(_) => false,
        }
    }

    /// The address behind a name that was assigned or that somebody listens at, over sockets.
    pub(crate) fn assigned_ip(&self, host: &str) -> Option<IpAddr> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::Tcp(names) => {
                let names = locked(names);
                let mut own = names.iter().filter(|(address, _)| address.host == host);
                own.next().map(|(_, socket)| socket.ip())
            }
        }
    }

    /// Tells where `address` is really found, for services that are other processes. In memory this means nothing.
    pub fn assign(&self, address: &Address, socket: SocketAddr) {
        if let Kind::Tcp(names) = &self.kind {
            locked(names).insert(address.clone(), socket);
        }
    }

    /// Where `address` is really found: what was assigned, or where the listener was bound.
    pub fn socket_of(&self, address: &Address) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::Tcp(names) => locked(names).get(address).copied(),
        }
    }

    /// Listens at `address`. On TCP, a name is bound to loopback, at the port that was assigned or else at a free one; an IP
    /// address is bound as it is.
    ///
    /// # Errors
    /// Where the address is taken or cannot be bound.
    pub async fn listen(&self, address: &Address) -> Result<Listener, NetError> {
        match &self.kind {
            Kind::Memory(listeners) => {
                let mut table = locked(listeners);
                if table.get(address).is_some_and(|sender| !sender.is_closed()) {
                    return Err(NetError::Taken {
                        address: address.clone(),
                    });
                }
                let (sender, receiver) = mpsc::unbounded_channel();
                table.insert(address.clone(), sender);
                Ok(Listener {
                    address: address.clone(),
                    kind: ListenerKind::Memory(receiver),
                })
            }
            Kind::Tcp(names) => {
                let assigned = locked(names).get(address).copied();
                let wanted = assigned.unwrap_or_else(|| {
                    address
                        .host
                        .parse()
                        .map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |ip| {
                            SocketAddr::new(ip, address.port)
                        })
                });
                let listener =
                    TcpListener::bind(wanted)
                        .await
                        .map_err(|source| match source.kind() {
                            io::ErrorKind::AddrInUse => NetError::Taken {
                                address: address.clone(),
                            },
                            _ => NetError::Io {
                                address: address.clone(),
                                source,
                            },
                        })?;
                if let Ok(bound) = listener.local_addr() {
                    locked(names).insert(address.clone(), bound);
                }
                Ok(Listener {
                    address: address.clone(),
                    kind: ListenerKind::Tcp(listener),
                })
            }
        }
    }

    /// Connects from the host `from` to `address`. A partition makes it wait for the repair: callers set a limit.
    ///
    /// # Errors
    /// Where the name is unknown, nobody listens, or a link fault refuses.
    pub async fn dial(
        &self,
        from: &str,
        address: &Address,
        route: Route,
        clock: &Clock,
    ) -> Result<Connection, NetError> {
        loop {
            match self.links.verdict(from, &address.host) {
                LinkVerdict::Deliver => break,
                LinkVerdict::Reset => {
                    return Err(NetError::Refused {
                        address: address.clone(),
                    });
                }
                LinkVerdict::Hold => self.links.repaired(from, &address.host).await,
                LinkVerdict::Delay(latency) => {
                    clock.sleep(latency).await;
                    break;
                }
            }
        }
        let late = self.links.resending(from, &address.host, RESEND_FIRST);
        if late > Duration::ZERO {
            clock.sleep(late).await;
        }
        let stream = match &self.kind {
            Kind::Memory(listeners) => Stream::Memory(dial_memory(listeners, address)?),
            Kind::Tcp(names) => {
                let assigned = locked(names).get(address).copied();
                Stream::Tcp(dial_tcp(assigned, address, route).await?)
            }
        };
        let gate = Gate {
            links: self.links.clone(),
            from: from.into(),
            to: address.host.as_str().into(),
            read_last: true,
            clock: clock.clone(),
            turning: None,
        };
        Ok(Connection {
            stream,
            gate: Some(gate),
            to_proxy: false,
        })
    }
}

fn dial_memory(
    listeners: &Mutex<BTreeMap<Address, Pipes>>,
    address: &Address,
) -> Result<Pipe, NetError> {
    let table = locked(listeners);
    let Some(sender) = table.get(address) else {
        let known = table.keys().any(|other| other.host == address.host);
        return Err(if known {
            NetError::Refused {
                address: address.clone(),
            }
        } else {
            NetError::UnknownHost {
                host: address.host.clone(),
            }
        });
    };
    let (near, far) = pipe();
    // A listener that is gone has closed its end: the host crashed or stopped.
    sender.send(far).map_err(|_| NetError::Refused {
        address: address.clone(),
    })?;
    Ok(near)
}

async fn dial_tcp(
    assigned: Option<SocketAddr>,
    address: &Address,
    route: Route,
) -> Result<TcpStream, NetError> {
    let known = route.to.map(|ip| SocketAddr::new(ip, address.port));
    let connected = match (assigned.or(known), route.from) {
        (Some(socket), None) => TcpStream::connect(socket).await,
        (Some(socket), Some(from)) => connect_from(from, socket).await,
        (None, _) => TcpStream::connect((address.host.as_str(), address.port)).await,
    };
    let stream = connected.map_err(|source| match source.kind() {
        io::ErrorKind::ConnectionRefused => NetError::Refused {
            address: address.clone(),
        },
        _ => NetError::Io {
            address: address.clone(),
            source,
        },
    })?;
    // Small requests on loopback: waiting to fill a segment only adds latency. A socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// Takes connections.
pub struct Listener {
    pub(crate) address: Address,
    pub(crate) kind: ListenerKind,
}

pub(crate) enum ListenerKind {
    Memory(mpsc::UnboundedReceiver<Pipe>),
    Tcp(TcpListener),
    Unix(UnixListener, OwnPath),
}

impl Listener {
    /// Where it was asked to listen.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The bound socket, on TCP.
    pub fn socket(&self) -> Option<SocketAddr> {
        match &self.kind {
            ListenerKind::Memory(_) | ListenerKind::Unix(..) => None,
            ListenerKind::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// Where the operating system cannot take it (out of file descriptors): the caller may go on.
    pub async fn accept(&mut self) -> Result<Connection, NetError> {
        match &mut self.kind {
            ListenerKind::Memory(receiver) => match receiver.recv().await {
                Some(stream) => Ok(Connection::plain(Stream::Memory(stream))),
                // The network keeps the sender; without it there is nobody left to connect.
                None => std::future::pending().await,
            },
            ListenerKind::Tcp(listener) => match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    Ok(Connection::plain(Stream::Tcp(stream)))
                }
                Err(source) => Err(NetError::Io {
                    address: self.address.clone(),
                    source,
                }),
            },
            ListenerKind::Unix(listener, path) => match listener.accept().await {
                Ok((stream, _)) => Ok(Connection::plain(Stream::Unix(stream))),
                Err(source) => Err(NetError::Unix {
                    path: path.to_string(),
                    source,
                }),
            },
        }
    }
}

/// A connection between two hosts, subject to the faults of its link at the dialling end.
pub struct Connection {
    stream: Stream,
    gate: Option<Gate>,
    /// Whether requests on it are meant for the proxy at its other end.
    to_proxy: bool,
}

pub(crate) enum Stream {
    Memory(Pipe),
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Connection>>),
}

impl Connection {
    pub(crate) fn plain(stream: Stream) -> Self {
        Self {
            stream,
            gate: None,
            to_proxy: false,
        }
    }

    /// The same connection with TLS on top; the gate stays below.
    pub(crate) fn over_tls(stream: TlsStream<Self>) -> Self {
        Self::plain(Stream::Tls(Box::new(stream)))
    }

    /// The same connection, whose other end is an HTTP proxy that takes requests for any host.
    pub(crate) fn with_proxy_behind(self) -> Self {
        Self {
            to_proxy: true,
            ..self
        }
    }

    /// Whether it is a pipe in memory.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.stream, Stream::Memory(_))
    }

    /// Whether its other end is such a proxy.
    pub(crate) fn leads_to_proxy(&self) -> bool {
        self.to_proxy
    }
}

struct Gate {
    links: Links,
    from: Arc<str>,
    to: Arc<str>,
    read_last: bool,
    clock: Clock,
    turning: Option<Sleep>,
}

impl Gate {
    /// Whether bytes may cross at all; `Ok` with the latency of a turn where there is one.
    fn poll_open(&self, context: &Context<'_>) -> Poll<io::Result<Duration>> {
        match self.links.verdict(&self.from, &self.to) {
            LinkVerdict::Deliver => Poll::Ready(Ok(Duration::ZERO)),
            LinkVerdict::Delay(latency) => Poll::Ready(Ok(latency)),
            LinkVerdict::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            LinkVerdict::Hold => {
                self.links.wait_for_change(context);
                Poll::Pending
            }
        }
    }

    fn poll_reading(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(context).map_ok(|_| ())
    }

    fn poll_writing(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let latency = std::task::ready!(self.poll_open(context))?;
        if self.read_last {
            self.read_last = false;
            let resending = self.links.resending(&self.from, &self.to, RESEND_TURN);
            let late = latency + resending;
            self.turning = (late > Duration::ZERO).then(|| self.clock.sleep(late));
        }
        if let Some(sleep) = &mut self.turning {
            std::task::ready!(Pin::new(sleep).poll(context));
            self.turning = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The gate stands before the stream: what waits behind a partition stays in the pipe until the repair.
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.poll_reading(context))?;
        }
        let before = buffer.filled().len();
        match &mut self.stream {
            Stream::Memory(stream) => {
                std::task::ready!(Pin::new(stream).poll_read(context, buffer))?
            }
            Stream::Tcp(stream) => std::task::ready!(Pin::new(stream).poll_read(context, buffer))?,
            Stream::Unix(stream) => std::task::ready!(Pin::new(stream).poll_read(context, buffer))?,
            Stream::Tls(stream) => std::task::ready!(Pin::new(stream).poll_read(context, buffer))?,
        }
        if let Some(gate) = &mut self.gate
            && buffer.filled().len() > before
        {
            gate.read_last = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.poll_writing(context))?;
        }
        match &mut self.stream {
            Stream::Memory(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    /// HTTP then hands over head and body as they are, without a copy that joins them.
    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Memory(stream) => stream.is_write_vectored(),
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Memory(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Memory(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
