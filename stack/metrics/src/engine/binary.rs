//! Binary operators.

use std::collections::HashMap;
use std::sync::Arc;

use gameday_query::{BinaryOp, Cardinality, SourceSpan, VectorMatching};
use gameday_signal::{CounterResetHint, Histogram, Labels};

use super::QueryError;
use super::eval::{Evaluator, Node};
use super::group::Grouper;
use super::notes::{Notes, Operation};
use super::series::{Cell, Grid, Series, is_metadata, merge_same_labels};
use crate::histogram::{Native, equals, trim};
use crate::promql::Binary;

/// The label of the metric name.
const METRIC_NAME: &str = "__name__";

/// An operator with what decides about its result.
#[derive(Clone, Copy)]
struct Operator {
    op: BinaryOp,
    return_bool: bool,
    span: SourceSpan,
}

impl Evaluator<'_> {
    pub(super) fn binary(
        &mut self,
        binary: &Binary,
        span: SourceSpan,
        grid: &Grid,
    ) -> Result<Node, QueryError> {
        let operator = Operator {
            op: binary.op,
            return_bool: binary.return_bool,
            span,
        };
        let left = self.eval(&binary.left, grid)?;
        let right = self.eval(&binary.right, grid)?;
        match (left, right) {
            (Node::Scalar(mut left), Node::Scalar(right)) => {
                for (left, right) in left.iter_mut().zip(right) {
                    *left = scalar_op(binary.op, *left, right);
                }
                Ok(Node::Scalar(left))
            }
            (Node::Vector(series), Node::Scalar(scalars)) => self
                .with_scalar(series, &scalars, operator, false)
                .map(Node::Vector),
            (Node::Scalar(scalars), Node::Vector(series)) => self
                .with_scalar(series, &scalars, operator, true)
                .map(Node::Vector),
            (Node::Vector(left), Node::Vector(right)) => {
                let matching = binary.matching.clone().unwrap_or_default();
                if binary.op.is_set() {
                    self.set_op(left, right, binary.op, &matching, grid)
                } else {
                    self.match_vectors(left, right, operator, &matching, grid)
                }
                .map(Node::Vector)
            }
            _ => Err(QueryError::execution(
                "binary expression must contain only scalar and instant vector types",
            )),
        }
    }

    /// Each element with the scalar of its step; `swapped` where the scalar stands on the left.
    fn with_scalar(
        &mut self,
        mut series: Vec<Series>,
        scalars: &[f64],
        operator: Operator,
        swapped: bool,
    ) -> Result<Vec<Series>, QueryError> {
        let renames = changes_name(operator.op) || operator.return_bool;
        for one in &mut series {
            for (step, scalar) in scalars.iter().enumerate() {
                if let (None, Some(value)) = (&one.histograms, one.float(step)) {
                    // Numbers only: the usual case.
                    let (left, right) = if swapped {
                        (*scalar, value)
                    } else {
                        (value, *scalar)
                    };
                    one.values[step] = match operator.op.arithmetic(left, right) {
                        Some(result) => result,
                        None => match compare(operator, left, right) {
                            Some(Kept::Bool(result)) => result,
                            Some(Kept::Element) => value,
                            None => {
                                self.note_trim(operator);
                                one.clear(step);
                                continue;
                            }
                        },
                    };
                    continue;
                }
                let own = one.cell(step);
                if matches!(own, Cell::Nothing) {
                    continue;
                }
                let (left, right) = if swapped {
                    (Cell::Float(*scalar), own.clone())
                } else {
                    (own.clone(), Cell::Float(*scalar))
                };
                let result = element_op(operator, &left, &right, &mut self.notes);
                let result = match result {
                    // A comparison keeps the element, on whichever side it stands.
                    Some(_) if operator.op.is_comparison() && !operator.return_bool => own,
                    Some(result) => result,
                    None => Cell::Nothing,
                };
                one.set(step, result);
            }
            one.drop_name |= renames;
        }
        series.retain(Series::has_any);
        self.renamed(series)
    }

    fn note_trim(&mut self, operator: Operator) {
        if matches!(operator.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
            let op = operator.op.as_str();
            self.notes
                .incompatible_types(operator.span, "float", op, "float");
        }
    }

    fn set_op(
        &mut self,
        mut left: Vec<Series>,
        mut right: Vec<Series>,
        op: BinaryOp,
        matching: &VectorMatching,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        if matching.is_key(METRIC_NAME) {
            self.settle(&mut left);
            self.settle(&mut right);
        }
        let mut grouper = Grouper::of(left.len());
        let left_keys = keys(&mut grouper, &left, matching);
        let right_keys = keys(&mut grouper, &right, matching);
        let group_count = grouper.len();
        let (filtered, other, filtered_keys, other_keys) = if op == BinaryOp::Or {
            (&mut right, &left, &right_keys, &left_keys)
        } else {
            (&mut left, &right, &left_keys, &right_keys)
        };
        let mut present = vec![false; group_count * grid.count];
        for (one, key) in other.iter().zip(other_keys) {
            for step in 0..grid.count {
                present[key * grid.count + step] |= one.is_present(step);
            }
        }
        let wanted = op == BinaryOp::And;
        for (one, key) in filtered.iter_mut().zip(filtered_keys) {
            for step in 0..grid.count {
                if present[key * grid.count + step] != wanted {
                    one.clear(step);
                }
            }
        }
        filtered.retain(Series::has_any);
        if op != BinaryOp::Or {
            return Ok(left);
        }
        left.append(&mut right);
        if self.config.delayed_name_removal {
            return merge_if_disjoint(left);
        }
        self.settle(&mut left);
        merge_same_labels(left)
    }

    fn match_vectors(
        &mut self,
        mut left: Vec<Series>,
        mut right: Vec<Series>,
        operator: Operator,
        matching: &VectorMatching,
        grid: &Grid,
    ) -> Result<Vec<Series>, QueryError> {
        if matching.is_key(METRIC_NAME) || matching.include.iter().any(|name| name == METRIC_NAME) {
            self.settle(&mut left);
            self.settle(&mut right);
        }
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped {
            (right, left)
        } else {
            (left, right)
        };
        let mut grouper = Grouper::of(many.len());
        let many_keys = keys(&mut grouper, &many, matching);
        let one_keys = keys(&mut grouper, &one, matching);
        let mut matcher = Matcher {
            operator,
            matching,
            swapped,
            grid,
            delayed: self.config.delayed_name_removal,
            result: Vec::new(),
            index: HashMap::new(),
            touched: Vec::new(),
            matched: HashMap::new(),
            notes: &mut self.notes,
        };
        let mut ones: Vec<Vec<usize>> = vec![Vec::new(); grouper.len()];
        for (index, key) in one_keys.iter().enumerate() {
            ones[*key].push(index);
        }
        matcher.check_one_side(&many, &one, &ones)?;
        let mut members = vec![0_usize; grouper.len()];
        many_keys.iter().for_each(|key| members[*key] += 1);
        for (own, key) in many.iter().zip(&many_keys) {
            for index in &ones[*key] {
                matcher.pair(own, &one[*index], *key, members[*key] > 1)?;
            }
        }
        matcher.fill(&many, &many_keys, &one, &one_keys)?;
        let mut result = matcher.result;
        result.retain(Series::has_any);
        Ok(result)
    }
}

