//! Label sets, packed.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of label names and values, sorted by name, without empty values (an empty value is an absent label).
///
/// All names and values stand in one string and a clone is one reference count, because a store holds many thousands of them.
#[derive(Clone)]
pub struct Labels(Arc<Packed>);

struct Packed {
    /// Names and values one after the other: name, value, name, value.
    text: Box<str>,
    /// Where each of them ends in `text`.
    ends: Box<[u32]>,
    fingerprint: u64,
}

/// The label that holds a series' metric name.
const METRIC_NAME: &str = "__name__";

/// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
/// prometheus/common's model separates names and values by this byte, which no UTF-8 text holds.
const SEPARATOR: u8 = 0xff;

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        Self::from_sorted(&[])
    }

    /// Builds a set from pairs in any order. Pairs with an empty value are left out; of a name given twice the last one counts.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    fn from_sorted(pairs: &[(String, String)]) -> Self {
        let mut text = String::with_capacity(
            pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum(),
        );
        let mut ends = Vec::with_capacity(pairs.len() * 2);
        let mut fingerprint = FNV_OFFSET;
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            text.push_str(part);
            ends.push(
                u32::try_from(text.len())
                    .expect("invariant: bodies are limited far below 4 GiB, so label sets are too"),
            );
            for byte in part.bytes().chain([SEPARATOR]) {
                fingerprint = (fingerprint ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
            }
        }
        Self(Arc::new(Packed {
            text: text.into_boxed_str(),
            ends: ends.into_boxed_slice(),
            fingerprint,
        }))
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.0.ends.len() / 2
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    fn part(&self, index: usize) -> &str {
        let start = if index == 0 {
            0
        } else {
            self.0.ends[index - 1] as usize
        };
        &self.0.text[start..self.0.ends[index] as usize]
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        (0..self.len()).map(|index| (self.part(2 * index), self.part(2 * index + 1)))
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
        self.value_of(METRIC_NAME)
    }

    /// The 64-bit FNV-1a hash of the sorted labels; for label sets without `__name__` it is the fingerprint of Alertmanager.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// A builder that starts from these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder {
            pairs: self
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
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
        Self::new(self.iter().filter(|(name, _)| keep(name)))
    }

    /// The heap bytes of this set, for memory accounting.
    pub fn heap_bytes(&self) -> usize {
        self.0.text.len() + self.0.ends.len() * 4 + size_of::<Packed>() + 16
    }
}

/// Collects labels in any order; the last value of a name counts, an empty value removes it.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name at any time.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match (
            self.pairs
                .binary_search_by(|(own, _)| own.as_str().cmp(name)),
            value.is_empty(),
        ) {
            (Ok(index), true) => drop(self.pairs.remove(index)),
            (Ok(index), false) => value.clone_into(&mut self.pairs[index].1),
            (Err(_), true) => {}
            (Err(index), false) => self
                .pairs
                .insert(index, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.set(name, "")
    }

    /// The value of `name`, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Names and values in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The label set.
    pub fn build(&self) -> Labels {
        Labels::from_sorted(&self.pairs)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.fingerprint == other.0.fingerprint
                && self.0.ends == other.0.ends
                && self.0.text == other.0.text)
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.fingerprint);
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
                f.write_str(name)?
            } else {
                write_quoted(f, name)?
            }
            f.write_str("=")?;
            write_quoted(f, value)?;
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

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
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
    fn renders_escaped() {
        assert_eq!(
            Labels::new([("a", "x\"\\\n"), ("b.c", "d")]).to_string(),
            r#"{a="x\"\\\n", "b.c"="d"}"#
        );
    }
}
