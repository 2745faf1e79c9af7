use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Mode, ServeOptions, Sim, SimConfig, serve};
use gameday_metrics::{Store, StoreConfig};
use gameday_signal::{Labels, MetricMetadata, Timestamp};
use gameday_wire::remote_write::{Version, WriteBatch, decode_remote_write};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;

use super::*;
use crate::config::{PrometheusConfig, RemoteWriteConfig};

const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);

#[derive(Clone)]
struct Host {
    config: Arc<Mutex<PrometheusConfig>>,
    changed: Arc<Notify>,
    store: Arc<Mutex<Store>>,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl ForwardHost for Host {
    fn remote_write(&self) -> (Vec<RemoteWriteConfig>, Labels) {
        let config = self.config.lock().expect("not poisoned");
        (
            config.remote_write.clone(),
            config.external_labels().clone(),
        )
    }

    fn remote_write_changed(&self) -> &Notify {
        &self.changed
    }

    fn with_store<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R {
        visit(&mut self.store.lock().expect("not poisoned"))
    }

    fn known_metadata(&self) -> BTreeMap<String, MetricMetadata> {
        let about = MetricMetadata {
            help: "What x is.".to_owned(),
            ..MetricMetadata::default()
        };
        BTreeMap::from([("x".to_owned(), about)])
    }

    fn count_forwarded(&self, name: &'static str, by: u64) {
        *self
            .counts
            .lock()
            .expect("not poisoned")
            .entry(name)
            .or_default() += by;
    }
}

const CONFIG: &str = "
global: {external_labels: {cluster: eu, job: ignored}}
remote_write:
- url: http://mimir:80/api/v1/push
  headers: {X-Scope-OrgID: me}
  protobuf_message: io.prometheus.write.v2.Request
  queue_config: {max_samples_per_send: 3}
  write_relabel_configs: [{source_labels: [__name__], regex: 'go_.*', action: drop}]
";

/// A receiver that keeps what it takes; it answers with `statuses`, the last first, then with 204.
struct Receiver {
    version: Version,
    statuses: Mutex<Vec<u16>>,
    batches: Mutex<Vec<WriteBatch>>,
    /// How long it thinks.
    takes: Duration,
    under_way: Mutex<(usize, usize)>,
}

impl Receiver {
    fn new(version: Version, statuses: &[u16], takes: Duration) -> Arc<Self> {
        Arc::new(Self {
            version,
            statuses: Mutex::new(statuses.to_vec()),
            batches: Mutex::default(),
            takes,
            under_way: Mutex::default(),
        })
    }

    async fn listen(self: &Arc<Self>, sim: &Sim, name: &str) {
        let host = sim.env().on(name);
        let listener = host.listen(&Address::new(name, 80)).await;
        let (own, clock) = (Arc::clone(self), sim.env().clock().clone());
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (own, clock) = (Arc::clone(&own), clock.clone());
            async move {
                let headers = request.headers();
                assert_eq!(headers["x-scope-orgid"], "me");
                assert_eq!(headers["content-type"], own.version.content_type());
                let body = request.into_body().collect().await.expect("a body");
                let batch = decode_remote_write(&body.to_bytes(), own.version, 1 << 20);
                {
                    let mut under_way = own.under_way.lock().expect("not poisoned");
                    under_way.0 += 1;
                    under_way.1 = under_way.1.max(under_way.0);
                }
                clock.sleep(own.takes).await;
                own.under_way.lock().expect("not poisoned").0 -= 1;
                let status = own.statuses.lock().expect("not poisoned").pop();
                let status = status.unwrap_or(204);
                if status == 204 {
                    let mut batches = own.batches.lock().expect("not poisoned");
                    batches.push(batch.expect("a request"));
                }
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = status.try_into().expect("a status");
                Ok::<_, Infallible>(response)
            }
        });
        let listener = listener.expect("a free port");
        serve(&host, listener, service, ServeOptions::default());
    }

    /// The times of all samples of each series, in the order in which they came.
    fn times(&self) -> BTreeMap<String, Vec<i64>> {
        let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for series in self
            .batches
            .lock()
            .expect("not poisoned")
            .iter()
            .flat_map(|batch| &batch.series)
        {
            let own = times.entry(series.labels.to_string()).or_default();
            own.extend(series.samples.iter().map(|sample| sample.timestamp_ms));
        }
        times
    }
}

fn config(text: &str) -> PrometheusConfig {
    PrometheusConfig::parse("prometheus.yml", text).expect("a valid file")
}

fn virtual_time() -> Sim {
    Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime")
}

