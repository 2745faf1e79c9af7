//! collector.yaml, in the OpenTelemetry Collector's own shape.
//!
//! Components are `type` or `type/name`. A type that this stack has not, a key that the type has not, a pipeline that names what is not
//! configured: each is refused with its place and the nearest name. What is read and not obeyed is named in
//! [`CollectorConfig::warnings`].

use std::collections::BTreeMap;
use std::fmt;

use gameday_query::Position;
use gameday_signal::did_you_mean;
use gameday_wire::otlp::Signal;
use gameday_yaml::{Spanned, from_file};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::components::{Connector, Exporter, Processor, Receiver};
use crate::config::ConfigError;

/// Components of one kind, and pipelines, at most.
const COMPONENTS_MAX: usize = 100;

/// A configuration that holds together.
#[derive(Clone, Debug, Default)]
pub struct CollectorConfig {
    /// The pipelines by name.
    pub(crate) pipelines: Vec<PipelineConfig>,
    /// What sends on or stores, by id: those that a pipeline uses.
    pub(crate) exporters: BTreeMap<String, Exporter>,
    /// What makes metrics of spans, by id: those that a pipeline uses.
    pub(crate) connectors: BTreeMap<String, Connector>,
    /// What was read and is not obeyed, one sentence each.
    pub warnings: Vec<String>,
}

/// One pipeline.
#[derive(Clone, Debug)]
pub(crate) struct PipelineConfig {
    /// `traces` or `traces/name`.
    pub(crate) name: String,
    /// What flows through it.
    pub(crate) signal: Signal,
    /// The ids of receivers and connectors.
    pub(crate) receivers: Vec<String>,
    /// The processors in order, with their ids.
    pub(crate) processors: Vec<(String, Processor)>,
    /// The ids of exporters and connectors.
    pub(crate) exporters: Vec<String>,
}

/// A kind of component: the section it stands in, the types there are, and how one is read.
pub(super) trait Component: Sized {
    /// `receiver`, `processor`, `exporter` or `connector`.
    const KIND: &'static str;
    /// The types that this stack has.
    const TYPES: &'static [&'static str];

    /// Reads the settings of a component of a known type.
    fn read<'de, A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error>;
}

/// The components of a section by id.
struct Components<T>(BTreeMap<String, T>);

impl<T> Default for Components<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Component> Deserialize<'de> for Components<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Section<T>(std::marker::PhantomData<T>);

        impl<'de, T: Component> Visitor<'de> for Section<T> {
            type Value = Components<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}s by id", T::KIND)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Components::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = BTreeMap::new();
                while let Some(id) = map.next_key::<String>()? {
                    if all.len() >= COMPONENTS_MAX {
                        return Err(A::Error::custom(format!(
                            "more than {COMPONENTS_MAX} {}s",
                            T::KIND
                        )));
                    }
                    let kind = type_of(&id);
                    if !T::TYPES.contains(&kind) {
                        return Err(A::Error::custom(unknown::<T>(kind)));
                    }
                    let component = T::read(kind, &mut map)?;
                    if all.insert(id.clone(), component).is_some() {
                        return Err(A::Error::custom(format!(
                            "{} {id:?} stands there twice",
                            T::KIND
                        )));
                    }
                }
                Ok(Components(all))
            }
        }

        deserializer.deserialize_any(Section(std::marker::PhantomData))
    }
}

fn type_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(kind, _)| kind)
}

fn unknown<T: Component>(kind: &str) -> String {
    let hint = match did_you_mean(kind, T::TYPES.iter().copied()) {
        Some(hint) => hint,
        None => format!("this stack has {}", T::TYPES.join(", ")),
    };
    format!("unknown {} type {kind:?}: {hint}", T::KIND)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    receivers: Components<Receiver>,
    processors: Components<Processor>,
    exporters: Components<Exporter>,
    connectors: Components<Connector>,
    extensions: Option<serde::de::IgnoredAny>,
    service: Service,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Service {
    extensions: Option<serde::de::IgnoredAny>,
    telemetry: Option<serde::de::IgnoredAny>,
    pipelines: BTreeMap<String, Pipeline>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Pipeline {
    receivers: Vec<Spanned<String>>,
    processors: Vec<Spanned<String>>,
    exporters: Vec<Spanned<String>>,
}

/// Something wrong with a reference between components.
struct Wrong {
    reason: String,
    at: Option<Position>,
}

impl CollectorConfig {
    /// Reads a configuration; `file` names it in errors.
    ///
    /// # Errors
    /// Bad YAML, a component or a key that this stack has not, a value of the wrong kind, a reference that leads nowhere.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let whole = |reason: String| ConfigError::Whole {
            file: file.to_owned(),
            reason,
        };
        if let Some(at) = text.find("${env:") {
            let line = text[..at].lines().count().max(1);
            return Err(whole(format!(
                "line {line}: variables of the environment are not filled in, write the value: a game day is the same everywhere"
            )));
        }
        let read: File = from_file(file, text)?;
        resolve(read).map_err(|wrong| match wrong.at {
            Some(at) => ConfigError::at(file, text, at, wrong.reason),
            None => whole(wrong.reason),
        })
    }

    /// Divides every duration by `divisor`: a run on the real clock with compressed time.
    pub(crate) fn scale_durations(&mut self, divisor: u32) {
        for pipeline in &mut self.pipelines {
            for (_, processor) in &mut pipeline.processors {
                processor.scale_durations(divisor);
            }
        }
        for exporter in self.exporters.values_mut() {
            exporter.scale_durations(divisor);
        }
        for connector in self.connectors.values_mut() {
            connector.scale_durations(divisor);
        }
    }
}

