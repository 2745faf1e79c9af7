//! What addresses a name has.

use std::net::{IpAddr, Ipv4Addr};

use crate::host::Env;
use crate::net::NetError;

impl Env {
    /// The addresses of `host`, in the order in which the resolver gives them. An address is its own.
    ///
    /// In virtual time a host that is known (anybody has listened on it, or any of its tasks runs) has one address, which its name alone
    /// decides, within 10.0.0.0/8. On the real clock a name that was assigned, or that somebody listens at, has the address of that socket.
    ///
    /// # Errors
    /// Where the name is unknown.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let unknown = || NetError::UnknownHost {
            host: host.to_owned(),
        };
        let net = self.net();
        if net.is_memory() {
            let known = self.is_up(host) || net.has_listened(host) || net.datagrams().has(host);
            return known.then(|| vec![simulated(host)]).ok_or_else(unknown);
        }
        let assigned = net.assigned_ip(host);
        if let Some(ip) = assigned.or_else(|| net.datagrams().assigned_ip(host)) {
            return Ok(vec![ip]);
        }
        match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                // A resolver tells each address once for each kind of socket.
                for ip in found.map(|socket| socket.ip()) {
                    if !addresses.contains(&ip) {
                        addresses.push(ip);
                    }
                }
                Some(addresses)
                    .filter(|it| !it.is_empty())
                    .ok_or_else(unknown)
            }
            // getaddrinfo has errors of its own, which std does not tell apart.
            Err(_) => Err(unknown()),
        }
    }
}

/// The address of a host in memory: the low 24 bits of its name's FNV-1a.
fn simulated(host: &str) -> IpAddr {
    let hash = host.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [_, a, b, c] = hash.to_be_bytes();
    Ipv4Addr::new(10, a, b, c).into()
}
