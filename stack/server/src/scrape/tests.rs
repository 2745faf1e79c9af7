use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Mode, ServeOptions, Sim, SimConfig, serve};
use gameday_metrics::{Engine, EngineConfig, Store, StoreConfig};
use gameday_signal::Timestamp;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::Notify;

use super::*;
use crate::config::PrometheusConfig;

const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A scraper with a store, which is told each answer.
struct Bench {
    scraper: Scraper,
    store: Store,
    now: Timestamp,
    files: TargetFiles,
}

fn config(text: &str) -> PrometheusConfig {
    PrometheusConfig::parse("prometheus.yml", text).expect("a valid configuration")
}

/// One job `a` with a target `h:1` and an interval of 15 s, with further keys.
fn one_job(more: &str) -> String {
    format!(
        "scrape_configs: [{{job_name: a, scrape_interval: 15s, static_configs: [{{targets: ['h:1']}}]{more}}}]"
    )
}

impl Bench {
    fn new(text: &str) -> Self {
        let options = ScraperOptions { spread: false };
        Self {
            scraper: Scraper::new(&config(text), options, EPOCH),
            store: Store::new(StoreConfig::default()),
            now: EPOCH,
            files: TargetFiles::new(),
        }
    }

    fn due(&mut self) -> Vec<ScrapeJob> {
        let files = self.files.clone();
        self.scraper
            .due(self.now, &mut self.store, &mut |_| files.clone())
    }

    /// Goes to the next deadline and answers all that is due with `body`.
    fn round(&mut self, answer: &Result<&str, &str>) -> Vec<ScrapeJob> {
        self.now = self.scraper.next_deadline().expect("something to do");
        let jobs = self.due();
        for job in &jobs {
            let fetched = answer
                .map(|body| Fetched {
                    content_type: Some("text/plain; version=0.0.4".to_owned()),
                    body: Bytes::copy_from_slice(body.as_bytes()),
                })
                .map_err(str::to_owned);
            self.scraper.finish(job, fetched, self.now, &mut self.store);
        }
        jobs
    }

    /// The instant vector of a query, one line a series.
    fn query(&self, query: &str) -> Vec<String> {
        Engine::new(EngineConfig::default())
            .instant(&self.store, query, self.now.as_millis())
            .expect("a valid query")
            .value
            .into_vector()
            .expect("a vector")
            .into_iter()
            .map(|sample| {
                let value = sample.value.as_float().expect("a float");
                format!("{} {value}", sample.labels.without("instance"))
            })
            .collect()
    }

    fn last_error(&self) -> String {
        self.scraper.active_targets()[0].last_error.clone()
    }
}

