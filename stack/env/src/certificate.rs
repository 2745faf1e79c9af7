//! What a certificate says (RFC 5280): names and dates, and nothing about its trust.

use gameday_signal::{Timestamp, days_from_civil};

/// A certificate, as far as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number in hexadecimal digits.
    pub serial: String,
    /// Who it is of, in the order of RFC 4514 as Go prints it.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The DNS names that it is valid for.
    pub dns_names: Vec<String>,
}

/// Attribute types under 2.5.4 with their names, in the order in which Go prints them.
const ATTRIBUTES: [(u8, &str); 9] = [
    (5, "SERIALNUMBER"),
    (3, "CN"),
    (17, "POSTALCODE"),
    (9, "STREET"),
    (8, "ST"),
    (7, "L"),
    (11, "OU"),
    (10, "O"),
    (6, "C"),
];
/// The extension "subject alternative name", 2.5.29.17.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

impl Certificate {
    /// Reads DER; none where it is no certificate.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = Der(der).read()?;
        let (_, signed) = Der(certificate).read()?;
        let mut fields = Der(signed);
        // The version is explicit and may be left out.
        if fields.0.first() == Some(&0xA0) {
            fields.next()?;
        }
        let (_, serial) = fields.next()?;
        let _algorithm = fields.next()?;
        let (_, issuer) = fields.next()?;
        let (_, validity) = fields.next()?;
        let (_, subject) = fields.next()?;
        let _key = fields.next()?;
        let mut dates = Der(validity);
        let (kind, not_before) = dates.next()?;
        let not_before = time(kind, not_before)?;
        let (kind, not_after) = dates.next()?;
        let mut dns_names = Vec::new();
        while let Some((tag, content)) = fields.next() {
            if tag == 0xA3 {
                dns_names = alt_names(content).unwrap_or_default();
            }
        }
        let significant = serial.iter().position(|byte| *byte != 0).unwrap_or(0);
        Some(Self {
            serial: hex(&serial[significant..]),
            subject: name(subject)?,
            issuer: name(issuer)?,
            not_before,
            not_after: time(kind, not_after)?,
            dns_names,
        })
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Walks over the values of DER (ITU-T X.690).
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            let count = usize::from(first & 0x7F);
            let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
            length = digits
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = &rest[count..];
        }
        let content = rest.get(..length)?;
        self.0 = &rest[length..];
        Some((tag, content))
    }

    /// The only value that matters here: the first.
    fn read(mut self) -> Option<(u8, &'a [u8])> {
        self.next()
    }
}

fn name(sets: &[u8]) -> Option<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut sets = Der(sets);
    while let Some((_, set)) = sets.next() {
        let mut attributes = Der(set);
        while let Some((_, attribute)) = attributes.next() {
            let mut parts = Der(attribute);
            let (_, oid) = parts.next()?;
            let (_, value) = parts.next()?;
            let [0x55, 0x04, kind] = oid else {
                continue;
            };
            if let Some(order) = ATTRIBUTES.iter().position(|(known, _)| known == kind) {
                let text = String::from_utf8_lossy(value).replace(',', "\\,");
                found.push((order, format!("{}={text}", ATTRIBUTES[order].1)));
            }
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let texts: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    Some(texts.join(","))
}

/// `231201000000Z` (UTCTime) or `20231201000000Z` (GeneralizedTime).
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text = match (kind, text.get(..2)?.parse::<u32>().ok()?) {
        // RFC 5280, 4.1.2.5.1: two digits below 50 are of this century.
        (0x17, year) => format!("{}{text}", if year < 50 { "20" } else { "19" }),
        _ => text.to_owned(),
    };
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let days = days_from_civil(number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let secs = number(8, 10)? * 3600 + number(10, 12)? * 60 + number(12, 14)?;
    Some(Timestamp::from_secs(days * 86_400 + secs))
}

fn alt_names(explicit: &[u8]) -> Option<Vec<String>> {
    let (_, extensions) = Der(explicit).read()?;
    let mut extensions = Der(extensions);
    while let Some((_, extension)) = extensions.next() {
        let mut parts = Der(extension);
        let (_, oid) = parts.next()?;
        if oid != SUBJECT_ALT_NAME {
            continue;
        }
        let mut value = parts.next()?;
        if value.0 == 0x01 {
            // "critical" comes first where it is true.
            value = parts.next()?;
        }
        let (_, names) = Der(value.1).read()?;
        let mut names = Der(names);
        let mut found = Vec::new();
        while let Some((tag, name)) = names.next() {
            // [2] is a DNS name.
            if tag == 0x82 {
                found.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        return Some(found);
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn der() -> Vec<u8> {
        let pem = include_bytes!("../../../exporters/tests/data/web.pem");
        CertificateDer::from_pem_slice(pem)
            .expect("a certificate")
            .to_vec()
    }

    #[test]
    fn reads_names_and_dates() {
        assert_eq!(
            Certificate::parse(&der()),
            Some(Certificate {
                serial: "03".to_owned(),
                subject: "CN=web,O=gameday tests".to_owned(),
                issuer: "CN=gameday test CA".to_owned(),
                // 2023-11-01T00:00:00Z.
                not_before: Timestamp::from_secs(1_698_796_800),
                // 2023-11-14T23:00:00Z.
                not_after: Timestamp::from_secs(1_700_002_800),
                dns_names: vec!["web".to_owned(), "localhost".to_owned()],
            })
        );
    }

    #[test]
    fn truncated_certificates_are_refused() {
        let whole = der();
        for end in 0..whole.len() {
            assert_eq!(Certificate::parse(&whole[..end]), None, "{end}");
        }
    }
}
