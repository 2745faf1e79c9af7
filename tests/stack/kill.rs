//! What was acknowledged is there again after the process was killed, what a damaged log has lost is told, and nobody opens the files
//! of a running stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gameday::verify::encode;
use gameday_env::Env;
use gameday_signal::{Exemplar, Histogram, Labels, Sample, Timestamp};
use gameday_wire::remote_write::{Version, WriteSeries, encode_remote_write};
use http::Request;

use crate::up::{LOKI, OTLP_HTTP, PROMETHEUS, TEMPO, Up, folder, in_real_time, next_line, spawn};

const SERIES: i64 = 20;

/// The folder of a stack that scrapes nothing.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = folder(name);
        std::fs::create_dir_all(folder.join("config")).unwrap();
        std::fs::write(folder.join("config/prometheus.yml"), "scrape_configs: []\n").unwrap();
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The options of a stack on this folder.
    fn options(&self) -> [String; 4] {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        [
            "--config".to_owned(),
            path(&self.0.join("config")),
            "--data".to_owned(),
            path(&self.data()),
        ]
    }

    async fn start(&self, env: &Env) -> Up {
        let options = self.options();
        Up::start(env, &options.each_ref().map(String::as_str)).await
    }
}

async fn write(up: &Up, series: &[WriteSeries]) -> Option<(u16, String)> {
    let body = encode_remote_write(series, &BTreeMap::new(), Version::V1);
    let request = Request::post(up.url(PROMETHEUS, "/api/v1/write"))
        .header("content-type", Version::V1.content_type())
        .header("content-encoding", "snappy")
        .body(Bytes::from(body))
        .unwrap();
    up.ask(request).await
}

/// The times in seconds of all samples of `x`.
async fn times(up: &Up) -> BTreeMap<String, BTreeSet<i64>> {
    let mut found = BTreeMap::new();
    for series in up.promql("x[1d]", Some(20_000)).await.as_array().unwrap() {
        let times = series["values"].as_array().unwrap().iter().map(|pair| {
            // Each sample says its own time, so that a mixed-up value is seen.
            let time = pair[0].as_f64().unwrap() as i64;
            assert_eq!(pair[1].as_str().unwrap(), time.to_string());
            time
        });
        let name = series["metric"]["i"].as_str().unwrap().to_owned();
        found.insert(name, times.collect());
    }
    found
}

/// One sample of each series at a time, a histogram and an exemplar.
fn batch(second: i64) -> Vec<WriteSeries> {
    let mut series: Vec<WriteSeries> = (0..SERIES)
        .map(|index| WriteSeries {
            labels: Labels::new([("__name__", "x".to_owned()), ("i", index.to_string())]),
            samples: vec![Sample {
                timestamp_ms: second * 1000,
                value: second as f64,
            }],
            ..WriteSeries::default()
        })
        .collect();
    series[0].exemplars = vec![Exemplar {
        labels: Labels::new([("trace_id", second.to_string())]),
        value: 1.0,
        timestamp: Some(Timestamp::from_millis(second * 1000)),
    }];
    series.push(WriteSeries {
        labels: Labels::new([("__name__", "h")]),
        histograms: vec![(
            second * 1000,
            Histogram {
                count: second as f64,
                zero_count: second as f64,
                ..Histogram::default()
            },
        )],
        ..WriteSeries::default()
    });
    series
}

#[test]
fn acknowledged_samples_survive_a_kill() {
    let files = Files::new("samples");
    in_real_time(|env| async move {
        let mut acknowledged = BTreeSet::new();
        let mut second = 0;
        for round in 0..4 {
            let mut up = files.start(&env).await;
            let found = times(&up).await;
            for index in 0..SERIES {
                let own = found.get(&index.to_string()).cloned().unwrap_or_default();
                let lost: Vec<&i64> = acknowledged.difference(&own).collect();
                assert!(lost.is_empty(), "round {round}, series {index}: {lost:?}");
            }
            for _ in 0..10 + 5 * round {
                second += 1;
                let answer = write(&up, &batch(second)).await;
                assert_eq!(answer, Some((204, String::new())));
                acknowledged.insert(second);
            }
            // The kill falls into a write, a little later in each round; nobody knows what becomes of that one.
            second += 1;
            let limit = Duration::from_millis(round);
            let series = batch(second);
            let last = write(&up, &series);
            if let Ok(Some((204, _))) = env.clock().timeout(limit, last).await {
                acknowledged.insert(second);
            }
            up.child.kill().await;
        }
        let mut up = files.start(&env).await;
        let last = *acknowledged.last().unwrap();
        let histogram = up.promql("histogram_count(h)", Some(last)).await;
        assert_eq!(histogram[0]["value"][1], last.to_string());
        let path = "/api/v1/query_exemplars?query=x&start=0&end=20000";
        let exemplars = up.get(PROMETHEUS, path).await["data"].take();
        let kept = exemplars[0]["exemplars"].as_array().unwrap();
        let newest = kept.last().unwrap()["labels"]["trace_id"].as_str().unwrap();
        assert!(newest.parse::<i64>().unwrap() >= last, "{exemplars}");
        up.child.kill().await;
    });
}

