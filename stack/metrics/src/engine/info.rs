//! The function `info`: labels of info metrics join series of the same instance and job (experimental).

use std::collections::BTreeMap;

use gameday_signal::{Labels, LabelsBuilder, MatchOp, Matcher};

use super::QueryError;
use super::eval::Evaluator;
use super::series::{Grid, Series, merge_same_labels};
use crate::promql::{DurationValue, Expr, ExprKind, Modifiers, VectorSelector};

/// The label of the metric name.
const METRIC_NAME: &str = "__name__";

/// The labels that tell which info metric belongs to a series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The info metric that is taken where none is named.
const DEFAULT_INFO: &str = "target_info";

impl Evaluator<'_> {
    pub(super) fn info_call(
        &mut self,
        args: &[Expr],
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let series = self.vector(&args[0], grid)?;
        let matchers = match args.get(1).map(|arg| &arg.kind) {
            Some(ExprKind::Vector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let (names, conditions): (Vec<Matcher>, Vec<Matcher>) = matchers
            .into_iter()
            .partition(|matcher| matcher.name() == METRIC_NAME);
        let names = effective_names(names)?;
        let is_info = |one: &Series| names.iter().all(|name| name.matches(&one.labels));
        let identified = series.iter().any(|one| {
            !is_info(one)
                && IDENTIFYING
                    .iter()
                    .any(|name| one.labels.get(name).is_some())
        });
        let infos = if identified {
            let selector = VectorSelector {
                matchers: names.iter().chain(&conditions).cloned().collect(),
                modifiers: self.reference_time(&args[0])?,
                ..VectorSelector::default()
            };
            self.select_info_times(&selector, grid)?
        } else {
            Vec::new()
        };
        let join = Join {
            infos: by_identity(&infos),
            conditions: &conditions,
            grid,
        };
        let mut found: Vec<Series> = Vec::new();
        for one in series {
            if is_info(&one) {
                found.push(one);
            } else {
                join.enrich(&one, &mut found)?;
            }
        }
        merge_same_labels(found)
    }

    /// The times of info samples in seconds; native histograms are no info.
    fn select_info_times(
        &mut self,
        selector: &VectorSelector,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        let values = self.select_instant(selector, grid)?;
        if let Some(one) = values.iter().find(|one| one.histograms.is_some()) {
            return Err(QueryError::execution(format!(
                "this should be an info metric, with float samples: {}",
                one.labels
            )));
        }
        self.select_timestamps(selector, grid)
    }

    /// The `@` and offset of the first selector, which the info metrics follow.
    fn reference_time(&self, expr: &Expr) -> Result<Modifiers, QueryError> {
        let mut found = Modifiers::default();
        let mut offset_ms = 0;
        let mut inner = Some(expr);
        // From the outside in: what stands further inside counts more.
        let mut path: Vec<&Modifiers> = Vec::new();
        while let Some(expr) = inner {
            inner = match &expr.kind {
                ExprKind::Number { .. } | ExprKind::String(_) => None,
                ExprKind::Paren(next) | ExprKind::Unary { operand: next, .. } => Some(next),
                ExprKind::Binary(binary) => {
                    if binary.left.selectors().is_empty() {
                        Some(&binary.right)
                    } else {
                        Some(&binary.left)
                    }
                }
                ExprKind::Aggregate(aggregate) => Some(&aggregate.expr),
                ExprKind::Call { args, .. } => args.iter().find(|arg| !arg.selectors().is_empty()),
                ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
                    path.push(&selector.modifiers);
                    None
                }
                ExprKind::Subquery(subquery) => {
                    path.push(&subquery.modifiers);
                    Some(&subquery.expr)
                }
            };
        }
        for modifiers in path.into_iter().rev() {
            if found.at.is_some() {
                break;
            }
            offset_ms += self.offset_ms(modifiers)?;
            found.at = modifiers.at;
        }
        found.offset = DurationValue::Millis(offset_ms);
        Ok(found)
    }
}

