//! Datagrams: UDP on the real clock, and in virtual time packets in memory that obey the same link faults.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::host::Env;
use crate::link::LinkVerdict;
use crate::net::{Address, NetError, Route, locked};

/// The largest datagram: 65535 less the headers of IPv4 and UDP.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 65_507;
/// The datagrams that wait at a socket in memory; a socket that is full loses what comes, as the kernel's does.
const WAITING_MAX: usize = 1024;
/// The first port for sockets that ask for none (RFC 6335, section 6).
const FIRST_FREE_PORT: u16 = 49_152;

/// The sockets for datagrams by name.
#[derive(Clone, Default)]
pub(crate) struct Datagrams(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    inboxes: BTreeMap<Address, mpsc::Sender<Packet>>,
    sockets: BTreeMap<Address, SocketAddr>,
}

enum Packet {
    Data {
        from: Address,
        bytes: Vec<u8>,
    },
    /// Nobody has a socket there.
    Unreachable(Address),
}

impl Datagrams {
    pub(crate) fn has(&self, host: &str) -> bool {
        locked(&self.0).inboxes.keys().any(|it| it.host == host)
    }

    pub(crate) fn assigned_ip(&self, host: &str) -> Option<IpAddr> {
        let table = locked(&self.0);
        let mut own = table.sockets.iter().filter(|(it, _)| it.host == host);
        own.next().map(|(_, socket)| socket.ip())
    }

    fn open(&self, address: &Address) -> Option<mpsc::Receiver<Packet>> {
        let mut table = locked(&self.0);
        if table.inboxes.get(address).is_some_and(|it| !it.is_closed()) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        table.inboxes.insert(address.clone(), sender);
        Some(receiver)
    }

    fn put(&self, to: &Address, packet: Packet) -> bool {
        match locked(&self.0).inboxes.get(to) {
            // A full inbox loses the packet, and its sender does not learn of it.
            Some(inbox) => !matches!(
                inbox.try_send(packet),
                Err(mpsc::error::TrySendError::Closed(_))
            ),
            None => false,
        }
    }
}

enum Kind {
    Memory(mpsc::Receiver<Packet>),
    Udp(Arc<UdpSocket>),
}

/// A bound socket: takes datagrams from anybody and sends to anybody, as a server does.
pub struct DatagramSocket {
    env: Env,
    address: Address,
    kind: Kind,
}

/// A connected socket: sends to one other socket, takes from that one only, and learns that nobody is there.
pub struct DatagramClient {
    env: Env,
    own: Address,
    peer: Address,
    kind: Kind,
}

fn failed(address: &Address, source: io::Error) -> NetError {
    let address = address.clone();
    match source.kind() {
        io::ErrorKind::ConnectionRefused => NetError::Refused { address },
        io::ErrorKind::AddrInUse => NetError::Taken { address },
        _ => NetError::Io { address, source },
    }
}

fn fits(bytes: &[u8], to: &Address) -> Result<(), NetError> {
    if bytes.len() <= DATAGRAM_BYTES_MAX {
        return Ok(());
    }
    let reason = format!(
        "a datagram of {} bytes is too long, {DATAGRAM_BYTES_MAX} are the most",
        bytes.len()
    );
    Err(failed(to, io::Error::other(reason)))
}

