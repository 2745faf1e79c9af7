//! Messages of DNS (RFC 1035, section 4) and their records as a zone file has them.

use super::dns_names::{class_name, type_name};

/// Jumps in a compressed name, so that a loop ends.
const JUMPS_MAX: u32 = 126;
/// Bytes of a name (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 255;

/// A question with its message around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) id: u16,
    pub(super) name: &'a str,
    pub(super) query_type: u16,
    pub(super) class: u16,
    pub(super) recursion_desired: bool,
}

impl Question<'_> {
    /// The bytes of the message.
    pub(super) fn message(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let flags = u16::from(self.recursion_desired) << 8;
        for field in [self.id, flags, 1, 0, 0, 0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        let labels = self.name.split('.').filter(|label| !label.is_empty());
        for label in labels {
            let length = u8::try_from(label.len()).ok().filter(|it| *it < 64);
            out.push(length.ok_or_else(|| format!("the label {label:?} is too long"))?);
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        if out.len() > 12 + NAME_BYTES_MAX {
            return Err(format!("the name {:?} is too long", self.name));
        }
        out.extend_from_slice(&self.query_type.to_be_bytes());
        out.extend_from_slice(&self.class.to_be_bytes());
        Ok(out)
    }
}

/// An answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) rcode: u16,
    pub(super) answer: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
}

/// A record as a zone file has it, which the expressions of a module match.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) text: String,
    /// The serial number of a SOA record.
    pub(super) serial: Option<u32>,
}

impl Message {
    /// The id alone: an answer to another question is skipped, whatever else it says.
    pub(super) fn id_of(bytes: &[u8]) -> Option<u16> {
        Reader { bytes, at: 0 }.u16()
    }

    /// Reads a message; none where it is malformed or cut off.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
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
            id,
            rcode: flags & 15,
            answer: section(counts[1])?,
            authority: section(counts[2])?,
            additional: section(counts[3])?,
        })
    }
}