/// Conditions on the name that pick info metrics: those given, with `.+_info` where they only exclude.
fn effective_names(mut names: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    let positive = |matcher: &Matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    if names.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, DEFAULT_INFO)]);
    }
    if !names.iter().any(positive) {
        let suffix = Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info")
            .map_err(|error| QueryError::execution(error.to_string()))?;
        names.push(suffix);
    }
    Ok(names)
}

fn identity(labels: &Labels) -> Labels {
    labels.filtered(|name| IDENTIFYING.contains(&name))
}

/// Info series by what they identify and by their name.
fn by_identity(infos: &[Series]) -> BTreeMap<Labels, BTreeMap<&str, Vec<&Series>>> {
    let mut found: BTreeMap<Labels, BTreeMap<&str, Vec<&Series>>> = BTreeMap::new();
    for info in infos {
        found
            .entry(identity(&info.labels))
            .or_default()
            .entry(info.labels.metric_name())
            .or_default()
            .push(info);
    }
    found
}

struct Join<'j> {
    infos: BTreeMap<Labels, BTreeMap<&'j str, Vec<&'j Series>>>,
    conditions: &'j [Matcher],
    grid: &'j Grid,
}

impl Join<'_> {
    /// The series with the labels that the info metrics have at each step.
    fn enrich(&self, one: &Series, found: &mut Vec<Series>) -> Result<(), QueryError> {
        let matching = self.infos.get(&identity(&one.labels));
        let mut by_labels: Vec<Series> = Vec::new();
        for step in 0..self.grid.count {
            if !one.is_present(step) {
                continue;
            }
            let mut builder = LabelsBuilder::default();
            let mut any = false;
            for infos in matching.into_iter().flatten().map(|(_, infos)| infos) {
                if let Some(info) = newest(infos, step)? {
                    any = true;
                    self.collect(&one.labels, &info.labels, &mut builder)?;
                }
            }
            // A condition that an absent label satisfies does not hide series without info.
            if !any && !self.conditions.iter().all(Matcher::matches_empty) {
                continue;
            }
            let mut labels = one.labels.to_builder();
            for (name, value) in builder.iter() {
                labels.set(name, value);
            }
            let labels = labels.build();
            let index = by_labels.iter().position(|own| own.labels == labels);
            let index = index.unwrap_or_else(|| {
                by_labels.push(Series::empty(labels, one.drop_name, self.grid.count));
                by_labels.len() - 1
            });
            by_labels[index].set(step, one.cell(step));
        }
        found.extend(by_labels);
        Ok(())
    }

    fn collect(
        &self,
        own: &Labels,
        info: &Labels,
        builder: &mut LabelsBuilder,
    ) -> Result<(), QueryError> {
        for (name, value) in info.iter() {
            let listed = self.conditions.is_empty()
                || self.conditions.iter().any(|matcher| matcher.name() == name);
            if name == METRIC_NAME || !listed {
                continue;
            }
            if builder.get(name).is_some_and(|other| other != value) {
                return Err(QueryError::execution(format!("conflicting label: {name}")));
            }
            if own.get(name).is_none() {
                builder.set(name, value);
            }
        }
        Ok(())
    }
}

/// The info series whose sample is the newest one; two as new as each other are an error.
fn newest<'s>(infos: &[&'s Series], step: usize) -> Result<Option<&'s Series>, QueryError> {
    let mut best: Option<(&Series, f64)> = None;
    for info in infos {
        let Some(time) = info.float(step) else {
            continue;
        };
        match best {
            Some((other, at)) if at == time => {
                return Err(QueryError::execution(format!(
                    "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                    other.labels,
                    at * 1000.0,
                    info.labels,
                    time * 1000.0
                )));
            }
            Some((_, at)) if at > time => {}
            _ => best = Some((info, time)),
        }
    }
    Ok(best.map(|(info, _)| info))
}