fn resolve(file: File) -> Result<CollectorConfig, Wrong> {
    let mut config = CollectorConfig::default();
    if file.service.pipelines.is_empty() {
        return Err(Wrong {
            reason: "no pipeline: expected service.pipelines".to_owned(),
            at: None,
        });
    }
    if file.extensions.is_some() || file.service.extensions.is_some() {
        config
            .warnings
            .push("extensions are read and not obeyed".to_owned());
    }
    for (id, receiver) in &file.receivers.0 {
        receiver.warn(id, &mut config.warnings);
    }
    for (name, pipeline) in &file.service.pipelines {
        let own = resolve_pipeline(name, pipeline, &file)?;
        config.pipelines.push(own);
    }
    check_connectors(&file, &config.pipelines)?;
    let used = |id: &String| {
        let mut named = config.pipelines.iter();
        named.any(|own| own.exporters.contains(id) || own.receivers.contains(id))
    };
    config.exporters = file
        .exporters
        .0
        .into_iter()
        .filter(|(id, _)| used(id))
        .collect();
    config.connectors = file
        .connectors
        .0
        .into_iter()
        .filter(|(id, _)| used(id))
        .collect();
    for (id, exporter) in &config.exporters {
        exporter.warn(id, &mut config.warnings);
    }
    for (id, connector) in &config.connectors {
        connector.warn(id, &mut config.warnings);
    }
    Ok(config)
}

fn resolve_pipeline(name: &str, pipeline: &Pipeline, file: &File) -> Result<PipelineConfig, Wrong> {
    let place = format!("service.pipelines.{name}");
    let wrong = |reason: String, at: Option<&Spanned<String>>| Wrong {
        reason: format!("{place}: {reason}"),
        at: at.map(|at| at.at),
    };
    let signal = match type_of(name) {
        "traces" => Signal::Traces,
        "metrics" => Signal::Metrics,
        "logs" => Signal::Logs,
        other => {
            let known = ["traces", "metrics", "logs"];
            let hint = did_you_mean(other, known)
                .unwrap_or_else(|| format!("expected one of {}", known.join(", ")));
            return Err(wrong(format!("unknown signal {other:?}: {hint}"), None));
        }
    };
    if pipeline.receivers.is_empty() || pipeline.exporters.is_empty() {
        return Err(wrong(
            "expected at least one receiver and one exporter".to_owned(),
            None,
        ));
    }
    let missing = |kind: &str, id: &Spanned<String>, known: Vec<&String>| {
        let hint = did_you_mean(&id.value, known.into_iter().map(String::as_str))
            .map(|hint| format!(": {hint}"))
            .unwrap_or_default();
        wrong(
            format!("{kind} {:?} is not configured{hint}", id.value),
            Some(id),
        )
    };
    for id in &pipeline.receivers {
        if !file.receivers.0.contains_key(&id.value) && !file.connectors.0.contains_key(&id.value) {
            let known = file.receivers.0.keys().chain(file.connectors.0.keys());
            return Err(missing("receiver", id, known.collect()));
        }
    }
    for id in &pipeline.exporters {
        if !file.exporters.0.contains_key(&id.value) && !file.connectors.0.contains_key(&id.value) {
            let known = file.exporters.0.keys().chain(file.connectors.0.keys());
            return Err(missing("exporter", id, known.collect()));
        }
    }
    let mut processors = Vec::new();
    for id in &pipeline.processors {
        let Some(processor) = file.processors.0.get(&id.value) else {
            return Err(missing("processor", id, file.processors.0.keys().collect()));
        };
        if let Err(reason) = processor.check_signal(signal) {
            return Err(wrong(
                format!("processor {:?}: {reason}", id.value),
                Some(id),
            ));
        }
        processors.push((id.value.clone(), processor.clone()));
    }
    let values = |ids: &[Spanned<String>]| ids.iter().map(|id| id.value.clone()).collect();
    Ok(PipelineConfig {
        name: name.to_owned(),
        signal,
        receivers: values(&pipeline.receivers),
        processors,
        exporters: values(&pipeline.exporters),
    })
}

/// A connector ends a pipeline of traces and begins one of metrics.
fn check_connectors(file: &File, pipelines: &[PipelineConfig]) -> Result<(), Wrong> {
    let wrong = |reason: String| Err(Wrong { reason, at: None });
    for id in file.connectors.0.keys() {
        let (mut ends, mut begins) = (false, false);
        for pipeline in pipelines {
            let place = format!("service.pipelines.{}", pipeline.name);
            if pipeline.exporters.contains(id) {
                ends = true;
                if pipeline.signal != Signal::Traces {
                    return wrong(format!("{place}: connector {id:?} takes traces alone"));
                }
            }
            if pipeline.receivers.contains(id) {
                begins = true;
                if pipeline.signal != Signal::Metrics {
                    return wrong(format!("{place}: connector {id:?} gives metrics alone"));
                }
            }
        }
        if ends != begins {
            let (has, lacks) = if ends {
                ("exporter", "receiver")
            } else {
                ("receiver", "exporter")
            };
            return wrong(format!(
                "connector {id:?} is used as {has} and not as {lacks}: expected both, in a pipeline of traces and one of metrics"
            ));
        }
    }
    Ok(())
}
