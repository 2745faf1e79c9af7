//! How soon a server answers: without data, and with an hour of 10,000 series in its log. The goals: 50 ms and 2 s.

use gameday_env::Sim;

use crate::process::{Kind, Server, Setup};
use crate::{compare, data, fresh_folder, median};

const STARTS: usize = 7;
const SERIES: usize = 10_000;
const HOUR_SECS: i64 = 3600;

pub(crate) fn ready(sim: &Sim, kinds: &[Kind]) {
    let config = config();
    let figures: Vec<f64> = kinds
        .iter()
        .map(|kind| {
            let starts = (0..STARTS).map(|_| {
                let data = fresh_folder("ready-data");
                let setup = Setup {
                    config: &config,
                    data: Some(&data),
                };
                millis(&Server::start(sim, *kind, setup))
            });
            median(starts.collect())
        })
        .collect();
    compare(
        "from the start of the process to the first 200 of /-/ready",
        "ms",
        &figures,
    );
}

pub(crate) fn replay(sim: &Sim, kinds: &[Kind]) {
    let config = config();
    let steps = HOUR_SECS / data::INTERVAL_SECS;
    let end = sim.env().now().as_millis() / 1000;
    let mut cpu = Vec::new();
    let figures: Vec<f64> = kinds
        .iter()
        .map(|kind| {
            let folder = fresh_folder("replay-data");
            let setup = Setup {
                config: &config,
                data: Some(&folder),
            };
            let server = Server::start(sim, *kind, setup);
            let series = data::counters("x", SERIES);
            data::write(sim, &[&server], &series, (end - HOUR_SECS) * 1000, steps);
            server.kill();
            let server = Server::start(sim, *kind, setup);
            cpu.push(server.cpu_secs() * 1000.0);
            let query = format!("/api/v1/query?query=sum(count_over_time(x%5B61m%5D))&time={end}");
            let answer = server.get(sim, &query).expect("the query is answered");
            let expected = format!("\"{}\"", SERIES as i64 * steps);
            assert!(
                String::from_utf8_lossy(&answer).contains(&expected),
                "not all samples have survived: {answer:?}"
            );
            millis(&server)
        })
        .collect();
    compare(
        "kill -9, then ready with 1 h of 10,000 series again",
        "ms",
        &figures,
    );
    compare("    of CPU", "ms", &cpu);
}

fn config() -> std::path::PathBuf {
    let config = fresh_folder("start");
    std::fs::write(config.join("prometheus.yml"), "scrape_configs: []\n")
        .expect("the bench can write into the target folder");
    config
}

fn millis(server: &Server) -> f64 {
    server.ready_after.as_secs_f64() * 1000.0
}
