//! The settings of tail sampling in collector.yaml, and its policies.

use std::time::Duration;

use gameday_signal::SpanStatus;
use gameday_signal::did_you_mean;
use gameday_traces::{Policy, PolicyKind, TailSamplerConfig};
use serde::Deserialize;

use super::processors::{Processor, pattern, percentage};
use super::values::{Ignored, duration};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TailSettings {
    #[serde(deserialize_with = "duration")]
    decision_wait: Duration,
    num_traces: usize,
    expected_new_traces_per_sec: Option<Ignored>,
    decision_cache: DecisionCache,
    policies: Vec<PolicySettings>,
}

impl Default for TailSettings {
    fn default() -> Self {
        let own = TailSamplerConfig::default();
        Self {
            decision_wait: own.decision_wait,
            num_traces: own.max_traces,
            expected_new_traces_per_sec: None,
            decision_cache: DecisionCache::default(),
            policies: Vec::new(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DecisionCache {
    sampled_cache_size: usize,
    non_sampled_cache_size: usize,
}

impl TailSettings {
    pub(super) fn finish(self) -> Result<Processor, String> {
        if self.policies.is_empty() {
            return Err("expected at least one policy: without one no trace is kept".to_owned());
        }
        let defaults = TailSamplerConfig::default();
        let cache = self.decision_cache;
        let remembered = cache.sampled_cache_size + cache.non_sampled_cache_size;
        Ok(Processor::TailSampling(Box::new(TailSamplerConfig {
            decision_wait: self.decision_wait,
            max_traces: self.num_traces.max(1),
            remembered_decisions: if remembered == 0 {
                defaults.remembered_decisions
            } else {
                remembered
            },
            policies: self
                .policies
                .into_iter()
                .map(|own| {
                    let name = own.name.clone();
                    own.finish()
                        .map_err(|reason| format!("policy {name:?}: {reason}"))
                })
                .collect::<Result<_, _>>()?,
            ..defaults
        })))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySettings {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    latency: Option<LatencyPolicy>,
    #[serde(default)]
    numeric_attribute: Option<NumericPolicy>,
    #[serde(default)]
    probabilistic: Option<ProbabilisticPolicy>,
    #[serde(default)]
    status_code: Option<StatusPolicy>,
    #[serde(default)]
    string_attribute: Option<StringPolicy>,
    #[serde(default)]
    rate_limiting: Option<RatePolicy>,
    #[serde(default)]
    span_count: Option<CountPolicy>,
    #[serde(default)]
    boolean_attribute: Option<BooleanPolicy>,
    #[serde(default)]
    and: Option<AndPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyPolicy {
    threshold_ms: u64,
    #[serde(default)]
    upper_threshold_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NumericPolicy {
    key: String,
    #[serde(default = "smallest")]
    min_value: i64,
    #[serde(default = "largest")]
    max_value: i64,
}

fn smallest() -> i64 {
    i64::MIN
}

fn largest() -> i64 {
    i64::MAX
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbabilisticPolicy {
    sampling_percentage: f64,
    #[serde(default)]
    hash_salt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusPolicy {
    status_codes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StringPolicy {
    key: String,
    values: Vec<String>,
    #[serde(default)]
    enabled_regex_matching: bool,
    #[serde(default, rename = "cache_max_size")]
    _cache_max_size: Option<Ignored>,
    #[serde(default)]
    invert_match: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatePolicy {
    spans_per_second: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountPolicy {
    #[serde(default)]
    min_spans: usize,
    #[serde(default)]
    max_spans: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BooleanPolicy {
    key: String,
    value: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AndPolicy {
    and_sub_policy: Vec<PolicySettings>,
}

impl PolicySettings {
    fn finish(self) -> Result<Policy, String> {
        Ok(Policy {
            name: self.name.clone(),
            kind: self.kind()?,
        })
    }

    fn kind(self) -> Result<PolicyKind, String> {
        const TYPES: [&str; 10] = [
            "always_sample",
            "latency",
            "numeric_attribute",
            "probabilistic",
            "status_code",
            "string_attribute",
            "rate_limiting",
            "span_count",
            "boolean_attribute",
            "and",
        ];
        let kind = self.kind.clone();
        let missing = || format!("type {kind}: expected its settings under {kind:?}");
        match self.kind.as_str() {
            "always_sample" => Ok(PolicyKind::AlwaysSample),
            "latency" => self
                .latency
                .ok_or_else(missing)
                .map(|own| PolicyKind::Latency {
                    threshold: Duration::from_millis(own.threshold_ms),
                    upper_threshold: (own.upper_threshold_ms > 0)
                        .then(|| Duration::from_millis(own.upper_threshold_ms)),
                }),
            "numeric_attribute" => {
                self.numeric_attribute
                    .ok_or_else(missing)
                    .map(|own| PolicyKind::NumericAttribute {
                        key: own.key,
                        min: own.min_value,
                        max: own.max_value,
                    })
            }
            "probabilistic" => {
                let own = self.probabilistic.ok_or_else(missing)?;
                Ok(PolicyKind::Probabilistic {
                    percentage: percentage(own.sampling_percentage)?,
                    salt: own.hash_salt,
                })
            }
            "status_code" => self.status_code.ok_or_else(missing)?.finish(),
            "string_attribute" => self.string_attribute.ok_or_else(missing)?.finish(),
            "rate_limiting" => {
                self.rate_limiting
                    .ok_or_else(missing)
                    .map(|own| PolicyKind::RateLimiting {
                        spans_per_second: own.spans_per_second,
                    })
            }
            "span_count" => self
                .span_count
                .ok_or_else(missing)
                .map(|own| PolicyKind::SpanCount {
                    min: own.min_spans,
                    max: own.max_spans,
                }),
            "boolean_attribute" => {
                self.boolean_attribute
                    .ok_or_else(missing)
                    .map(|own| PolicyKind::BooleanAttribute {
                        key: own.key,
                        value: own.value,
                    })
            }
            "and" => {
                let own = self.and.ok_or_else(missing)?;
                let kinds = own.and_sub_policy.into_iter().map(|sub| {
                    if sub.kind == "and" {
                        return Err("an and policy in an and policy".to_owned());
                    }
                    sub.kind()
                });
                Ok(PolicyKind::And(kinds.collect::<Result<_, _>>()?))
            }
            other => {
                let hint = did_you_mean(other, TYPES)
                    .unwrap_or_else(|| format!("this stack has {}", TYPES.join(", ")));
                Err(format!("unknown type {other:?}: {hint}"))
            }
        }
    }
}

impl StatusPolicy {
    fn finish(self) -> Result<PolicyKind, String> {
        let status = |text: &String| match text.as_str() {
            "OK" => Ok(SpanStatus::Ok),
            "ERROR" => Ok(SpanStatus::Error),
            "UNSET" => Ok(SpanStatus::Unset),
            other => Err(format!(
                "unknown status code {other:?}, expected OK, ERROR or UNSET"
            )),
        };
        let statuses = self
            .status_codes
            .iter()
            .map(status)
            .collect::<Result<Vec<_>, _>>()?;
        if statuses.is_empty() {
            return Err("expected at least one status code".to_owned());
        }
        Ok(PolicyKind::StatusCode(statuses))
    }
}

impl StringPolicy {
    fn finish(self) -> Result<PolicyKind, String> {
        if !self.enabled_regex_matching {
            return Ok(PolicyKind::StringAttribute {
                key: self.key,
                values: self.values,
                invert: self.invert_match,
            });
        }
        if self.invert_match {
            return Err("invert_match does not go with enabled_regex_matching here".to_owned());
        }
        Ok(PolicyKind::AttributePattern {
            key: self.key,
            patterns: self
                .values
                .iter()
                .map(|own| pattern(own))
                .collect::<Result<_, _>>()?,
        })
    }
}
