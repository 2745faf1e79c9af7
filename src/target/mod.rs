//! The system under test: the services of the topology, as tasks in virtual time and as child processes on the real clock.

mod processes;

use std::path::Path;
use std::time::Duration;

use fake_service::{Role, ServiceConfig};
use gameday_env::Env;

use crate::failure::Failure;
use crate::scenario::Scenario;
use crate::world::{ClockChoice, RunOptions};

pub use processes::Processes;

/// The running services.
pub struct Target {
    env: Env,
    kind: Kind,
}

enum Kind {
    /// Each service is a host of the simulation.
    Tasks,
    /// Each service is a process of its own.
    Processes(Processes),
}

impl Target {
    /// Starts the services: what is called before what calls it.
    ///
    /// # Errors
    /// Where one cannot be started.
    pub async fn start(
        env: &Env,
        scenario: &Scenario,
        options: &RunOptions,
    ) -> Result<Self, Failure> {
        let kind = match options.clock {
            ClockChoice::Virtual => {
                for config in configs(scenario) {
                    let name = config.name.clone();
                    let started = fake_service::start(&env.on(&name), config).await;
                    started.map_err(|error| {
                        Failure::target(format!("cannot start service {name:?}: {error}"))
                    })?;
                }
                Kind::Tasks
            }
            ClockChoice::Real => {
                Kind::Processes(Processes::start(env, &configs(scenario), options).await?)
            }
        };
        Ok(Self {
            env: env.clone(),
            kind,
        })
    }

    /// The names of the services, those that users talk to first.
    pub fn services(&self) -> Vec<&'static str> {
        Role::ALL.into_iter().map(Role::name).collect()
    }

    /// Checks that a service of that name exists.
    ///
    /// # Errors
    /// Where it does not, with the nearest names.
    pub fn check_service(&self, name: &str, path: &Path) -> Result<(), Failure> {
        check_service(name, path)
    }

    /// Ends all services.
    pub async fn stop(&mut self) {
        match &mut self.kind {
            Kind::Tasks => self
                .services()
                .into_iter()
                .for_each(|name| self.env.crash(name)),
            Kind::Processes(processes) => processes.stop().await,
        }
    }
}

/// Checks that the topology has a service of that name.
///
/// # Errors
/// Where it has not, with the nearest names.
pub fn check_service(name: &str, path: &Path) -> Result<(), Failure> {
    let known = Role::ALL.map(Role::name);
    if known.contains(&name) {
        return Ok(());
    }
    Err(
        Failure::scenario(format!("{}: no service is called {name:?}", path.display()))
            .did_you_mean(name, known),
    )
}

/// How often services send telemetry: OpenTelemetry's batch processors send every 5 s.
const FLUSH: Duration = Duration::from_secs(5);

/// The settings of the services of a scenario, what is called before what calls it.
fn configs(_: &Scenario) -> Vec<ServiceConfig> {
    let mut configs = fake_service::topology();
    configs.reverse();
    for config in &mut configs {
        config.flush_interval = FLUSH;
    }
    configs
}
