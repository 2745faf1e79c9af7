//! The dns prober: a query, and what its answer must be.
//!
//! Over TCP (RFC 7766) whatever the module's `transport_protocol` says: env's network has no datagrams.

use std::time::Duration;

use gameday_env::{Address, Env};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Probe;
use super::config::{DnsSettings, Module, RrValidation};

/// Query types by name (RFC 1035, 3596, 6891 and the registry).
const TYPES: [(&str, u16); 12] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("DS", 43),
    ("CAA", 257),
    ("ANY", 255),
];
/// Classes by name.
const CLASSES: [(&str, u16); 3] = [("IN", 1), ("CH", 3), ("ANY", 255)];
/// Response codes by number.
const RCODES: [&str; 6] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
];
/// The id of a query: one connection has one query.
const QUERY_ID: u16 = 0x6764;
/// Jumps in a compressed name, so that a loop ends.
const JUMPS_MAX: u32 = 32;

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.dns;
    let address = match target.parse() {
        Ok(address) => address,
        // Without a port it is that of DNS.
        Err(_) => Address::new(target, 53),
    };
    probe.resolved(env, &address, Duration::ZERO);
    let begin = env.now();
    let exchanged = exchange(env, settings, &address, probe).await;
    phase(probe, "resolve", Duration::ZERO);
    probe.gauge(
        "probe_dns_query_succeeded",
        "Whether the query was answered.",
        &[],
        f64::from(u8::from(exchanged.is_ok())),
    );
    let message = match exchanged {
        Ok(message) => message,
        Err(reason) => {
            probe.say(format!("Error while sending a DNS query: {reason}"));
            phase(probe, "request", env.now().since(begin));
            for section in ["additional", "answer", "authority"] {
                count(probe, section, 0);
            }
            return false;
        }
    };
    for (section, records) in [
        ("additional", &message.additional),
        ("answer", &message.answer),
        ("authority", &message.authority),
    ] {
        count(probe, section, records.len());
    }
    let serial = message.answer.iter().find_map(|record| record.serial);
    if let (true, Some(serial)) = (settings.query_type == "SOA", serial) {
        probe.gauge(
            "probe_dns_serial",
            "Serial number of the zone.",
            &[],
            f64::from(serial),
        );
    }
    judge(settings, &message, probe)
}

fn phase(probe: &mut Probe, phase: &str, duration: Duration) {
    probe.gauge(
        "probe_dns_duration_seconds",
        "Seconds of the query by phase.",
        &[("phase", phase)],
        duration.as_secs_f64(),
    );
}

fn count(probe: &mut Probe, section: &str, records: usize) {
    let name = format!("probe_dns_{section}_rrs");
    let help = format!("Records in the {section} section.");
    probe.gauge(&name, &help, &[], records as f64);
}

async fn exchange(
    env: &Env,
    settings: &DnsSettings,
    address: &Address,
    probe: &mut Probe,
) -> Result<Message, String> {
    let query = query(settings)?;
    let begin = env.now();
    let mut connection = env.dial(address).await.map_err(|error| error.to_string())?;
    let connected = env.now();
    phase(probe, "connect", connected.since(begin));
    let broken = |error: std::io::Error| error.to_string();
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&query);
    connection.write_all(&framed).await.map_err(broken)?;
    let mut length = [0; 2];
    connection.read_exact(&mut length).await.map_err(broken)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut answer).await.map_err(broken)?;
    phase(probe, "request", env.now().since(connected));
    Message::parse(&answer).ok_or_else(|| "the answer is malformed".to_owned())
}

