//! Some of the spans of a trace.

/// A set of a trace's spans, by their place in time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Members(Vec<u64>);

impl Members {
    pub(crate) fn none(spans: usize) -> Self {
        Self(vec![0; spans.div_ceil(64)])
    }

    pub(crate) fn all(spans: usize) -> Self {
        let mut members = Self::none(spans);
        (0..spans).for_each(|index| members.add(index));
        members
    }

    pub(crate) fn add(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len() * 64).filter(|index| self.has(*index))
    }

    pub(crate) fn with(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(own, other)| *own |= other);
        self
    }

    pub(crate) fn within(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(own, other)| *own &= other);
        self
    }

    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(own, other)| *own &= !other);
        self
    }
}
