//! What OpenMetrics demands of families beyond the grammar of a line: metadata first and once, no interleaved families or groups,
//! no clashing names, and for each type the samples, labels and values that it may have.

use std::borrow::Cow;
use std::hash::Hasher as _;

use gameday_signal::{FixedSet, MetricType, Mix};

use super::Pairs;
use crate::number::{format_open_metrics_float, parse_float};

/// The families read so far. Sets are only asked for membership, so their order cannot reach an output.
#[derive(Default)]
pub(super) struct Families {
    /// Every name that a sample of a finished family can have, as a hash.
    names: FixedSet<u64>,
    current: Option<Family>,
}

/// The family that is being read.
#[derive(Default)]
struct Family {
    name: String,
    kind: Option<MetricType>,
    unit: Option<String>,
    has_help: bool,
    has_samples: bool,
    /// The group (label set without `le`, `quantile` or the state) of the last sample, as a hash.
    group: Option<u64>,
    groups: FixedSet<u64>,
    /// The timestamp of the last sample.
    timestamp: Option<f64>,
    /// The series of this group at this timestamp, to leave out what a coarse clock made twice.
    series: FixedSet<u64>,
    buckets: Option<Buckets>,
}

/// The classic histogram of one group at one timestamp.
#[derive(Default)]
struct Buckets {
    group: u64,
    timestamp: Option<f64>,
    le: Option<f64>,
    value: f64,
    count: Option<f64>,
    has_sum: bool,
    has_gsum: bool,
    has_negative_gsum: bool,
    has_negative_buckets: bool,
}

/// What a sample line says, as far as the rules look at it.
struct Facts<'a> {
    name: &'a str,
    le: Option<&'a str>,
    quantile: Option<&'a str>,
    /// The label that has the family's name.
    has_state: bool,
    series: u64,
    group: u64,
}

/// The sample names of a type, as suffixes of the family's name.
fn suffixes(kind: MetricType) -> &'static [&'static str] {
    match kind {
        MetricType::Counter => &["_total", "_created"],
        MetricType::Summary => &["", "_count", "_sum", "_created"],
        MetricType::Histogram => &["_count", "_sum", "_bucket", "_created"],
        MetricType::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
        MetricType::Info => &["_info"],
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[""],
    }
}

impl Families {
    /// The type of the family that is being read.
    pub(super) fn current_kind(&self) -> MetricType {
        self.current
            .as_ref()
            .and_then(|family| family.kind)
            .unwrap_or_default()
    }

    /// A metadata line of `name` begins.
    pub(super) fn enter(&mut self, name: &str) -> Result<(), String> {
        match &self.current {
            Some(family) if family.name == name => {
                if family.has_samples {
                    return Err(format!("metadata of {name:?} behind its samples"));
                }
                Ok(())
            }
            _ => self.begin(name, None),
        }
    }

    fn begin(&mut self, name: &str, kind: Option<MetricType>) -> Result<(), String> {
        self.finish()?;
        self.current = Some(Family {
            name: name.to_owned(),
            kind,
            ..Family::default()
        });
        Ok(())
    }

    fn current(&mut self) -> &mut Family {
        self.current.get_or_insert_default()
    }

    pub(super) fn help(&mut self) -> Result<(), String> {
        let family = self.current();
        if std::mem::replace(&mut family.has_help, true) {
            return Err(format!("more than one HELP of {:?}", family.name));
        }
        Ok(())
    }

    pub(super) fn kind(&mut self, kind: MetricType) -> Result<(), String> {
        let family = self.current();
        if family.kind.replace(kind).is_some() {
            return Err(format!("more than one TYPE of {:?}", family.name));
        }
        Ok(())
    }

    pub(super) fn unit(&mut self, unit: &str) -> Result<(), String> {
        let family = self.current();
        if family.unit.replace(unit.to_owned()).is_some() {
            return Err(format!("more than one UNIT of {:?}", family.name));
        }
        Ok(())
    }

    /// Checks a sample and gives the type of its family.
    pub(super) fn sample(
        &mut self,
        pairs: &Pairs<'_>,
        value: f64,
        timestamp: Option<f64>,
        has_exemplar: bool,
    ) -> Result<MetricType, String> {
        let is_name = |(name, _): &&(Cow<'_, str>, Cow<'_, str>)| name == "__name__";
        let name = pairs.iter().find(is_name).map_or("", |(_, name)| name);
        if !self
            .current
            .as_ref()
            .is_some_and(|family| family.takes(name))
        {
            self.begin(name, Some(MetricType::Unknown))?;
        }
        let family = self.current();
        let facts = Facts::new(pairs, name, family);
        family.sample(&facts, value, timestamp, has_exemplar)?;
        Ok(family.kind.unwrap_or_default())
    }

