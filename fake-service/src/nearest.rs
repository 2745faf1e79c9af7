//! The names that somebody may have meant.

/// Names further away than this are no help.
const DISTANCE_MAX: usize = 3;
/// Names to offer.
const OFFERS_MAX: usize = 3;

/// The names nearest to `given`, nearest first, at most three.
pub(crate) fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = given.to_lowercase();
    let mut offers: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= DISTANCE_MAX.min(name.len() / 2 + 1))
        .collect();
    offers.sort_unstable();
    offers.dedup();
    offers.truncate(OFFERS_MAX);
    offers.into_iter().map(|(_, name)| name).collect()
}

/// The hint of an error message, empty where no name is near.
pub(crate) fn did_you_mean<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(given, names).as_slice() {
        [] => String::new(),
        offers => format!(" (did you mean {}?)", offers.join(" or ")),
    }
}

/// Levenshtein's distance, with one row of the table.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(
            nearest("chekout", ["payments", "checkout", "users"]),
            ["checkout"]
        );
        assert!(nearest("zzz", ["payments", "checkout"]).is_empty());
        assert_eq!(did_you_mean("usres", ["users"]), " (did you mean users?)");
    }
}
