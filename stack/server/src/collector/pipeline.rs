//! The engine: what comes in goes through the pipelines at once, what waits is looked at by [`Collector::tick`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use gameday_signal::{LogRecord, Span, Timestamp};
use gameday_traces::{
    AttributesProcessor, Generator, MetricDescription, MetricPoint, ProbabilisticSampler,
    TailSampler,
};
use gameday_wire::otlp::{Encoding, Signal, encode_logs, encode_traces, transcode_metrics};

use super::components::{Exporter, Processor};
use super::config::{CollectorConfig, PipelineConfig};
use super::outlet::Outlet;
use super::pending::Pending;
use super::processors::Batch;
use super::telemetry::{
    ACCEPTED, PROCESSOR_DROPPED, PROCESSOR_REFUSED, REFUSED, SEND_FAILED, SENT, Telemetry,
};

/// The pipelines of a collector.
pub(crate) struct Collector {
    pipelines: Vec<Pipeline>,
    /// By id, in the order of their ids.
    connectors: Vec<Connector>,
    outlets: Vec<Arc<Outlet>>,
    telemetry: Telemetry,
    /// The deadline that the ticker was told.
    told: Option<Timestamp>,
}

struct Pipeline {
    signal: Signal,
    from_otlp: bool,
    /// The id of a memory limiter and its limit.
    limit: Option<(String, u64)>,
    stages: Vec<(String, Stage)>,
    batch: Option<Batch>,
    sinks: Vec<Sink>,
}

enum Stage {
    Attributes(Box<AttributesProcessor>),
    Probabilistic(ProbabilisticSampler),
    Tail(Box<TailSampler>),
}

enum Sink {
    Store,
    /// Counted and dropped.
    Nop(String),
    /// Its place.
    Connector(usize),
    /// Its place, and the batch that is being filled.
    Outlet(usize, Pending),
}

struct Connector {
    id: String,
    generator: Generator,
    /// Whether a pipeline leads from it to the stores.
    stores: bool,
}

/// What has come through the pipelines to the stores.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) spans: Vec<Span>,
    pub(crate) records: Vec<LogRecord>,
    pub(crate) points: Vec<MetricPoint>,
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The Collector's own words for a memory limiter that refuses.
    #[error("data refused due to high memory usage: {held} bytes are held, {id} allows {limit}")]
    Memory {
        /// The memory limiter.
        id: String,
        /// Bytes that are held.
        held: u64,
        /// Bytes that may be.
        limit: u64,
    },
    /// The configuration has no use for the signal.
    #[error("collector.yaml has no pipeline of {0} that receives from otlp")]
    NoPipeline(&'static str),
}

impl Collector {
    /// The pipelines of a configuration.
    pub(crate) fn new(config: CollectorConfig) -> Self {
        let mut connectors: Vec<Connector> = config
            .connectors
            .iter()
            .map(|(id, own)| Connector {
                id: id.clone(),
                generator: own.generator(),
                stores: false,
            })
            .collect();
        let mut outlets = Vec::new();
        let mut places = BTreeMap::new();
        for (id, exporter) in &config.exporters {
            if let Exporter::Otlp(own) = exporter {
                places.insert(id.clone(), outlets.len());
                outlets.push(Arc::new(Outlet::new(id.clone(), own.as_ref().clone())));
            }
        }
        let sink = |id: &String| match (config.exporters.get(id), places.get(id)) {
            (Some(Exporter::Stack), _) => Sink::Store,
            (Some(Exporter::Otlp(_)), Some(place)) => Sink::Outlet(*place, Pending::default()),
            (Some(_), _) => Sink::Nop(id.clone()),
            (None, _) => config
                .connectors
                .keys()
                .position(|own| own == id)
                .map_or_else(|| Sink::Nop(id.clone()), Sink::Connector),
        };
        let mut pipelines = Vec::new();
        for own in config.pipelines {
            let sinks: Vec<Sink> = own.exporters.iter().map(sink).collect();
            let stores = sinks.iter().any(|sink| matches!(sink, Sink::Store));
            for connector in &mut connectors {
                connector.stores |= stores && own.receivers.contains(&connector.id);
            }
            pipelines.push(Pipeline::new(own, sinks, &config.connectors));
        }
        Self {
            pipelines,
            connectors,
            outlets,
            telemetry: Telemetry::default(),
            told: None,
        }
    }

