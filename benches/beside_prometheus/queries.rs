//! Queries over HTTP. The goal: at most half of Prometheus' time.

use gameday_env::{Sim, Stopwatch};
use gameday_signal::Labels;
use serde_json::Value;

use crate::process::{Kind, Server, Setup};
use crate::{compare, data, fresh_folder, median};

/// History before the hour that is asked for, so that its first window is full.
const LEAD_SECS: i64 = 600;
const HOUR_SECS: i64 = 3600;
/// Answers that are timed, after one that is not.
const ROUNDS: usize = 15;

/// The sizes in series, with the names that the metrics of that size have.
const SIZES: [(usize, &str); 2] = [(1_000, "x1k"), (10_000, "x10k")];

pub(crate) fn run(sim: &Sim, kinds: &[Kind]) {
    let config = fresh_folder("queries");
    std::fs::write(config.join("prometheus.yml"), "scrape_configs: []\n")
        .expect("the bench can write into the target folder");
    let setup = Setup {
        config: &config,
        data: None,
    };
    let servers: Vec<Server> = kinds
        .iter()
        .map(|kind| Server::start(sim, *kind, setup))
        .collect();
    let steps = (LEAD_SECS + HOUR_SECS) / data::INTERVAL_SECS;
    let end = sim.env().now().as_millis() / 1000;
    let start = end - LEAD_SECS - HOUR_SECS;
    // All in one go: Prometheus takes no samples that are much older than its newest.
    let series: Vec<Labels> = SIZES
        .into_iter()
        .flat_map(|(count, name)| {
            let buckets = data::buckets(&format!("{name}_bucket"), count);
            data::counters(name, count).into_iter().chain(buckets)
        })
        .collect();
    let all: Vec<&Server> = servers.iter().collect();
    data::write(sim, &all, &series, start * 1000, steps);
    for (count, name) in SIZES {
        for query in [
            format!("sum by (l) (rate({name}[5m]))"),
            format!("histogram_quantile(0.95, sum by (le) (rate({name}_bucket[5m])))"),
        ] {
            let encoded: String = form_urlencoded(&query);
            // Between two samples: where one lies on the edge of a window, Prometheus 2 counts it and Prometheus 3 does not.
            let at = end - data::INTERVAL_SECS / 2;
            let instant = format!("/api/v1/query?query={encoded}&time={at}");
            let range = format!(
                "/api/v1/query_range?query={encoded}&start={}&end={at}&step=15",
                at - HOUR_SECS
            );
            check_equal(sim, &servers, &instant);
            check_equal(sim, &servers, &range);
            time(
                sim,
                &servers,
                &format!("{count} series, instant {query}"),
                &instant,
            );
            time(
                sim,
                &servers,
                &format!("{count} series, 1 h at 15 s"),
                &range,
            );
        }
    }
}

/// Both must find the same: a fast wrong answer is none. The last digits may differ, as floats are added in another order.
fn check_equal(sim: &Sim, servers: &[Server], path: &str) {
    let mut answers = servers.iter().map(|server| {
        let body = server.get(sim, path).expect("the query is answered");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let mut numbers = Vec::new();
        collect(&answer["data"]["result"], &mut numbers);
        assert!(!numbers.is_empty(), "{path} finds nothing");
        numbers.sort_by(f64::total_cmp);
        numbers
    });
    let Some(first) = answers.next() else { return };
    for other in answers {
        let equal = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        assert!(
            first.len() == other.len() && first.iter().zip(&other).all(equal),
            "{path}: the answers differ"
        );
    }
}

/// All values of a result, which are texts.
fn collect(value: &Value, out: &mut Vec<f64>) {
    match value {
        Value::Array(list) => match list.as_slice() {
            [Value::Number(_), Value::String(text)] => out.extend(text.parse::<f64>()),
            _ => list.iter().for_each(|one| collect(one, out)),
        },
        Value::Object(map) => {
            for name in ["value", "values"] {
                if let Some(one) = map.get(name) {
                    collect(one, out);
                }
            }
        }
        _ => {}
    }
}

/// Asks all in turn, so that what disturbs one disturbs the other.
fn time(sim: &Sim, servers: &[Server], what: &str, path: &str) {
    let mut elapsed = vec![Vec::new(); servers.len()];
    let cpu_before: Vec<f64> = servers.iter().map(Server::cpu_secs).collect();
    for _ in 0..ROUNDS {
        for (server, elapsed) in servers.iter().zip(&mut elapsed) {
            let watch = Stopwatch::start();
            let answer = server.get(sim, path);
            elapsed.push(watch.elapsed().as_secs_f64() * 1000.0);
            assert!(answer.is_some(), "{path} is not answered");
        }
    }
    let cpu: Vec<f64> = servers
        .iter()
        .zip(cpu_before)
        .map(|(server, before)| (server.cpu_secs() - before) * 1000.0 / ROUNDS as f64)
        .collect();
    let medians: Vec<f64> = elapsed.into_iter().map(median).collect();
    compare(what, "ms", &medians);
    compare("    of CPU", "ms", &cpu);
}

/// A query as a parameter of an address.
fn form_urlencoded(query: &str) -> String {
    query
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