impl Env {
    /// Takes the datagrams for `address` on this host. On UDP, a name is bound to loopback at a free port.
    ///
    /// # Errors
    /// Where the address is taken or cannot be bound.
    pub async fn bind_datagrams(&self, address: &Address) -> Result<DatagramSocket, NetError> {
        let sockets = self.net().datagrams();
        let kind = if self.net().is_memory() {
            let opened = sockets.open(address);
            Kind::Memory(opened.ok_or_else(|| NetError::Taken {
                address: address.clone(),
            })?)
        } else {
            let ip: Option<IpAddr> = address.host.parse().ok();
            let wanted = ip.map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |ip| {
                SocketAddr::new(ip, address.port)
            });
            let bound = UdpSocket::bind(wanted).await;
            let socket = bound.map_err(|source| failed(address, source))?;
            if let Ok(local) = socket.local_addr() {
                locked(&sockets.0).sockets.insert(address.clone(), local);
            }
            Kind::Udp(Arc::new(socket))
        };
        Ok(DatagramSocket {
            env: self.clone(),
            address: address.clone(),
            kind,
        })
    }

    /// A socket of this host for a conversation with `peer` in datagrams. Nothing is sent yet.
    ///
    /// # Errors
    /// Where the name is unknown, or an address is not one of this host.
    pub async fn dial_datagrams(
        &self,
        peer: &Address,
        route: Route,
    ) -> Result<DatagramClient, NetError> {
        let sockets = self.net().datagrams();
        let (own, kind) = if self.net().is_memory() {
            self.lookup(&peer.host).await?;
            let opened = (FIRST_FREE_PORT..=u16::MAX).find_map(|port| {
                let own = Address::new(self.host(), port);
                let receiver = sockets.open(&own)?;
                Some((own, Kind::Memory(receiver)))
            });
            let exhausted = || failed(peer, io::Error::other("no port is free"));
            opened.ok_or_else(exhausted)?
        } else {
            let assigned = locked(&sockets.0).sockets.get(peer).copied();
            let to = match (assigned, route.to) {
                (Some(socket), _) => socket,
                (None, Some(ip)) => SocketAddr::new(ip, peer.port),
                (None, None) => SocketAddr::new(self.lookup(&peer.host).await?[0], peer.port),
            };
            let any: IpAddr = match to {
                SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            let from = SocketAddr::new(route.from.unwrap_or(any), 0);
            let io_failed = |source| failed(peer, source);
            let socket = UdpSocket::bind(from).await.map_err(io_failed)?;
            socket.connect(to).await.map_err(io_failed)?;
            (Address::new(self.host(), 0), Kind::Udp(Arc::new(socket)))
        };
        Ok(DatagramClient {
            env: self.clone(),
            own,
            peer: peer.clone(),
            kind,
        })
    }

    /// Sends in memory. What a link holds back is lost, for nobody sends a datagram again.
    fn send_in_memory(&self, from: &Address, to: &Address, bytes: &[u8]) {
        let sockets = self.net().datagrams().clone();
        let packet = Packet::Data {
            from: from.clone(),
            bytes: bytes.to_vec(),
        };
        let links = self.net().links();
        if links.loses(&from.host, &to.host) {
            return;
        }
        match links.verdict(&from.host, &to.host) {
            LinkVerdict::Hold => {}
            LinkVerdict::Reset => {
                sockets.put(from, Packet::Unreachable(to.clone()));
            }
            LinkVerdict::Deliver => self.arrive(from, to, packet),
            LinkVerdict::Delay(latency) => {
                let (env, from, to) = (self.clone(), from.clone(), to.clone());
                self.spawn(async move {
                    env.clock().sleep(latency).await;
                    env.arrive(&from, &to, packet);
                });
            }
        }
    }

    /// A host that is up says that nobody takes the datagram; one that is down says nothing.
    fn arrive(&self, from: &Address, to: &Address, packet: Packet) {
        let sockets = self.net().datagrams();
        if !sockets.put(to, packet) && self.is_up(&to.host) {
            sockets.put(from, Packet::Unreachable(to.clone()));
        }
    }
}

