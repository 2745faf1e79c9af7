//! Label sets, packed.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quoted::Quoted;

/// A set of label names and values, sorted by name, without empty values (an empty value is an absent label).
///
/// All of it stands in one allocation and a clone is one reference count, because a store holds many thousands of them: the
/// fingerprint, the number of labels, then name, value, name, value, each after its length. Numbers are written in characters of
/// ASCII, six bits each, so that the whole is one `str` and no part has to be proven UTF-8 again when it is read.
#[derive(Clone)]
pub struct Labels(Arc<str>);

/// The label that holds a series' metric name.
const METRIC_NAME: &str = "__name__";

/// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// prometheus/common's model separates names and values by this byte, which no UTF-8 text holds.
const SEPARATOR: u8 = 0xff;

/// Bits of a number in one character of it, and the bit that says that another character follows.
const DIGIT_BITS: u32 = 6;
const MORE: u8 = 1 << DIGIT_BITS;
/// Characters of the fingerprint at the start: 64 bits, seven each.
const FINGERPRINT_CHARACTERS: usize = 10;

/// Writes `number` as characters of six bits, the lowest first.
fn write_number(packed: &mut String, mut number: usize) {
    loop {
        let digit = (number % usize::from(MORE)) as u8;
        number >>= DIGIT_BITS;
        if number == 0 {
            packed.push(char::from(digit));
            return;
        }
        packed.push(char::from(digit | MORE));
    }
}

/// The number that [`write_number`] wrote at the start of `packed`, and what follows it.
#[inline(always)]
fn read_number(packed: &str) -> (usize, &str) {
    match packed.as_bytes().first() {
        // Nearly all names and values are shorter than 64 bytes.
        Some(byte) if *byte < MORE => (usize::from(*byte), &packed[1..]),
        _ => read_long_number(packed),
    }
}

fn read_long_number(packed: &str) -> (usize, &str) {
    let mut number = 0;
    for (index, byte) in packed.bytes().enumerate() {
        number |= usize::from(byte % MORE) << (DIGIT_BITS * index as u32);
        if byte < MORE {
            return (number, &packed[index + 1..]);
        }
    }
    (number, "")
}

fn number_characters(number: usize) -> usize {
    (usize::BITS - number.leading_zeros())
        .div_ceil(DIGIT_BITS)
        .max(1) as usize
}

/// Names and values of a label set in the order of the names.
#[derive(Clone)]
struct Pairs<'a> {
    left: usize,
    rest: &'a str,
}

impl<'a> Pairs<'a> {
    #[inline(always)]
    fn part(&mut self) -> &'a str {
        let (length, rest) = read_number(self.rest);
        let (part, rest) = rest.split_at(length);
        self.rest = rest;
        part
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((self.part(), self.part()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        static EMPTY: LazyLock<Labels> = LazyLock::new(|| Labels::from_sorted(&[].into_iter()));
        EMPTY.clone()
    }

    /// Builds a set from pairs in any order. Pairs with an empty value are left out; of a name given twice the last one counts.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// The set of these pairs, which must be sorted by name, no name twice and no value empty, as those of a part of another set are.
    pub fn of_sorted(pairs: &[(&str, &str)]) -> Self {
        debug_assert!(pairs.is_sorted_by(|(one, _), (other, _)| one < other));
        debug_assert!(pairs.iter().all(|(_, value)| !value.is_empty()));
        if pairs.is_empty() {
            return Self::empty();
        }
        Self::from_sorted(&pairs.iter().copied())
    }

    fn from_sorted<'a>(
        pairs: &(impl ExactSizeIterator<Item = (&'a str, &'a str)> + Clone),
    ) -> Self {
        let parts = || pairs.clone().flat_map(|(name, value)| [name, value]);
        let mut fingerprint = FNV_OFFSET;
        let mut length = FINGERPRINT_CHARACTERS + number_characters(pairs.len());
        for part in parts() {
            length += number_characters(part.len()) + part.len();
            for byte in part.bytes().chain([SEPARATOR]) {
                fingerprint = (fingerprint ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
            }
        }
        let mut packed = String::with_capacity(length);
        for index in 0..FINGERPRINT_CHARACTERS {
            packed.push(char::from((fingerprint >> (7 * index)) as u8 & 0x7f));
        }
        write_number(&mut packed, pairs.len());
        for part in parts() {
            write_number(&mut packed, part.len());
            packed.push_str(part);
        }
        Self(packed.into())
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.pairs().left
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    fn pairs(&self) -> Pairs<'_> {
        let (left, rest) = read_number(&self.0[FINGERPRINT_CHARACTERS..]);
        Pairs { left, rest }
    }

    /// Names and values in the order of the names.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.pairs()
    }

    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        // Label sets are short: a scan beats a binary search over scattered slices.
        self.iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// The value of `name`, or the empty text, which is how PromQL sees an absent label.
    pub fn value_of(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name (`__name__`), or the empty text.
    pub fn metric_name(&self) -> &str {
        // Few names are sorted before it, and those of aggregated series behind.
        self.iter()
            .take_while(|(own, _)| *own <= METRIC_NAME)
            .find(|(own, _)| *own == METRIC_NAME)
            .map_or("", |(_, value)| value)
    }

    /// The 64-bit FNV-1a hash of the sorted labels; for label sets without `__name__` it is the fingerprint of Alertmanager.
    pub fn fingerprint(&self) -> u64 {
        self.0.as_bytes()[..FINGERPRINT_CHARACTERS]
            .iter()
            .rev()
            .fold(0, |bits, byte| bits << 7 | u64::from(*byte))
    }

    /// A builder that starts from these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        let mut builder = LabelsBuilder::default();
        for (name, value) in self.iter() {
            let entry = builder.write(name, value);
            builder.entries.push(entry);
        }
        builder
    }

