//! The processors of collector.yaml.

use std::time::Duration;

use gameday_signal::did_you_mean;
use gameday_traces::{
    AttributeAction, AttributesProcessor, SpanMatch, TailSamplerConfig, ValueType,
};
use gameday_wire::otlp::Signal;
use regex::Regex;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess};

use super::components::settings;
use super::config::Component;
use super::policies::TailSettings;
use super::values::{Ignored, Value, duration, scale};

/// What is done on the way.
#[derive(Clone, Debug)]
pub(crate) enum Processor {
    /// Refuses what comes in while too much is held.
    MemoryLimiter {
        /// From so many bytes on.
        limit_bytes: u64,
    },
    /// Gathers what is sent on.
    Batch(Batch),
    /// Changes attributes of items and resources.
    Attributes(Box<AttributesProcessor>),
    /// Keeps a share of all traces.
    ProbabilisticSampler {
        /// In percent.
        percentage: f64,
        /// Samplers with different salts decide independently.
        salt: String,
    },
    /// Keeps traces by policies, when they have had time to become whole.
    TailSampling(Box<TailSamplerConfig>),
}

/// `batch`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Batch {
    /// A batch is sent when it is this old.
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    /// A batch is sent when it has so many items.
    pub(crate) send_batch_size: usize,
    /// A batch has at most so many items; 0 for no bound.
    pub(crate) send_batch_max_size: usize,
    metadata_keys: Vec<String>,
    metadata_cardinality_limit: u32,
}

impl Default for Batch {
    fn default() -> Self {
        // The Collector's (batchprocessor, createDefaultConfig).
        Self {
            timeout: Duration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl Component for Processor {
    const KIND: &'static str = "processor";
    const TYPES: &'static [&'static str] = &[
        "memory_limiter",
        "batch",
        "attributes",
        "resource",
        "probabilistic_sampler",
        "tail_sampling",
    ];

    fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        let read = match kind {
            "memory_limiter" => settings::<MemoryLimiter, A>(map)?.finish(),
            "batch" => settings::<Batch, A>(map)?.finish(),
            "attributes" => settings::<AttributesSettings, A>(map)?.finish(),
            "resource" => settings::<ResourceSettings, A>(map)?.finish(),
            "probabilistic_sampler" => settings::<SamplerSettings, A>(map)?.finish(),
            _ => settings::<TailSettings, A>(map)?.finish(),
        };
        read.map_err(A::Error::custom)
    }
}

impl Processor {
    /// Whether it is there for a signal.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_signal(&self, signal: Signal) -> Result<(), &'static str> {
        match (self, signal) {
            (Self::MemoryLimiter { .. } | Self::Batch(_), _)
            | (Self::Attributes(_), Signal::Traces | Signal::Logs)
            | (Self::ProbabilisticSampler { .. } | Self::TailSampling(_), Signal::Traces) => Ok(()),
            (Self::Attributes(_), Signal::Metrics) => Err(
                "it does not work on metrics here: use metric_relabel_configs or otlp.promote_resource_attributes of prometheus.yml",
            ),
            (Self::ProbabilisticSampler { .. } | Self::TailSampling(_), _) => {
                Err("it works on traces alone")
            }
        }
    }

    pub(super) fn scale_durations(&mut self, divisor: u32) {
        match self {
            Self::Batch(own) => scale(&mut own.timeout, divisor),
            Self::TailSampling(own) => scale(&mut own.decision_wait, divisor),
            Self::MemoryLimiter { .. }
            | Self::Attributes(_)
            | Self::ProbabilisticSampler { .. } => {}
        }
    }
}

