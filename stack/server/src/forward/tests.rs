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

use super::*;
use crate::config::PrometheusConfig;

const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);

#[derive(Clone)]
struct Host {
    store: Arc<Mutex<Store>>,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl ForwardHost for Host {
    fn with_store<R>(&self, visit: impl FnOnce(&mut Store) -> R) -> R {
        visit(&mut self.store.lock().expect("not poisoned"))
    }

    fn known_metadata(&self) -> BTreeMap<String, MetricMetadata> {
        BTreeMap::new()
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

#[test]
fn samples_are_sent_in_order_and_again_after_a_failure() {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime");
    let config = PrometheusConfig::parse("prometheus.yml", CONFIG).expect("a valid file");
    let host = Host {
        store: Arc::new(Mutex::new(Store::new(StoreConfig::default()))),
        counts: Arc::default(),
    };
    let received: Arc<Mutex<Vec<WriteBatch>>> = Arc::default();
    let answers = Arc::new(Mutex::new(vec![204, 400, 204, 429, 503]));
    let sink = Arc::clone(&received);
    sim.block_on(async {
        let mimir = sim.env().on("mimir");
        let listener = mimir
            .listen(&Address::new("mimir", 80))
            .await
            .expect("a free port");
        let service = tower::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (sink, answers) = (Arc::clone(&sink), Arc::clone(&answers));
            async move {
                assert_eq!(request.headers()["x-scope-orgid"], "me");
                assert_eq!(
                    request.headers()["x-prometheus-remote-write-version"],
                    "2.0.0"
                );
                let status = answers.lock().expect("not poisoned").pop().unwrap_or(204);
                let body = request
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes();
                let batch = decode_remote_write(&body, Version::V2, 1 << 20).expect("a request");
                if status == 204 {
                    sink.lock().expect("not poisoned").push(batch);
                }
                let mut response = Response::new(Full::new(Bytes::new()));
                *response.status_mut() = status.try_into().expect("a status");
                Ok::<_, Infallible>(response)
            }
        });
        serve(&mimir, listener, service, ServeOptions::default());
        let env = sim.env().on("prometheus");
        let labels = config.external_labels().clone();
        env.spawn(run(
            env.clone(),
            host.clone(),
            config.remote_write.clone(),
            labels,
            ".".into(),
        ));
        env.clock().sleep(Duration::from_millis(1)).await;
        host.with_store(|store| {
            for at_ms in 1..=9 {
                for name in ["x", "go_goroutines"] {
                    let labels = Labels::new([("__name__", name), ("job", "a")]);
                    assert!(store.append(&labels, at_ms, at_ms as f64).is_ok());
                }
            }
        });
        env.clock().sleep(Duration::from_secs(60)).await;
    });
    let batches = received.lock().expect("not poisoned");
    let times: Vec<i64> = batches
        .iter()
        .flat_map(|batch| &batch.series)
        .flat_map(|series| &series.samples)
        .map(|sample| sample.timestamp_ms)
        .collect();
    assert_eq!(
        times,
        [1, 2, 3, 7, 8, 9],
        "the second request was refused for good"
    );
    assert_eq!(
        batches[0].series[0].labels.to_string(),
        r#"{__name__="x", cluster="eu", job="a"}"#
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