    /// The queues that are to be sent.
    pub(crate) fn outlets(&self) -> &[Arc<Outlet>] {
        &self.outlets
    }

    /// The counters.
    pub(crate) fn telemetry(&mut self) -> &mut Telemetry {
        &mut self.telemetry
    }

    /// What the metrics of the connectors are.
    pub(crate) fn descriptions(&self) -> Vec<MetricDescription> {
        let stored = self.connectors.iter().filter(|own| own.stores);
        stored
            .flat_map(|own| own.generator.descriptions())
            .collect()
    }

    /// Counts what a receiver has decoded, and asks whether it may come in.
    fn admit(
        &mut self,
        signal: Signal,
        transport: &str,
        items: u64,
        refused: u64,
    ) -> Result<(), Refusal> {
        let labels = format!("receiver=\"otlp\",transport=\"{transport}\"");
        let held = self.held_bytes();
        let mut from_otlp = self
            .pipelines
            .iter()
            .filter(|own| own.signal == signal && own.from_otlp)
            .peekable();
        let refusal = if from_otlp.peek().is_none() {
            Some(Refusal::NoPipeline(match signal {
                Signal::Traces => "traces",
                Signal::Logs => "logs",
                Signal::Metrics => "metrics",
            }))
        } else {
            let over = from_otlp
                .filter_map(|own| own.limit.as_ref())
                .find(|(_, limit)| held >= *limit);
            over.map(|(id, limit)| Refusal::Memory {
                id: id.clone(),
                held,
                limit: *limit,
            })
        };
        if let Some(Refusal::Memory { id, .. }) = &refusal {
            let labels = format!("processor=\"{id}\"");
            self.telemetry
                .count(&PROCESSOR_REFUSED, signal, &labels, items);
        }
        let (accepted, refused) = match refusal {
            None => (items, refused),
            Some(_) => (0, refused + items),
        };
        self.telemetry.count(&ACCEPTED, signal, &labels, accepted);
        self.telemetry.count(&REFUSED, signal, &labels, refused);
        refusal.map_or(Ok(()), Err)
    }

    /// Takes spans that came in at `now`; `refused` is what the decoder left out.
    ///
    /// # Errors
    /// Where nothing of it is taken.
    pub(crate) fn spans(
        &mut self,
        spans: Vec<Span>,
        refused: u64,
        transport: &str,
        now: Timestamp,
    ) -> Result<Flow, Refusal> {
        self.admit(Signal::Traces, transport, spans.len() as u64, refused)?;
        let mut flow = Flow::default();
        self.each_from_otlp(Signal::Traces, spans, |own, index, spans| {
            own.run_spans(index, 0, spans, now, &mut flow);
        });
        Ok(flow)
    }

    /// Takes log records that came in at `now`.
    ///
    /// # Errors
    /// Where nothing of it is taken.
    pub(crate) fn records(
        &mut self,
        records: Vec<LogRecord>,
        refused: u64,
        transport: &str,
        now: Timestamp,
    ) -> Result<Flow, Refusal> {
        self.admit(Signal::Logs, transport, records.len() as u64, refused)?;
        let mut flow = Flow::default();
        self.each_from_otlp(Signal::Logs, records, |own, index, records| {
            own.run_records(index, records, now, &mut flow);
        });
        Ok(flow)
    }