fn keys<'l>(
    grouper: &mut Grouper<'l>,
    series: &'l [Series],
    matching: &VectorMatching,
) -> Vec<usize> {
    series
        .iter()
        .map(|one| grouper.group_of(&one.labels, |name| matching.is_key(name)))
        .collect()
}

/// Joins series with equal labels and equal fate of the name; overlaps are left for the end, when the names go.
fn merge_if_disjoint(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let (dropping, keeping): (Vec<Series>, Vec<Series>) =
        series.into_iter().partition(|one| one.drop_name);
    let mut merged = merge_same_labels(keeping)?;
    merged.extend(merge_same_labels(dropping)?);
    Ok(merged)
}

/// Puts pairs of series together.
struct Matcher<'m> {
    operator: Operator,
    matching: &'m VectorMatching,
    swapped: bool,
    grid: &'m Grid,
    delayed: bool,
    result: Vec<Series>,
    /// Only looked up, never iterated.
    index: HashMap<Labels, usize>,
    /// By result and step: the key, plus one, of the pair that gave it, also where a comparison filtered it.
    touched: Vec<Vec<usize>>,
    /// By key and step, for one-to-one matches with several candidates: whether one has matched.
    matched: HashMap<usize, Vec<bool>>,
    notes: &'m mut Notes,
}

