//! Scraping 100,000 series a second. The goal: no more CPU than Prometheus, under 1.5 kB a live series.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, ServeOptions, Sim, serve};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::process::{Kind, Server, Setup};
use crate::{compare, fresh_folder};

const TARGETS: usize = 10;
const SERIES_OF_TARGET: usize = 10_000;
const PORT: u16 = 32_191;
/// Series are new in the first scrapes; after them is measured.
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(40);

pub(crate) fn run(sim: &Sim, kinds: &[Kind]) {
    sim.block_on(export(sim.env()));
    let config = fresh_folder("scrape");
    std::fs::write(config.join("prometheus.yml"), prometheus_yml())
        .expect("the bench can write into the target folder");
    let (mut cpu, mut bytes) = (Vec::new(), Vec::new());
    for kind in kinds {
        let data = fresh_folder("scrape-data");
        let setup = Setup {
            config: &config,
            data: Some(&data),
        };
        let server = Server::start(sim, *kind, setup);
        let empty = server.resident_bytes();
        sim.block_on(sim.env().clock().sleep(WARM_UP));
        let before = server.cpu_secs();
        sim.block_on(sim.env().clock().sleep(MEASURED));
        cpu.push((server.cpu_secs() - before) * 1000.0 / MEASURED.as_secs_f64());
        bytes.push((server.resident_bytes() - empty) / (TARGETS * SERIES_OF_TARGET) as f64);
        assert_scraped(sim, &server);
    }
    compare(
        "CPU for each second of 100,000 series, written to disk",
        "ms",
        &cpu,
    );
    compare("memory for each live series", "B", &bytes);
}

/// Nothing was left out.
fn assert_scraped(sim: &Sim, server: &Server) {
    for (query, least) in [
        ("sum(scrape_samples_scraped)", TARGETS * SERIES_OF_TARGET),
        ("sum(count_over_time(up%5B30s%5D))", TARGETS * 28),
    ] {
        let answer = server.get(sim, &format!("/api/v1/query?query={query}"));
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.expect("the query is answered")).expect("JSON");
        let found = answer["data"]["result"][0]["value"][1].as_str();
        let found: f64 = found.and_then(|text| text.parse().ok()).unwrap_or(0.0);
        assert!(found >= least as f64, "{query}: {found}, not {least}");
    }
}

fn prometheus_yml() -> String {
    let jobs: Vec<String> = (0..TARGETS)
        .map(|target| {
            format!(
                "  - job_name: service-{target}\n    metrics_path: /{target}\n    static_configs: [{{targets: ['127.0.0.1:{PORT}']}}]\n"
            )
        })
        .collect();
    let head = "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n";
    head.to_owned() + &jobs.concat()
}

/// The lines of one target, without their values.
fn names(target: usize) -> Vec<String> {
    let families = SERIES_OF_TARGET / 100;
    (0..families)
        .flat_map(|family| {
            (0..100).map(move |index| {
                let head = if index == 0 {
                    format!(
                        "# HELP http_requests_{family}_total Requests that were answered.\n# TYPE http_requests_{family}_total counter\n"
                    )
                } else {
                    String::new()
                };
                let method = ["GET", "POST"][index % 2];
                let code = ["200", "201", "404", "500", "503"][index / 2 % 5];
                format!(
                    "{head}http_requests_{family}_total{{code=\"{code}\",method=\"{method}\",path=\"/api/v1/orders/{}\",zone=\"eu-{target}\"}} ",
                    index / 10
                )
            })
        })
        .collect()
}

/// Serves the targets, whose counters grow with each scrape.
async fn export(env: &Env) {
    let targets: Arc<Vec<Vec<String>>> = Arc::new((0..TARGETS).map(names).collect());
    let host = env.on("exporter");
    let address = Address::new("127.0.0.1", PORT);
    let listener = host.listen(&address).await.expect("the port is free");
    let epoch = env.now();
    let clock = env.clock().clone();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let target: usize = request.uri().path()[1..].parse().unwrap_or(0);
        let second = clock.now().since(epoch).as_secs() as usize;
        let mut body = String::with_capacity(SERIES_OF_TARGET * 110);
        for (index, line) in targets[target].iter().enumerate() {
            body.push_str(line);
            // Some stand still, the others grow at their own speed.
            let value = (index + second) * (index % 7);
            body.push_str(&value.to_string());
            body.push('\n');
        }
        let answer = Response::builder()
            .header("content-type", "text/plain; version=0.0.4")
            .body(Full::new(Bytes::from(body)));
        std::future::ready(Ok::<_, Infallible>(answer.expect("a valid answer")))
    });
    serve(&host, listener, service, ServeOptions::default());
}