    /// Takes metrics that came in at `now`, as they came: `points` of them. Says whether the store is to have them.
    ///
    /// # Errors
    /// Where nothing of it is taken.
    pub(crate) fn metrics(
        &mut self,
        (body, encoding): (&[u8], Encoding),
        points: u64,
        refused: u64,
        transport: &str,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        self.admit(Signal::Metrics, transport, points, refused)?;
        let mut stores = false;
        let mut encoded: Option<Vec<u8>> = None;
        for pipeline in &mut self.pipelines {
            if pipeline.signal != Signal::Metrics || !pipeline.from_otlp {
                continue;
            }
            for sink in &mut pipeline.sinks {
                match sink {
                    Sink::Store => stores = true,
                    Sink::Nop(id) => {
                        count_dropped(&mut self.telemetry, Signal::Metrics, id, points);
                    }
                    Sink::Connector(_) => {}
                    Sink::Outlet(place, pending) => {
                        // The receiver has read the body, so that it can be read again.
                        let body = encoded.get_or_insert_with(|| {
                            transcode_metrics(body, encoding).unwrap_or_default()
                        });
                        pending.add(body, points as usize, now);
                        if pending.is_full(pipeline.batch.as_ref()) {
                            let outlet = &self.outlets[*place];
                            pending.send(Signal::Metrics, outlet, &mut self.telemetry);
                        }
                    }
                }
            }
        }
        Ok(stores)
    }

