//! One trace on its way through a pipeline.

use gameday_signal::{FixedMap, SpanId, TraceId};

use super::bind::{Bound, Row};
use crate::members::Members;
use crate::store::{RowId, Segment, TraceEntry, TraceStore};
use crate::traceql::as_float;
use crate::traceql::ast::{
    Aggregate, AggregateFunction, Attribute, Field, Mode, Pipeline, Relation, Scalar, ScalarFilter,
    SpansetOp, Spansets, Stage,
};
use crate::traceql::value::{Value, compare};
use crate::tree::TraceTree;

/// Spans of one trace, and what the stages before have found out about them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanset<'a> {
    pub(crate) members: Members,
    /// The values of `by()` and of aggregates, by their text.
    pub(crate) attributes: Vec<(String, Value<'a>)>,
}

/// The rows of a trace by their time.
pub(crate) struct TraceView<'a> {
    pub(crate) entry: &'a TraceEntry,
    pub(crate) rows: Vec<RowId>,
    tree: Option<TraceTree>,
}

/// A field with its bound form for each segment, and the rows for which it is true where they have been looked for.
struct FieldBinding<'a> {
    field: &'a Field,
    bound: Vec<Option<Bound<'a>>>,
    selected: Option<Vec<Vec<u64>>>,
}

/// The expressions of a query bound to the segments of a store.
pub(crate) struct Bindings<'a> {
    pub(crate) store: &'a TraceStore,
    fields: Vec<FieldBinding<'a>>,
    attributes: Vec<(&'a Attribute, Vec<Option<Bound<'a>>>)>,
    needs_tree: bool,
}

impl<'a> Bindings<'a> {
    /// Binds all expressions of `pipeline`, and `more` fields and attributes.
    pub(crate) fn new(
        store: &'a TraceStore,
        pipeline: &'a Pipeline,
        more: &[&'a Field],
        attributes: impl IntoIterator<Item = &'a Attribute>,
    ) -> Self {
        let mut fields = more.to_vec();
        let mut structural = false;
        collect_pipeline(pipeline, &mut fields, &mut structural);
        let mut attributes: Vec<&Attribute> = attributes.into_iter().collect();
        attributes.dedup();
        let trees = fields.iter().any(|field| Bound::needs_tree(field))
            || attributes.iter().any(|attribute| {
                Bound::needs_tree(&Field::Attribute(
                    (*attribute).clone(),
                    gameday_query::SourceSpan::default(),
                ))
            });
        let per_segment = |bind: &dyn Fn(&'a Segment) -> Bound<'a>| {
            store
                .segments
                .iter()
                .map(|segment| segment.as_ref().map(bind))
                .collect::<Vec<_>>()
        };
        Self {
            store,
            fields: fields
                .into_iter()
                .map(|field| FieldBinding {
                    field,
                    bound: per_segment(&|segment| Bound::new(field, segment)),
                    selected: None,
                })
                .collect(),
            attributes: attributes
                .into_iter()
                .map(|attribute| {
                    (
                        attribute,
                        per_segment(&|segment| Bound::attribute(attribute, segment)),
                    )
                })
                .collect(),
            needs_tree: structural || trees,
        }
    }

    /// Looks for the rows of all segments for which the filters of the first stage are true, and says which traces hold one of
    /// them; `None` where any trace may match.
    pub(crate) fn candidates(&mut self, pipeline: &'a Pipeline) -> Option<Vec<u32>> {
        let mut leaves = Vec::new();
        if !first_filters(pipeline, &mut leaves) {
            return None;
        }
        let all = leaves
            .iter()
            .any(|field| matches!(field, Field::Static(_)) || Bound::needs_tree(field));
        let mut found = vec![0u64; self.store.traces.slots().div_ceil(64)];
        for leaf in leaves {
            if matches!(leaf, Field::Static(_)) || Bound::needs_tree(leaf) {
                continue;
            }
            let Some(binding) = self
                .fields
                .iter_mut()
                .find(|binding| std::ptr::eq(binding.field, leaf))
            else {
                continue;
            };
            let selected = select(self.store, &binding.bound);
            for (segment, bits) in self.store.segments.iter().zip(&selected) {
                let Some(segment) = segment else { continue };
                super::bind::for_each_bit(&mut bits.clone(), |row| {
                    let slot = segment.traces[row] as usize;
                    found[slot / 64] |= 1 << (slot % 64);
                    true
                });
            }
            binding.selected = Some(selected);
        }
        if all {
            return None;
        }
        let mut slots = Vec::new();
        super::bind::for_each_bit(&mut found, |slot| {
            slots.push(slot as u32);
            true
        });
        Some(slots)
    }

    /// The rows that one filter selects, by segment, where the pipeline is that filter alone.
    pub(crate) fn single_filter(&self, pipeline: &Pipeline) -> Option<Vec<Vec<u64>>> {
        let [Stage::Spansets(Spansets::Filter(field))] = pipeline.0.as_slice() else {
            return None;
        };
        if self.needs_tree {
            return None;
        }
        let binding = self
            .fields
            .iter()
            .find(|binding| std::ptr::eq(binding.field, &**field))?;
        Some(
            binding
                .selected
                .clone()
                .unwrap_or_else(|| select(self.store, &binding.bound)),
        )
    }

    /// The trace in `slot`, ready to be evaluated.
    pub(crate) fn view(&self, slot: u32) -> Option<TraceView<'a>> {
        let entry = self.store.traces.get(slot)?;
        let mut rows = entry.rows.clone();
        rows.sort_by_cached_key(|row| {
            self.segment_of(*row).map(|(segment, row)| {
                (
                    segment.starts[row],
                    segment.span_ids[row],
                    segment.kinds[row],
                )
            })
        });
        let tree = self.needs_tree.then(|| {
            let spans: Vec<_> = rows
                .iter()
                .map(|row| match self.segment_of(*row) {
                    Some((segment, row)) => (
                        segment.span_ids[row],
                        segment.parents[row],
                        segment.kinds[row],
                    ),
                    None => (
                        SpanId::NONE,
                        SpanId::NONE,
                        gameday_signal::SpanKind::Unspecified,
                    ),
                })
                .collect();
            TraceTree::new(&spans)
        });
        Some(TraceView { entry, rows, tree })
    }

    pub(crate) fn segment_of(&self, row: RowId) -> Option<(&'a Segment, usize)> {
        Some((self.store.segment(row)?, usize::from(row.row)))
    }

    /// The spansets that are left of a trace after `pipeline`.
    pub(crate) fn run<'v>(&self, pipeline: &Pipeline, view: &'v TraceView<'a>) -> Vec<Spanset<'v>>
    where
        'a: 'v,
    {
        let all = Spanset {
            members: Members::all(view.rows.len()),
            attributes: Vec::new(),
        };
        self.run_from(pipeline, view, vec![all])
    }

    fn run_from<'v>(
        &self,
        pipeline: &Pipeline,
        view: &'v TraceView<'a>,
        mut spansets: Vec<Spanset<'v>>,
    ) -> Vec<Spanset<'v>>
    where
        'a: 'v,
    {
        for stage in &pipeline.0 {
            spansets = match stage {
                Stage::Spansets(expression) => spansets
                    .into_iter()
                    .flat_map(|spanset| self.evaluate(expression, view, &spanset))
                    .collect(),
                Stage::Scalar(filter) => spansets
                    .into_iter()
                    .filter_map(|spanset| self.filter_scalar(filter, view, spanset))
                    .collect(),
                Stage::GroupBy(field) => spansets
                    .into_iter()
                    .flat_map(|spanset| self.group(field, view, &spanset))
                    .collect(),
                Stage::Coalesce => coalesce(spansets),
                Stage::Select(_) => spansets,
            };
            if spansets.is_empty() {
                break;
            }
        }
        spansets
    }