    /// The set with `name` set to `value`, or without `name` when `value` is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut builder = self.to_builder();
        builder.set(name, value);
        builder.build()
    }

    /// The set without `name`.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        if self.get(name).is_some() {
            self.with(name, "")
        } else {
            self.clone()
        }
    }

    /// The set without the metric name.
    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        self.without(METRIC_NAME)
    }

    /// The labels whose name `keep` accepts.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let kept: Vec<_> = self.iter().filter(|(name, _)| keep(name)).collect();
        Self::from_sorted(&kept.into_iter())
    }

    /// The heap bytes of this set, for memory accounting.
    pub fn heap_bytes(&self) -> usize {
        // The two counts of an `Arc` stand before its text.
        self.0.len() + 2 * size_of::<usize>()
    }
}

/// Collects labels in any order; the last value of a name counts, an empty value removes it.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Names and values as they came, those that were replaced or removed too.
    text: String,
    /// Where name and value stand in `text`; sorted by name at any time.
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Entry {
    fn name(self, text: &str) -> &str {
        &text[self.start..self.name_end]
    }

    fn value(self, text: &str) -> &str {
        &text[self.name_end..self.end]
    }
}

impl LabelsBuilder {
    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        let found = self
            .entries
            .binary_search_by(|entry| entry.name(&self.text).cmp(name));
        match (found, value.is_empty()) {
            (Ok(index), true) => drop(self.entries.remove(index)),
            (Ok(index), false) => self.entries[index] = self.write(name, value),
            (Err(_), true) => {}
            (Err(index), false) => {
                let entry = self.write(name, value);
                self.entries.insert(index, entry);
            }
        }
        self
    }

    fn write(&mut self, name: &str, value: &str) -> Entry {
        let start = self.text.len();
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push_str(value);
        Entry {
            start,
            name_end,
            end: self.text.len(),
        }
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value of `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.entries
            .iter()
            .map(|entry| (entry.name(&self.text), entry.value(&self.text)))
    }

    /// The label set.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(&self.iter())
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        // The fingerprint stands first: sets that differ differ at once.
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint());
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Label by label, the name before the value, as Prometheus' labels.Compare.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            Ordering::Equal
        } else {
            self.iter().cmp(other.iter())
        }
    }
}

/// Renders `{a="b", c="d"}` with quoted values; names that are no classic label names are quoted too.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            if is_classic_name(name) {
                f.write_str(name)?;
            } else {
                Quoted(name).fmt(f)?;
            }
            write!(f, "={}", Quoted(value))?;
        }
        f.write_str("}")
    }
}

fn is_classic_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::new(pairs)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of label names to text values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut builder = LabelsBuilder::default();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    builder.set(&name, &value);
                }
                Ok(builder.build())
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_drops_empty_values_and_keeps_the_last() {
        let labels = Labels::new([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3")]);
        assert_eq!(labels, Labels::new([("a", "1"), ("b", "3")]));
        assert_eq!(labels.get("c"), None);
        assert_eq!(
            labels.without("a").with("z", "\"\n"),
            Labels::new([("b", "3"), ("z", "\"\n")])
        );
    }

    #[test]
    fn fingerprint_is_that_of_alertmanager() {
        // prometheus/common model: the empty label set hashes to the FNV-1a offset basis.
        assert_eq!(Labels::empty().fingerprint(), 14_695_981_039_346_656_037);
    }

    #[test]
    fn compares_label_by_label() {
        let short = Labels::new([("a", "1")]);
        let long = Labels::new([("a", "1"), ("b", "1")]);
        assert!(short < long);
        assert!(Labels::new([("a", "2")]) > long);
    }

    #[test]
    fn keeps_parts_of_every_length_and_script() {
        for length in [1, 63, 64, 65, 4_095, 4_096, 300_000] {
            let value = "é".repeat(length);
            let labels = Labels::new([("größe", value.as_str()), ("a", "x")]);
            assert_eq!(labels.len(), 2);
            assert_eq!(labels.get("größe"), Some(value.as_str()));
            assert_eq!(labels.heap_bytes(), labels.0.len() + 16);
        }
        let many = Labels::new((0..1_000).map(|index| (format!("l{index:04}"), "v")));
        assert_eq!(many.len(), 1_000);
        assert_eq!(many.iter().last(), Some(("l0999", "v")));
        assert_eq!(many.to_builder().build(), many);
    }

    #[test]
    fn a_builder_forgets_what_was_replaced_or_removed() {
        let mut builder = Labels::new([("a", "1"), ("b", "2")]).to_builder();
        builder.set("a", "3").remove("b").set("c", "4");
        assert_eq!(builder.iter().collect::<Vec<_>>(), [("a", "3"), ("c", "4")]);
        assert_eq!(builder.get("b"), None);
        assert_eq!(builder.build(), Labels::new([("c", "4"), ("a", "3")]));
    }

    #[test]
    fn renders_escaped() {
        assert_eq!(
            Labels::new([("a", "x\"\\\n\u{1}"), ("b.c", "d")]).to_string(),
            r#"{a="x\"\\\n\x01", "b.c"="d"}"#
        );
    }
}