    /// Gives out what has waited long enough.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Flow {
        let mut flow = Flow::default();
        for index in 0..self.pipelines.len() {
            for stage in 0..self.pipelines[index].stages.len() {
                if let (_, Stage::Tail(sampler)) = &mut self.pipelines[index].stages[stage] {
                    let kept = sampler.tick(now);
                    if !kept.is_empty() {
                        self.run_spans(index, stage + 1, kept, now, &mut flow);
                    }
                }
            }
        }
        for connector in &mut self.connectors {
            let points = connector.generator.tick(now);
            if connector.stores {
                flow.points.extend(points);
            }
        }
        self.send_batches(|batch, since| since + batch.timeout <= now);
        self.told = None;
        flow
    }

    /// Moves the batches that are due, and hold anything, to the queues of their exporters.
    fn send_batches(&mut self, is_due: impl Fn(&Batch, Timestamp) -> bool) {
        for pipeline in &mut self.pipelines {
            let Some(batch) = &pipeline.batch else {
                continue;
            };
            for sink in &mut pipeline.sinks {
                if let Sink::Outlet(place, pending) = sink
                    && pending.items > 0
                    && is_due(batch, pending.since)
                {
                    let outlet = &self.outlets[*place];
                    pending.send(pipeline.signal, outlet, &mut self.telemetry);
                }
            }
        }
    }

    /// Decides upon everything that waits, and gives every batch to its queue, for a shutdown.
    pub(crate) fn flush(&mut self, now: Timestamp) -> Flow {
        let mut flow = Flow::default();
        for index in 0..self.pipelines.len() {
            for stage in 0..self.pipelines[index].stages.len() {
                if let (_, Stage::Tail(sampler)) = &mut self.pipelines[index].stages[stage] {
                    let kept = sampler.flush(now);
                    self.run_spans(index, stage + 1, kept, now, &mut flow);
                }
            }
        }
        self.send_batches(|_, _| true);
        flow
    }

    /// When [`Self::tick`] has something to do next.
    pub(crate) fn next_deadline(&mut self) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let mut sooner = |own: Option<Timestamp>| {
            next = match (next, own) {
                (Some(next), Some(own)) => Some(next.min(own)),
                (next, own) => next.or(own),
            };
        };
        for pipeline in &self.pipelines {
            for (_, stage) in &pipeline.stages {
                if let Stage::Tail(sampler) = stage {
                    sooner(sampler.next_deadline());
                }
            }
            for sink in &pipeline.sinks {
                if let (Sink::Outlet(_, pending), Some(batch)) = (sink, &pipeline.batch)
                    && pending.items > 0
                {
                    sooner(Some(pending.since + batch.timeout));
                }
            }
        }
        for connector in &self.connectors {
            sooner(connector.generator.next_deadline());
        }
        self.told = next;
        next
    }

    /// Whether the ticker must be woken: there is a deadline that it was not told.
    pub(crate) fn needs_wake(&mut self) -> bool {
        let told = self.told;
        let next = self.next_deadline();
        match (told, next) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(told), Some(next)) => next < told,
        }
    }

    /// The counters and gauges in the text format.
    pub(crate) fn own_metrics(&self) -> String {
        let mut out = String::new();
        self.telemetry.write(&mut out);
        for (name, value) in [
            (
                "otelcol_exporter_queue_size",
                Outlet::len as fn(&Outlet) -> usize,
            ),
            ("otelcol_exporter_queue_capacity", |own: &Outlet| {
                own.config.queue.size
            }),
        ] {
            if !self.outlets.is_empty() {
                let _ = writeln!(out, "# TYPE {name} gauge");
            }
            for outlet in &self.outlets {
                let _ = writeln!(
                    out,
                    "{name}{{exporter=\"{}\"}} {}",
                    outlet.id,
                    value(outlet)
                );
            }
        }
        for pipeline in &self.pipelines {
            for (id, stage) in &pipeline.stages {
                match stage {
                    Stage::Tail(sampler) => write_tail(&mut out, id, sampler),
                    Stage::Probabilistic(sampler) => {
                        let (kept, dropped) = sampler.counts();
                        for (sampled, count) in [("true", kept), ("false", dropped)] {
                            let _ = writeln!(
                                out,
                                "otelcol_processor_probabilistic_sampler_count_spans_sampled{{processor=\"{id}\",sampled=\"{sampled}\"}} {count}"
                            );
                        }
                    }
                    Stage::Attributes(_) => {}
                }
            }
        }
        out
    }

    /// What is held back or waits to be sent, in bytes of protobuf.
    fn held_bytes(&self) -> u64 {
        let mut held: u64 = self.outlets.iter().map(|own| own.bytes()).sum();
        for pipeline in &self.pipelines {
            for (_, stage) in &pipeline.stages {
                if let Stage::Tail(sampler) = stage {
                    held += sampler.waiting_bytes();
                }
            }
            for sink in &pipeline.sinks {
                if let Sink::Outlet(_, pending) = sink {
                    held += pending.body.len() as u64;
                }
            }
        }
        held
    }

    /// Shows items to each pipeline that receives them; the last one has the originals.
    fn each_from_otlp<T: Clone>(
        &mut self,
        signal: Signal,
        items: Vec<T>,
        mut run: impl FnMut(&mut Self, usize, Vec<T>),
    ) {
        let places: Vec<usize> = (0..self.pipelines.len())
            .filter(|index| {
                let own = &self.pipelines[*index];
                own.signal == signal && own.from_otlp
            })
            .collect();
        if let Some((last, others)) = places.split_last() {
            for index in others {
                run(self, *index, items.clone());
            }
            run(self, *last, items);
        }
    }

    fn run_spans(
        &mut self,
        index: usize,
        from: usize,
        mut spans: Vec<Span>,
        now: Timestamp,
        flow: &mut Flow,
    ) {
        let pipeline = &mut self.pipelines[index];
        for (id, stage) in &mut pipeline.stages[from..] {
            match stage {
                Stage::Attributes(processor) => processor.process(&mut spans),
                Stage::Probabilistic(sampler) => {
                    let before = spans.len();
                    spans = sampler.sample(spans);
                    let dropped = (before - spans.len()) as u64;
                    if dropped > 0 {
                        let labels = format!("processor=\"{id}\"");
                        self.telemetry
                            .count(&PROCESSOR_DROPPED, Signal::Traces, &labels, dropped);
                    }
                }
                Stage::Tail(sampler) => spans = sampler.observe(spans, now),
            }
        }
        if self.deliver(index, &spans, now) {
            append(&mut flow.spans, spans);
        }
    }

    fn run_records(
        &mut self,
        index: usize,
        mut records: Vec<LogRecord>,
        now: Timestamp,
        flow: &mut Flow,
    ) {
        let pipeline = &mut self.pipelines[index];
        for (_, stage) in &pipeline.stages {
            if let Stage::Attributes(processor) = stage {
                processor.process_records(&mut records);
            }
        }
        if self.deliver(index, &records, now) {
            append(&mut flow.records, records);
        }
    }

    /// Gives items to everything behind a pipeline but the stores; whether these are to have them too.
    fn deliver<T: Item>(&mut self, index: usize, items: &[T], now: Timestamp) -> bool {
        let Pipeline {
            signal,
            batch,
            sinks,
            ..
        } = &mut self.pipelines[index];
        let mut stores = false;
        if items.is_empty() {
            return stores;
        }
        for sink in sinks {
            match sink {
                Sink::Store => stores = true,
                Sink::Nop(id) => {
                    count_dropped(&mut self.telemetry, *signal, id, items.len() as u64)
                }
                Sink::Connector(place) => {
                    T::observe(items, &mut self.connectors[*place].generator, now);
                }
                Sink::Outlet(place, pending) => {
                    let outlet = &self.outlets[*place];
                    pending.fill(items, batch.as_ref(), now, T::encode, |pending| {
                        pending.send(*signal, outlet, &mut self.telemetry);
                    });
                }
            }
        }
        stores
    }

    /// Counts what the stores made of what came through.
    pub(crate) fn count_stored(&mut self, signal: Signal, taken: u64, refused: u64) {
        for (names, count) in [(&SENT, taken), (&SEND_FAILED, refused)] {
            self.telemetry
                .count(names, signal, "exporter=\"stack\"", count);
        }
    }
}

