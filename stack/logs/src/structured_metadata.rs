//! The names and values that belong to one log line.

use std::fmt;

/// A line's structured metadata (Loki): names and values in the order in which they were added; a name may stand there twice.
///
/// All of it stands in one text, because every line of an OpenTelemetry sender has a dozen of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Name, value, name, value.
    text: String,
    /// Where each pair's name and value end in `text`.
    ends: Vec<(usize, usize)>,
}

impl Metadata {
    /// Nothing yet, with room for this many pairs.
    pub(crate) fn with_room(pairs: usize) -> Self {
        /// Names and values of OpenTelemetry's semantic conventions, together.
        const PAIR_BYTES_USUAL: usize = 32;
        Self {
            text: String::with_capacity(pairs * PAIR_BYTES_USUAL),
            ends: Vec::with_capacity(pairs),
        }
    }

    /// Adds a pair at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.write(|text| text.push_str(name), |text| text.push_str(value));
    }

    /// The same, with a name and a value that are appended to the text that they are given.
    pub(crate) fn write(
        &mut self,
        name: impl FnOnce(&mut String),
        value: impl FnOnce(&mut String),
    ) {
        name(&mut self.text);
        let name_end = self.text.len();
        value(&mut self.text);
        self.ends.push((name_end, self.text.len()));
    }

    /// Becomes a copy of `other`, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.text.clone_from(&other.text);
        self.ends.clone_from(&other.ends);
    }

    /// Adds all pairs of `other` at the end.
    pub(crate) fn append(&mut self, other: &Self) {
        let start = self.text.len();
        self.text.push_str(&other.text);
        self.ends.extend(
            other
                .ends
                .iter()
                .map(|(name_end, end)| (start + name_end, start + end)),
        );
    }

    /// Gives the pair at `index` another value.
    pub(crate) fn set_value(&mut self, index: usize, value: &str) {
        let Some((name_end, end)) = self.ends.get(index).copied() else {
            return;
        };
        self.text.replace_range(name_end..end, value);
        let moved = |at: usize| at - (end - name_end) + value.len();
        self.ends[index].1 = moved(end);
        for (name_end, end) in &mut self.ends[index + 1..] {
            (*name_end, *end) = (moved(*name_end), moved(*end));
        }
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |(name_end, end)| {
            let pair = (&self.text[start..*name_end], &self.text[*name_end..*end]);
            start = *end;
            pair
        })
    }

    /// How many pairs at the end are the same as those at the end of `other`.
    pub(crate) fn common_tail(&self, other: &Self) -> usize {
        let pairs = self.backwards().zip(other.backwards());
        pairs.take_while(|(own, other)| own == other).count()
    }

    /// Whether the last `count` pairs are the same as the last of `other`: asked for all at once, which is sooner said than how many.
    pub(crate) fn ends_as(&self, other: &Self, count: usize) -> bool {
        let (Some(own_skipped), Some(other_skipped)) = (
            self.ends.len().checked_sub(count),
            other.ends.len().checked_sub(count),
        ) else {
            return false;
        };
        let start = |ends: &[(usize, usize)], skipped: usize| {
            skipped.checked_sub(1).map_or(0, |before| ends[before].1)
        };
        let own_start = start(&self.ends, own_skipped);
        let other_start = start(&other.ends, other_skipped);
        let same_places = self.ends[own_skipped..]
            .iter()
            .zip(&other.ends[other_skipped..])
            .all(|(own, other)| {
                own.0 - own_start == other.0 - other_start
                    && own.1 - own_start == other.1 - other_start
            });
        same_places && self.text.as_bytes()[own_start..] == other.text.as_bytes()[other_start..]
    }

    /// Name and value of each pair, and where the name ends in them, from the last to the first.
    fn backwards(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let starts = self.ends.iter().rev().skip(1).map(|(_, end)| *end);
        let pairs = self.ends.iter().rev().zip(starts.chain([0]));
        pairs.map(|((name_end, end), start)| (name_end - start, &self.text.as_bytes()[start..*end]))
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names and values.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl<Name: AsRef<str>, Value: AsRef<str>> FromIterator<(Name, Value)> for Metadata {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Value)>>(pairs: Pairs) -> Self {
        let mut metadata = Self::default();
        for (name, value) in pairs {
            metadata.push(name.as_ref(), value.as_ref());
        }
        metadata
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_end_is_found() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Metadata>();
        let one = of(&[("trace_id", "a"), ("host", "b"), ("level", "info")]);
        assert_eq!(one.common_tail(&one), 3);
        assert_eq!(one.common_tail(&Metadata::default()), 0);
        assert_eq!(Metadata::default().common_tail(&one), 0);
        // The same text of other pairs is not the same.
        let moved = of(&[("trace_id", "ah"), ("ost", "b"), ("level", "info")]);
        assert_eq!(one.common_tail(&moved), 1);
        assert_eq!(one.common_tail(&of(&[("leveli", "nfo")])), 0);
        let shorter = of(&[("host", "b"), ("level", "info")]);
        assert_eq!(
            (one.common_tail(&shorter), shorter.common_tail(&one)),
            (2, 2)
        );
        for other in [&one, &moved, &shorter, &Metadata::default()] {
            for count in 0..5 {
                assert_eq!(one.ends_as(other, count), count <= one.common_tail(other));
                assert_eq!(other.ends_as(&one, count), count <= other.common_tail(&one));
            }
        }
    }

    #[test]
    fn keeps_pairs_in_their_order() {
        let mut metadata: Metadata = [("level", "info"), ("", ""), ("trace_id", "abc")]
            .into_iter()
            .collect();
        let mut other = Metadata::with_room(1);
        other.push("level", "ü");
        metadata.append(&other);
        assert_eq!((metadata.len(), metadata.bytes()), (4, 27));
        metadata.set_value(0, "warning");
        metadata.set_value(2, "");
        metadata.set_value(9, "there is none");
        assert_eq!(
            metadata.iter().collect::<Vec<_>>(),
            [
                ("level", "warning"),
                ("", ""),
                ("trace_id", ""),
                ("level", "ü")
            ]
        );
        let same: Metadata = metadata.iter().collect();
        assert_eq!(same, metadata);
        assert!(Metadata::default().is_empty());
    }
}
