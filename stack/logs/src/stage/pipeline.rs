//! A line's way through the stages.

use std::sync::LazyLock;

use gameday_signal::{Labels, Matcher, Timestamp};
use regex::Regex;

use super::format::{LabelsFormatter, LineFormatter};
use super::hints::Hints;
use super::json::PathStep;
use super::label_filter::CompiledLabelFilter;
use super::labels::{ERROR, ERROR_DETAILS, LineLabels, PRESERVE_ERROR, Source};
use super::line_filter::CompiledLineFilter;
use super::parsers::{self, JsonPrefix, RegexpParser};
use super::path::{parse_key, parse_path};
use super::pattern::Pattern;
use crate::logql::{NameOrMatcher, Stage};

/// The escape sequences of terminals (the pattern of chalk/ansi-regex, which Loki uses as well).
static ANSI: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "[\u{1B}\u{9B}][\\[\\]()#;?]*(?:(?:(?:[a-zA-Z\\d]*(?:;[a-zA-Z\\d]*)*)?\u{7})|(?:(?:\\d{1,4}(?:;\\d{0,4})*)?[\\dA-PRZcf-ntqry=><~]))",
    )
    .expect("invariant: a constant pattern")
});

/// A stage that was compiled.
#[derive(Clone, Debug)]
pub(crate) enum CompiledStage {
    LineFilter(CompiledLineFilter),
    /// With the label filters that follow it directly.
    Json(Vec<CompiledLabelFilter>),
    JsonExpressions(Vec<(String, Vec<PathStep>)>),
    Logfmt {
        strict: bool,
        keep_empty: bool,
    },
    LogfmtExpressions {
        strict: bool,
        keys: Vec<(String, String)>,
    },
    Regexp(Box<RegexpParser>),
    Pattern(Pattern),
    Unpack,
    LabelFilter(CompiledLabelFilter),
    LineFormat(Box<LineFormatter>),
    LabelFormat(Box<LabelsFormatter>),
    Drop(Vec<NameOrMatcher>),
    Keep(Vec<NameOrMatcher>),
    Decolorize,
}

impl CompiledStage {
    /// Compiles one stage of the query behind those before it.
    pub(crate) fn push(stage: &Stage, out: &mut Vec<Self>) -> Result<(), String> {
        let at_stage = |error: String| format!("stage '{stage}' : {error}");
        let compiled = match stage {
            Stage::LineFilters(filters) => {
                for filter in filters {
                    out.push(Self::LineFilter(
                        CompiledLineFilter::new(filter).map_err(at_stage)?,
                    ));
                }
                return Ok(());
            }
            Stage::LabelFilter(filter) => {
                let filter = CompiledLabelFilter::new(filter).map_err(at_stage)?;
                remember_early(out, &filter);
                Self::LabelFilter(filter)
            }
            Stage::Json => Self::Json(Vec::new()),
            Stage::JsonExpressions(list) => Self::JsonExpressions(
                list.iter()
                    .map(|item| Ok((item.label.clone(), parse_path(&item.expression)?)))
                    .collect::<Result<_, String>>()
                    .map_err(at_stage)?,
            ),
            Stage::Logfmt { strict, keep_empty } => Self::Logfmt {
                strict: *strict,
                keep_empty: *keep_empty,
            },
            Stage::LogfmtExpressions {
                strict,
                extractions,
                ..
            } => Self::LogfmtExpressions {
                strict: *strict,
                keys: extractions
                    .iter()
                    .map(|item| Ok((item.label.clone(), parse_key(&item.expression)?)))
                    .collect::<Result<_, String>>()
                    .map_err(at_stage)?,
            },
            Stage::Regexp(pattern) => Self::Regexp(Box::new(
                RegexpParser::new(pattern)
                    .map_err(|error| format!("invalid regexp parser: {error}"))?,
            )),
            Stage::Pattern(pattern) => Self::Pattern(
                Pattern::parser(pattern)
                    .map_err(|error| format!("invalid pattern parser: {error}"))?,
            ),
            Stage::Unpack => Self::Unpack,
            Stage::LineFormat(template) => {
                Self::LineFormat(Box::new(LineFormatter::new(template).map_err(at_stage)?))
            }
            Stage::LabelFormat(formats) => {
                Self::LabelFormat(Box::new(LabelsFormatter::new(formats).map_err(at_stage)?))
            }
            Stage::Drop(list) => Self::Drop(list.clone()),
            Stage::Keep(list) => Self::Keep(list.clone()),
            Stage::Decolorize => Self::Decolorize,
        };
        out.push(compiled);
        Ok(())
    }