    /// The value of a bound field for the span at `place` of the trace.
    pub(crate) fn field<'v>(
        &'v self,
        field: &Field,
        view: &'v TraceView<'a>,
        place: usize,
    ) -> Value<'v>
    where
        'a: 'v,
    {
        let row = view.rows[place];
        let binding = self
            .fields
            .iter()
            .find(|binding| std::ptr::eq(binding.field, field));
        match (
            binding.and_then(|binding| binding.bound[usize::from(row.segment)].as_ref()),
            self.row(view, place),
        ) {
            (Some(bound), Some(row)) => bound.eval(row),
            _ => Value::Nil,
        }
    }

    /// The value of a bound attribute for one row.
    pub(crate) fn attribute_of_row<'v>(
        &'v self,
        attribute: &Attribute,
        at: RowId,
        row: Row<'v>,
    ) -> Value<'v> {
        let binding = self.attributes.iter().find(|(own, _)| *own == attribute);
        match binding.and_then(|(_, bound)| bound[usize::from(at.segment)].as_ref()) {
            Some(bound) => bound.eval(row),
            None => Value::Nil,
        }
    }

    /// Whether a bound field is true for one row.
    pub(crate) fn field_of_row<'v>(&'v self, field: &Field, at: RowId, row: Row<'v>) -> bool {
        let binding = self
            .fields
            .iter()
            .find(|binding| std::ptr::eq(binding.field, field));
        binding
            .and_then(|binding| binding.bound[usize::from(at.segment)].as_ref())
            .is_some_and(|bound| bound.eval(row).is_true())
    }

    /// The span at `place` of the trace as the expressions see it.
    pub(crate) fn row<'v>(&self, view: &'v TraceView<'a>, place: usize) -> Option<Row<'v>>
    where
        'a: 'v,
    {
        let (segment, row) = self.segment_of(view.rows[place])?;
        Some(Row {
            store: self.store,
            segment,
            row,
            tree: view.tree.as_ref().map(|tree| (tree, place)),
        })
    }

    fn evaluate<'v>(
        &self,
        expression: &Spansets,
        view: &'v TraceView<'a>,
        input: &Spanset<'v>,
    ) -> Vec<Spanset<'v>>
    where
        'a: 'v,
    {
        if let Spansets::Pipeline(pipeline) = expression {
            return self.run_from(pipeline, view, vec![input.clone()]);
        }
        let members = match expression {
            Spansets::Filter(field) => self.filter(field, view, &input.members),
            Spansets::Operation { op, left, right } => {
                let side = |side: &Spansets| {
                    self.evaluate(side, view, input)
                        .into_iter()
                        .fold(Members::default(), |all, spanset| {
                            all.with(&spanset.members)
                        })
                };
                combine(*op, side(left), side(right), view)
            }
            Spansets::Pipeline(_) => Members::default(),
        };
        if members.is_empty() {
            return Vec::new();
        }
        vec![Spanset {
            members,
            attributes: input.attributes.clone(),
        }]
    }

    fn filter(&self, field: &Field, view: &TraceView<'a>, input: &Members) -> Members {
        let mut found = Members::default();
        let Some(binding) = self
            .fields
            .iter()
            .find(|binding| std::ptr::eq(binding.field, field))
        else {
            return found;
        };
        for place in input.iter() {
            let at = view.rows[place];
            let (segment, index) = (usize::from(at.segment), usize::from(at.row));
            let holds = match &binding.selected {
                Some(selected) => selected[segment][index / 64] >> (index % 64) & 1 == 1,
                None => match (&binding.bound[segment], self.row(view, place)) {
                    (Some(bound), Some(row)) => bound.eval(row).is_true(),
                    _ => false,
                },
            };
            if holds {
                found.add(place);
            }
        }
        found
    }

    fn filter_scalar<'v>(
        &self,
        filter: &ScalarFilter,
        view: &'v TraceView<'a>,
        mut spanset: Spanset<'v>,
    ) -> Option<Spanset<'v>>
    where
        'a: 'v,
    {
        let (Scalar::Aggregate(aggregate), Scalar::Static(constant)) =
            (&filter.left, &filter.right)
        else {
            return None;
        };
        let value = self.aggregate(aggregate, view, &spanset.members);
        let holds = match (&value, constant) {
            // `max(.a) > 1s` compares with the attribute's own unit, as Tempo does.
            (Value::Float(number), _) => compare(
                filter.op,
                &Value::Float(*number),
                &Value::Float(as_float(constant)),
            ),
            _ => compare(filter.op, &value, &Value::of_static(constant).into_owned()),
        };
        if !holds {
            return None;
        }
        spanset.attributes.push((aggregate.to_string(), value));
        Some(spanset)
    }

    fn aggregate(
        &self,
        aggregate: &Aggregate,
        view: &TraceView<'a>,
        members: &Members,
    ) -> Value<'static> {
        let Some(field) = &aggregate.field else {
            return Value::Int(members.len() as i64);
        };
        let mut count = 0;
        let mut result: Option<f64> = None;
        let mut duration = false;
        for place in members.iter() {
            let value = self.field(field, view, place);
            let Some(number) = value.as_number() else {
                continue;
            };
            duration |= matches!(value, Value::Duration(_));
            count += 1;
            result = Some(match (aggregate.function, result) {
                (_, None) => number,
                (AggregateFunction::Min, Some(before)) => before.min(number),
                (AggregateFunction::Max, Some(before)) => before.max(number),
                (_, Some(before)) => before + number,
            });
        }
        let Some(result) = result else {
            return Value::Nil;
        };
        let result = if aggregate.function == AggregateFunction::Avg {
            result / f64::from(count)
        } else {
            result
        };
        if duration {
            Value::Duration(result as i64)
        } else {
            Value::Float(result)
        }
    }

    fn group<'v>(
        &self,
        field: &Field,
        view: &'v TraceView<'a>,
        spanset: &Spanset<'v>,
    ) -> Vec<Spanset<'v>>
    where
        'a: 'v,
    {
        let mut index: FixedMap<Vec<u8>, usize> = FixedMap::default();
        let mut groups: Vec<(Value<'static>, Members)> = Vec::new();
        let mut key = Vec::new();
        for place in spanset.members.iter() {
            let value = self.field(field, view, place);
            key.clear();
            value.write_key(&mut key);
            let group = match index.get(&key) {
                Some(group) => *group,
                None => {
                    index.insert(key.clone(), groups.len());
                    groups.push((value.into_owned(), Members::default()));
                    groups.len() - 1
                }
            };
            groups[group].1.add(place);
        }
        let name = format!("by({field})");
        groups
            .into_iter()
            .map(|(value, members)| {
                let mut attributes = spanset.attributes.clone();
                attributes.push((name.clone(), value));
                Spanset {
                    members,
                    attributes,
                }
            })
            .collect()
    }
}

