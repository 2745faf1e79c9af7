//! The node exporter of a service's host, at `<host>:9100/metrics`: the machine in real time, the model in virtual time; in game days on
//! the real clock, the process's slice of the machine, so that what else runs there raises no alert.
//!
//! One file system is the service's own in both: its data volume, which `disk_pressure` fills, as `/var/lib/<host>`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use gameday_env::Env;
use gameday_exporters::node::{self, Source};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::host::Host;
use crate::node_model;
use crate::reply::{self, ReplyBody};

/// Answers scrapes of one host.
#[derive(Clone)]
pub(crate) struct NodeExporter {
    env: Env,
    host: Arc<Host>,
    /// The slice of the process, and not the whole machine.
    slice: bool,
}

impl NodeExporter {
    pub(crate) fn new(env: &Env, host: Arc<Host>, slice: bool) -> Self {
        let env = env.clone();
        Self { env, host, slice }
    }

    /// The exposition now, in the text format 0.0.4.
    pub(crate) fn expose(&self) -> String {
        let snapshot = self.host.snapshot();
        let (now, host) = (self.env.now(), self.env.host());
        let data = (
            node_model::data_mountpoint(host),
            node_model::data_volume(&snapshot),
        );
        let source = if self.slice || self.env.is_virtual() {
            let root = ("/".to_owned(), node_model::root_volume());
            let files = node_model::files(host, &snapshot);
            Source::modelled(now, files, BTreeMap::from([root, data]))
        } else {
            Source::machine(now, BTreeMap::from([data]))
        };
        node::expose(&source)
    }
}

impl tower::Service<Request<Incoming>> for NodeExporter {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ReplyBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(match request.uri().path() {
            "/metrics" => reply::with_type(
                StatusCode::OK,
                HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
                self.expose(),
            ),
            "/" => reply::with_type(
                StatusCode::OK,
                HeaderValue::from_static("text/plain; charset=utf-8"),
                "the node exporter of this host: see /metrics\n",
            ),
            _ => reply::json(StatusCode::NOT_FOUND, reply::error_json("see /metrics")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use gameday_exporters::node::Volume;

    use super::*;
    use crate::config::HostLimits;
    use crate::host::Resource;
    use crate::testing::virtual_sim;

    /// Family -> type, and family -> label names, of an exposition.
    fn shape(text: &str) -> (BTreeMap<String, String>, BTreeMap<String, BTreeSet<String>>) {
        let mut types = BTreeMap::new();
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, _) = line.rsplit_once(' ').expect("a sample");
                let (name, rest) = series.split_once('{').unwrap_or((series, ""));
                let names = rest.split("\",").filter_map(|pair| pair.split_once("=\""));
                let of_name = labels.entry(name.to_owned()).or_default();
                of_name.extend(names.map(|(name, _)| name.to_owned()));
            }
        }
        (types, labels)
    }

    #[test]
    fn the_model_and_the_machine_have_the_same_families() {
        let sim = virtual_sim();
        let env = sim.env().clone();
        let host = Arc::new(Host::new(&env, HostLimits::default()));
        let (modelled, modelled_labels) = shape(&NodeExporter::new(&env, host, false).expose());
        for name in [
            "node_cpu_seconds_total",
            "node_memory_MemAvailable_bytes",
            "node_disk_io_time_seconds_total",
            "node_filesystem_avail_bytes",
            "node_network_receive_bytes_total",
            "node_load1",
            "node_pressure_cpu_waiting_seconds_total",
            "node_vmstat_pgfault",
            "node_uname_info",
            "node_boot_time_seconds",
        ] {
            assert!(modelled.contains_key(name), "{name}");
        }
        let volumes = BTreeMap::from([("/var/lib/test".to_owned(), Volume::default())]);
        let machine = Source::machine(env.now(), volumes);
        let (real, real_labels) = shape(&node::expose(&machine));
        for (name, kind) in &modelled {
            // Kernels differ in the fields of meminfo and vmstat.
            if let Some(real) = real.get(name) {
                assert_eq!(real, kind, "{name}");
            } else {
                assert!(
                    name.starts_with("node_memory_") || name.starts_with("node_vmstat_"),
                    "{name}"
                );
            }
            if let Some(labels) = real_labels.get(name) {
                assert_eq!(labels, &modelled_labels[name], "{name}");
            }
        }
    }

    #[test]
    fn pressure_shows_in_the_queries_that_everybody_uses() {
        let sim = virtual_sim();
        let env = sim.env().clone();
        sim.block_on(async {
            let limits = HostLimits::default();
            let host = Arc::new(Host::new(&env, limits));
            let exporter = NodeExporter::new(&env, Arc::clone(&host), false);
            let memory = limits.memory_bytes as f64 * 0.65;
            let disk = limits.disk_bytes as f64 * 0.5;
            let _squeezed = (
                host.squeeze(Resource::Cpu, 1.84, Duration::ZERO),
                host.squeeze(Resource::Memory, memory, Duration::ZERO),
                host.squeeze(Resource::Disk, disk, Duration::ZERO),
            );
            let before = exporter.expose();
            env.clock().sleep(Duration::from_secs(300)).await;
            let after = exporter.expose();
            let idle = |text: &str| -> f64 {
                samples(text, "node_cpu_seconds_total", "mode=\"idle\"")
                    .iter()
                    .sum()
            };
            let busy = 1.0 - (idle(&after) - idle(&before)) / 300.0 / limits.cpu_cores;
            assert!((busy - 0.95).abs() < 0.001, "{busy}");
            let one = |name: &str, label: &str| samples(&after, name, label)[0];
            let available =
                one("node_memory_MemAvailable_bytes", "") / one("node_memory_MemTotal_bytes", "");
            assert!((1.0 - available - 0.95).abs() < 0.001, "{available}");
            let volume = "mountpoint=\"/var/lib/gameday\"";
            let free = one("node_filesystem_avail_bytes", volume)
                / one("node_filesystem_size_bytes", volume);
            assert!((1.0 - free - 0.90).abs() < 0.001, "{free}");
            assert!((one("node_load1", "") - 1.9).abs() < 0.1);
        });
    }

    fn samples(text: &str, name: &str, label: &str) -> Vec<f64> {
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter(|line| line.contains(label))
            .map(|line| {
                line.rsplit(' ')
                    .next()
                    .expect("a value")
                    .parse()
                    .expect("a number")
            })
            .collect()
    }
}