    /// Whether later line filters see another line than earlier ones.
    fn changes_line(&self) -> bool {
        matches!(self, Self::LineFormat(_) | Self::Unpack | Self::Decolorize)
    }

    fn collect_labels(&self, out: &mut Vec<String>) {
        match self {
            Self::LabelFilter(filter) => filter.collect_labels(out),
            Self::LineFormat(formatter) => formatter.collect_labels(out),
            Self::LabelFormat(formatter) => formatter.collect_labels(out),
            _ => {}
        }
    }
}

/// A filter directly behind `| json` (or behind other such filters) decides before the whole line is read.
fn remember_early(stages: &mut [CompiledStage], filter: &CompiledLabelFilter) {
    if filter.deciding_label().is_none() {
        return;
    }
    for stage in stages.iter_mut().rev() {
        match stage {
            CompiledStage::LabelFilter(_) | CompiledStage::LineFilter(_) => {}
            CompiledStage::Json(early) => {
                early.push(filter.clone());
                return;
            }
            _ => return,
        }
    }
}

/// Stages with the memory that a line needs while it passes them.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    stages: Vec<CompiledStage>,
    hints: Hints,
    pub(crate) labels: LineLabels,
    /// The line, once a stage has changed it.
    changed: String,
    prefix: JsonPrefix,
    name: String,
    /// The time of the query, for templates.
    now: Timestamp,
}

impl Pipeline {
    /// Puts line filters in front of the stages that neither change nor need the line, so that fewer lines are parsed.
    pub(crate) fn new(stages: Vec<CompiledStage>, hints: Hints) -> Self {
        let mut ordered: Vec<CompiledStage> = Vec::with_capacity(stages.len());
        let mut front = 0;
        for stage in stages {
            if matches!(stage, CompiledStage::LineFilter(_)) {
                ordered.insert(front, stage);
                front += 1;
            } else {
                let changes = stage.changes_line();
                ordered.push(stage);
                if changes {
                    front = ordered.len();
                }
            }
        }
        Self {
            stages: ordered,
            hints,
            labels: LineLabels::default(),
            changed: String::new(),
            prefix: JsonPrefix::default(),
            name: String::new(),
            now: Timestamp::EPOCH,
        }
    }

    /// Says what time it is at the query.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The labels that the stages look at.
    pub(crate) fn used_labels(stages: &[CompiledStage]) -> Vec<String> {
        let mut used = Vec::new();
        for stage in stages {
            stage.collect_labels(&mut used);
        }
        used
    }

    /// Leaves out what changes the line behind the last stage that reads it, for queries that only count lines.
    pub(crate) fn forget_line(stages: &mut Vec<CompiledStage>) {
        while let Some(CompiledStage::LineFormat(_) | CompiledStage::Decolorize) = stages.last() {
            stages.pop();
        }
    }

    /// Whether there is no stage at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Texts that every line which passes contains, the longest first, and whether the pipeline is nothing but the search for
    /// one of them.
    pub(crate) fn required_literals(&self) -> (Vec<String>, bool) {
        let leading: Vec<&CompiledLineFilter> = self
            .stages
            .iter()
            .map_while(|stage| match stage {
                CompiledStage::LineFilter(filter) => Some(filter),
                _ => None,
            })
            .collect();
        let mut literals: Vec<String> = leading
            .iter()
            .filter_map(|filter| filter.required_literal())
            .collect();
        literals.sort_by_key(|literal| std::cmp::Reverse(literal.len()));
        let only = self.stages.len() == 1 && leading.len() == 1 && leading[0].is_only_literal();
        (literals, only)
    }

