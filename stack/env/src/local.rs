//! Sockets in the file system, which never leave their host.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::net::{Address, Connection, Listener, ListenerKind, Net, NetError, Stream, locked};
use crate::pipe::pipe;

impl Net {
    /// Listens at a socket in the file system of `host`; in memory, under that name.
    ///
    /// # Errors
    /// Where the path is taken or cannot be bound.
    pub(crate) fn listen_unix(&self, host: &str, path: &str) -> Result<Listener, NetError> {
        let failed = |source| NetError::Unix {
            path: path.to_owned(),
            source,
        };
        let kind = if self.is_memory() {
            let mut table = locked(&self.local);
            let key = (host.to_owned(), path.to_owned());
            if table.get(&key).is_some_and(|sender| !sender.is_closed()) {
                return Err(failed(io::ErrorKind::AddrInUse.into()));
            }
            let (sender, receiver) = mpsc::unbounded_channel();
            table.insert(key, sender);
            ListenerKind::Memory(receiver)
        } else {
            let listener = UnixListener::bind(path).map_err(failed)?;
            ListenerKind::Unix(listener, OwnPath(path.into()))
        };
        Ok(Listener {
            address: Address::new(path, 0),
            kind,
        })
    }

    /// Connects to a socket in the file system of `host`. No link is between the two: a host is not cut off from itself.
    ///
    /// # Errors
    /// Where there is no such socket, or nobody listens.
    pub(crate) async fn dial_unix(&self, host: &str, path: &str) -> Result<Connection, NetError> {
        let failed = |source| NetError::Unix {
            path: path.to_owned(),
            source,
        };
        let stream = if self.is_memory() {
            let table = locked(&self.local);
            let sender = table.get(&(host.to_owned(), path.to_owned()));
            let sender = sender.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let (near, far) = pipe();
            let refused = |_| failed(io::ErrorKind::ConnectionRefused.into());
            sender.send(far).map_err(refused)?;
            Stream::Memory(near)
        } else {
            Stream::Unix(UnixStream::connect(path).await.map_err(failed)?)
        };
        Ok(Connection::plain(stream))
    }
}

/// The file of a socket, which goes with its listener.
pub(crate) struct OwnPath(PathBuf);

impl fmt::Display for OwnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        // A file that somebody else has removed is gone as well.
        let _ = std::fs::remove_file(&self.0);
    }
}
