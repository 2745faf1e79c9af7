//! ICMP echo: whether a host is there at all.

use std::net::IpAddr;

use crate::datagram::DATAGRAM_BYTES_MAX;
use crate::echo_socket::EchoSocket;
use crate::host::Env;
use crate::link::LinkVerdict;

/// The hop limit of an answer in virtual time: no router is on the way.
const HOP_LIMIT: u8 = 64;

/// How to ask for an echo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoOptions {
    /// The address to send from; the system chooses if there is none.
    pub source: Option<IpAddr>,
    /// The hop limit (TTL); zero leaves it to the system.
    pub ttl: u8,
    /// Whether routers must not break the packet up (IPv4).
    pub dont_fragment: bool,
}

/// Why there is no echo.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// The system gives us no socket.
    #[error(
        "cannot open a socket for ICMP: {datagram}, and {raw} for a raw one (hint: have the group within net.ipv4.ping_group_range, or CAP_NET_RAW)"
    )]
    Socket {
        /// What it says of a socket for everybody.
        datagram: String,
        /// What it says of one for the privileged.
        raw: String,
    },
    /// The payload is too long.
    #[error(
        "a payload of {bytes} bytes is too long, {} are the most",
        DATAGRAM_BYTES_MAX
    )]
    TooLong {
        /// How long.
        bytes: usize,
    },
    /// Anything else that the operating system says.
    #[error("{what}: {source}")]
    Io {
        /// What we were about.
        what: &'static str,
        /// What it says.
        source: std::io::Error,
    },
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// The hop limit (TTL) that was left, where the system tells it.
    pub hop_limit: Option<u8>,
}

/// Ready to ask one host for an echo.
pub struct Echo {
    env: Env,
    host: String,
    kind: Kind,
}

enum Kind {
    Memory,
    Socket(EchoSocket),
}

impl Env {
    /// Prepares to ask `host`, which has the address `ip`, for an echo.
    ///
    /// On the real clock this is a datagram socket for ICMP, which Linux gives to the groups within `net.ipv4.ping_group_range`, or else a raw
    /// socket. In virtual time a host answers that is up: one with a task that runs.
    ///
    /// # Errors
    /// Where the operating system gives no socket.
    pub fn echo(&self, host: &str, ip: IpAddr, options: &EchoOptions) -> Result<Echo, EchoError> {
        let kind = if self.net().is_memory() {
            Kind::Memory
        } else {
            Kind::Socket(EchoSocket::open(ip, options)?)
        };
        Ok(Echo {
            env: self.clone(),
            host: host.to_owned(),
            kind,
        })
    }
}

impl Echo {
    /// What the system said before it gave us a raw socket, if it did.
    pub fn raw_because(&self) -> Option<&str> {
        match &self.kind {
            Kind::Memory => None,
            Kind::Socket(socket) => socket.raw_because(),
        }
    }

    /// Asks, and waits for the answer with the same payload; without one for ever: callers set a limit.
    ///
    /// A partition loses the question or the answer, a latency delays it, and a host that refuses connections is still there.
    ///
    /// # Errors
    /// Where the payload is too long, or the operating system does not send it.
    pub async fn ask(&mut self, payload: &[u8]) -> Result<EchoReply, EchoError> {
        let bytes = payload.len();
        if bytes + 8 > DATAGRAM_BYTES_MAX {
            return Err(EchoError::TooLong { bytes });
        }
        let (env, host) = (self.env.clone(), self.host.clone());
        cross(&env, env.host(), &host).await;
        let reply = match &mut self.kind {
            Kind::Memory => {
                if !env.is_up(&host) {
                    std::future::pending::<()>().await;
                }
                let hop_limit = Some(HOP_LIMIT);
                EchoReply { hop_limit }
            }
            Kind::Socket(socket) => socket.ask(payload).await?,
        };
        cross(&env, &host, env.host()).await;
        Ok(reply)
    }
}

/// One packet over a link; it never arrives where the link is cut.
async fn cross(env: &Env, from: &str, to: &str) {
    if env.net().links().loses(from, to) {
        std::future::pending::<()>().await;
    }
    match env.net().links().verdict(from, to) {
        LinkVerdict::Deliver | LinkVerdict::Reset => {}
        LinkVerdict::Delay(latency) => env.clock().sleep(latency).await,
        LinkVerdict::Hold => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gameday_signal::Timestamp;

    use super::*;
    use crate::{LinkFault, Mode, Sim, SimConfig};

    async fn ask(env: &Env, host: &str) -> Option<EchoReply> {
        let caller = env.on("caller");
        let ip = caller.lookup(host).await.expect("a known host")[0];
        let opened = caller.echo(host, ip, &EchoOptions::default());
        let mut echo = opened.expect("always in memory");
        let limit = Duration::from_secs(2);
        let answer = env.clock().timeout(limit, echo.ask(b"hello")).await;
        answer.ok().map(|answer| answer.expect("a short payload"))
    }

    #[test]
    fn a_host_answers_while_it_is_up_and_the_link_is_whole() {
        let mode = Mode::Virtual {
            epoch: Timestamp::EPOCH,
            speed: None,
        };
        let (seed, watchdog) = (1, Duration::from_secs(20));
        let sim = Sim::new(&SimConfig {
            mode,
            seed,
            watchdog,
        })
        .expect("a runtime");
        let env = sim.env().clone();
        sim.block_on(async {
            assert!(env.lookup("web").await.is_err());
            env.on("web").spawn(std::future::pending());
            assert_eq!(env.lookup("::1").await.expect("itself").len(), 1);
            let reply = EchoReply {
                hop_limit: Some(64),
            };
            assert_eq!(ask(&env, "web").await, Some(reply));
            let latency = Duration::from_millis(70);
            let slow = env.fault_link("*", "web", LinkFault::Latency { latency });
            let begin = env.now();
            assert_eq!(ask(&env, "web").await, Some(reply));
            assert_eq!(env.now().since(begin), latency);
            drop(slow);
            let all = LinkFault::Loss { per_mille: 1000 };
            for (from, to) in [("caller", "web"), ("web", "*")] {
                for fault in [LinkFault::Partition, all] {
                    let cut = env.fault_link(from, to, fault);
                    assert_eq!(ask(&env, "web").await, None);
                    drop(cut);
                }
            }
            let listened = crate::Address::new("web", 80);
            let listener = env.listen(&listened).await.expect("free");
            env.crash("web");
            assert_eq!(ask(&env, "web").await, None);
            drop(listener);
        });
    }
}