impl DatagramSocket {
    /// What it was asked to take.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The bound socket, on UDP.
    pub fn socket(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::Udp(socket) => socket.local_addr().ok(),
        }
    }

    /// The next datagram and where it is from.
    ///
    /// # Errors
    /// Where the operating system says so: the caller may go on.
    pub async fn receive(&mut self) -> Result<(Vec<u8>, Address), NetError> {
        match &mut self.kind {
            Kind::Memory(inbox) => loop {
                match inbox.recv().await {
                    Some(Packet::Data { from, bytes }) => return Ok((bytes, from)),
                    Some(Packet::Unreachable(_)) => {}
                    None => std::future::pending().await,
                }
            },
            Kind::Udp(socket) => {
                let mut buffer = vec![0; 1 << 16];
                let received = socket.recv_from(&mut buffer).await;
                let (count, from) = received.map_err(|source| failed(&self.address, source))?;
                buffer.truncate(count);
                Ok((buffer, Address::new(from.ip().to_string(), from.port())))
            }
        }
    }

    /// Sends a datagram to `to`, mostly where one came from.
    ///
    /// # Errors
    /// Where it is too long, or the operating system does not send it.
    pub async fn send(&self, bytes: &[u8], to: &Address) -> Result<(), NetError> {
        fits(bytes, to)?;
        match &self.kind {
            Kind::Memory(_) => {
                self.env.send_in_memory(&self.address, to, bytes);
                Ok(())
            }
            Kind::Udp(socket) => {
                let ip = self.env.lookup(&to.host).await?[0];
                let sent = socket.send_to(bytes, (ip, to.port)).await;
                sent.map(drop).map_err(|source| failed(to, source))
            }
        }
    }
}

impl DatagramClient {
    /// Sends a datagram.
    ///
    /// # Errors
    /// Where it is too long, or the operating system does not send it.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), NetError> {
        fits(bytes, &self.peer)?;
        let socket = match &self.kind {
            Kind::Memory(_) => {
                self.env.send_in_memory(&self.own, &self.peer, bytes);
                return Ok(());
            }
            Kind::Udp(socket) => socket,
        };
        let links = self.env.net().links();
        if links.loses(self.env.host(), &self.peer.host) {
            return Ok(());
        }
        match links.verdict(self.env.host(), &self.peer.host) {
            LinkVerdict::Hold => return Ok(()),
            LinkVerdict::Reset => {
                return Err(NetError::Refused {
                    address: self.peer.clone(),
                });
            }
            LinkVerdict::Deliver => {}
            LinkVerdict::Delay(latency) => {
                let (socket, bytes) = (Arc::clone(socket), bytes.to_vec());
                let clock = self.env.clock().clone();
                self.env.spawn(async move {
                    clock.sleep(latency).await;
                    // Its error is told to who waits for the answer.
                    let _ = socket.send(&bytes).await;
                });
                return Ok(());
            }
        }
        let sent = socket.send(bytes).await;
        sent.map(drop).map_err(|source| failed(&self.peer, source))
    }

    /// The next datagram of the other side.
    ///
    /// # Errors
    /// [`NetError::Refused`] where the other host has no such socket, or what the operating system says.
    pub async fn receive(&mut self) -> Result<Vec<u8>, NetError> {
        match &mut self.kind {
            Kind::Memory(inbox) => loop {
                match inbox.recv().await {
                    Some(Packet::Data { from, bytes }) if from == self.peer => return Ok(bytes),
                    Some(Packet::Unreachable(address)) if address == self.peer => {
                        return Err(NetError::Refused { address });
                    }
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            },
            Kind::Udp(socket) => loop {
                let mut buffer = vec![0; 1 << 16];
                let received = socket.recv(&mut buffer).await;
                let count = received.map_err(|source| failed(&self.peer, source))?;
                buffer.truncate(count);
                let links = self.env.net().links();
                if links.loses(&self.peer.host, self.env.host()) {
                    continue;
                }
                match links.verdict(&self.peer.host, self.env.host()) {
                    LinkVerdict::Deliver => return Ok(buffer),
                    LinkVerdict::Delay(latency) => {
                        self.env.clock().sleep(latency).await;
                        return Ok(buffer);
                    }
                    LinkVerdict::Hold | LinkVerdict::Reset => {}
                }
            },
        }
    }
}

