//! Structured metadata, packed: one run of bytes for each line.
//!
//! ```text
//!   count, then for each pair: number of the name, length of the value << 1 | is hexadecimal, value
//! ```
//! Trace and span ids are half of the bytes of most lines' metadata and do not compress: lower-case hexadecimal values are kept
//! as the bytes they stand for.

use std::collections::HashMap;

use gameday_disk::Decoder;
use gameday_disk::codec::put_unsigned;

use crate::Metadata;

/// The names of a stream's structured metadata, numbered in order of appearance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    /// The numbers of the names of the line that was packed last: the lines of a sender have the same names in the same order.
    last: Vec<u32>,
    recent: Recent,
}

/// A line that was packed recently: what a sender says about itself stands at the end of all its lines.
#[derive(Clone, Debug, Default)]
struct Recent {
    pairs: Metadata,
    packed: Vec<u8>,
    /// Where each pair begins in `packed`.
    starts: Vec<usize>,
    /// How many pairs at its end the line after it had, too.
    tail: usize,
}

/// The metadata of longer lines are not kept.
const RECENT_BYTES_MAX: usize = 4096;

impl Names {
    /// The number of `name`, which is a new one where it has not been seen.
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    /// The number of the name that is the `position`th of its line.
    fn number_at(&mut self, position: usize, name: &str) -> u32 {
        let usual = self.last.get(position).copied();
        if let Some(number) = usual
            && *self.names[number as usize] == *name
        {
            return number;
        }
        let number = self.number(name);
        match self.last.get_mut(position) {
            Some(last) => *last = number,
            // Positions come one after the other, so this is the next.
            None => self.last.push(number),
        }
        number
    }

    /// Makes `names` those of the numbers up to theirs; false, and nothing happens, where some number has another name.
    pub(crate) fn extend_to(&mut self, names: &[Box<str>]) -> bool {
        let same = self
            .names
            .iter()
            .zip(names)
            .all(|(own, other)| own == other);
        if same {
            for name in names.iter().skip(self.names.len()) {
                self.number(name);
            }
        }
        same
    }

    /// All names in the order of their numbers.
    pub(crate) fn as_slice(&self) -> &[Box<str>] {
        &self.names
    }
}

/// Appends the pairs of one line; a line without any takes no byte.
pub(crate) fn pack(out: &mut Vec<u8>, names: &mut Names, pairs: &Metadata) {
    if pairs.is_empty() {
        return;
    }
    put_unsigned(out, pairs.len() as u64);
    let mut tail = names.recent.tail;
    if tail == 0 || !pairs.ends_as(&names.recent.pairs, tail) {
        tail = pairs.common_tail(&names.recent.pairs);
        names.recent.tail = tail;
    }
    if tail * 2 >= pairs.len() {
        let own = pairs.len() - tail;
        for (position, (name, value)) in pairs.iter().take(own).enumerate() {
            pack_pair(out, names.number_at(position, name), value);
        }
        let recent = &names.recent;
        if let Some(start) = recent.starts.get(recent.starts.len() - tail) {
            out.extend_from_slice(&recent.packed[*start..]);
        }
        return;
    }
    let mut recent = std::mem::take(&mut names.recent);
    // How much the next line has in common with this one is not known.
    recent.tail = 0;
    recent.starts.clear();
    let base = out.len();
    for (position, (name, value)) in pairs.iter().enumerate() {
        recent.starts.push(out.len() - base);
        pack_pair(out, names.number_at(position, name), value);
    }
    if pairs.bytes() <= RECENT_BYTES_MAX {
        recent.pairs.copy_from(pairs);
        recent.packed.clear();
        recent.packed.extend_from_slice(&out[base..]);
        names.recent = recent;
    }
}

fn pack_pair(out: &mut Vec<u8>, name: u32, value: &str) {
    put_unsigned(out, u64::from(name));
    let is_hex = value.len() >= 8
        && value.len().is_multiple_of(2)
        && value.bytes().all(|byte| nibble(byte) < 16);
    if is_hex {
        // Half as many bytes as digits: the length << 1 is the number of digits.
        put_unsigned(out, (value.len() as u64) | 1);
        let (pairs, _) = value.as_bytes().as_chunks::<2>();
        out.extend(
            pairs
                .iter()
                .map(|[high, low]| nibble(*high) << 4 | nibble(*low)),
        );
    } else {
        put_unsigned(out, (value.len() as u64) << 1);
        out.extend_from_slice(value.as_bytes());
    }
}