/// Starts the tasks that send, in virtual time.
fn start(sim: &Sim, text: &str) -> Host {
    let host = Host {
        config: Arc::new(Mutex::new(config(text))),
        changed: Arc::default(),
        store: Arc::new(Mutex::new(Store::new(StoreConfig::default()))),
        counts: Arc::default(),
    };
    let env = sim.env().on("prometheus");
    sim.block_on(async {
        env.spawn(run(env.clone(), host.clone(), ".".into()));
        env.clock().sleep(Duration::from_millis(1)).await;
    });
    host
}

/// Appends a sample at each of the times to each of the series, whose value is its time.
fn append(host: &Host, names: &[&str], times: impl Iterator<Item = i64>) {
    host.with_store(|store| {
        for at_ms in times {
            for name in names {
                let labels = Labels::new([("__name__", *name), ("job", "a")]);
                assert!(store.append(&labels, at_ms, at_ms as f64).is_ok());
            }
        }
    });
}

fn sleep(sim: &Sim, secs: u64) {
    sim.block_on(sim.env().clock().sleep(Duration::from_secs(secs)));
}

#[test]
fn samples_are_sent_in_order_and_again_after_a_failure() {
    let sim = virtual_time();
    let mimir = Receiver::new(Version::V2, &[204, 400, 204, 429, 503], Duration::ZERO);
    sim.block_on(mimir.listen(&sim, "mimir"));
    let host = start(&sim, CONFIG);
    append(&host, &["x", "go_goroutines"], 1..=9);
    sleep(&sim, 60);
    // The second request was refused for good.
    let series = r#"{__name__="x", cluster="eu", job="a"}"#.to_owned();
    assert_eq!(
        mimir.times(),
        BTreeMap::from([(series, vec![1, 2, 3, 7, 8, 9])])
    );
    assert_eq!(
        mimir.batches.lock().expect("not poisoned")[0]
            .metadata
            .len(),
        1
    );
    let counts = host.counts.lock().expect("not poisoned").clone();
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [
            ("prometheus_remote_storage_samples_failed_total", 3),
            ("prometheus_remote_storage_samples_retried_total", 6),
            ("prometheus_remote_storage_samples_total", 6),
        ]
    );
}

#[test]
fn a_slow_receiver_gets_more_requests_at_a_time_and_each_series_in_order() {
    let sim = virtual_time();
    let mimir = Receiver::new(Version::V1, &[], Duration::from_secs(2));
    sim.block_on(mimir.listen(&sim, "mimir"));
    let text = "
remote_write:
- url: http://mimir:80/push
  headers: {X-Scope-OrgID: me}
  queue_config: {max_samples_per_send: 10, max_shards: 4}
  metadata_config: {send_interval: 100s}
";
    let host = start(&sim, text);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for round in 0..40 {
        append(&host, &names, round * 10..round * 10 + 10);
        sleep(&sim, 5);
    }
    sleep(&sim, 200);
    let times = mimir.times();
    assert_eq!(times.len(), names.len());
    for (series, times) in times {
        assert!(times.iter().copied().eq(0..400), "{series}: {times:?}");
    }
    // Version 1.0 tells the families every 100 s, in 400 s four times.
    let batches = mimir.batches.lock().expect("not poisoned");
    let told = batches.iter().filter(|batch| !batch.metadata.is_empty());
    assert!((3..=5).contains(&told.count()));
    let (now, most) = *mimir.under_way.lock().expect("not poisoned");
    assert_eq!((now, most), (0, 4));
}

#[test]
fn a_reload_changes_where_samples_go() {
    let sim = virtual_time();
    let [before, after] = ["before", "after"].map(|name| {
        let receiver = Receiver::new(Version::V1, &[], Duration::ZERO);
        sim.block_on(receiver.listen(&sim, name));
        receiver
    });
    let to = |name: &str, interval: &str| {
        format!(
            "remote_write: [{{url: 'http://{name}:80/', headers: {{X-Scope-OrgID: me}}, queue_config: {{batch_send_deadline: {interval}}}}}]"
        )
    };
    let host = start(&sim, &to("before", "5s"));
    append(&host, &["x"], 1..=2);
    sleep(&sim, 10);
    append(&host, &["x"], 3..=4);
    *host.config.lock().expect("not poisoned") = config(&to("after", "5s"));
    host.changed.notify_one();
    sleep(&sim, 10);
    append(&host, &["x"], 5..=6);
    sleep(&sim, 10);
    *host.config.lock().expect("not poisoned") = config("");
    host.changed.notify_one();
    sleep(&sim, 10);
    append(&host, &["x"], 7..=8);
    sleep(&sim, 100);
    let series = || r#"{__name__="x", job="a"}"#.to_owned();
    // What waited when the reload came was for the receiver of that time.
    assert_eq!(
        before.times(),
        BTreeMap::from([(series(), vec![1, 2, 3, 4])])
    );
    assert_eq!(after.times(), BTreeMap::from([(series(), vec![5, 6])]));
}