    /// Begins the lines of another stream.
    pub(crate) fn set_stream(&mut self, stream: &Labels) {
        self.labels.set_stream(stream);
    }

    /// Takes a line through all stages: the line as it comes out, or none where a stage drops it. The labels of the line must
    /// have been reset, and its metadata added.
    pub(crate) fn process<'l>(
        &'l mut self,
        timestamp: Timestamp,
        line: &'l str,
    ) -> Option<&'l str> {
        let Self {
            stages,
            hints,
            labels,
            changed,
            prefix,
            name,
            now,
        } = self;
        let mut is_changed = false;
        for stage in stages {
            let current: &str = if is_changed { changed } else { line };
            match stage {
                CompiledStage::LineFilter(filter) => {
                    if !filter.holds(current) {
                        return None;
                    }
                }
                CompiledStage::LabelFilter(filter) => {
                    if !filter.holds(labels) {
                        return None;
                    }
                }
                CompiledStage::Json(early) => {
                    if !parsers::json(current, labels, hints, early, prefix) {
                        return None;
                    }
                }
                CompiledStage::JsonExpressions(paths) => {
                    parsers::json_expressions(current, labels, hints, paths);
                }
                CompiledStage::Logfmt { strict, keep_empty } => {
                    parsers::logfmt(current, labels, hints, *strict, *keep_empty, name);
                }
                CompiledStage::LogfmtExpressions { strict, keys } => {
                    parsers::logfmt_expressions(current, labels, hints, keys, *strict);
                }
                CompiledStage::Regexp(parser) => parser.read(current, labels, hints),
                CompiledStage::Pattern(pattern) => {
                    parsers::pattern(current, labels, hints, pattern);
                }
                CompiledStage::Drop(list) => drop_labels(labels, list),
                CompiledStage::Keep(list) => keep_labels(labels, list),
                CompiledStage::LabelFormat(formatter) => {
                    formatter.apply(timestamp, *now, current, labels);
                }
                CompiledStage::Unpack => {
                    if let Some(entry) = parsers::unpack(current, labels, hints) {
                        *changed = entry;
                        is_changed = true;
                    }
                }
                CompiledStage::LineFormat(formatter) => {
                    if let Some(new) = formatter.apply(timestamp, *now, current, labels) {
                        *changed = new;
                        is_changed = true;
                    }
                }
                CompiledStage::Decolorize => {
                    *changed = ANSI.replace_all(current, "").into_owned();
                    is_changed = true;
                }
            }
        }
        Some(if is_changed { changed } else { line })
    }
}

fn drop_labels(labels: &mut LineLabels, list: &[NameOrMatcher]) {
    for item in list {
        let (name, matcher): (&str, Option<&Matcher>) = match item {
            NameOrMatcher::Name(name) => (name, None),
            NameOrMatcher::Matcher(matcher) => (matcher.name(), Some(matcher)),
        };
        let value = match name {
            ERROR => labels.error.as_deref(),
            ERROR_DETAILS => labels.error_details.as_deref(),
            _ => labels.get(name),
        };
        let drops = match matcher {
            Some(matcher) => matcher.matches_value(value.unwrap_or("")),
            None => value.is_some(),
        };
        if !drops {
            continue;
        }
        match name {
            ERROR => labels.error = None,
            ERROR_DETAILS => labels.error_details = None,
            _ => labels.remove(name),
        }
    }
}

fn keep_labels(labels: &mut LineLabels, list: &[NameOrMatcher]) {
    let mut dropped = Vec::new();
    labels.for_each(|name, value, _: Source| {
        let keeps = name == PRESERVE_ERROR
            || list.iter().any(|item| match item {
                NameOrMatcher::Name(own) => own == name,
                NameOrMatcher::Matcher(matcher) => {
                    matcher.name() == name && matcher.matches_value(value)
                }
            });
        if !keeps {
            dropped.push(name.to_owned());
        }
    });
    for name in dropped {
        labels.remove(&name);
    }
}