/// The rows for which a bound field is true, by segment.
fn select<'a>(store: &'a TraceStore, bound: &[Option<Bound<'a>>]) -> Vec<Vec<u64>> {
    store
        .segments
        .iter()
        .zip(bound)
        .map(|(segment, bound)| match (segment, bound) {
            (Some(segment), Some(bound)) => {
                let mut bits = segment.live_words().to_vec();
                bound.select(store, segment, &mut bits);
                bits
            }
            _ => Vec::new(),
        })
        .collect()
}

fn combine(op: SpansetOp, left: Members, right: Members, view: &TraceView<'_>) -> Members {
    let (relation, mode) = match op {
        SpansetOp::And if left.is_empty() || right.is_empty() => return Members::default(),
        SpansetOp::And | SpansetOp::Union => return left.with(&right),
        SpansetOp::Structural { relation, mode } => (relation, mode),
    };
    let Some(tree) = &view.tree else {
        return Members::default();
    };
    match mode {
        Mode::Plain => tree.related(relation, &left).within(&right),
        Mode::Not => right.without(&tree.related(relation, &left)),
        Mode::Union => {
            let inverse = match relation {
                Relation::Child => Relation::Parent,
                Relation::Parent => Relation::Child,
                Relation::Descendant => Relation::Ancestor,
                Relation::Ancestor => Relation::Descendant,
                Relation::Sibling => Relation::Sibling,
            };
            let of_left = tree.related(inverse, &right).within(&left);
            tree.related(relation, &left).within(&right).with(&of_left)
        }
    }
}