    /// The family is complete.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        let Some(mut family) = self.current.take() else {
            return Ok(());
        };
        family.finish_buckets()?;
        let kind = family.kind.unwrap_or_default();
        let name = &family.name;
        let mut full = name.clone();
        for suffix in suffixes(kind)
            .iter()
            .filter(|suffix| !suffix.is_empty())
            .chain(&[""])
        {
            full.truncate(name.len());
            full.push_str(suffix);
            if !self.names.insert(hash([&full])) {
                return Err(format!("clashing name: {full:?}"));
            }
        }
        let unit = family.unit.as_deref().unwrap_or_default();
        if unit.is_empty() {
            return Ok(());
        }
        if !name
            .strip_suffix(unit)
            .is_some_and(|rest| rest.ends_with('_'))
        {
            return Err(format!(
                "unit {unit:?} is not the suffix of metric {name:?}"
            ));
        }
        if matches!(kind, MetricType::Info | MetricType::StateSet) {
            return Err(format!(
                "a metric of type {kind} cannot have a unit: {name:?}"
            ));
        }
        Ok(())
    }
}

impl<'a> Facts<'a> {
    fn new(pairs: &'a Pairs<'_>, name: &'a str, family: &Family) -> Self {
        let kind = family.kind.unwrap_or_default();
        let is_plain = name == family.name;
        let is_bucket = name.strip_prefix(&family.name) == Some("_bucket");
        let mut facts = Self {
            series: hash([name]),
            name,
            le: None,
            quantile: None,
            has_state: false,
            group: 0,
        };
        for (label, value) in pairs {
            if label == "__name__" {
                continue;
            }
            let hash = hash([label, value]);
            // A sum does not depend on the order of the labels.
            facts.series = facts.series.wrapping_add(hash);
            let grouped = match kind {
                // Groups of info metrics cannot be told apart.
                MetricType::Info => false,
                MetricType::Summary => !(is_plain && label == "quantile"),
                MetricType::StateSet => *label != family.name,
                MetricType::Histogram | MetricType::GaugeHistogram => !(is_bucket && label == "le"),
                MetricType::Counter | MetricType::Gauge | MetricType::Unknown => true,
            };
            if grouped {
                facts.group = facts.group.wrapping_add(hash);
            }
            facts.has_state |= *label == family.name;
            match label.as_ref() {
                "le" => facts.le = Some(value),
                "quantile" => facts.quantile = Some(value),
                _ => {}
            }
        }
        facts
    }
}

impl Family {
    /// Whether a sample of this name belongs here.
    fn takes(&self, name: &str) -> bool {
        name.strip_prefix(self.name.as_str())
            .is_some_and(|suffix| suffixes(self.kind.unwrap_or_default()).contains(&suffix))
    }

    fn sample(
        &mut self,
        facts: &Facts<'_>,
        value: f64,
        timestamp: Option<f64>,
        has_exemplar: bool,
    ) -> Result<(), String> {
        self.has_samples = true;
        let suffix = &facts.name[self.name.len()..];
        let kind = self.kind.unwrap_or_default();
        self.check_labels(facts, suffix)?;
        let fresh = self.check_order(facts, timestamp)?;
        check_value(kind, suffix, value)?;
        let may_have_exemplar = match kind {
            MetricType::Histogram | MetricType::GaugeHistogram => suffix == "_bucket",
            MetricType::Counter => suffix == "_total",
            _ => false,
        };
        if has_exemplar && !may_have_exemplar {
            return Err("only histogram buckets and counters can have exemplars".to_owned());
        }
        if fresh && matches!(kind, MetricType::Histogram | MetricType::GaugeHistogram) {
            self.check_buckets(facts, suffix, value, timestamp)?;
        }
        Ok(())
    }

    fn check_labels(&self, facts: &Facts<'_>, suffix: &str) -> Result<(), String> {
        let kind = self.kind.unwrap_or_default();
        if kind == MetricType::StateSet && !facts.has_state {
            return Err(format!("a stateset needs the label {:?}", self.name));
        }
        if suffix == "_bucket" {
            let le = facts.le.unwrap_or("NaN");
            if canonical(le).is_none_or(f64::is_nan) {
                return Err(format!("invalid label le={le:?} of a bucket"));
            }
        }
        if kind == MetricType::Summary && suffix.is_empty() {
            let quantile = facts.quantile.unwrap_or_default();
            if !canonical(quantile).is_some_and(|phi| (0.0..=1.0).contains(&phi)) {
                return Err(format!("invalid label quantile={quantile:?} of a summary"));
            }
        }
        Ok(())
    }

