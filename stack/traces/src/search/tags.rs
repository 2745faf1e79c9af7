//! The names and values of attributes, for editors that complete queries.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::Timestamp;

use super::bind::{Bound, Row, for_each_bit};
use super::response::{
    MetadataMetrics, TagValue, TagValuesResponse, TagValuesV2Response, TagsResponse, TagsScope,
    TagsV2Response,
};
use super::spanset::Bindings;
use crate::store::{RowId, Segment, Symbol, TraceStore};
use crate::traceql::TraceQuery;
use crate::traceql::ast::{Attribute, Body, Intrinsic, Pipeline, Scope};
use crate::traceql::value::Value;

/// Where attributes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagScope {
    /// Attributes of resources.
    Resource,
    /// Attributes of spans.
    Span,
    /// Attributes of events.
    Event,
    /// Attributes of links.
    Link,
    /// Attributes of instrumentation scopes.
    Instrumentation,
    /// What every span has, such as its name.
    Intrinsic,
}

impl TagScope {
    const ALL: [Self; 6] = [
        Self::Resource,
        Self::Span,
        Self::Event,
        Self::Link,
        Self::Instrumentation,
        Self::Intrinsic,
    ];

    /// Its name in Tempo's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::Span => "span",
            Self::Event => "event",
            Self::Link => "link",
            Self::Instrumentation => "instrumentation",
            Self::Intrinsic => "intrinsic",
        }
    }

    /// Reads the parameter `scope`; `Some(None)` for `none` or nothing, which means all scopes.
    pub fn from_text(text: &str) -> Option<Option<Self>> {
        if matches!(text, "" | "none") {
            return Some(None);
        }
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .map(Some)
    }
}

/// Which names or values are wanted.
#[derive(Clone, Copy, Debug)]
pub struct TagsRequest<'a> {
    /// Only what matches this query; one that is no plain filter is ignored, as in Tempo.
    pub query: Option<&'a TraceQuery>,
    /// Spans that ended before are left out.
    pub start: Timestamp,
    /// Spans that began after are left out.
    pub end: Timestamp,
    /// The number of names of a scope, or of values; 0 for all.
    pub limit: usize,
}

impl Default for TagsRequest<'_> {
    fn default() -> Self {
        Self {
            query: None,
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            limit: 0,
        }
    }
}

impl TraceStore {
    /// The names of attributes by scope.
    pub fn tag_names_v2(
        &self,
        scope: Option<TagScope>,
        request: &TagsRequest<'_>,
    ) -> TagsV2Response {
        let mut names: BTreeMap<TagScope, BTreeSet<String>> = BTreeMap::new();
        for (segment, bits) in self.selected(request) {
            for wanted in TagScope::ALL {
                if scope.is_none_or(|scope| scope == wanted) && wanted != TagScope::Intrinsic {
                    let found = names_of(segment, bits.clone(), wanted);
                    if !found.is_empty() {
                        let texts = found
                            .iter()
                            .map(|symbol| segment.dictionary.get(*symbol).to_owned());
                        names.entry(wanted).or_default().extend(texts);
                    }
                }
            }
        }
        if scope.is_none_or(|scope| scope == TagScope::Intrinsic) {
            let all = Intrinsic::PLAIN
                .iter()
                .chain(&Intrinsic::SCOPED)
                .filter(|(_, intrinsic)| *intrinsic != Intrinsic::Parent)
                .map(|(name, _)| (*name).to_owned());
            names.insert(TagScope::Intrinsic, all.collect());
        }
        let most = if request.limit == 0 {
            usize::MAX
        } else {
            request.limit
        };
        TagsV2Response {
            scopes: names
                .into_iter()
                .map(|(scope, tags)| TagsScope {
                    name: scope.as_str().to_owned(),
                    tags: tags.into_iter().take(most).collect(),
                })
                .collect(),
            metrics: self.metadata_metrics(),
        }
    }