fn query(settings: &DnsSettings) -> Result<Vec<u8>, String> {
    let number = |names: &[(&str, u16)], name: &str| {
        names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .ok_or_else(|| format!("unknown type or class {name:?}"))
    };
    let query_type = number(&TYPES, &settings.query_type)?;
    let class = number(&CLASSES, &settings.query_class)?;
    let flags = u16::from(settings.recursion_desired) << 8;
    let mut out = Vec::new();
    for field in [QUERY_ID, flags, 1, 0, 0, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for label in settings
        .query_name
        .split('.')
        .filter(|label| !label.is_empty())
    {
        let length = u8::try_from(label.len()).ok().filter(|it| *it < 64);
        out.push(length.ok_or_else(|| format!("the label {label:?} is too long"))?);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&query_type.to_be_bytes());
    out.extend_from_slice(&class.to_be_bytes());
    Ok(out)
}

/// An answer.
#[derive(Debug, Default, PartialEq)]
struct Message {
    rcode: u8,
    answer: Vec<Record>,
    authority: Vec<Record>,
    additional: Vec<Record>,
}

/// A record as a zone file has it, which the expressions of a module match.
#[derive(Debug, PartialEq)]
struct Record {
    text: String,
    /// The serial number of a SOA record.
    serial: Option<u32>,
}

/// Walks over the bytes of a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Message {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        if id != QUERY_ID || flags >> 15 == 0 {
            return None;
        }
        for _ in 0..counts[0] {
            reader.name()?;
            reader.u32()?;
        }
        let mut section = |count: u16| {
            (0..count)
                .map(|_| reader.record())
                .collect::<Option<Vec<Record>>>()
        };
        Some(Self {
            rcode: (flags & 15) as u8,
            answer: section(counts[1])?,
            authority: section(counts[2])?,
            additional: section(counts[3])?,
        })
    }
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|it| u16::from_be_bytes([it[0], it[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)
            .map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]))
    }

    /// A name, possibly compressed (RFC 1035, 4.1.4).
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut at = self.at;
        let mut end = None;
        for _ in 0..JUMPS_MAX * 4 {
            let length = *self.bytes.get(at)?;
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    return Some(if name.is_empty() {
                        ".".to_owned()
                    } else {
                        name
                    });
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    name.push_str(&String::from_utf8_lossy(label));
                    name.push('.');
                    at += 1 + usize::from(length);
                }
                0xC0.. => {
                    let low = *self.bytes.get(at + 1)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(length & 0x3F) << 8 | usize::from(low);
                }
                _ => return None,
            }
        }
        None
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let (record_type, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())?;
        let mut serial = None;
        let data = match record_type {
            1 if length == 4 => {
                let octets = self.take(4)?;
                std::net::Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).to_string()
            }
            28 if length == 16 => {
                let octets: [u8; 16] = self.take(16)?.try_into().ok()?;
                std::net::Ipv6Addr::from(octets).to_string()
            }
            2 | 5 | 12 => self.name()?,
            15 => format!("{} {}", self.u16()?, self.name()?),
            33 => format!(
                "{} {} {} {}",
                self.u16()?,
                self.u16()?,
                self.u16()?,
                self.name()?
            ),
            6 => {
                let (primary, mailbox) = (self.name()?, self.name()?);
                let number = self.u32()?;
                serial = Some(number);
                let rest = [self.u32()?, self.u32()?, self.u32()?, self.u32()?];
                format!(
                    "{primary} {mailbox} {number} {} {} {} {}",
                    rest[0], rest[1], rest[2], rest[3]
                )
            }
            16 => {
                let mut parts = Vec::new();
                while self.at < end {
                    let count = usize::from(*self.take(1)?.first()?);
                    parts.push(format!("{:?}", String::from_utf8_lossy(self.take(count)?)));
                }
                parts.join(" ")
            }
            // The form for types that are not known (RFC 3597, 5).
            _ => {
                let digits: String = self
                    .take(length)?
                    .iter()
                    .map(|it| format!("{it:02x}"))
                    .collect();
                format!("\\# {length} {digits}")
            }
        };
        self.at = end;
        let known = |names: &[(&str, u16)], prefix: &str, number: u16| {
            names
                .iter()
                .find(|(_, known)| *known == number)
                .map_or_else(
                    || format!("{prefix}{number}"),
                    |(name, _)| (*name).to_owned(),
                )
        };
        let class = known(&CLASSES, "CLASS", class);
        let record_type = known(&TYPES, "TYPE", record_type);
        Some(Record {
            text: format!("{name}\t{ttl}\t{class}\t{record_type}\t{data}"),
            serial,
        })
    }
}