#[test]
fn acknowledged_log_lines_survive_a_kill() {
    let files = Files::new("lines");
    in_real_time(|env| async move {
        let mut up = files.start(&env).await;
        // A minute ago: a query ends now, and the lines are faster in than the times that they bear.
        let since = env.now().as_nanos() - 60_000_000_000;
        let mut acknowledged = Vec::new();
        for batch in 0..20 {
            let lines: Vec<String> = (0..50)
                .map(|line| format!("line {batch}-{line} {}", "x".repeat(line * 7)))
                .collect();
            let values: Vec<(String, &String)> = (since + batch * 1_000_000..)
                .zip(&lines)
                .map(|(time, line)| (time.to_string(), line))
                .collect();
            let body =
                serde_json::json!({"streams": [{"stream": {"app": "killed"}, "values": values}]});
            let path = "/loki/api/v1/push";
            assert_eq!(
                up.post(LOKI, path, body.to_string()).await,
                (204, String::new())
            );
            acknowledged.extend(lines);
        }
        up.child.kill().await;
        let mut up = files.start(&env).await;
        let query = encode("{app=\"killed\"}");
        let path = format!("/loki/api/v1/query_range?query={query}&limit=5000&since=1h");
        let found = up.text(LOKI, &path).await;
        for line in &acknowledged {
            assert!(found.contains(&format!("\"{line}\"")), "{line:?} is lost");
        }
        up.child.kill().await;
    });
}

/// Spans that come after the kill join their trace.
#[test]
fn acknowledged_spans_survive_a_kill() {
    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    let files = Files::new("spans");
    in_real_time(|env| async move {
        let mut up = files.start(&env).await;
        let nanos = env.now().as_nanos();
        let span = |id: u64, parent: u64| {
            serde_json::json!({"resourceSpans": [{
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "kept"}}]},
                "scopeSpans": [{"spans": [{
                    "traceId": ID,
                    "spanId": format!("{id:016x}"),
                    "parentSpanId": format!("{parent:016x}"),
                    "name": format!("span {id}"),
                    "startTimeUnixNano": nanos.to_string(),
                    "endTimeUnixNano": (nanos + 5_000_000).to_string(),
                }]}],
            }]})
            .to_string()
        };
        for id in 1..=50 {
            let (status, said) = up.post(OTLP_HTTP, "/v1/traces", span(id, id - 1)).await;
            assert_eq!(status, 200, "{said}");
        }
        up.child.kill().await;
        let mut up = files.start(&env).await;
        up.post(OTLP_HTTP, "/v1/traces", span(51, 50)).await;
        let trace = up.text(TEMPO, &format!("/api/traces/{ID}")).await;
        assert_eq!(trace.matches("\"spanId\"").count(), 51, "{trace}");
        let query = encode("{ resource.service.name = \"kept\" && name = \"span 50\" }");
        let found = up.get(TEMPO, &format!("/api/search?q={query}")).await;
        assert_eq!(found["traces"].as_array().map(Vec::len), Some(1), "{found}");
        up.child.kill().await;
    });
}

#[test]
fn a_damaged_log_is_cut_and_told_at_the_start() {
    let files = Files::new("damaged");
    in_real_time(|env| async move {
        let mut up = files.start(&env).await;
        for second in 1..=10 {
            let answer = write(&up, &batch(second)).await;
            assert_eq!(answer.unwrap().0, 204);
        }
        up.child.kill().await;
        let log = files.data().join("metrics/00000001.wal");
        let mut bytes = std::fs::read(&log).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&log, &bytes).unwrap();
        let mut up = files.start(&env).await;
        let told = up.said.join("\n");
        assert!(told.contains("00000001.wal:"), "{told}");
        assert!(told.contains("bytes dropped"), "{told}");
        assert_eq!(times(&up).await["0"], (1..=9).collect());
        // What does not fit is refused, said and counted; what fits is taken.
        for (second, message) in [(5, "out of order sample"), (11, "")] {
            let mut series = batch(second);
            series.truncate(1);
            series[0].samples[0].value = second as f64 + 0.5 * f64::from(u8::from(second == 5));
            let (status, body) = write(&up, &series).await.unwrap();
            assert_eq!(status, if message.is_empty() { 204 } else { 400 });
            assert!(body.contains(message), "{body}");
        }
        let metrics = up.text(PROMETHEUS, "/metrics").await;
        let counted = "prometheus_tsdb_out_of_order_samples_total 1";
        assert!(metrics.contains(counted), "{metrics}");
        up.child.kill().await;
    });
}

/// Two stacks on one folder would each take the other's files for damaged ones.
#[test]
fn a_second_stack_leaves_the_files_of_the_first_alone() {
    let files = Files::new("shared");
    in_real_time(|env| async move {
        let mut up = files.start(&env).await;
        assert_eq!(write(&up, &batch(1)).await.unwrap().0, 204);
        let options = files.options();
        let mut arguments = vec!["stack", "up", "--port-offset", "20500"];
        arguments.extend(options.iter().map(String::as_str));
        let mut second = spawn(&arguments);
        let mut said = Vec::new();
        while let Some(line) = next_line(&env, &mut second).await {
            said.push(line);
        }
        assert_eq!(said, [""; 0], "it starts");
        assert_eq!(write(&up, &batch(2)).await.unwrap().0, 204);
        assert_eq!(times(&up).await["0"], [1, 2].into());
        up.child.kill().await;
        let mut up = files.start(&env).await;
        assert_eq!(times(&up).await["0"], [1, 2].into());
        up.child.kill().await;
    });
}
