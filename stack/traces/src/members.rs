//! Some of the spans of a trace.

/// A set of a trace's spans, by their place in time: 64 places a word, words without a member left out, so that many small groups
/// of a long trace stay small.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Members(Vec<(u32, u64)>);

impl Members {
    pub(crate) fn all(spans: usize) -> Self {
        let mut members = Self::default();
        (0..spans).for_each(|index| members.add(index));
        members
    }

    pub(crate) fn add(&mut self, index: usize) {
        self.add_word((index / 64) as u32, 1 << (index % 64));
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.word((index / 64) as u32) >> (index % 64) & 1 == 1
    }

    pub(crate) fn len(&self) -> usize {
        self.0
            .iter()
            .map(|(_, word)| word.count_ones() as usize)
            .sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The places in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|(at, word)| {
            let (at, mut left) = (*at as usize * 64, *word);
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at + bit)
            })
        })
    }

    pub(crate) fn with(mut self, other: &Self) -> Self {
        other
            .0
            .iter()
            .for_each(|(at, word)| self.add_word(*at, *word));
        self
    }

    pub(crate) fn within(mut self, other: &Self) -> Self {
        self.0.retain_mut(|(at, word)| {
            *word &= other.word(*at);
            *word != 0
        });
        self
    }

    pub(crate) fn without(mut self, other: &Self) -> Self {
        self.0.retain_mut(|(at, word)| {
            *word &= !other.word(*at);
            *word != 0
        });
        self
    }

    fn word(&self, at: u32) -> u64 {
        self.find(at).map_or(0, |index| self.0[index].1)
    }

    fn find(&self, at: u32) -> Result<usize, usize> {
        match self.0.last() {
            // Sets are mostly built in order, and mostly of one word.
            Some((last, _)) if *last == at => Ok(self.0.len() - 1),
            Some((last, _)) if *last < at => Err(self.0.len()),
            None => Err(0),
            Some(_) => self.0.binary_search_by_key(&at, |(own, _)| *own),
        }
    }

    fn add_word(&mut self, at: u32, word: u64) {
        match self.find(at) {
            Ok(index) => self.0[index].1 |= word,
            Err(index) => self.0.insert(index, (at, word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(places: &[usize]) -> Members {
        let mut members = Members::default();
        places.iter().for_each(|place| members.add(*place));
        members
    }

    fn shown(members: &Members) -> Vec<usize> {
        members.iter().collect()
    }

    #[test]
    fn sets() {
        let (one, two) = (of(&[700, 3, 64, 0, 3]), of(&[64, 65, 3, 9_000]));
        assert_eq!(shown(&one), [0, 3, 64, 700]);
        assert_eq!(
            (one.len(), one.has(700), one.has(701), one.has(100_000)),
            (4, true, false, false)
        );
        assert_eq!(shown(&one.clone().with(&two)), [0, 3, 64, 65, 700, 9_000]);
        assert_eq!(shown(&one.clone().within(&two)), [3, 64]);
        assert_eq!(shown(&one.clone().without(&two)), [0, 700]);
        assert!(one.clone().without(&one).is_empty());
        assert_eq!(Members::all(130).len(), 130);
    }
}