/// Walks over the bytes of a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|it| u16::from_be_bytes([it[0], it[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)
            .map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]))
    }

    /// A name, possibly compressed (RFC 1035, section 4.1.4).
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut end) = (self.at, None);
        let (mut jumps, mut octets) = (0, 1);
        loop {
            let length = *self.bytes.get(at)?;
            match length {
                0 => {
                    self.at = end.unwrap_or(at + 1);
                    if name.is_empty() {
                        name.push('.');
                    }
                    return Some(name);
                }
                1..=63 => {
                    let label = self.bytes.get(at + 1..at + 1 + usize::from(length))?;
                    octets += label.len() + 1;
                    if octets > NAME_BYTES_MAX {
                        return None;
                    }
                    label.iter().for_each(|byte| push_in_name(&mut name, *byte));
                    name.push('.');
                    at += 1 + usize::from(length);
                }
                0xC0.. => {
                    let low = *self.bytes.get(at + 1)?;
                    end.get_or_insert(at + 2);
                    at = usize::from(length & 0x3F) << 8 | usize::from(low);
                    jumps += 1;
                    if jumps > JUMPS_MAX {
                        return None;
                    }
                }
                _ => return None,
            }
        }
    }

    fn record(&mut self) -> Option<Record> {
        let name = self.name()?;
        let (record_type, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let end = self.at.checked_add(length)?;
        // What belongs to a record is read from its own bytes; a compressed name may point before them.
        let mut own = Reader {
            bytes: self.bytes.get(..end)?,
            at: self.at,
        };
        self.at = end;
        if record_type == 41 {
            let text = format!("; EDNS: version {}; udp: {class}", ttl >> 16 & 0xff);
            return Some(Record { text, serial: None });
        }
        let (data, serial) = match record_type {
            6 => own.start_of_authority()?,
            _ => (own.data(record_type, end)?, None),
        };
        let (class, record_type) = (class_name(class), type_name(record_type));
        Some(Record {
            text: format!("{name}\t{ttl}\t{class}\t{record_type}\t{data}"),
            serial,
        })
    }

    fn start_of_authority(&mut self) -> Option<(String, Option<u32>)> {
        let (primary, mailbox) = (self.name()?, self.name()?);
        let number = self.u32()?;
        let rest = [self.u32()?, self.u32()?, self.u32()?, self.u32()?];
        let [refresh, retry, expire, minimum] = rest;
        let text = format!("{primary} {mailbox} {number} {refresh} {retry} {expire} {minimum}");
        Some((text, Some(number)))
    }

    /// The data of a record, which ends at `end`, as miekg/dns prints it.
    fn data(&mut self, record_type: u16, end: usize) -> Option<String> {
        Some(match record_type {
            1 => {
                let octets: [u8; 4] = self.take(4)?.try_into().ok()?;
                std::net::Ipv4Addr::from(octets).to_string()
            }
            28 => {
                let octets: [u8; 16] = self.take(16)?.try_into().ok()?;
                std::net::Ipv6Addr::from(octets).to_string()
            }
            // NS, MD, MF, CNAME, MB, MG, MR, PTR and DNAME.
            2..=5 | 7..=9 | 12 | 39 => self.name()?,
            // MX, AFSDB, RT and KX.
            15 | 18 | 21 | 36 => format!("{} {}", self.u16()?, self.name()?),
            33 => {
                let numbers = [self.u16()?, self.u16()?, self.u16()?];
                let [priority, weight, port] = numbers;
                format!("{priority} {weight} {port} {}", self.name()?)
            }
            // HINFO, TXT, NINFO, SPF and AVC.
            13 | 16 | 56 | 99 | 258 => {
                let mut parts = Vec::new();
                while self.at < end {
                    parts.push(self.character_string()?);
                }
                parts.join(" ")
            }
            35 => {
                let numbers = [self.u16()?, self.u16()?];
                let texts = [
                    self.character_string()?,
                    self.character_string()?,
                    self.character_string()?,
                ];
                let replacement = self.name()?;
                format!(
                    "{} {} {} {replacement}",
                    numbers[0],
                    numbers[1],
                    texts.join(" ")
                )
            }
            // DS, CDS and DLV.
            43 | 59 | 32_769 => {
                let (tag, algorithm, kind) = (self.u16()?, self.u8()?, self.u8()?);
                format!("{tag} {algorithm} {kind} {}", self.hex(end)?.to_uppercase())
            }
            44 => {
                let (algorithm, kind) = (self.u8()?, self.u8()?);
                format!("{algorithm} {kind} {}", self.hex(end)?.to_uppercase())
            }
            // DNSKEY and CDNSKEY.
            48 | 60 => {
                let (flags, protocol, algorithm) = (self.u16()?, self.u8()?, self.u8()?);
                let key = super::client_settings::base64(self.take(end - self.at)?);
                format!("{flags} {protocol} {algorithm} {key}")
            }
            // TLSA and SMIMEA.
            52 | 53 => {
                let (usage, selector, kind) = (self.u8()?, self.u8()?, self.u8()?);
                format!("{usage} {selector} {kind} {}", self.hex(end)?)
            }
            257 => {
                let flag = self.u8()?;
                let length = usize::from(self.u8()?);
                let tag = String::from_utf8_lossy(self.take(length)?).into_owned();
                let value = quoted(self.take(end.checked_sub(self.at)?)?);
                format!("{flag} {tag} {value}")
            }
            // The form for types that are not known (RFC 3597, section 5).
            _ => {
                let length = end - self.at;
                format!("\\# {length} {}", self.hex(end)?)
            }
        })
    }

    fn hex(&mut self, end: usize) -> Option<String> {
        let bytes = self.take(end.checked_sub(self.at)?)?;
        Some(bytes.iter().map(|it| format!("{it:02x}")).collect())
    }

    fn character_string(&mut self) -> Option<String> {
        let length = usize::from(self.u8()?);
        self.take(length).map(quoted)
    }
}

/// A byte of a label: what has a meaning in names is escaped (RFC 1035, section 5.1).
fn push_in_name(name: &mut String, byte: u8) {
    match byte {
        b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
            name.push('\\');
            name.push(char::from(byte));
        }
        b'!'..=b'~' => name.push(char::from(byte)),
        _ => push_octet(name, byte),
    }
}

/// A byte that is not printable, in three decimal digits.
fn push_octet(out: &mut String, byte: u8) {
    out.push('\\');
    for power in [100, 10, 1] {
        out.push(char::from(b'0' + byte / power % 10));
    }
}