impl Pipeline {
    fn new(
        config: PipelineConfig,
        sinks: Vec<Sink>,
        connectors: &BTreeMap<String, super::components::Connector>,
    ) -> Self {
        let from_otlp = config
            .receivers
            .iter()
            .any(|id| !connectors.contains_key(id));
        let mut own = Self {
            signal: config.signal,
            from_otlp,
            limit: None,
            stages: Vec::new(),
            batch: None,
            sinks,
        };
        for (id, processor) in config.processors {
            let stage = match processor {
                Processor::MemoryLimiter { limit_bytes } => {
                    own.limit = Some((id, limit_bytes));
                    continue;
                }
                Processor::Batch(batch) => {
                    own.batch = Some(batch);
                    continue;
                }
                Processor::Attributes(processor) => Stage::Attributes(processor),
                Processor::ProbabilisticSampler { percentage, salt } => {
                    Stage::Probabilistic(ProbabilisticSampler::new(percentage, salt))
                }
                Processor::TailSampling(config) => Stage::Tail(Box::new(TailSampler::new(*config))),
            };
            own.stages.push((id, stage));
        }
        own
    }
}

/// What pipelines carry one by one.
trait Item: Sized {
    /// The export request that holds them, in protobuf.
    fn encode(items: &[Self]) -> Vec<u8>;

    /// Shows items to the metrics that are made of them.
    fn observe(items: &[Self], generator: &mut Generator, now: Timestamp);
}

impl Item for Span {
    fn encode(items: &[Self]) -> Vec<u8> {
        encode_traces(items)
    }

    fn observe(items: &[Self], generator: &mut Generator, now: Timestamp) {
        generator.observe(items, now);
    }
}

impl Item for LogRecord {
    fn encode(items: &[Self]) -> Vec<u8> {
        encode_logs(items)
    }

    /// No connector makes metrics of log records.
    fn observe(_: &[Self], _: &mut Generator, _: Timestamp) {}
}

/// Counts what a `nop` or `debug` exporter was given.
fn count_dropped(telemetry: &mut Telemetry, signal: Signal, id: &str, items: u64) {
    telemetry.count(&SENT, signal, &format!("exporter=\"{id}\""), items);
}

/// Appends without copying where there was nothing.
fn append<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

fn write_tail(out: &mut String, id: &str, sampler: &TailSampler) {
    for (labels, value) in sampler.metrics() {
        let name = labels.value_of("__name__");
        let _ = write!(out, "{name}{{processor=\"{id}\"");
        for (label, own) in labels.iter().filter(|(label, _)| *label != "__name__") {
            let _ = write!(out, ",{label}={own:?}");
        }
        let _ = writeln!(out, "}} {value}");
    }
}