#[test]
fn takes_samples_and_tells_about_the_scrape() {
    let mut bench = Bench::new(&one_job(""));
    let jobs = bench.round(&Ok(
        "# TYPE x counter\n# HELP x Help.\nx{b=\"1\"} 3\nx{b=\"2\"} 4\n",
    ));
    assert_eq!(jobs[0].url, "http://h:1/metrics");
    assert_eq!(
        jobs[0].scheduled,
        EPOCH + Duration::from_secs(10),
        "aligned to the interval"
    );
    assert_eq!(
        bench.query("x"),
        [
            r#"{__name__="x", b="1", job="a"} 3"#,
            r#"{__name__="x", b="2", job="a"} 4"#
        ]
    );
    for (name, value) in [
        ("up", 1),
        ("scrape_samples_scraped", 2),
        ("scrape_samples_post_metric_relabeling", 2),
        ("scrape_series_added", 2),
        ("scrape_duration_seconds", 0),
    ] {
        assert_eq!(
            bench.query(name),
            [format!("{{__name__=\"{name}\", job=\"a\"}} {value}")]
        );
    }
    bench.round(&Ok("x{b=\"1\"} 3\nx{b=\"3\"} 4\n"));
    assert_eq!(
        bench.query("scrape_series_added"),
        [r#"{__name__="scrape_series_added", job="a"} 1"#]
    );
    assert_eq!(
        bench.query("x"),
        [
            r#"{__name__="x", b="1", job="a"} 3"#,
            r#"{__name__="x", b="3", job="a"} 4"#
        ],
        "a lost series ends at once"
    );
    let target = &bench.scraper.active_targets()[0];
    assert_eq!(
        (target.health, target.scrape_pool.as_str()),
        (Health::Up, "a")
    );
    assert_eq!(target.discovered_labels.value_of("__address__"), "h:1");
}

#[test]
fn metadata_is_kept() {
    let mut bench = Bench::new(&one_job(""));
    bench.round(&Ok("# TYPE x counter\n# HELP x Help.\nx 3\n"));
    let metadata = bench.scraper.metadata();
    assert_eq!(
        (
            metadata["x"][0].kind.as_str(),
            metadata["x"][0].help.as_str()
        ),
        ("counter", "Help.")
    );
}

#[test]
fn failures_end_all_series_and_are_told() {
    for (answer, expected) in [
        (Err("connection refused"), "connection refused"),
        (Ok("x 1\nx y\n"), "2:3: expected a value, found \"y\""),
    ] {
        let mut bench = Bench::new(&one_job(""));
        bench.round(&Ok("x 1\n"));
        bench.round(&answer);
        assert_eq!(bench.query("x"), [""; 0], "{expected}");
        assert_eq!(bench.query("up"), [r#"{__name__="up", job="a"} 0"#]);
        assert_eq!(bench.last_error(), expected);
        bench.round(&Ok("x 2\n"));
        assert_eq!(bench.query("x"), [r#"{__name__="x", job="a"} 2"#]);
        assert_eq!(bench.query("up"), [r#"{__name__="up", job="a"} 1"#]);
    }
}

#[test]
fn limits_fail_the_whole_scrape() {
    for (more, body, expected) in [
        (
            ", sample_limit: 2",
            "x 1\ny 1\nz 1\n",
            "sample limit exceeded",
        ),
        (
            ", label_limit: 3",
            "x{b=\"1\"} 1\n",
            "label_limit exceeded (metric: x, number of labels: 4, limit: 3)",
        ),
        (
            ", label_name_length_limit: 8",
            "x{too_long_name=\"1\"} 1\n",
            "label_name_length_limit exceeded (metric: x, label name: too_long_name, length: 13, limit: 8)",
        ),
        (
            ", label_value_length_limit: 3",
            "x{b=\"1234\"} 1\n",
            "label_value_length_limit exceeded (metric: x, label name: b, value: \"1234\", length: 4, limit: 3)",
        ),
        (
            ", target_limit: 1, file_sd_configs: [{files: [t.yml]}]",
            "x 1\n",
            "target_limit exceeded (number of targets: 2, limit: 1)",
        ),
    ] {
        let mut bench = Bench::new(&one_job(more));
        bench
            .files
            .insert("t.yml".to_owned(), Ok("[{targets: ['g:2']}]".to_owned()));
        bench.due();
        bench.round(&Ok(body));
        assert_eq!(bench.last_error(), expected);
        assert_eq!(bench.query("x"), [""; 0]);
        assert_eq!(bench.query("max(up)"), ["{} 0"]);
    }
    let mut bench = Bench::new(&one_job(
        ", sample_limit: 1, metric_relabel_configs: [{source_labels: [__name__], regex: y, action: drop}]",
    ));
    bench.round(&Ok("x 1\ny 1\n"));
    assert_eq!(bench.last_error(), "", "the limit counts after relabelling");
    assert_eq!(
        bench.query("scrape_samples_scraped"),
        [r#"{__name__="scrape_samples_scraped", job="a"} 2"#]
    );
    assert_eq!(
        bench.query("scrape_samples_post_metric_relabeling"),
        [r#"{__name__="scrape_samples_post_metric_relabeling", job="a"} 1"#]
    );
}

#[test]
fn labels_that_clash() {
    let body = "x{job=\"own\",exported_job=\"older\",b=\"1\"} 1\n";
    let mut bench = Bench::new(&one_job(""));
    bench.round(&Ok(body));
    assert_eq!(
        bench.query("x"),
        [r#"{__name__="x", b="1", exported_exported_job="own", exported_job="older", job="a"} 1"#]
    );
    let mut bench = Bench::new(&one_job(", honor_labels: true"));
    bench.round(&Ok(body));
    assert_eq!(
        bench.query("x"),
        [r#"{__name__="x", b="1", exported_job="older", job="own"} 1"#]
    );
    let mut bench = Bench::new(&one_job(", honor_labels: true"));
    bench.round(&Ok("x{job=\"\"} 1\n"));
    assert_eq!(
        bench.query("x"),
        [r#"{__name__="x"} 1"#],
        "an empty value takes the label away"
    );
}

#[test]
fn own_timestamps() {
    let body = format!("x 1 {}\n", EPOCH.as_millis() + 7000);
    let mut bench = Bench::new(&one_job(""));
    bench.round(&Ok(&body));
    assert_eq!(bench.query("timestamp(x)"), [r#"{job="a"} 1700000007"#]);
    bench.round(&Ok(""));
    assert_eq!(
        bench.query("x"),
        [r#"{__name__="x", job="a"} 1"#],
        "no marker for own timestamps"
    );
    let mut bench = Bench::new(&one_job(", honor_timestamps: false"));
    bench.round(&Ok(&body));
    assert_eq!(bench.query("timestamp(x)"), [r#"{job="a"} 1700000010"#]);
    bench.round(&Ok(""));
    assert_eq!(bench.query("x"), [""; 0]);
}

#[test]
fn one_series_under_two_texts_does_not_end() {
    let mut bench = Bench::new(&one_job(""));
    bench.round(&Ok("x{b=\"1\"} 1\n"));
    bench.round(&Ok("x{b=\"1\",} 2\n"));
    assert_eq!(bench.query("x"), [r#"{__name__="x", b="1", job="a"} 2"#]);
}

#[test]
fn exemplars_are_kept() {
    let mut bench = Bench::new(&one_job(""));
    bench.now = bench.scraper.next_deadline().expect("a target");
    let jobs = bench.due();
    let fetched = Fetched {
        content_type: Some("application/openmetrics-text; version=1.0.0".to_owned()),
        body: Bytes::from_static(b"# TYPE x counter\nx_total 1 # {trace_id=\"ab\"} 1\n# EOF\n"),
    };
    bench
        .scraper
        .finish(&jobs[0], Ok(fetched), bench.now, &mut bench.store);
    assert_eq!(
        bench.query("x_total"),
        [r#"{__name__="x_total", job="a"} 1"#]
    );
    let found = bench.store.exemplars(&[vec![]], i64::MIN, i64::MAX);
    assert_eq!(found[0].exemplars[0].1.labels.value_of("trace_id"), "ab");
}

#[test]
fn the_format_has_to_be_named() {
    let answer = |more: &str, content_type: Option<&str>| {
        let mut bench = Bench::new(&one_job(more));
        bench.now = bench.scraper.next_deadline().expect("a target");
        let jobs = bench.due();
        let fetched = Fetched {
            content_type: content_type.map(str::to_owned),
            body: Bytes::from_static(b"x 1\n"),
        };
        bench
            .scraper
            .finish(&jobs[0], Ok(fetched), bench.now, &mut bench.store);
        bench.last_error()
    };
    assert_eq!(
        answer("", None),
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    );
    assert!(
        answer("", Some("text/html"))
            .starts_with("received unsupported Content-Type \"text/html\"")
    );
    assert_eq!(
        answer(", fallback_scrape_protocol: PrometheusText0.0.4", None),
        ""
    );
}

#[test]
fn relabelling_makes_targets() {
    let mut bench = Bench::new(
        "scrape_configs: [{job_name: probe, scrape_interval: 15s, metrics_path: probe, params: {module: [http_2xx], x: ['a b', c]},
          static_configs: [{targets: ['http.example', drop.me], labels: {env: prod}}],
          relabel_configs: [{source_labels: [__address__], regex: 'drop.*', action: drop},
            {source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance},
            {target_label: __address__, replacement: 'blackbox:9115'}, {target_label: __tmp_x, replacement: gone}]}]",
    );
    let jobs = bench.round(&Ok(""));
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0].url,
        "http://blackbox:9115/probe?module=http_2xx&target=http.example&x=a+b&x=c"
    );
    let target = &bench.scraper.active_targets()[0];
    assert_eq!(
        target.labels.to_string(),
        r#"{env="prod", instance="http.example", job="probe"}"#
    );
    assert_eq!(
        bench.scraper.dropped_targets()[0]
            .discovered_labels
            .value_of("__address__"),
        "drop.me"
    );
}

#[test]
fn files_of_targets_come_and_go() {
    let mut bench = Bench::new(
        "scrape_configs: [{job_name: a, scrape_interval: 15s, file_sd_configs: [{files: ['t.json'], refresh_interval: 10s}]}]",
    );
    bench.files.insert(
        "t.json".to_owned(),
        Ok(r#"[{"targets": ["h:1"], "labels": {"x": "y"}}]"#.to_owned()),
    );
    assert!(bench.due().is_empty(), "the first slot is not yet");
    bench.round(&Ok("x 1\n"));
    assert_eq!(bench.query("x"), [r#"{__name__="x", job="a", x="y"} 1"#]);
    let discovered = bench.scraper.active_targets()[0].discovered_labels.clone();
    assert_eq!(discovered.value_of("__meta_filepath"), "t.json");

    // A broken file keeps its targets and is told.
    bench
        .files
        .insert("t.json".to_owned(), Ok("[{targets: 7}]".to_owned()));
    bench.round(&Ok("x 1\n"));
    bench.round(&Ok("x 1\n"));
    assert_eq!(bench.scraper.active_targets().len(), 1);
    assert!(
        bench.scraper.problems()[0].starts_with("t.json: "),
        "{:?}",
        bench.scraper.problems()
    );

    // Without the target its series end, a little after the slot behind the next.
    bench.files.insert("t.json".to_owned(), Ok("[]".to_owned()));
    for _ in 0..8 {
        bench.round(&Ok("x 1\n"));
    }
    assert!(bench.scraper.active_targets().is_empty());
    assert_eq!(bench.query("x"), [""; 0]);
    assert_eq!(bench.query("up"), [""; 0]);
}

#[test]
fn a_reload_keeps_what_is_the_same() {
    let mut bench = Bench::new(&one_job(""));
    bench.round(&Ok("x{b=\"1\"} 1\n"));
    let relabelled = one_job(
        ", metric_relabel_configs: [{source_labels: [b], target_label: c}, {regex: b, action: labeldrop}]",
    );
    bench.scraper.reload(&config(&relabelled), bench.now);
    assert_eq!(
        bench.scraper.active_targets()[0].health,
        Health::Up,
        "the target keeps its state"
    );
    bench.round(&Ok("x{b=\"1\"} 1\n"));
    assert_eq!(
        bench.query("x"),
        [r#"{__name__="x", c="1", job="a"} 1"#],
        "the old series has ended"
    );
}

#[test]
fn missed_slots_are_skipped() {
    let mut bench = Bench::new(&one_job(""));
    bench.now = EPOCH + Duration::from_secs(100);
    let jobs = bench.due();
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0].scheduled, bench.now,
        "a late scrape has its own time"
    );
    assert!(bench.due().is_empty(), "one at a time");
    bench
        .scraper
        .finish(&jobs[0], Err("x".to_owned()), bench.now, &mut bench.store);
    assert_eq!(
        bench.scraper.next_deadline(),
        Some(EPOCH + Duration::from_secs(115))
    );
}

#[derive(Clone)]
struct Host(Arc<(Mutex<(Scraper, Store)>, Notify)>);

impl ScrapeHost for Host {
    fn with_scraper<R>(&self, visit: impl FnOnce(&mut Scraper, &mut Store) -> R) -> R {
        let mut both = self.0.0.lock().expect("not poisoned");
        let (scraper, store) = &mut *both;
        visit(scraper, store)
    }

    fn scraper_changed(&self) -> &Notify {
        &self.0.1
    }
}

#[test]
fn scrapes_over_the_network() {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime");
    let text = "scrape_configs:
- job_name: a
  scrape_interval: 15s
  basic_auth: {username: u, password: p}
  static_configs: [{targets: ['h:1', 'nobody:1']}]
- job_name: moved
  scrape_interval: 15s
  metrics_path: /moved
  static_configs: [{targets: ['h:1']}]
- job_name: large
  scrape_interval: 15s
  body_size_limit: 10B
  static_configs: [{targets: ['h:1']}]
- job_name: slow
  scrape_interval: 15s
  scrape_timeout: 5s
  metrics_path: /slow
  static_configs: [{targets: ['h:1']}]
- job_name: missing
  scrape_interval: 15s
  metrics_path: /missing
  static_configs: [{targets: ['h:1']}]
";
    let scraper = Scraper::new(&config(text), ScraperOptions { spread: false }, EPOCH);
    let host = Host(Arc::new((
        Mutex::new((scraper, Store::new(StoreConfig::default()))),
        Notify::new(),
    )));
    let (errors, values) = sim.block_on(async {
        let env = sim.env().on("h");
        let listener = env
            .listen(&Address::new("h", 1))
            .await
            .expect("a free port");
        let clock = env.clock().clone();
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let clock = clock.clone();
            async move {
                if request.uri().path() == "/slow" {
                    clock.sleep(Duration::from_secs(60)).await;
                }
                let response = Response::builder();
                let response = match request.uri().path() {
                    "/moved" => response.status(302).header("Location", "/metrics"),
                    "/missing" => response.status(404),
                    _ => response
                        .header("Content-Type", "text/plain")
                        .header("Content-Encoding", "gzip"),
                };
                let auth = request
                    .headers()
                    .get("Authorization")
                    .map(|value| value.to_str().unwrap_or_default().to_owned());
                let body = gameday_wire::gzip(
                    format!("x{{auth=\"{}\"}} 1\n", auth.unwrap_or_default()).as_bytes(),
                );
                Ok::<_, Infallible>(
                    response
                        .body(Full::new(Bytes::from(body)))
                        .expect("a response"),
                )
            }
        });
        serve(&env, listener, service, ServeOptions::default());
        let stack = sim.env().on("prometheus");
        let task = stack.clone();
        let own = host.clone();
        stack.spawn(async move { run(task, own, ".".into()).await });
        stack.clock().sleep(Duration::from_secs(301)).await;
        let errors: Vec<String> = host.with_scraper(|scraper, _| {
            scraper
                .active_targets()
                .iter()
                .map(|target| format!("{} {}", target.scrape_pool, target.last_error))
                .collect()
        });
        let values = host.with_scraper(|_, store| {
            Engine::new(EngineConfig::default())
                .instant(store, "count_over_time(x[5m])", stack.now().as_millis())
                .expect("a valid query")
                .value
                .into_vector()
                .expect("a vector")
                .into_iter()
                .map(|sample| format!("{} {:?}", sample.labels, sample.value.as_float()))
                .collect::<Vec<_>>()
        });
        (errors, values)
    });
    assert_eq!(
        errors,
        [
            "a ",
            "a Get \"http://nobody:1/metrics\": no such host: nobody",
            "moved ",
            "large body size limit exceeded",
            "slow Get \"http://h:1/slow\": context deadline exceeded",
            "missing server returned HTTP status 404 Not Found",
        ]
    );
    assert_eq!(
        values,
        [
            r#"{auth="Basic dTpw", instance="h:1", job="a"} Some(20.0)"#,
            r#"{instance="h:1", job="moved"} Some(20.0)"#,
        ]
    );
}