impl Matcher<'_> {
    /// Two series with the same key on the "one" side at the same step are an error, as soon as the other side has any.
    fn check_one_side(
        &self,
        many: &[Series],
        one: &[Series],
        ones: &[Vec<usize>],
    ) -> Result<(), QueryError> {
        for group in ones.iter().filter(|group| group.len() > 1) {
            for step in 0..self.grid.count {
                let mut present = group.iter().filter(|index| one[**index].is_present(step));
                let (Some(first), Some(second)) = (present.next(), present.next()) else {
                    continue;
                };
                if !many.iter().any(|own| own.is_present(step)) {
                    continue;
                }
                let mut shown = [
                    one[*first].visible_labels(self.delayed).to_string(),
                    one[*second].visible_labels(self.delayed).to_string(),
                ];
                shown.sort();
                return Err(QueryError::execution(format!(
                    "found duplicate series for the match group {} on the {} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                    self.matching.key(&one[*first].labels),
                    if self.swapped { "left" } else { "right" },
                    shown[0],
                    shown[1]
                )));
            }
        }
        Ok(())
    }

    /// The operation on one pair of series with the same key.
    fn pair(
        &mut self,
        many: &Series,
        one: &Series,
        key: usize,
        shared_key: bool,
    ) -> Result<(), QueryError> {
        let mut target = None;
        for step in 0..self.grid.count {
            if !many.is_present(step) || !one.is_present(step) {
                continue;
            }
            let target = match target {
                Some(target) => target,
                None => *target.insert(self.target(many, &one.labels)),
            };
            self.claim(target, key, step, shared_key)?;
            let value = self.value(many, one, step);
            self.result[target].set(step, value);
        }
        Ok(())
    }

    fn value(&mut self, many: &Series, one: &Series, step: usize) -> Cell {
        let (left, right) = if self.swapped {
            (one, many)
        } else {
            (many, one)
        };
        if let (Some(left), Some(right)) = (left.float(step), right.float(step)) {
            if let Some(result) = self.operator.op.arithmetic(left, right) {
                return Cell::Float(result);
            }
            if let Some(kept) = compare(self.operator, left, right) {
                return Cell::Float(match kept {
                    Kept::Bool(result) => result,
                    Kept::Element => left,
                });
            }
            if self.operator.op.is_comparison() {
                return Cell::Nothing;
            }
        }
        element_op(
            self.operator,
            &left.cell(step),
            &right.cell(step),
            self.notes,
        )
        .unwrap_or(Cell::Nothing)
    }

    /// Marks a step of a result as taken.
    fn claim(
        &mut self,
        target: usize,
        key: usize,
        step: usize,
        shared_key: bool,
    ) -> Result<(), QueryError> {
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        if one_to_one && shared_key {
            let steps = self.grid.count;
            let matched = self
                .matched
                .entry(key)
                .or_insert_with(|| vec![false; steps]);
            if std::mem::replace(&mut matched[step], true) {
                return Err(QueryError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        }
        let before = std::mem::replace(&mut self.touched[target][step], key + 1);
        if before == 0 {
            Ok(())
        } else if before == key + 1 && !one_to_one {
            Err(QueryError::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ))
        } else {
            Err(QueryError::same_labelset())
        }
    }

    /// The result series of a pair.
    fn target(&mut self, many: &Series, one_labels: &Labels) -> usize {
        let labels = self.result_labels(many, one_labels);
        if let Some(target) = self.index.get(&labels) {
            return *target;
        }
        let target = self.result.len();
        self.index.insert(labels.clone(), target);
        // Without delayed removal the labels are final here.
        let drop_name = self.delayed
            && (many.drop_name || self.operator.return_bool)
            && labels.get(METRIC_NAME).is_some();
        self.result
            .push(Series::empty(labels, drop_name, self.grid.count));
        self.touched.push(vec![0; self.grid.count]);
        target
    }

    fn result_labels(&self, many: &Series, one_labels: &Labels) -> Labels {
        let drops_name = changes_name(self.operator.op)
            || (!self.delayed && (self.operator.return_bool || many.drop_name));
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let kept = many.labels.iter().filter(|(name, _)| {
            if drops_name && is_metadata(name) {
                return false;
            }
            let listed = self.matching.labels.iter().any(|label| label == name);
            !one_to_one || listed == self.matching.on
        });
        if self.matching.include.is_empty() {
            return Labels::new(kept);
        }
        let included = self
            .matching
            .include
            .iter()
            .map(|name| (name.as_str(), one_labels.value_of(name)));
        Labels::new(kept.chain(included))
    }

    /// The values that stand in for what is missing on one side.
    fn fill(
        &mut self,
        many: &[Series],
        many_keys: &[usize],
        one: &[Series],
        one_keys: &[usize],
    ) -> Result<(), QueryError> {
        // With `group_right` Prometheus swaps the sides but not the values: `fill_right` is always for the "one" side.
        let (for_many, for_one) = self.matching.fill;
        if let Some(value) = for_one {
            self.fill_side(many, many_keys, one, one_keys, value, true)?;
        }
        if let Some(value) = for_many {
            self.fill_side(one, one_keys, many, many_keys, value, false)?;
        }
        Ok(())
    }

    /// Pairs those of `own` that have no partner at a step with `value`.
    fn fill_side(
        &mut self,
        own: &[Series],
        own_keys: &[usize],
        other: &[Series],
        other_keys: &[usize],
        value: f64,
        own_is_many: bool,
    ) -> Result<(), QueryError> {
        for (series, key) in own.iter().zip(own_keys) {
            let partners: Vec<&Series> = other
                .iter()
                .zip(other_keys)
                .filter(|(_, other_key)| *other_key == key)
                .map(|(partner, _)| partner)
                .collect();
            let mut filler =
                Series::empty(self.matching.key(&series.labels), false, self.grid.count);
            for step in 0..self.grid.count {
                if !partners.iter().any(|partner| partner.is_present(step)) {
                    filler.values[step] = value;
                }
            }
            if own_is_many {
                let shared = own_keys.iter().filter(|other| *other == key).count() > 1;
                self.pair(series, &filler, *key, shared)?;
            } else {
                self.pair(&filler, series, *key, false)?;
            }
        }
        Ok(())
    }
}