    /// Checks that groups stay together and time goes forward in them; false for a sample that a coarse clock made twice.
    fn check_order(&mut self, facts: &Facts<'_>, timestamp: Option<f64>) -> Result<bool, String> {
        let same_group = self.group == Some(facts.group);
        if self.group.is_some() && !same_group && self.groups.contains(&facts.group) {
            return Err("samples of one group must stand together".to_owned());
        }
        if same_group {
            if timestamp.is_some() != self.timestamp.is_some() {
                return Err("samples with and without timestamp in one group".to_owned());
            }
            let is_info = self.kind == Some(MetricType::Info);
            if !is_info && timestamp < self.timestamp {
                return Err("timestamps go backwards within a group".to_owned());
            }
        } else {
            self.series.clear();
        }
        let fresh = timestamp != self.timestamp || !self.series.contains(&facts.series);
        self.series.insert(facts.series);
        self.group = Some(facts.group);
        self.groups.insert(facts.group);
        self.timestamp = timestamp;
        Ok(fresh)
    }

    fn check_buckets(
        &mut self,
        facts: &Facts<'_>,
        suffix: &str,
        value: f64,
        timestamp: Option<f64>,
    ) -> Result<(), String> {
        let begun = self
            .buckets
            .as_ref()
            .is_some_and(|own| own.group == facts.group && own.timestamp == timestamp);
        if !begun {
            self.finish_buckets()?;
        }
        let buckets = self.buckets.get_or_insert_with(|| Buckets {
            group: facts.group,
            timestamp,
            ..Buckets::default()
        });
        match suffix {
            "_bucket" => {
                let le = facts.le.and_then(parse_float);
                buckets.has_negative_buckets |= le.is_some_and(|bound| bound < 0.0);
                if buckets.le.is_some() && le <= buckets.le {
                    return Err("buckets are out of order".to_owned());
                }
                if value < buckets.value {
                    return Err("values of buckets must not fall".to_owned());
                }
                buckets.le = le;
                buckets.value = value;
            }
            "_count" | "_gcount" => buckets.count = Some(value),
            "_sum" => buckets.has_sum = true,
            "_gsum" => {
                buckets.has_gsum = true;
                buckets.has_negative_gsum |= value < 0.0;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish_buckets(&mut self) -> Result<(), String> {
        let Some(own) = self.buckets.take() else {
            return Ok(());
        };
        let problem = if own.le != Some(f64::INFINITY) {
            "the +Inf bucket is missing"
        } else if own.count.is_some_and(|count| count != own.value) {
            "the count is not the value of the +Inf bucket"
        } else if (own.has_sum || own.has_gsum) && own.count.is_none() {
            "a sum without a count"
        } else if !(own.has_sum || own.has_gsum) && own.count.is_some() {
            "a count without a sum"
        } else if own.has_negative_buckets && own.has_sum {
            "a sum beside negative buckets"
        } else if !own.has_negative_buckets && own.has_negative_gsum {
            "a negative sum without negative buckets"
        } else {
            return Ok(());
        };
        Err(format!("histogram {:?}: {problem}", self.name))
    }
}

fn check_value(kind: MetricType, suffix: &str, value: f64) -> Result<(), String> {
    let problem = match (kind, suffix) {
        (_, "_bucket" | "_count" | "_gcount") if value.fract() != 0.0 && value.is_finite() => {
            "counts of a histogram must be integers"
        }
        (MetricType::StateSet, _) if value != 0.0 && value != 1.0 => {
            "values of a stateset are 0 or 1"
        }
        (MetricType::Info, _) if value != 1.0 => "the value of an info metric is 1",
        (MetricType::Summary, "") if value < 0.0 => "quantile values cannot be negative",
        (_, "_total" | "_sum" | "_count" | "_bucket" | "_gcount" | "_gsum") if value.is_nan() => {
            "counter-like samples cannot be NaN"
        }
        (_, "_total" | "_sum" | "_count" | "_bucket" | "_gcount") if value < 0.0 => {
            "counter-like samples cannot be negative"
        }
        _ => return Ok(()),
    };
    Err(format!("{problem}, found {value}"))
}

/// The number in a `le` or `quantile` label; infinity has one spelling only.
fn canonical(text: &str) -> Option<f64> {
    let value = parse_float(text)?;
    (value != f64::INFINITY || text == format_open_metrics_float(value)).then_some(value)
}

/// The hash of these texts, one after the other, with the finaliser of MurmurHash3 behind it, for sums of it are made.
fn hash<const COUNT: usize>(texts: [&str; COUNT]) -> u64 {
    let mut mix = Mix::default();
    for text in texts {
        mix.write(text.as_bytes());
    }
    let mut hash = mix.finish();
    for multiplier in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(multiplier);
    }
    hash ^ (hash >> 33)
}
