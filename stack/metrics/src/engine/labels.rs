//! The functions that change labels.

use regex::Regex;

use super::QueryError;
use super::eval::Evaluator;
use super::series::{Grid, Series, merge_same_labels};
use crate::promql::{Expr, is_label_name};

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
        if !is_label_name(&destination) {
            return Err(QueryError::execution(format!(
                "invalid destination label name in label_replace(): {destination}"
            )));
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
            if !is_label_name(&source) {
                return Err(QueryError::execution(format!(
                    "invalid source label name in label_join(): {source}"
                )));
            }
            sources.push(source);
        }
        if !is_label_name(&destination) {
            return Err(QueryError::execution(format!(
                "invalid destination label name in label_join(): {destination}"
            )));
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