fn judge(settings: &DnsSettings, message: &Message, probe: &mut Probe) -> bool {
    let rcode = RCODES
        .get(usize::from(message.rcode))
        .map_or_else(|| format!("RCODE{}", message.rcode), |it| (*it).to_owned());
    let wanted = if settings.valid_rcodes.is_empty() {
        rcode == "NOERROR"
    } else {
        settings.valid_rcodes.contains(&rcode)
    };
    if !wanted {
        probe.say(format!("Rcode is not one of the valid rcodes: {rcode}"));
        return false;
    }
    [
        ("answer", &settings.validate_answer_rrs, &message.answer),
        (
            "authority",
            &settings.validate_authority_rrs,
            &message.authority,
        ),
        (
            "additional",
            &settings.validate_additional_rrs,
            &message.additional,
        ),
    ]
    .into_iter()
    .all(
        |(section, rules, records)| match broken_rule(rules, records) {
            None => true,
            Some(rule) => {
                probe.say(format!("The {section} section breaks {rule}"));
                false
            }
        },
    )
}

/// The first rule that a section breaks.
fn broken_rule(rules: &RrValidation, records: &[Record]) -> Option<String> {
    let any = |regex: &regex::Regex| records.iter().any(|it| regex.is_match(&it.text));
    let all = |regex: &regex::Regex| records.iter().all(|it| regex.is_match(&it.text));
    let found = |name: &str, regex: Option<&regex::Regex>| regex.map(|it| format!("{name} {it}"));
    found(
        "fail_if_matches_regexp",
        rules.fail_if_matches_regexp.iter().find(|it| any(it)),
    )
    .or_else(|| {
        let all_of = rules.fail_if_all_match_regexp.iter();
        found(
            "fail_if_all_match_regexp",
            all_of.filter(|_| !records.is_empty()).find(|it| all(it)),
        )
    })
    .or_else(|| {
        let not = rules.fail_if_not_matches_regexp.iter();
        found(
            "fail_if_not_matches_regexp",
            not.filter(|_| !records.is_empty()).find(|it| !all(it)),
        )
    })
    .or_else(|| {
        let none = rules.fail_if_none_matches_regexp.iter();
        found(
            "fail_if_none_matches_regexp",
            none.filter(|_| !records.is_empty()).find(|it| !any(it)),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of two records, the second with a compressed name.
    fn answer() -> Vec<u8> {
        let mut settings = DnsSettings::default();
        settings.query_name = "example.com".to_owned();
        settings.query_type = "A".to_owned();
        let mut bytes = query(&settings).expect("a good query");
        bytes[2] |= 0x80;
        bytes[7] = 2;
        bytes.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 7]);
        bytes.extend_from_slice(&[0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'a', 0xC0, 12]);
        bytes
    }

    #[test]
    fn records_read_as_in_a_zone_file() {
        let message = Message::parse(&answer()).expect("a good answer");
        let texts: Vec<&str> = message.answer.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "example.com.\t300\tIN\tA\t192.0.2.7",
                "example.com.\t60\tIN\tCNAME\ta.example.com."
            ]
        );
    }

    #[test]
    fn truncated_and_looping_answers_are_refused() {
        let whole = answer();
        for end in 0..whole.len() {
            assert_eq!(Message::parse(&whole[..end]), None, "{end}");
        }
        let mut looping = whole;
        let name = 12 + 13 + 4;
        looping[name + 1] = name as u8;
        assert_eq!(Message::parse(&looping), None);
    }
}