fn coalesce(spansets: Vec<Spanset<'_>>) -> Vec<Spanset<'_>> {
    let mut all = spansets.into_iter().map(|spanset| spanset.members);
    match all.next() {
        Some(first) => {
            let members = all.fold(first, |all, members| all.with(&members));
            vec![Spanset {
                members,
                attributes: Vec::new(),
            }]
        }
        None => Vec::new(),
    }
}

fn collect_pipeline<'a>(
    pipeline: &'a Pipeline,
    fields: &mut Vec<&'a Field>,
    structural: &mut bool,
) {
    for stage in &pipeline.0 {
        match stage {
            Stage::Spansets(spansets) => collect_spansets(spansets, fields, structural),
            Stage::Scalar(filter) => {
                for side in [&filter.left, &filter.right] {
                    if let Scalar::Aggregate(Aggregate {
                        field: Some(field), ..
                    }) = side
                    {
                        fields.push(field);
                    }
                }
            }
            Stage::GroupBy(field) => fields.push(field),
            Stage::Coalesce | Stage::Select(_) => {}
        }
    }
}

fn collect_spansets<'a>(
    spansets: &'a Spansets,
    fields: &mut Vec<&'a Field>,
    structural: &mut bool,
) {
    match spansets {
        Spansets::Filter(field) => fields.push(field),
        Spansets::Operation { op, left, right } => {
            *structural |= matches!(op, SpansetOp::Structural { .. });
            collect_spansets(left, fields, structural);
            collect_spansets(right, fields, structural);
        }
        Spansets::Pipeline(pipeline) => collect_pipeline(pipeline, fields, structural),
    }
}

/// The filters one of which a span of the result must pass; false where there are none such.
fn first_filters<'a>(pipeline: &'a Pipeline, found: &mut Vec<&'a Field>) -> bool {
    match pipeline.0.first() {
        Some(Stage::Spansets(spansets)) => filters_of(spansets, found),
        _ => false,
    }
}

fn filters_of<'a>(spansets: &'a Spansets, found: &mut Vec<&'a Field>) -> bool {
    match spansets {
        Spansets::Filter(field) => {
            found.push(field);
            true
        }
        Spansets::Operation { left, right, .. } => {
            filters_of(left, found) & filters_of(right, found)
        }
        Spansets::Pipeline(pipeline) => first_filters(pipeline, found),
    }
}

/// The ids of the root of a trace: its name and its service, or Tempo's words where it has not come.
pub(crate) fn root_of<'a>(store: &'a TraceStore, entry: &TraceEntry) -> Option<(&'a str, &'a str)> {
    let (_, root) = entry.root?;
    let segment = store.segment(root)?;
    let row = usize::from(root.row);
    Some((segment.service(row), segment.name(row)))
}

/// The hexadecimal form of a trace id, in full.
pub(crate) fn hex(id: TraceId) -> String {
    id.to_string()
}
