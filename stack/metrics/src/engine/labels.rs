//! The functions that change labels.

use gameday_signal::{Labels, MatchOp, Matcher};
use regex::Regex;

use super::QueryError;
use super::eval::Evaluator;
use super::series::{Grid, Series, merge_same_labels};
use crate::promql::{Expr, ExprKind, VectorSelector};

/// The label of the metric name.
const METRIC_NAME: &str = "__name__";

impl Evaluator<'_> {
    pub(super) fn label_replace(
        &mut self,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let destination = self.text(&args[1], grid)?;
        let replacement = self.text(&args[2], grid)?;
        let source = self.text(&args[3], grid)?;
        let pattern = self.text(&args[4], grid)?;
        let regex = Regex::new(&format!("^(?s:{pattern})$")).map_err(|_| {
            QueryError::execution(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        if destination.is_empty() {
            return Err(QueryError::execution(
                "invalid destination label name in label_replace(): ",
            ));
        }
        let mut series = self.vector(&args[0], grid)?;
        self.settle(&mut series);
        for one in &mut series {
            let Some(captures) = regex.captures(one.labels.value_of(&source)) else {
                continue;
            };
            let value = expand(&replacement, &captures);
            one.labels = one.labels.with(&destination, &value);
            if destination == METRIC_NAME {
                one.drop_name = false;
            }
        }
        merge_same_labels(series)
    }

    pub(super) fn label_join(
        &mut self,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let destination = self.text(&args[1], grid)?;
        let separator = self.text(&args[2], grid)?;
        let mut sources = Vec::new();
        for arg in &args[3..] {
            let source = self.text(arg, grid)?;
            if source.is_empty() {
                return Err(QueryError::execution(
                    "invalid source label name in label_join(): ",
                ));
            }
            sources.push(source);
        }
        if destination.is_empty() {
            return Err(QueryError::execution(
                "invalid destination label name in label_join(): ",
            ));
        }
        let mut series = self.vector(&args[0], grid)?;
        self.settle(&mut series);
        for one in &mut series {
            let values: Vec<&str> = sources
                .iter()
                .map(|source| one.labels.value_of(source))
                .collect();
            one.labels = one.labels.with(&destination, &values.join(&separator));
            if destination == METRIC_NAME {
                one.drop_name = false;
            }
        }
        merge_same_labels(series)
    }

    /// Adds the labels of info metrics (`target_info` by default) that agree in `instance` and `job`.
    pub(super) fn info_call(
        &mut self,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let series = self.vector(&args[0], grid)?;
        let matchers: Vec<Matcher> = match args.get(1).map(|arg| &arg.kind) {
            Some(ExprKind::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (names, conditions): (Vec<Matcher>, Vec<Matcher>) = matchers
            .into_iter()
            .partition(|matcher| matcher.name() == METRIC_NAME);
        let mut wanted = conditions.clone();
        if names.is_empty() {
            wanted.push(Matcher::equal(METRIC_NAME, "target_info"));
        } else {
            wanted.extend(names.iter().cloned());
        }
        // A condition that an absent label satisfies must not hide the series without info.
        let optional = conditions.iter().all(Matcher::matches_empty);
        let selector = VectorSelector {
            matchers: wanted,
            ..VectorSelector::default()
        };
        let infos = self.select_instant(&selector, grid)?;
        let is_info = |one: &Series| {
            if names.is_empty() {
                one.labels.metric_name() == "target_info"
            } else {
                names.iter().all(|name| name.matches(&one.labels))
            }
        };
        let mut found: Vec<Series> = Vec::new();
        for one in series {
            if is_info(&one) {
                found.push(one);
                continue;
            }
            enrich(&one, &infos, &conditions, optional, grid, &mut found)?;
        }
        merge_same_labels(found)
    }
}

/// The labels that tell which info metric belongs to a series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

fn enrich(
    one: &Series,
    infos: &[Series],
    conditions: &[Matcher],
    optional: bool,
    grid: &Grid,
    found: &mut Vec<Series>,
) -> Result<(), QueryError> {
    let identified = IDENTIFYING
        .iter()
        .any(|name| one.labels.get(name).is_some());
    let matching: Vec<&Series> = infos
        .iter()
        .filter(|info| {
            identified
                && IDENTIFYING
                    .iter()
                    .all(|name| info.labels.value_of(name) == one.labels.value_of(name))
        })
        .collect();
    let mut by_labels: Vec<Series> = Vec::new();
    for step in 0..grid.count {
        if !one.is_present(step) {
            continue;
        }
        let mut builder = one.labels.to_builder();
        let mut any = false;
        for info in &matching {
            if !info.is_present(step) {
                continue;
            }
            any = true;
            for (name, value) in info.labels.iter() {
                let listed = conditions.is_empty()
                    || conditions
                        .iter()
                        .any(|matcher| matcher.name() == name && matcher.op() != MatchOp::NotEqual);
                if name == METRIC_NAME || IDENTIFYING.contains(&name) || !listed {
                    continue;
                }
                if one.labels.get(name).is_some() {
                    continue;
                }
                let conflicting = builder.get(name).is_some_and(|own| own != value);
                if conflicting {
                    return Err(QueryError::execution(format!("conflicting label: {name}")));
                }
                builder.set(name, value);
            }
        }
        if !any && !optional {
            continue;
        }
        let labels: Labels = builder.build();
        let index = by_labels.iter().position(|own| own.labels == labels);
        let index = index.unwrap_or_else(|| {
            by_labels.push(Series::empty(labels, one.drop_name, grid.count));
            by_labels.len() - 1
        });
        by_labels[index].set(step, one.cell(step));
    }
    found.extend(by_labels);
    Ok(())
}

/// Puts captures into a replacement as Go's Regexp.Expand does: `$1`, `${1}`, `$name`, `$$`; unknown ones are empty.
fn expand(replacement: &str, captures: &regex::Captures<'_>) -> String {
    let mut text = String::new();
    let mut rest = replacement;
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let braced = rest.starts_with('{');
        let body = if braced { &rest[1..] } else { rest };
        let length = body
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(body.len());
        let name = &body[..length];
        let after = &body[length..];
        if name.is_empty() || (braced && !after.starts_with('}')) {
            // Malformed: Go leaves it as it stands.
            text.push('$');
            continue;
        }
        let group = match name.parse::<usize>() {
            Ok(number) => captures.get(number),
            Err(_) => captures.name(name),
        };
        text.push_str(group.map_or("", |group| group.as_str()));
        rest = if braced { &after[1..] } else { after };
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_like_go() {
        let regex = Regex::new("(?P<first>a+)(b*)").expect("valid");
        let captures = regex.captures("aab").expect("matches");
        for (replacement, expected) in [
            ("$1-$2", "aa-b"),
            ("${1}x$first", "aaxaa"),
            ("$1x", ""),
            ("$$1", "$1"),
            ("a$", "a$"),
            ("${", "${"),
            ("$9", ""),
        ] {
            assert_eq!(expand(replacement, &captures), expected, "{replacement}");
        }
    }
}
