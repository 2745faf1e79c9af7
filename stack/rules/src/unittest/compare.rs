//! Whether what was got is what was expected.

use gameday_signal::Labels;

use super::file::ExpectedAlert;

/// Whether two values are the same, in their last bit too where `fuzzy` is not set. Unlike promtool, a test may expect NaN.
pub(crate) fn same_value(expected: f64, got: f64, fuzzy: bool) -> bool {
    if expected.is_nan() || got.is_nan() {
        return expected.is_nan() && got.is_nan();
    }
    expected == got || (fuzzy && (expected.next_up() == got || expected.next_down() == got))
}

/// Whether the firing alerts are the expected ones, in any order; as subsets, where `subset` is set.
pub(crate) fn same_alerts(expected: &[ExpectedAlert], got: &[ExpectedAlert], subset: bool) -> bool {
    if expected.len() != got.len() {
        return false;
    }
    let fits = |expected: &ExpectedAlert, got: &ExpectedAlert| {
        if subset {
            is_subset(&expected.labels, &got.labels)
                && expected
                    .annotations
                    .iter()
                    .all(|(name, text)| got.annotations.get(name) == Some(text))
        } else {
            expected == got
        }
    };
    // Each expected alert needs one of its own: with subsets the first that fits may be needed by another.
    let mut owner: Vec<Option<usize>> = vec![None; got.len()];
    (0..expected.len()).all(|index| {
        let mut tried = vec![false; got.len()];
        assign(index, expected, got, &fits, &mut owner, &mut tried)
    })
}

/// Gives `index` an alert of its own, moving others where they fit elsewhere (augmenting paths).
fn assign(
    index: usize,
    expected: &[ExpectedAlert],
    got: &[ExpectedAlert],
    fits: &dyn Fn(&ExpectedAlert, &ExpectedAlert) -> bool,
    owner: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for candidate in 0..got.len() {
        if tried[candidate] || !fits(&expected[index], &got[candidate]) {
            continue;
        }
        tried[candidate] = true;
        let free = match owner[candidate] {
            None => true,
            Some(other) => assign(other, expected, got, fits, owner, tried),
        };
        if free {
            owner[candidate] = Some(index);
            return true;
        }
    }
    false
}

fn is_subset(part: &Labels, whole: &Labels) -> bool {
    part.iter()
        .all(|(name, value)| whole.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn alert<const N: usize>(labels: [(&str, &str); N]) -> ExpectedAlert {
        ExpectedAlert {
            labels: Labels::new(labels),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn subsets_find_an_alert_each() {
        let expected = [alert([("a", "1")]), alert([("a", "1"), ("b", "2")])];
        let got = [
            alert([("a", "1"), ("b", "2")]),
            alert([("a", "1"), ("b", "3")]),
        ];
        assert!(same_alerts(&expected, &got, true));
        assert!(!same_alerts(&expected, &got, false));
        assert!(!same_alerts(&expected[..1], &got, true));
        assert!(!same_alerts(&[alert([("a", "2")])], &got[..1], true));
    }

    #[test]
    fn fuzzy_is_one_bit() {
        assert!(same_value(3.0, 3.000_000_000_000_000_4, true));
        assert!(!same_value(3.0, 3.000_000_000_000_001_3, true));
        assert!(!same_value(3.0, 3.000_000_000_000_000_4, false));
        assert!(same_value(f64::NAN, f64::NAN, false));
    }
}
