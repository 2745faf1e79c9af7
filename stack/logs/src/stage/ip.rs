//! `ip("...")`: a single address, a range `from-to` or a prefix in CIDR notation.

use std::net::IpAddr;

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ip: invalid pattern: {0:?}")]
pub(crate) struct IpError(String);

/// Addresses to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IpMatcher {
    first: IpAddr,
    last: IpAddr,
}

impl IpMatcher {
    pub(crate) fn new(pattern: &str) -> Result<Self, IpError> {
        Self::read(pattern).ok_or_else(|| IpError(pattern.to_owned()))
    }

    fn read(pattern: &str) -> Option<Self> {
        if let Ok(address) = pattern.parse() {
            return Some(Self {
                first: address,
                last: address,
            });
        }
        if let Some((address, bits)) = pattern.split_once('/') {
            if bits.is_empty() || (bits.len() > 1 && bits.starts_with('0')) {
                return None;
            }
            return prefix(address.parse().ok()?, bits.parse().ok()?);
        }
        let (first, last) = pattern.split_once('-')?;
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether one of the addresses in `text` is looked for.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let charset: fn(&u8) -> bool = if looks_like_v4(rest) {
                |byte| byte.is_ascii_digit() || *byte == b'.'
            } else if looks_like_v6(rest) {
                |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
            } else {
                at += 1;
                continue;
            };
            let length = rest.iter().take_while(|byte| charset(byte)).count();
            let found = text
                .get(at..at + length)
                .and_then(|word| word.parse().ok())
                .is_some_and(|address| self.contains(address));
            if found {
                return true;
            }
            at += length + 1;
        }
        false
    }
}

fn prefix(address: IpAddr, bits: u32) -> Option<IpMatcher> {
    match address {
        IpAddr::V4(address) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let first = address.to_bits() & mask;
            Some(IpMatcher {
                first: IpAddr::V4(first.into()),
                last: IpAddr::V4((first | !mask).into()),
            })
        }
        IpAddr::V6(address) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let first = address.to_bits() & mask;
            Some(IpMatcher {
                first: IpAddr::V6(first.into()),
                last: IpAddr::V6((first | !mask).into()),
            })
        }
        _ => None,
    }
}

fn looks_like_v4(bytes: &[u8]) -> bool {
    bytes[0].is_ascii_digit() && bytes.len() > 3 && bytes[1..4].contains(&b'.')
}

fn looks_like_v6(bytes: &[u8]) -> bool {
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    if at(0) == b':' && at(1) == b':' && at(2).is_ascii_hexdigit() {
        return true;
    }
    let digits = (0..4)
        .take_while(|index| at(*index).is_ascii_hexdigit())
        .count();
    digits > 0 && at(digits) == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_addresses_in_text() {
        for (pattern, text, expected) in [
            ("192.168.0.1", "from 192.168.0.1 port 4", true),
            ("192.168.0.1", "from 192.168.0.11", false),
            ("192.168.0.0/16", "x 192.168.4.5", true),
            ("192.168.0.0/16", "10.0.0.1 then 192.168.4.5:80", true),
            ("192.168.4.5-192.168.4.20", "192.168.4.21", false),
            ("192.168.4.5-192.168.4.20", "192.168.4.20", true),
            ("::1", "addr ::1 end", true),
            ("2001:db8::/32", "[2001:db8::68]:443", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("1.2.3.4", "no address, é", false),
        ] {
            let matcher = IpMatcher::new(pattern).expect("a valid pattern");
            assert_eq!(matcher.is_in(text), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        for pattern in [
            "",
            "notanip",
            "1.2.3",
            "1.2.3.4/33",
            "2.0.0.0-1.0.0.0",
            "::1-1.2.3.4",
        ] {
            assert!(IpMatcher::new(pattern).is_err(), "{pattern}");
        }
    }
}
