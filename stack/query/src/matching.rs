//! How the series of two vectors find each other.

use std::fmt;

use gameday_signal::Labels;

/// How many series of each side belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One and one: no grouping modifier.
    #[default]
    OneToOne,
    /// Several on the left: `group_left`.
    ManyToOne,
    /// Several on the right: `group_right`.
    OneToMany,
    /// Any number: the set operators.
    ManyToMany,
}

/// The modifiers `on`, `ignoring`, `group_left` and `group_right`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    /// How many series of each side belong together.
    pub cardinality: Cardinality,
    /// Whether `labels` are those that have to agree (`on`) or those that need not (`ignoring`).
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// The labels that the "one" side adds to the result.
    pub include: Vec<String>,
    /// The values that stand in for a missing series on the left and on the right (`fill`, experimental).
    pub fill: (Option<f64>, Option<f64>),
}

/// The label that holds a series' metric name; it never takes part in matching by `ignoring`.
const METRIC_NAME: &str = "__name__";

impl VectorMatching {
    /// The labels by which a series is matched: equal keys belong together.
    pub fn key(&self, labels: &Labels) -> Labels {
        labels.filtered(|name| self.is_key(name))
    }

    /// Whether the label `name` takes part in the match.
    pub fn is_key(&self, name: &str) -> bool {
        let listed = self.labels.iter().any(|own| own == name);
        if self.on {
            listed
        } else {
            !listed && name != METRIC_NAME
        }
    }
}

/// Writes a list of label names in parentheses; names that are no classic label names are quoted.
pub fn write_label_list(f: &mut fmt::Formatter<'_>, labels: &[String]) -> fmt::Result {
    f.write_str("(")?;
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        if is_classic_label_name(label) {
            f.write_str(label)?;
        } else {
            write!(f, "{label:?}")?;
        }
    }
    f.write_str(")")
}

/// Whether `name` matches `[a-zA-Z_][a-zA-Z0-9_]*` and so needs no quotes.
pub fn is_classic_label_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Renders the modifiers as they follow an operator, such as ` on (a) group_left (b)`, with a leading blank.
impl fmt::Display for VectorMatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouped = matches!(
            self.cardinality,
            Cardinality::ManyToOne | Cardinality::OneToMany
        );
        if !self.labels.is_empty() || self.on || grouped {
            f.write_str(if self.on { " on " } else { " ignoring " })?;
            write_label_list(f, &self.labels)?;
        }
        if grouped {
            f.write_str(if self.cardinality == Cardinality::ManyToOne {
                " group_left "
            } else {
                " group_right "
            })?;
            write_label_list(f, &self.include)?;
        }
        match self.fill {
            (None, None) => Ok(()),
            (Some(left), Some(right)) if left == right => write!(f, " fill ({left})"),
            (left, right) => {
                if let Some(left) = left {
                    write!(f, " fill_left ({left})")?;
                }
                right.map_or(Ok(()), |right| write!(f, " fill_right ({right})"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_on_and_ignoring() {
        let labels = Labels::new([("__name__", "m"), ("a", "1"), ("b", "2")]);
        let mut matching = VectorMatching {
            labels: vec!["a".to_owned()],
            ..VectorMatching::default()
        };
        assert_eq!(matching.key(&labels), Labels::new([("b", "2")]));
        matching.on = true;
        assert_eq!(matching.key(&labels), Labels::new([("a", "1")]));
        matching.labels = vec!["__name__".to_owned()];
        assert_eq!(matching.key(&labels), Labels::new([("__name__", "m")]));
    }

    #[test]
    fn renders() {
        let mut matching = VectorMatching::default();
        assert_eq!(matching.to_string(), "");
        matching.on = true;
        matching.labels = vec!["a".to_owned(), "b.c".to_owned()];
        matching.cardinality = Cardinality::ManyToOne;
        assert_eq!(matching.to_string(), " on (a, \"b.c\") group_left ()");
    }
}