/// What a comparison keeps.
enum Kept {
    /// 0 or 1.
    Bool(f64),
    /// The element.
    Element,
}

fn compare(operator: Operator, left: f64, right: f64) -> Option<Kept> {
    let holds = operator.op.compare(left, right)?;
    if operator.return_bool {
        Some(Kept::Bool(f64::from(u8::from(holds))))
    } else {
        holds.then_some(Kept::Element)
    }
}

fn scalar_op(op: BinaryOp, left: f64, right: f64) -> f64 {
    op.arithmetic(left, right)
        .or_else(|| {
            op.compare(left, right)
                .map(|holds| f64::from(u8::from(holds)))
        })
        .unwrap_or(f64::NAN)
}

/// Whether the result of the operator is no longer the same metric.
fn changes_name(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Pow
            | BinaryOp::Mod
            | BinaryOp::Atan2
    )
}

/// The operation on two cells that are not both numbers, or cannot be compared; `None` where nothing comes out.
fn element_op(operator: Operator, left: &Cell, right: &Cell, notes: &mut Notes) -> Option<Cell> {
    let op = operator.op;
    let changed = |histogram: &Histogram, change: &dyn Fn(&mut Native)| {
        let mut native = Native::new(histogram);
        change(&mut native);
        Some(Cell::Histogram(Arc::new(native.to_histogram())))
    };
    let (left_type, right_type) = match (left, right) {
        (Cell::Float(left), Cell::Float(right)) => {
            if let Some(result) = op.arithmetic(*left, *right) {
                return Some(Cell::Float(result));
            }
            if op.is_comparison() {
                return compare(operator, *left, *right).map(|kept| match kept {
                    Kept::Bool(result) => Cell::Float(result),
                    Kept::Element => Cell::Float(*left),
                });
            }
            ("float", "float")
        }
        (Cell::Float(factor), Cell::Histogram(histogram)) => {
            if op == BinaryOp::Mul {
                return changed(histogram, &|native| native.scale(*factor));
            }
            ("float", "histogram")
        }
        (Cell::Histogram(histogram), Cell::Float(number)) => match op {
            BinaryOp::Mul => return changed(histogram, &|native| native.scale(*number)),
            BinaryOp::Div => return changed(histogram, &|native| native.divide(*number)),
            BinaryOp::TrimUpper | BinaryOp::TrimLower => {
                let trimmed = trim(histogram, *number, op == BinaryOp::TrimUpper);
                return Some(Cell::Histogram(Arc::new(trimmed)));
            }
            _ => ("histogram", "float"),
        },
        (Cell::Histogram(left), Cell::Histogram(right)) => match op {
            BinaryOp::Add | BinaryOp::Sub => return add_histograms(operator, left, right, notes),
            BinaryOp::Equal | BinaryOp::NotEqual => {
                let holds = equals(left, right) == (op == BinaryOp::Equal);
                return if operator.return_bool {
                    Some(Cell::Float(f64::from(u8::from(holds))))
                } else {
                    holds.then(|| Cell::Histogram(left.clone()))
                };
            }
            _ => ("histogram", "histogram"),
        },
        _ => return None,
    };
    notes.incompatible_types(operator.span, left_type, op.as_str(), right_type);
    None
}

fn add_histograms(
    operator: Operator,
    left: &Histogram,
    right: &Histogram,
    notes: &mut Notes,
) -> Option<Cell> {
    let subtract = operator.op == BinaryOp::Sub;
    let operation = if subtract {
        Operation::Subtraction
    } else {
        Operation::Addition
    };
    let mut total = Native::new(left);
    let combined = if subtract {
        total.sub(right)
    } else {
        total.add(right)
    };
    let Ok(added) = combined else {
        notes.incompatible_layout(operator.span, operator.op.as_str());
        return None;
    };
    if added.reset_collision {
        notes.reset_collision(operator.span, operation);
    }
    if added.bounds_reconciled {
        notes.bounds_reconciled(operator.span, operation);
    }
    if subtract {
        total.hint = CounterResetHint::Gauge;
    }
    Some(Cell::Histogram(Arc::new(total.to_histogram())))
}
