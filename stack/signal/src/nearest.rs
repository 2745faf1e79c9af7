//! "Did you mean".

/// The candidate that is nearest to `word` by edits (insert, delete, replace, swap of neighbours), if one is near enough to be
/// a likely slip: at most a third of the word's letters, at least one. Of equally near ones that with the longest common beginning
/// counts, then the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = (lower.len() / 3).max(1);
    let mut best: Option<((usize, usize), &str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.to_lowercase().chars().collect();
        if lower.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let distance = edits(&lower, &other);
        let common = lower
            .iter()
            .zip(&other)
            .take_while(|(one, other)| one == other);
        let rank = (distance, lower.len() - common.count());
        if distance <= allowed && best.is_none_or(|(found, _)| rank < found) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// `did you mean "..."?` for the nearest candidate, if there is one.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {candidate:?}?"))
}

/// The optimal string alignment distance (Damerau-Levenshtein without overlapping swaps).
fn edits(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(from != to))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *from == right[j - 1] && left[i - 1] == *to {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_only() {
        let functions = [
            "rad",
            "rate",
            "irate",
            "increase",
            "histogram_quantile",
            "sum",
        ];
        for (word, expected) in [
            ("rat", Some("rate")),
            ("raet", Some("rate")),
            ("RATE", Some("rate")),
            ("histogram_quantil", Some("histogram_quantile")),
            ("histogram_qantiel", Some("histogram_quantile")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, functions), expected, "{word}");
        }
        assert_eq!(
            did_you_mean("increse", functions).as_deref(),
            Some("did you mean \"increase\"?")
        );
    }
}