/// What a lower-case hexadecimal digit stands for, or more than 15.
fn nibble(digit: u8) -> u8 {
    const NIBBLES: [u8; 256] = {
        let mut nibbles = [u8::MAX; 256];
        let mut value = 0;
        while value < 16 {
            nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
            value += 1;
        }
        nibbles
    };
    NIBBLES[usize::from(digit)]
}

/// Calls `visit` with each pair of a line; `scratch` holds unpacked values.
pub(crate) fn for_each<'n>(
    bytes: &[u8],
    names: &'n [Box<str>],
    scratch: &mut String,
    mut visit: impl FnMut(&'n str, &str),
) {
    let mut from = Decoder(bytes);
    let Some(count) = from.unsigned() else {
        return;
    };
    for _ in 0..count {
        let (Some(number), Some(head)) = (from.unsigned(), from.unsigned()) else {
            return;
        };
        let name = names.get(number as usize).map_or("", AsRef::as_ref);
        let Some(raw) = from.take((head >> 1) as usize) else {
            return;
        };
        if head & 1 == 1 {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            scratch.clear();
            for byte in raw {
                scratch.push(char::from(DIGITS[usize::from(byte >> 4)]));
                scratch.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            visit(name, scratch);
        } else if let Ok(value) = std::str::from_utf8(raw) {
            visit(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8], names: &Names) -> Metadata {
        let mut seen = Metadata::default();
        for_each(
            bytes,
            names.as_slice(),
            &mut String::new(),
            |name, value| seen.push(name, value),
        );
        seen
    }

    #[test]
    fn lines_with_a_common_end_come_back() {
        let mut names = Names::default();
        let long = "v".repeat(RECENT_BYTES_MAX);
        let mut lines: Vec<Metadata> = Vec::new();
        for (trace_id, level) in [
            ("0af7651916cd43dd", "info"),
            ("b7ad6b7169203331", "info"),
            ("b7ad6b7169203331", "info"),
            ("00f067aa0ba902b7", "warn"),
            (&long, "info"),
            ("00f067aa0ba902b7", "info"),
        ] {
            lines.push(Metadata::from_iter([
                ("trace_id", trace_id),
                ("host", "frontend"),
                ("service_version", "1.2.3"),
                ("detected_level", level),
            ]));
            lines.push(Metadata::from_iter([
                ("service_version", "1.2.3"),
                ("detected_level", level),
            ]));
        }
        for line in &lines {
            let (mut bytes, mut alone) = (Vec::new(), Vec::new());
            pack(&mut bytes, &mut names, line);
            assert_eq!(unpacked(&bytes, &names), *line);
            // The same bytes as where nothing was packed before.
            let mut fresh = Names::default();
            fresh.extend_to(names.as_slice());
            pack(&mut alone, &mut fresh, line);
            assert_eq!(bytes, alone);
        }
    }

    #[test]
    fn another_sender_is_got_used_to() {
        let mut names = Names::default();
        let line = |first: &str, service: &str| {
            Metadata::from_iter([
                ("trace_id", first),
                ("host", service),
                ("service", service),
                ("level", "info"),
            ])
        };
        for (one, tail) in [
            (line("a", "users"), 0),
            (line("b", "users"), 3),
            // Only the level is the same.
            (line("c", "payments"), 0),
            (line("d", "payments"), 3),
        ] {
            pack(&mut Vec::new(), &mut names, &one);
            assert_eq!(names.recent.tail, tail);
        }
    }

    #[test]
    fn pairs_come_back_in_order() {
        let pairs: Metadata = [
            ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
            ("level", "info"),
            ("odd", "0af76519abc"),
            ("empty", ""),
            ("level2", "ABCDEF0123"),
        ]
        .into_iter()
        .collect();
        let mut names = Names::default();
        let mut bytes = Vec::new();
        pack(&mut bytes, &mut names, &pairs);
        assert_eq!(unpacked(&bytes, &names), pairs);
        assert!(bytes.len() < pairs.bytes());
        // Other names in the same places, and the first ones again.
        for other in [
            [("level", "a"), ("trace_id", "b")],
            [("trace_id", "a"), ("odd", "b")],
        ] {
            let other = Metadata::from_iter(other);
            bytes.clear();
            pack(&mut bytes, &mut names, &other);
            assert_eq!(unpacked(&bytes, &names), other);
        }
        assert_eq!(names.as_slice().len(), 5);
    }
}
