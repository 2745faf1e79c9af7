//! What reads metrics, rules and their configuration: each function takes any bytes and may not panic.
//!
//! The fuzz targets of cargo-fuzz call these, and so does the test `fuzz` of gameday-server, which needs no nightly compiler.

use gameday_disk::{Encoder, Files as _, MemoryFiles, frame};
use gameday_metrics::{Engine, EngineConfig, ParseOptions, Store, StoreConfig, parse_with};
use gameday_query::ParseError;
use gameday_rules::{ExprChecker, Options, Rules, SourceFile};
use gameday_server::config::PrometheusConfig;
use gameday_signal::{Labels, Timestamp, stale_nan};
use gameday_template::{Escaping, PrometheusFunctions, TemplateSet, Value};
use gameday_wire::exposition::{Entry, Format, ParseOptions as ExpositionOptions, parse};
use gameday_wire::remote_write::{Version, decode_remote_write};

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// An expression: read, written back, read again, evaluated.
pub(crate) fn promql(data: &[u8]) {
    let source = text(data);
    let Ok(expr) = parse_with(source, ParseOptions { experimental: true }) else {
        return;
    };
    let written = expr.to_string();
    let again = parse_with(&written, ParseOptions { experimental: true });
    let again = again.unwrap_or_else(|error| panic!("{source:?} -> {written:?}: {error}"));
    assert_eq!(written, again.to_string());
    let mut store = Store::new(StoreConfig::default());
    for step in 0..40 {
        for (index, name) in ["a", "b", "x_bucket"].into_iter().enumerate() {
            let labels = Labels::new([("__name__", name), ("le", "1"), ("job", "j")]);
            let value = if step == 20 {
                stale_nan()
            } else {
                f64::from(step * index as i32 % 7)
            };
            let _ = store.append(&labels, i64::from(step) * 15_000, value);
        }
    }
    let engine = Engine::new(EngineConfig {
        max_samples: 20_000,
        max_visited_samples: 200_000,
        experimental: true,
        ..EngineConfig::default()
    });
    let _ = engine.instant_expr(&store, &expr, 500_000);
    let _ = engine.range(&store, source, 0, 600_000, 60_000);
}

fn exposition(data: &[u8], format: Format) {
    for native_histograms in [false, true] {
        let options = ExpositionOptions {
            native_histograms,
            always_classic: native_histograms,
        };
        let _ = parse(data, format, options, &mut |entry| {
            if let Entry::Sample(sample) = entry {
                let _ = (sample.series.labels(), sample.series.empty_names());
            }
        });
    }
}

/// An answer in text 0.0.4.
pub(crate) fn text_exposition(data: &[u8]) {
    exposition(data, Format::Text);
}

/// An answer in OpenMetrics.
pub(crate) fn open_metrics(data: &[u8]) {
    exposition(data, Format::OpenMetrics);
}

/// An answer in protobuf.
pub(crate) fn protobuf_exposition(data: &[u8]) {
    exposition(data, Format::Protobuf);
}

/// A remote write of both versions, as it is and as the content of a request, into a store.
pub(crate) fn remote_write(data: &[u8]) {
    let packed = gameday_wire::snappy_encode(data);
    for version in [Version::V1, Version::V2] {
        let _ = decode_remote_write(data, version, 1 << 20);
        let Ok(batch) = decode_remote_write(&packed, version, 1 << 20) else {
            continue;
        };
        let mut store = Store::new(StoreConfig::default());
        for series in batch.series {
            for sample in series.samples {
                let _ = store.append(&series.labels, sample.timestamp_ms, sample.value);
            }
            for (at_ms, histogram) in series.histograms {
                let _ = store.append_histogram(&series.labels, at_ms, histogram);
            }
            for exemplar in series.exemplars {
                store.append_exemplar(&series.labels, 0, exemplar);
            }
        }
        let engine = Engine::default();
        for query in [
            "histogram_quantile(0.5, {__name__=~\".+\"})",
            "rate({__name__=~\".+\"}[1h])",
            "sum({__name__=~\".+\"})",
        ] {
            let _ = engine.instant(&store, query, 1_000_000);
        }
    }
}

struct Checker;

impl ExprChecker for Checker {
    fn check(&self, _: gameday_rules::Language, expr: &str) -> Result<String, ParseError> {
        gameday_metrics::parse(expr).map(|expr| expr.to_string())
    }
}

/// A rule file.
pub(crate) fn rule_file(data: &[u8]) {
    let file = SourceFile {
        path: "rules.yml",
        language: gameday_rules::Language::PromQl,
        text: text(data),
    };
    let _ = Rules::load(&[file], &Checker, Options::default(), Timestamp::EPOCH);
}

/// prometheus.yml.
pub(crate) fn prometheus_yml(data: &[u8]) {
    if let Ok(mut config) = PrometheusConfig::parse("prometheus.yml", text(data)) {
        config.expand_external_labels(&|name| Some(name.to_owned()));
        config.scale_durations(60.0);
    }
}

/// alertmanager.yml.
pub(crate) fn alertmanager_yml(data: &[u8]) {
    let _ = gameday_alerts::Config::load("alertmanager.yml", text(data));
}

/// A template of a rule, run on data.
pub(crate) fn template(data: &[u8]) {
    let functions = PrometheusFunctions {
        now: Timestamp::from_secs(1_700_000_000),
        external_url: "http://prometheus:9090",
        query: &|_, _| Ok(Vec::new()),
        consoles: true,
    };
    let set = TemplateSet::new();
    for escaping in [Escaping::None, Escaping::Html] {
        let value = Value::from("a <b> & 1.5");
        let _ = set.render_text(text(data), &value, &functions, escaping);
    }
}

/// A log, a block or heads: once as the file, once as a record of a file whose header and checksums are right.
pub(crate) fn log_record(data: &[u8]) {
    for name in ["00000001.wal", "00000001.block", "00000001.heads"] {
        let mut framed = Encoder::default();
        if !name.ends_with("wal") {
            // The format, and how new the content is.
            frame::put(&mut framed, |out| out.0.extend([1, 0]));
        }
        frame::put(&mut framed, |out| out.0.extend_from_slice(data));
        for bytes in [data, framed.0.as_slice()] {
            let mut files = MemoryFiles::default();
            if name.ends_with("block") {
                // A block without its heads is one whose checkpoint was never finished.
                let _ = files.write("00000001.heads", b"");
            }
            let _ = files.write(name, bytes);
            let opened = Store::open(StoreConfig::default(), Box::new(files));
            let (mut store, _) = opened.expect("memory can be read");
            let _ = Engine::default().instant(&store, "{__name__=~\".+\"}", 1_000_000);
            store.checkpoint().expect("memory can be written");
        }
    }
}