    /// The names of all attributes, without scopes.
    pub fn tag_names(&self, scope: Option<TagScope>, request: &TagsRequest<'_>) -> TagsResponse {
        let response = self.tag_names_v2(scope, request);
        // The first version lists intrinsics only when they are asked for.
        let names: BTreeSet<String> = response
            .scopes
            .into_iter()
            .filter(|found| scope.is_some() || found.name != TagScope::Intrinsic.as_str())
            .flat_map(|found| found.tags)
            .collect();
        TagsResponse {
            tag_names: names.into_iter().collect(),
            metrics: response.metrics,
        }
    }

    /// The values of an attribute, such as `resource.service.name`, `.a` or `status`. A name without a scope that is no intrinsic
    /// is looked up in spans and resources.
    pub fn tag_values_v2(&self, tag: &str, request: &TagsRequest<'_>) -> TagValuesV2Response {
        let attribute = attribute_of(tag);
        let mut values: BTreeSet<TagValue> = BTreeSet::new();
        let most = if request.limit == 0 {
            usize::MAX
        } else {
            request.limit
        };
        match attribute {
            Attribute::Intrinsic(Intrinsic::Status) => {
                keywords(&mut values, &["error", "ok", "unset"])
            }
            Attribute::Intrinsic(Intrinsic::Kind) => keywords(
                &mut values,
                &[
                    "client",
                    "consumer",
                    "internal",
                    "producer",
                    "server",
                    "unspecified",
                ],
            ),
            // Times and ids have as many values as spans.
            Attribute::Intrinsic(
                Intrinsic::Duration
                | Intrinsic::TraceDuration
                | Intrinsic::TraceId
                | Intrinsic::SpanId
                | Intrinsic::ParentId
                | Intrinsic::EventTimeSinceStart
                | Intrinsic::LinkSpanId
                | Intrinsic::LinkTraceId
                | Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent
                | Intrinsic::ChildCount
                | Intrinsic::Parent,
            ) => {}
            _ => {
                for (segment, mut bits) in self.selected(request) {
                    let bound = Bound::attribute(&attribute, segment);
                    let mut seen: BTreeSet<String> = BTreeSet::new();
                    for_each_bit(&mut bits, |row| {
                        if values.len() < most {
                            add_values(
                                &mut values,
                                &mut seen,
                                &bound.eval(Row {
                                    store: self,
                                    segment,
                                    row,
                                    tree: None,
                                }),
                            );
                        }
                        true
                    });
                }
            }
        }
        TagValuesV2Response {
            tag_values: values.into_iter().take(most).collect(),
            metrics: self.metadata_metrics(),
        }
    }

    /// The values of an attribute as texts. A name without a scope is looked up in spans and resources.
    pub fn tag_values(&self, tag: &str, request: &TagsRequest<'_>) -> TagValuesResponse {
        let response = self.tag_values_v2(tag, request);
        let values: BTreeSet<String> = response
            .tag_values
            .into_iter()
            .map(|found| found.value)
            .collect();
        TagValuesResponse {
            tag_values: values.into_iter().collect(),
            metrics: response.metrics,
        }
    }

    fn metadata_metrics(&self) -> MetadataMetrics {
        MetadataMetrics {
            inspected_bytes: self.stats().bytes as u64,
            total_jobs: 1,
            completed_jobs: 1,
        }
    }

    /// The rows that a request is about, by segment.
    fn selected<'a>(&'a self, request: &TagsRequest<'a>) -> Vec<(&'a Segment, Vec<u64>)> {
        let all = Pipeline(Vec::new());
        let filter = match request.query.map(|query| &query.body) {
            Some(Body::Search(pipeline)) => pipeline,
            _ => &all,
        };
        // The pipeline that is used for nothing may live shorter than the request's, so that each has its own bindings.
        let selected = if filter.0.is_empty() {
            None
        } else {
            Bindings::new(self, filter, &[], []).single_filter(filter)
        };
        self.segments
            .iter()
            .enumerate()
            .filter_map(|(index, segment)| {
                let segment = segment.as_ref()?;
                let mut bits = match &selected {
                    Some(selected) => selected[index].clone(),
                    None => segment.live_words().to_vec(),
                };
                for_each_bit(&mut bits, |row| {
                    segment.starts[row] <= request.end && segment.ends[row] >= request.start
                });
                Some((segment, bits))
            })
            .collect()
    }

    /// All rows of one trace slot, for callers that walk traces.
    pub(crate) fn rows_of(&self, slot: u32) -> &[RowId] {
        self.traces.get(slot).map_or(&[], |entry| &entry.rows)
    }
}

