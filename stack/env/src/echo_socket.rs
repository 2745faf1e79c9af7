//! The socket behind an echo: ICMP (RFC 792) and ICMPv6 (RFC 4443).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType,
    SockaddrStorage, bind, connect, recvmsg, send, sendto, setsockopt, socket, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::echo::{EchoError, EchoOptions, EchoReply};

/// Numbers the questions of this process.
static SEQUENCE: AtomicU16 = AtomicU16::new(1);
/// The protocol of ICMP in an IPv4 header.
const PROTOCOL: u8 = 1;
/// An IPv4 header without options.
const HEADER_BYTES: usize = 20;
/// The hop limit of headers of our own, where none is asked for.
const TTL: u8 = 64;

pub(crate) struct EchoSocket {
    /// A socket for ICMP, and no other thing of UDP's than that tokio can wait for it.
    socket: UdpSocket,
    /// Sends packets with a header of our own, which alone can forbid to break them up.
    sender: Option<OwnedFd>,
    ip: IpAddr,
    ttl: u8,
    /// What the system said of a socket for everybody; none where it gave us one.
    raw_because: Option<String>,
}

impl EchoSocket {
    pub(crate) fn open(ip: IpAddr, options: &EchoOptions) -> Result<Self, EchoError> {
        let (family, protocol) = match ip {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let open = |kind, protocol| socket(family, kind, flags, protocol);
        // Who brings a header needs a raw socket, and the answers to its packets come to such a one only.
        let own_header = options.dont_fragment && ip.is_ipv4();
        let tried = if own_header {
            Err("dont_fragment needs a raw socket".to_owned())
        } else {
            open(SockType::Datagram, protocol).map_err(|error| error.to_string())
        };
        let (descriptor, raw_because) = match tried {
            Ok(descriptor) => (descriptor, None),
            Err(datagram) => match open(SockType::Raw, protocol) {
                Ok(descriptor) => (descriptor, Some(datagram)),
                Err(raw) => {
                    let raw = raw.to_string();
                    return Err(EchoError::Socket { datagram, raw });
                }
            },
        };
        let fd = descriptor.as_raw_fd();
        // Without it the hop limit of the answer is not known, and all else is.
        let _ = match ip {
            IpAddr::V4(_) => setsockopt(&descriptor, sockopt::Ipv4RecvTtl, &true),
            IpAddr::V6(_) => setsockopt(&descriptor, sockopt::Ipv6RecvHopLimit, &true),
        };
        if options.ttl > 0 {
            let ttl = i32::from(options.ttl);
            match ip {
                IpAddr::V4(_) => setsockopt(&descriptor, sockopt::Ipv4Ttl, &ttl),
                IpAddr::V6(_) => setsockopt(&descriptor, sockopt::Ipv6Ttl, &ttl),
            }
            .map_err(|error| failed("cannot set the hop limit", error))?;
        }
        if let Some(source) = options.source {
            let bound = bind(fd, &storage(source));
            bound.map_err(|error| failed("cannot send from source_ip_address", error))?;
        }
        // A connected socket takes the packets of the other host only.
        connect(fd, &storage(ip)).map_err(|error| failed("connect", error))?;
        let sender = if own_header {
            let opened = open(SockType::Raw, SockProtocol::Raw);
            Some(opened.map_err(|error| failed("cannot open a raw socket", error))?)
        } else {
            None
        };
        let socket = UdpSocket::from_std(descriptor.into()).map_err(|source| EchoError::Io {
            what: "cannot wait for the socket",
            source,
        })?;
        Ok(Self {
            socket,
            sender,
            ip,
            ttl: if options.ttl == 0 { TTL } else { options.ttl },
            raw_because,
        })
    }

    pub(crate) fn raw_because(&self) -> Option<&str> {
        self.raw_because.as_deref()
    }

    pub(crate) async fn ask(&mut self, payload: &[u8]) -> Result<EchoReply, EchoError> {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        // The system puts an identifier of its own into packets of datagram sockets.
        let id = (std::process::id() & 0xffff) as u16 ^ sequence.rotate_left(8);
        let packet = request(self.ip, id, sequence, payload);
        let sent = match (&self.sender, self.ip) {
            (Some(sender), IpAddr::V4(ip)) => {
                let whole = [&header(ip, self.ttl, packet.len())[..], &packet].concat();
                let to = storage(self.ip);
                sendto(sender.as_raw_fd(), &whole, &to, MsgFlags::empty())
            }
            _ => send(self.socket.as_raw_fd(), &packet, MsgFlags::empty()),
        };
        sent.map_err(|error| failed("cannot write to the socket", error))?;
        let expected = Expected {
            ip: self.ip,
            id: self.raw_because.is_some().then_some(id),
            sequence,
            payload,
        };
        loop {
            if let Err(source) = self.socket.readable().await {
                let what = "cannot wait for the answer";
                return Err(EchoError::Io { what, source });
            }
            let descriptor = self.socket.as_raw_fd();
            let read = || receive(descriptor).map_err(io::Error::from);
            match self.socket.try_io(Interest::READABLE, read) {
                Ok((bytes, told)) => {
                    if let Some(in_header) = expected.found(&bytes) {
                        let hop_limit = told.or(in_header);
                        return Ok(EchoReply { hop_limit });
                    }
                }
                // Nothing there after all.
                Err(source) if source.kind() == io::ErrorKind::WouldBlock => {}
                Err(source) => {
                    let what = "cannot read from the socket";
                    return Err(EchoError::Io { what, source });
                }
            }
        }
    }
}

fn failed(what: &'static str, error: Errno) -> EchoError {
    let source = error.into();
    EchoError::Io { what, source }
}

fn storage(ip: IpAddr) -> SockaddrStorage {
    SocketAddr::new(ip, 0).into()
}

/// One packet, and the hop limit that the system tells beside it.
fn receive(descriptor: i32) -> Result<(Vec<u8>, Option<u8>), Errno> {
    let mut buffer = vec![0; 1 << 16];
    let mut beside = nix::cmsg_space!(i32, i32);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(descriptor, &mut parts, Some(&mut beside), flags)?;
    let mut hop_limit = None;
    for told in message.cmsgs()? {
        if let ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) = told {
            hop_limit = u8::try_from(ttl).ok();
        }
    }
    let count = message.bytes;
    buffer.truncate(count);
    Ok((buffer, hop_limit))
}

