//! `gameday stack up --data DIR` as a process that is killed: what it acknowledged is there again, and what a damaged log has lost is
//! told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Child, Env, HttpClient, Mode, Sim, SimConfig};
use gameday_signal::{Exemplar, Histogram, Labels, Sample};
use gameday_wire::remote_write::{Version, WriteSeries, encode_remote_write};
use http::Request;

/// How long an answer may take on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const SERIES: i64 = 20;

/// A running stack.
struct Stack {
    child: Child,
    base: String,
    /// What it said before it was ready.
    said: Vec<String>,
}

impl Stack {
    /// Starts it on ports of its own, below those that the system gives to clients; others may have taken some, so it is tried again
    /// with other ones.
    async fn start(folder: &Path) -> Self {
        let first = std::process::id() % 20_000;
        // Of every attempt: one that finds no free port has already repaired the log, and told so.
        let mut said = Vec::new();
        for attempt in 0..20_u32 {
            let offset = 1_000 + (first + attempt * 997) % 20_000;
            let arguments = [
                "stack",
                "up",
                "--config",
                folder.join("config").to_str().unwrap(),
                "--data",
                folder.join("data").to_str().unwrap(),
                "--port-offset",
                &offset.to_string(),
            ]
            .map(str::to_owned);
            let program = Path::new(env!("CARGO_BIN_EXE_gameday"));
            let mut child = Child::start(program, &arguments).unwrap();
            while let Ok(line) = child.next_line().await {
                let ready = line.starts_with("Pushgateway");
                said.push(line);
                if ready {
                    let base = format!("http://127.0.0.1:{}", 9090 + offset);
                    return Self { child, base, said };
                }
            }
        }
        panic!("no ports are free");
    }

    /// The status and the body of an answer; none where the connection breaks.
    async fn ask(&self, client: &HttpClient, request: Request<Bytes>) -> Option<(u16, String)> {
        let answer = client.send(request, ANSWER_MAX).await.ok()?;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        Some((answer.status().as_u16(), body))
    }

    async fn query(&self, client: &HttpClient, query: &str) -> serde_json::Value {
        let request = Request::get(format!("{}/api/v1/{query}", self.base))
            .body(Bytes::new())
            .unwrap();
        let (status, body) = self.ask(client, request).await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["data"].clone()
    }

    async fn write(&self, client: &HttpClient, series: &[WriteSeries]) -> Option<(u16, String)> {
        let body = encode_remote_write(series, &BTreeMap::new(), Version::V1);
        let request = Request::post(format!("{}/api/v1/write", self.base))
            .header("content-type", Version::V1.content_type())
            .header("content-encoding", "snappy")
            .body(Bytes::from(body))
            .unwrap();
        self.ask(client, request).await
    }

    /// The times in seconds of all samples of `x`.
    async fn times(&self, client: &HttpClient) -> BTreeMap<String, BTreeSet<i64>> {
        let data = self.query(client, "query?query=x%5B1d%5D&time=20000").await;
        let mut found = BTreeMap::new();
        for series in data["result"].as_array().unwrap() {
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
        timestamp: Some(gameday_signal::Timestamp::from_millis(second * 1000)),
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

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("crash")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/prometheus.yml"), "scrape_configs: []\n").unwrap();
    folder
}

fn in_real_time<F: Future>(run: impl FnOnce(Env, HttpClient) -> F) -> F::Output {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::MAX,
    })
    .unwrap();
    let env = sim.env().clone();
    let client = env.http_client();
    sim.block_on(run(env, client))
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = folder("killed");
    in_real_time(|env, client| async move {
        let mut acknowledged = BTreeSet::new();
        let mut second = 0;
        for round in 0..4 {
            let mut stack = Stack::start(&folder).await;
            let found = stack.times(&client).await;
            for index in 0..SERIES {
                let own = found.get(&index.to_string()).cloned().unwrap_or_default();
                let lost: Vec<&i64> = acknowledged.difference(&own).collect();
                assert!(lost.is_empty(), "round {round}, series {index}: {lost:?}");
            }
            for _ in 0..10 + 5 * round {
                second += 1;
                let answer = stack.write(&client, &batch(second)).await;
                assert_eq!(answer, Some((204, String::new())));
                acknowledged.insert(second);
            }
            // The kill falls into a write, a little later in each round; nobody knows what becomes of that one.
            second += 1;
            let limit = Duration::from_millis(round);
            let series = batch(second);
            let last = stack.write(&client, &series);
            if let Ok(Some((204, _))) = env.clock().timeout(limit, last).await {
                acknowledged.insert(second);
            }
            stack.child.kill().await;
        }
        let mut stack = Stack::start(&folder).await;
        let last = *acknowledged.last().unwrap();
        let histogram = stack
            .query(
                &client,
                &format!("query?query=histogram_count(h)&time={last}"),
            )
            .await;
        assert_eq!(histogram["result"][0]["value"][1], last.to_string());
        let exemplars = stack
            .query(&client, "query_exemplars?query=x&start=0&end=20000")
            .await;
        let kept = exemplars[0]["exemplars"].as_array().unwrap();
        let newest = kept.last().unwrap()["labels"]["trace_id"].as_str().unwrap();
        assert!(newest.parse::<i64>().unwrap() >= last, "{exemplars}");
        stack.child.kill().await;
    });
}

#[test]
fn a_damaged_log_is_cut_and_told_at_the_start() {
    let folder = folder("damaged");
    in_real_time(|_, client| async move {
        let mut stack = Stack::start(&folder).await;
        for second in 1..=10 {
            let answer = stack.write(&client, &batch(second)).await;
            assert_eq!(answer.unwrap().0, 204);
        }
        stack.child.kill().await;
        let log = folder.join("data/metrics/00000001.wal");
        let mut bytes = std::fs::read(&log).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&log, &bytes).unwrap();
        let mut stack = Stack::start(&folder).await;
        let told = stack.said.join("\n");
        assert!(told.contains("00000001.wal:"), "{told}");
        assert!(told.contains("bytes dropped"), "{told}");
        let found = stack.times(&client).await;
        assert_eq!(found["0"], (1..=9).collect());
        // What does not fit is refused, said and counted; what fits is taken.
        for (second, message) in [(5, "out of order sample"), (11, "")] {
            let mut series = batch(second);
            series.truncate(1);
            series[0].samples[0].value = second as f64 + 0.5 * f64::from(u8::from(second == 5));
            let (status, body) = stack.write(&client, &series).await.unwrap();
            assert_eq!(status, if message.is_empty() { 204 } else { 400 });
            assert!(body.contains(message), "{body}");
        }
        let metrics = Request::get(format!("{}/metrics", stack.base))
            .body(Bytes::new())
            .unwrap();
        let (_, metrics) = stack.ask(&client, metrics).await.unwrap();
        assert!(
            metrics.contains("prometheus_tsdb_out_of_order_samples_total 1"),
            "{metrics}"
        );
        stack.child.kill().await;
    });
}