/// The attribute that a tag names; a bare name is one of the span or the resource.
fn attribute_of(tag: &str) -> Attribute {
    let find = |names: &[(&str, Intrinsic)]| {
        names
            .iter()
            .find(|(own, _)| *own == tag)
            .map(|(_, found)| *found)
    };
    if let Some(intrinsic) = find(&Intrinsic::PLAIN).or_else(|| find(&Intrinsic::SCOPED)) {
        return Attribute::Intrinsic(intrinsic);
    }
    // The names of Tempo's first version.
    match tag {
        "root.name" => return Attribute::Intrinsic(Intrinsic::RootName),
        "root.service.name" => return Attribute::Intrinsic(Intrinsic::RootServiceName),
        "error" | "status.code" => return Attribute::Intrinsic(Intrinsic::Status),
        _ => {}
    }
    let scopes = [
        ("resource.", Scope::Resource),
        ("span.", Scope::Span),
        ("event.", Scope::Event),
        ("link.", Scope::Link),
        ("instrumentation.", Scope::Instrumentation),
        (".", Scope::None),
    ];
    let (scope, name) = scopes
        .into_iter()
        .find_map(|(prefix, scope)| Some((scope, tag.strip_prefix(prefix)?)))
        .unwrap_or((Scope::None, tag));
    let name = crate::traceql::unquote_name(name).unwrap_or_else(|| name.to_owned());
    Attribute::Named {
        scope,
        parent: false,
        name,
    }
}

fn keywords(values: &mut BTreeSet<TagValue>, words: &[&str]) {
    values.extend(words.iter().map(|word| TagValue {
        kind: "keyword".to_owned(),
        value: (*word).to_owned(),
    }));
}

fn add_values(values: &mut BTreeSet<TagValue>, seen: &mut BTreeSet<String>, value: &Value<'_>) {
    let kind = match value {
        Value::Array(inner) | Value::Any(inner) => {
            inner
                .iter()
                .for_each(|value| add_values(values, seen, value));
            return;
        }
        Value::Nil => return,
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::String(text) => {
            if seen.contains(text.as_ref()) {
                return;
            }
            seen.insert(text.to_string());
            "string"
        }
        Value::Bool(_) => "bool",
        Value::Duration(_) => "duration",
        Value::Status(_) | Value::Kind(_) => "keyword",
    };
    values.insert(TagValue {
        kind: kind.to_owned(),
        value: value.to_text(),
    });
}

/// The names of attributes of one scope over the selected rows of a segment.
fn names_of(segment: &Segment, mut bits: Vec<u64>, scope: TagScope) -> BTreeSet<Symbol> {
    let mut found = BTreeSet::new();
    match scope {
        TagScope::Resource | TagScope::Instrumentation => {
            let column = if scope == TagScope::Resource {
                &segment.resource_of
            } else {
                &segment.scope_of
            };
            let mut used = BTreeSet::new();
            for_each_bit(&mut bits, |row| {
                used.insert(column[row]);
                true
            });
            for index in used {
                if scope == TagScope::Resource {
                    found.extend(&segment.resources[index as usize].keys);
                } else {
                    found.extend(&segment.scopes[index as usize].keys);
                }
            }
        }
        TagScope::Span => for_each_bit(&mut bits, |row| {
            let mut reader = segment.reader(row);
            for _ in 0..reader.count() {
                found.insert(reader.symbol());
                reader.value();
            }
            true
        }),
        TagScope::Event | TagScope::Link => for_each_bit(&mut bits, |row| {
            let mut keys = |mut reader: crate::store::Reader<'_>| {
                for _ in 0..reader.count() {
                    found.insert(reader.symbol());
                    reader.value();
                }
            };
            if scope == TagScope::Event {
                segment.for_each_event(row, |_, _, reader| keys(reader));
            } else {
                segment.for_each_link(row, |_, _, reader| keys(reader));
            }
            true
        }),
        TagScope::Intrinsic => {}
    }
    found
}