fn request(ip: IpAddr, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let kind = if ip.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(payload);
    // The system does that for ICMPv6, whose sum is over addresses as well.
    if ip.is_ipv4() {
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let sum: u32 = words
        .map(|it| u32::from(it[0]) << 8 | u32::from(it.get(1).copied().unwrap_or(0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// An IPv4 header that forbids to break the packet up; the system fills in its length, its checksum and the address of the sender.
fn header(to: Ipv4Addr, ttl: u8, bytes: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let length = u16::try_from(bytes + HEADER_BYTES).unwrap_or(u16::MAX);
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[6] = 0x40;
    (header[8], header[9]) = (ttl, PROTOCOL);
    header[16..].copy_from_slice(&to.octets());
    header
}

/// The answer that is waited for.
struct Expected<'a> {
    ip: IpAddr,
    /// None where the system has chosen it, and looks after it.
    id: Option<u16>,
    sequence: u16,
    payload: &'a [u8],
}

impl Expected<'_> {
    /// Whether this is the answer; with the hop limit of its header, if it has one.
    fn found(&self, bytes: &[u8]) -> Option<Option<u8>> {
        // IPv4 packets come with their headers at a raw socket.
        let with_header = self.ip.is_ipv4() && self.id.is_some();
        let (packet, hop_limit) = if with_header {
            let words = usize::from(bytes.first()? & 0x0f);
            (bytes.get(words * 4..)?, bytes.get(8).copied())
        } else {
            (bytes, None)
        };
        let kind = if self.ip.is_ipv4() { 0 } else { 129 };
        let number = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        let same = *packet.first()? == kind
            && *packet.get(1)? == 0
            && self.id.is_none_or(|id| number(4) == Some(id))
            && number(6)? == self.sequence
            && packet.get(8..)? == self.payload;
        same.then_some(hop_limit)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn packets_have_the_checksum_of_rfc_1071() {
        let packet = request(V4, 0x1234, 7, b"abc");
        assert_eq!(checksum(&packet), 0);
        assert_eq!(packet.len(), 11);
        assert_eq!(request(V6, 1, 1, b"")[..4], [128, 0, 0, 0]);
        assert_eq!(header(Ipv4Addr::LOCALHOST, 9, 11)[6..10], [0x40, 0, 9, 1]);
    }

    #[test]
    fn only_the_own_answer_is_found() {
        let (id, sequence) = (Some(0x1234), 7);
        let expected = |ip, id| Expected {
            ip,
            id,
            sequence,
            payload: b"abc",
        };
        let mut answer = request(V4, 0x1234, 7, b"abc");
        answer[0] = 0;
        let raw = [&header(Ipv4Addr::LOCALHOST, 61, 11)[..], &answer].concat();
        assert_eq!(expected(V4, id).found(&raw), Some(Some(61)));
        assert_eq!(expected(V4, None).found(&answer), Some(None));
        assert_eq!(expected(V4, Some(1)).found(&raw), None);
        assert_eq!(expected(V4, None).found(&request(V4, 1, 7, b"abc")), None);
        answer[0] = 129;
        assert_eq!(expected(V6, id).found(&answer), Some(None));
        for end in 0..raw.len() {
            assert_eq!(expected(V4, id).found(&raw[..end]), None, "{end}");
        }
    }
}