impl Batch {
    fn finish(self) -> Result<Processor, String> {
        if !self.metadata_keys.is_empty() {
            return Err("metadata_keys are not obeyed here: leave them out".to_owned());
        }
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            return Err(
                "send_batch_max_size must be greater or equal to send_batch_size".to_owned(),
            );
        }
        Ok(Processor::Batch(self))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MemoryLimiter {
    check_interval: Option<Ignored>,
    limit_mib: u64,
    spike_limit_mib: u64,
    limit_percentage: u64,
    spike_limit_percentage: u64,
    min_gc_interval_when_soft_limited: Option<Ignored>,
    min_gc_interval_when_hard_limited: Option<Ignored>,
}

/// What a percentage is taken of: not the memory of the machine, so that a game day is the same on every one.
const MEMORY_MIB: u64 = 2048;

impl MemoryLimiter {
    fn finish(self) -> Result<Processor, String> {
        let (limit, spike) = match (self.limit_mib, self.limit_percentage) {
            (0, 0) => return Err("expected limit_mib or limit_percentage".to_owned()),
            (0, percentage) => (
                MEMORY_MIB * percentage / 100,
                MEMORY_MIB * self.spike_limit_percentage / 100,
            ),
            (limit, _) => (limit, self.spike_limit_mib),
        };
        // The Collector's default: a fifth of the limit.
        let spike = if spike == 0 { limit / 5 } else { spike };
        if spike >= limit {
            return Err("spike_limit_mib must be smaller than limit_mib".to_owned());
        }
        Ok(Processor::MemoryLimiter {
            limit_bytes: (limit - spike) << 20,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AttributesSettings {
    include: Option<MatchSettings>,
    exclude: Option<MatchSettings>,
    actions: Vec<ActionSettings>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResourceSettings {
    attributes: Vec<ActionSettings>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MatchSettings {
    match_type: String,
    services: Vec<String>,
    span_names: Vec<String>,
    attributes: Vec<AttributeMatch>,
    regexp: Option<Ignored>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeMatch {
    key: String,
    #[serde(default)]
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionSettings {
    #[serde(default)]
    key: String,
    action: String,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    from_attribute: String,
    #[serde(default)]
    pattern: String,
    #[serde(default)]
    converted_type: String,
}

pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim().to_owned();
        format!("pattern {text:?}: {last}")
    })
}

impl AttributesSettings {
    fn finish(self) -> Result<Processor, String> {
        if self.actions.is_empty() {
            return Err("missing required field \"actions\"".to_owned());
        }
        Ok(Processor::Attributes(Box::new(AttributesProcessor {
            include: self
                .include
                .map_or(Ok(SpanMatch::default()), MatchSettings::finish)?,
            exclude: self.exclude.map(MatchSettings::finish).transpose()?,
            span_actions: actions(self.actions)?,
            resource_actions: Vec::new(),
        })))
    }
}

impl ResourceSettings {
    fn finish(self) -> Result<Processor, String> {
        if self.attributes.is_empty() {
            return Err("missing required field \"attributes\"".to_owned());
        }
        Ok(Processor::Attributes(Box::new(AttributesProcessor {
            resource_actions: actions(self.attributes)?,
            ..AttributesProcessor::default()
        })))
    }
}

impl MatchSettings {
    fn finish(self) -> Result<SpanMatch, String> {
        let strict = match self.match_type.as_str() {
            "strict" => true,
            "regexp" => false,
            other => {
                return Err(format!(
                    "unknown match_type {other:?}, expected strict or regexp"
                ));
            }
        };
        let one = |text: &str| {
            if strict {
                pattern(&format!("^{}$", regex::escape(text)))
            } else {
                pattern(text)
            }
        };
        let all = |texts: &[String]| texts.iter().map(|text| one(text)).collect::<Result<_, _>>();
        Ok(SpanMatch {
            services: all(&self.services)?,
            names: all(&self.span_names)?,
            attributes: self
                .attributes
                .into_iter()
                .map(|own| {
                    let value = own
                        .value
                        .map(|value| one(&value.0.to_string()))
                        .transpose()?;
                    Ok((own.key, value))
                })
                .collect::<Result<_, String>>()?,
        })
    }
}

fn actions(all: Vec<ActionSettings>) -> Result<Vec<AttributeAction>, String> {
    all.into_iter().map(ActionSettings::finish).collect()
}

impl ActionSettings {
    fn finish(self) -> Result<AttributeAction, String> {
        const ACTIONS: [&str; 6] = ["insert", "update", "upsert", "delete", "extract", "convert"];
        let key = self.key;
        if key.is_empty() && (self.action != "delete" || self.pattern.is_empty()) {
            return Err(format!("action {:?}: expected a key", self.action));
        }
        match self.action.as_str() {
            "insert" | "update" | "upsert" => {
                let (insert, update) = (self.action != "update", self.action != "insert");
                match (self.value, self.from_attribute.as_str()) {
                    (Some(Value(value)), "") => Ok(match (insert, update) {
                        (true, false) => AttributeAction::Insert(key, value),
                        (false, true) => AttributeAction::Update(key, value),
                        _ => AttributeAction::Upsert(key, value),
                    }),
                    (None, from) if !from.is_empty() => Ok(AttributeAction::Copy {
                        key,
                        from: from.to_owned(),
                        insert,
                        update,
                    }),
                    _ => Err(format!("{key}: expected one of value and from_attribute")),
                }
            }
            "delete" if self.pattern.is_empty() => Ok(AttributeAction::Delete(key)),
            "delete" => Ok(AttributeAction::DeleteMatching(pattern(&self.pattern)?)),
            "extract" => {
                let own = pattern(&self.pattern)?;
                if own.capture_names().flatten().next().is_none() {
                    return Err(format!(
                        "{key}: expected a pattern with named groups, (?P<name>...)"
                    ));
                }
                Ok(AttributeAction::Extract(key, own))
            }
            "convert" => match self.converted_type.as_str() {
                "int" => Ok(AttributeAction::Convert(key, ValueType::Int)),
                "double" => Ok(AttributeAction::Convert(key, ValueType::Double)),
                "string" => Ok(AttributeAction::Convert(key, ValueType::String)),
                other => Err(format!(
                    "{key}: unknown converted_type {other:?}, expected int, double or string"
                )),
            },
            other => {
                let hint = did_you_mean(other, ACTIONS)
                    .unwrap_or_else(|| format!("this stack has {}", ACTIONS.join(", ")));
                Err(format!("{key}: unknown action {other:?}: {hint}"))
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SamplerSettings {
    sampling_percentage: f64,
    hash_seed: u32,
    mode: String,
    fail_closed: Option<Ignored>,
    sampling_precision: Option<Ignored>,
}

impl SamplerSettings {
    fn finish(self) -> Result<Processor, String> {
        if !matches!(self.mode.as_str(), "" | "hash_seed") {
            return Err(format!(
                "unsupported mode {:?}, expected hash_seed",
                self.mode
            ));
        }
        Ok(Processor::ProbabilisticSampler {
            percentage: percentage(self.sampling_percentage)?,
            salt: if self.hash_seed == 0 {
                String::new()
            } else {
                self.hash_seed.to_string()
            },
        })
    }
}

pub(super) fn percentage(own: f64) -> Result<f64, String> {
    if own.is_finite() && own >= 0.0 {
        Ok(own)
    } else {
        Err(format!(
            "sampling_percentage {own}: expected a number from 0 up"
        ))
    }
}
