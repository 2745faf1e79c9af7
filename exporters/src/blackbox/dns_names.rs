//! Types, classes and response codes of DNS by name (the registry "Domain Name System (DNS) Parameters").

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Types, as miekg/dns names them.
const TYPES: [(&str, u16); 87] = [
    ("A", 1),
    ("NS", 2),
    ("MD", 3),
    ("MF", 4),
    ("CNAME", 5),
    ("SOA", 6),
    ("MB", 7),
    ("MG", 8),
    ("MR", 9),
    ("NULL", 10),
    ("PTR", 12),
    ("HINFO", 13),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("X25", 19),
    ("ISDN", 20),
    ("RT", 21),
    ("NSAP-PTR", 23),
    ("SIG", 24),
    ("KEY", 25),
    ("PX", 26),
    ("GPOS", 27),
    ("AAAA", 28),
    ("LOC", 29),
    ("NXT", 30),
    ("EID", 31),
    ("NIMLOC", 32),
    ("SRV", 33),
    ("ATMA", 34),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("DNAME", 39),
    ("OPT", 41),
    ("APL", 42),
    ("DS", 43),
    ("SSHFP", 44),
    ("IPSECKEY", 45),
    ("RRSIG", 46),
    ("NSEC", 47),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", 50),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("HIP", 55),
    ("NINFO", 56),
    ("RKEY", 57),
    ("TALINK", 58),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("ZONEMD", 63),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("SPF", 99),
    ("UINFO", 100),
    ("UID", 101),
    ("GID", 102),
    ("UNSPEC", 103),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("EUI48", 108),
    ("EUI64", 109),
    ("NXNAME", 128),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("URI", 256),
    ("CAA", 257),
    ("AVC", 258),
    ("AMTRELAY", 260),
    ("RESINFO", 261),
    ("TA", 32_768),
    ("DLV", 32_769),
    ("Reserved", 65_535),
];
/// Classes.
const CLASSES: [(&str, u16); 6] = [
    ("IN", 1),
    ("CS", 2),
    ("CH", 3),
    ("HS", 4),
    ("NONE", 254),
    ("ANY", 255),
];
/// Response codes.
const RCODES: [(&str, u16); 19] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADSIG", 16),
    ("BADKEY", 17),
    ("BADTIME", 18),
    ("BADMODE", 19),
    ("BADNAME", 20),
    ("BADALG", 21),
    ("BADTRUNC", 22),
    ("BADCOOKIE", 23),
];

/// The name of a type, or `TYPE` and its number (RFC 3597, section 5).
pub(super) fn type_name(number: u16) -> String {
    name_in(&TYPES, number).map_or_else(|| format!("TYPE{number}"), str::to_owned)
}

/// The name of a class, or `CLASS` and its number.
pub(super) fn class_name(number: u16) -> String {
    name_in(&CLASSES, number).map_or_else(|| format!("CLASS{number}"), str::to_owned)
}

/// The name of a response code, or `RCODE` and its number.
pub(super) fn rcode_name(number: u16) -> String {
    name_in(&RCODES, number).map_or_else(|| format!("RCODE{number}"), str::to_owned)
}

/// Whether anything is called that.
pub(super) fn is_rcode(name: &str) -> bool {
    RCODES.iter().any(|(known, _)| *known == name)
}

fn name_in(names: &'static [(&str, u16)], number: u16) -> Option<&'static str> {
    let found = names.iter().find(|(_, known)| *known == number);
    found.map(|(name, _)| *name)
}

/// Reads `query_type`; an empty one is ANY.
pub(super) fn query_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    number_of(deserializer, &TYPES, "type", 255)
}

/// Reads `query_class`; an empty one is IN.
pub(super) fn query_class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    number_of(deserializer, &CLASSES, "class", 1)
}

fn number_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    names: &[(&str, u16)],
    what: &str,
    default: u16,
) -> Result<u16, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(default);
    }
    let found = names.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, number)| *number)
        .ok_or_else(|| D::Error::custom(format!("query {what} {text:?} is not valid")))
}