/// A text in quotes.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => push_octet(&mut out, *byte),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUESTION: Question<'_> = Question {
        id: 0x6764,
        name: "example.com",
        query_type: 1,
        class: 1,
        recursion_desired: true,
    };

    /// An answer with these records, each of which begins with its name.
    fn answer(records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = QUESTION.message().expect("a good question");
        bytes[2] |= 0x80;
        bytes[7] = records.len() as u8;
        bytes.extend_from_slice(&records.concat());
        bytes
    }

    /// A record of the name in the question.
    fn record(record_type: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xC0, 12];
        for field in [record_type, 1, 0, 300, data.len() as u16] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn records_read_as_in_a_zone_file() {
        let soa = [
            &[0xC0, 12, 1, b'h', 0xC0, 12][..],
            &[0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4],
        ]
        .concat();
        for (record_type, data, expected) in [
            (1, &[192, 0, 2, 7][..], "A\t192.0.2.7"),
            (5, &[1, b'a', 0xC0, 12], "CNAME\ta.example.com."),
            (2, &[0], "NS\t."),
            (2, &[3, b'a', b'.', 7, 0], "NS\ta\\.\\007."),
            (15, &[0, 10, 0xC0, 12], "MX\t10 example.com."),
            (16, &[2, b'a', b'"', 1, 200], "TXT\t\"a\\\"\" \"\\200\""),
            (33, &[0, 1, 0, 2, 0, 3, 0xC0, 12], "SRV\t1 2 3 example.com."),
            (43, &[0, 1, 8, 2, 0xab], "DS\t1 8 2 AB"),
            (48, &[1, 0, 3, 8, b'f'], "DNSKEY\t256 3 8 Zg=="),
            (52, &[3, 1, 1, 0xab], "TLSA\t3 1 1 ab"),
            (
                257,
                &[0, 5, b'i', b's', b's', b'u', b'e', b'x'],
                "CAA\t0 issue \"x\"",
            ),
            (6, &soa, "SOA\texample.com. h.example.com. 9 1 2 3 4"),
            (1000, &[1, 2], "TYPE1000\t\\# 2 0102"),
        ] {
            let bytes = answer(&[&record(record_type, data)]);
            let message = Message::parse(&bytes).expect("a good answer");
            let expected = format!("example.com.\t300\tIN\t{expected}");
            assert_eq!(message.answer[0].text, expected);
            assert_eq!(message.answer[0].serial, (record_type == 6).then_some(9));
        }
    }

    #[test]
    fn malformed_answers_are_refused() {
        let whole = answer(&[
            &record(1, &[192, 0, 2, 7]),
            &record(5, &[1, b'a', 0xC0, 12]),
        ]);
        assert!(Message::parse(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Message::parse(&whole[..end]), None, "{end}");
        }
        let mut looping = whole.clone();
        let name = 12 + 13 + 4;
        looping[name + 1] = name as u8;
        assert_eq!(Message::parse(&looping), None);
        // Two pointers that point at each other.
        let mut ping_pong = whole.clone();
        (
            ping_pong[name + 1],
            ping_pong[name + 2],
            ping_pong[name + 3],
        ) = (name as u8 + 2, 0xC0, name as u8);
        assert_eq!(Message::parse(&ping_pong), None);
        // Data that is longer or shorter than the record says.
        for data in [&[192, 0, 2][..], &[], &[63]] {
            for record_type in [1, 28, 2, 6, 15, 33, 35, 43, 48] {
                let bytes = answer(&[&record(record_type, data)]);
                assert_eq!(Message::parse(&bytes), None, "{record_type} {data:?}");
            }
        }
        // More records than there are.
        let mut greedy = whole;
        (greedy[6], greedy[7]) = (0xff, 0xff);
        assert_eq!(Message::parse(&greedy), None);
    }

    #[test]
    fn questions_that_do_not_fit_are_refused() {
        let long = "a".repeat(64);
        let many = "a.".repeat(140);
        for name in [&long, &many] {
            let question = Question { name, ..QUESTION };
            assert!(question.message().is_err(), "{name}");
        }
        let root = Question {
            name: ".",
            ..QUESTION
        };
        assert_eq!(root.message().expect("short")[12..], [0, 0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn random_records_never_panic(record_type in 0_u16..300, data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Message::parse(&answer(&[&record(record_type, &data)]));
        }
    }
}
