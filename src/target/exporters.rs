//! What is scraped beside the services: the blackbox exporter, and the DORA exporter with its double of the GitHub API.

use std::time::Duration;

use gameday_env::{Address, Env};
use gameday_exporters::dora::DoraConfig;
use gameday_exporters::github::{GitHub, NewPush, Outcome};
use gameday_exporters::{blackbox, dora, github};
use gameday_signal::format_duration;

use crate::failure::Failure;
use crate::scenario::{Scenario, read_limited};

/// The exporters of a game day. Their tasks end with the simulation.
pub struct Exporters {
    github: Option<GitHub>,
}

/// A blackbox.yml may have this many bytes.
const BLACKBOX_BYTES_MAX: u64 = 1 << 20;
/// How often the DORA exporter asks, on an uncompressed clock.
const POLL: Duration = Duration::from_secs(60);
/// The shortest poll on a compressed clock.
const POLL_MIN: Duration = Duration::from_millis(250);
/// How long the pipeline of the double takes, on an uncompressed clock.
const BUILD: Duration = Duration::from_secs(300);
/// How long its deployment takes after that.
const DEPLOY: Duration = Duration::from_secs(60);

impl Exporters {
    /// Starts what the scenario asks for; `compress` divides the durations.
    ///
    /// # Errors
    /// Where blackbox.yml is missing or invalid, or an address is taken.
    pub async fn start(
        env: &Env,
        scenario: &Scenario,
        compress: Option<u32>,
    ) -> Result<Self, Failure> {
        let settings = &scenario.settings.exporters;
        let failed = |error: gameday_env::NetError| Failure::target(error.to_string());
        if let Some(file) = &settings.blackbox {
            let path = scenario.dir.join(file);
            let text = read_limited(&path, BLACKBOX_BYTES_MAX)?;
            let mut config = blackbox::Config::parse(&path.display().to_string(), &text)
                .map_err(|error| Failure::scenario(error.to_string()))?;
            if let Some(divisor) = compress {
                // Scrape time-outs are divided as well: the whole offset would leave nothing of them.
                config.timeout_offset /= divisor;
            }
            let address = Address::new("blackbox", blackbox::PORT);
            let started = blackbox::start(&env.on("blackbox"), &address, config).await;
            started.map_err(failed)?;
        }
        let mut double = None;
        if let Some(repository) = &settings.dora {
            let address = Address::new("api.github", 8080);
            let started = github::start(&env.on("api.github"), &address, repository, None).await;
            double = Some(started.map_err(failed)?.0);
            let mut config = DoraConfig::of("http://api.github:8080", repository);
            config.poll_interval = compress.map_or(POLL, |divisor| (POLL / divisor).max(POLL_MIN));
            let address = Address::new("dora-exporter", dora::PORT);
            let started = dora::start(&env.on("dora-exporter"), &address, config).await;
            started.map_err(failed)?;
        }
        Ok(Self { github: double })
    }

    /// The double of the GitHub API.
    ///
    /// # Errors
    /// Where the scenario asks for none.
    pub fn github(&self) -> Result<&GitHub, Failure> {
        self.github.as_ref().ok_or_else(|| {
            Failure::scenario("this game day has no pipeline")
                .hinted("add `exporters: {dora: owner/name}` to scenario.yaml")
        })
    }
}

/// A push that ends so, its pipeline triggered `age` ago; `scaled` divides durations where the run is compressed.
pub fn push_of(outcome: Outcome, age: Duration, scaled: impl Fn(Duration) -> Duration) -> NewPush {
    let text = |duration: Duration| Some(format_duration(scaled(duration)));
    NewPush {
        outcome,
        build: text(BUILD),
        deploy: text(DEPLOY),
        // A history is older than the game day by days, whatever the clock.
        age: Some(format_duration(age)),
        ..NewPush::default()
    }
}

/// How long a push takes until it is live.
pub const PIPELINE: Duration = Duration::from_secs(BUILD.as_secs() + DEPLOY.as_secs());
/// How long a pipeline runs until it has failed.
pub const PIPELINE_RUN: Duration = BUILD;
