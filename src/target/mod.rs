//! The system under test: the services of the topology, as tasks in virtual time and as child processes on the real clock.

mod exporters;
mod machine;
mod processes;

use std::path::Path;
use std::time::Duration;

use fake_service::{NODE_EXPORTER_PORT, Role, Service, ServiceConfig};
use gameday_env::{Address, Env};
use gameday_signal::EventKind;

use crate::failure::Failure;
use crate::scenario::Scenario;
use crate::world::{ClockChoice, RunOptions};

pub use exporters::{Exporters, PIPELINE, PIPELINE_RUN, push_of};
pub use machine::MachineLoad;
pub use processes::Processes;

/// How long tasks that were ended may take to let go of their addresses.
const LETTING_GO: Duration = Duration::from_millis(1);

/// The running services.
pub struct Target {
    env: Env,
    kind: Kind,
}

enum Kind {
    /// Each service is a host of the simulation; the handles keep nothing alive, they answer questions.
    Tasks(Vec<Service>, Vec<ServiceConfig>),
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
                let configs = configs(scenario);
                let mut services = Vec::new();
                for config in &configs {
                    services.push(start_task(env, config).await?);
                }
                Kind::Tasks(services, configs)
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

    /// Ends a service as a crash does: no answer, no telemetry, no goodbye. Its machine stays, with its node exporter.
    ///
    /// # Errors
    /// Where it is not running.
    pub async fn crash(&mut self, name: &str) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Tasks(services, _) => {
                let index = position(services, name)
                    .ok_or_else(|| Failure::scenario(format!("service {name:?} is not running")))?;
                let service = services.remove(index);
                self.env.crash(name);
                self.record(name, "crashed");
                self.env.clock().sleep(LETTING_GO).await;
                // The tasks of the node exporter were among those of the host; the machine itself has not crashed.
                export_node(&service).await?;
            }
            Kind::Processes(processes) => {
                processes.crash(&self.env, name).await?;
                self.record(name, "crashed");
            }
        }
        Ok(())
    }

    /// Starts a service that has crashed again, as it was started at first.
    ///
    /// # Errors
    /// Where it is running, or cannot be started.
    pub async fn restart(&mut self, name: &str, options: &RunOptions) -> Result<(), Failure> {
        match &mut self.kind {
            Kind::Tasks(services, configs) => {
                let config = configs.iter().find(|config| config.name == name);
                let (Some(config), None) = (config, position(services, name)) else {
                    return Err(Failure::scenario(format!(
                        "service {name:?} is running: only what has crashed can be restarted"
                    )));
                };
                // The node exporter moves to the new process's view of the machine.
                self.env.crash(name);
                self.env.clock().sleep(LETTING_GO).await;
                let service = start_task(&self.env, config).await?;
                services.push(service);
            }
            Kind::Processes(processes) => processes.restart(&self.env, name, options).await?,
        }
        self.record(name, "restarted");
        Ok(())
    }

    fn record(&self, service: &str, state: &str) {
        self.env.record(EventKind::ServiceChanged {
            service: service.to_owned(),
            state: state.to_owned(),
            version: String::new(),
        });
    }

    /// Ends all services.
    pub async fn stop(&mut self) {
        match &mut self.kind {
            Kind::Tasks(..) => self
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
fn configs(scenario: &Scenario) -> Vec<ServiceConfig> {
    let mut configs = fake_service::topology();
    configs.reverse();
    let settings = &scenario.settings.services;
    for config in &mut configs {
        let own = config.clone();
        config.sampling_ratio = settings.sampling_ratio.unwrap_or(own.sampling_ratio);
        config.access_log_every = settings.access_log_every.unwrap_or(own.access_log_every);
        config.log_level = settings.log_level.unwrap_or(own.log_level);
        config.flush_interval = settings.flush_interval.unwrap_or(FLUSH);
    }
    configs
}

fn position(services: &[Service], name: &str) -> Option<usize> {
    services
        .iter()
        .position(|service| service.config().name == name)
}

/// Starts a service and the node exporter of its host as tasks of that host.
async fn start_task(env: &Env, config: &ServiceConfig) -> Result<Service, Failure> {
    let name = config.name.clone();
    let started = fake_service::start(&env.on(&name), config.clone()).await;
    let service = started
        .map_err(|error| Failure::target(format!("cannot start service {name:?}: {error}")))?;
    export_node(&service).await?;
    Ok(service)
}

async fn export_node(service: &Service) -> Result<(), Failure> {
    let name = &service.config().name;
    let address = Address::new(name.as_str(), NODE_EXPORTER_PORT);
    let exported = service.export_node(&address).await;
    exported.map(|_| ()).map_err(|error| {
        Failure::target(format!(
            "cannot start the node exporter of {name:?}: {error}"
        ))
    })
}