impl Drop for DatagramClient {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Memory(_)) {
            locked(&self.env.net().datagrams().0)
                .inboxes
                .remove(&self.own);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gameday_signal::Timestamp;

    use super::*;
    use crate::{LinkFault, Mode, Sim, SimConfig};

    fn sim(mode: Mode) -> Sim {
        Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime")
    }

    const VIRTUAL: Mode = Mode::Virtual {
        epoch: Timestamp::EPOCH,
        speed: None,
    };

    async fn start_echo(env: &Env) -> Address {
        let address = Address::new("echo", 7);
        let mut server = env.on("echo").bind_datagrams(&address).await.expect("free");
        env.on("echo").spawn(async move {
            while let Ok((bytes, from)) = server.receive().await {
                server.send(&bytes, &from).await.expect("sent");
            }
        });
        address
    }

    async fn ask(env: &Env, address: &Address) -> Result<Vec<u8>, String> {
        let caller = env.on("caller");
        let dialled = caller.dial_datagrams(address, Route::default()).await;
        let mut client = dialled.map_err(|error| error.to_string())?;
        client.send(b"hi").await.expect("sent");
        let limit = Duration::from_secs(2);
        match env.clock().timeout(limit, client.receive()).await {
            Ok(received) => received.map_err(|error| error.to_string()),
            Err(elapsed) => Err(elapsed.to_string()),
        }
    }

    #[test]
    fn datagrams_obey_the_faults_of_their_links() {
        for mode in [VIRTUAL, Mode::Real] {
            let sim = sim(mode);
            let env = sim.env().clone();
            sim.block_on(async {
                let address = start_echo(&env).await;
                assert_eq!(ask(&env, &address).await, Ok(b"hi".to_vec()));
                let latency = Duration::from_millis(300);
                let slow = env.fault_link("caller", "echo", LinkFault::Latency { latency });
                let begin = env.now();
                assert_eq!(ask(&env, &address).await, Ok(b"hi".to_vec()));
                assert!(env.now().since(begin) >= latency);
                drop(slow);
                let refuse = env.fault_link("caller", "echo", LinkFault::Refuse);
                if mode == VIRTUAL {
                    let refused = "dial tcp echo:7: connection refused";
                    assert_eq!(ask(&env, &address).await, Err(refused.to_owned()));
                }
                drop(refuse);
                let all = LinkFault::Loss { per_mille: 1000 };
                let lossy = env.fault_link("caller", "echo", all);
                let lost = Err("timed out after 2s".to_owned());
                assert_eq!(ask(&env, &address).await, lost);
                drop(lossy);
                // A datagram is lost whichever way the link is cut.
                for (from, to) in [("caller", "echo"), ("echo", "caller")] {
                    let cut = env.fault_link(from, to, LinkFault::Partition);
                    let lost = Err("timed out after 2s".to_owned());
                    assert_eq!(ask(&env, &address).await, lost, "{from} {to}");
                    drop(cut);
                }
                assert_eq!(ask(&env, &address).await, Ok(b"hi".to_vec()));
            });
        }
    }

    #[test]
    fn a_host_that_is_down_says_nothing() {
        let sim = sim(VIRTUAL);
        let env = sim.env().clone();
        sim.block_on(async {
            let address = start_echo(&env).await;
            let closed = Address::new("echo", 8);
            let refused = Err("dial tcp echo:8: connection refused".to_owned());
            assert_eq!(ask(&env, &closed).await, refused);
            env.crash("echo");
            let lost = Err("timed out after 2s".to_owned());
            assert_eq!(ask(&env, &address).await, lost);
            assert_eq!(ask(&env, &closed).await, lost);
            let unknown = Address::new("nobody", 7);
            let no_host = Err("no such host: nobody".to_owned());
            assert_eq!(ask(&env, &unknown).await, no_host);
            let again = start_echo(&env).await;
            assert_eq!(ask(&env, &again).await, Ok(b"hi".to_vec()));
        });
    }
}
