//! Services as child processes on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fake_service::{NODE_EXPORTER_PORT, ServiceConfig};
use gameday_env::{Address, Child, Env};
use gameday_signal::format_duration;

use crate::failure::Failure;
use crate::world::RunOptions;

/// The processes, in the order in which they were started. Dropping them ends them.
pub struct Processes {
    children: Vec<Running>,
    configs: Vec<ServiceConfig>,
}

struct Running {
    name: String,
    child: Child,
}

/// How long tasks that were ended may take to let go of their ports.
const LETTING_GO: Duration = Duration::from_millis(20);
/// How long a service may take to say that it is ready.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// On a compressed clock telemetry is sent more often, but not in a busy loop.
const FLUSH_MIN: Duration = Duration::from_millis(100);

impl Processes {
    /// Starts a process for each service: what is called before what calls it.
    pub(super) async fn start(
        env: &Env,
        configs: &[ServiceConfig],
        options: &RunOptions,
    ) -> Result<Self, Failure> {
        let mut children = Vec::new();
        for config in configs {
            let child = start_child(env, config, options).await?;
            let name = config.name.clone();
            children.push(Running { name, child });
        }
        Ok(Self {
            children,
            configs: configs.to_vec(),
        })
    }

    /// Kills one of them.
    pub(super) async fn crash(&mut self, env: &Env, name: &str) -> Result<(), Failure> {
        let index = self.children.iter().position(|own| own.name == name);
        let index =
            index.ok_or_else(|| Failure::scenario(format!("service {name:?} is not running")))?;
        let mut running = self.children.remove(index);
        running.child.kill().await;
        // The node exporter was a part of the process; the machine itself has not crashed.
        let limits = self.configs.iter().find(|config| config.name == name);
        let limits = limits.map(|config| config.limits).unwrap_or_default();
        let address = Address::new(name, NODE_EXPORTER_PORT);
        let exported = fake_service::export_vacant_node(&env.on(name), &address, limits).await;
        let socket = exported.map_err(|error| {
            Failure::target(format!(
                "cannot start the node exporter of {name:?}: {error}"
            ))
        })?;
        if let Some(socket) = socket {
            env.net().assign(&address, socket);
        }
        Ok(())
    }

    /// Starts one that was killed again, at the addresses that its callers know.
    pub(super) async fn restart(
        &mut self,
        env: &Env,
        name: &str,
        options: &RunOptions,
    ) -> Result<(), Failure> {
        let config = self.configs.iter().find(|config| config.name == name);
        let running = self.children.iter().any(|own| own.name == name);
        let (Some(config), false) = (config, running) else {
            return Err(Failure::scenario(format!(
                "service {name:?} is running: only what has crashed can be restarted"
            )));
        };
        // The stand-in of its node exporter lets go of the port.
        env.crash(name);
        env.clock().sleep(LETTING_GO).await;
        let child = start_child(env, config, options).await?;
        let name = name.to_owned();
        self.children.push(Running { name, child });
        Ok(())
    }

    /// Ends all of them.
    pub(super) async fn stop(&mut self) {
        // Callers first, so that nobody calls what is gone.
        for running in self.children.iter_mut().rev() {
            running.child.kill().await;
        }
    }
}

/// Starts the process of a service, waits until it is ready and notes where it is found.
async fn start_child(
    env: &Env,
    config: &ServiceConfig,
    options: &RunOptions,
) -> Result<Child, Failure> {
    let program = match &options.service_program {
        Some(program) => program.clone(),
        None => own_program()?,
    };
    let arguments = arguments(env, config, options);
    let mut child = Child::start(&program, &arguments)
        .map_err(|error| Failure::target(format!("service {:?}: {error}", config.name)))?;
    let line = env
        .clock()
        .timeout(READY_LIMIT, child.next_line())
        .await
        .map_err(|elapsed| {
            Failure::target(format!("service {:?} is not ready: {elapsed}", config.name))
        })?
        .map_err(|error| Failure::target(format!("service {:?}: {error}", config.name)))?;
    let ready = read_ready(&line).ok_or_else(|| {
        Failure::internal(format!(
            "service {:?} says {line:?} instead of where it listens",
            config.name
        ))
    })?;
    let node_exporter = Address::new(config.name.as_str(), NODE_EXPORTER_PORT);
    env.net().assign(&config.listen, ready.service);
    env.net().assign(&config.control, ready.control);
    env.net().assign(&node_exporter, ready.node_exporter);
    Ok(child)
}

/// This program, which plays the services as a hidden command.
fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::internal(format!("cannot find my own program: {error}")))
}

fn arguments(env: &Env, config: &ServiceConfig, options: &RunOptions) -> Vec<String> {
    let flush = options.compress.map_or(config.flush_interval, |divisor| {
        (config.flush_interval / divisor).max(FLUSH_MIN)
    });
    let mut arguments = vec![
        "__service".to_owned(),
        "--role".to_owned(),
        config.role.to_string(),
        "--service-version".to_owned(),
        config.version.clone(),
        "--flush-interval".to_owned(),
        format_duration(flush),
        "--seed".to_owned(),
        env.seed().to_string(),
        "--sampling-ratio".to_owned(),
        config.sampling_ratio.to_string(),
        "--access-log-every".to_owned(),
        config.access_log_every.to_string(),
        "--log-level".to_owned(),
        config.log_level.as_str().to_owned(),
        "--host-slice".to_owned(),
        "--with-parent".to_owned(),
    ];
    // One that is started again listens where its callers know it.
    let node_exporter = Address::new(config.name.as_str(), NODE_EXPORTER_PORT);
    for (option, address) in [
        ("--listen", &config.listen),
        ("--control", &config.control),
        ("--node-exporter", &node_exporter),
    ] {
        match env.net().socket_of(address) {
            Some(socket) => arguments.extend([option.to_owned(), socket.to_string()]),
            None if address.port == NODE_EXPORTER_PORT => arguments.push(option.to_owned()),
            None => {}
        }
    }
    if let Some(endpoint) = &config.otlp_endpoint {
        arguments.extend(["--otlp-endpoint".to_owned(), endpoint.to_string()]);
    }
    let names: Vec<&Address> = config
        .upstreams
        .iter()
        .map(|upstream| &upstream.address)
        .chain(&config.otlp_endpoint)
        .collect();
    for name in names {
        if let Some(socket) = env.net().socket_of(name) {
            arguments.extend(["--name-of".to_owned(), format!("{name}={socket}")]);
        }
    }
    arguments
}

/// Where a service listens.
struct Ready {
    service: SocketAddr,
    control: SocketAddr,
    node_exporter: SocketAddr,
}

/// Reads `listening <service> control <control> node-exporter <node exporter>`.
fn read_ready(line: &str) -> Option<Ready> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [
            "listening",
            service,
            "control",
            control,
            "node-exporter",
            node_exporter,
            ..,
        ] => Some(Ready {
            service: service.parse().ok()?,
            control: control.parse().ok()?,
            node_exporter: node_exporter.parse().ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_read() {
        assert!(
            read_ready(
                "listening 127.0.0.1:4001 control 127.0.0.1:4002 node-exporter 127.0.0.1:4003"
            )
            .is_some()
        );
        assert!(read_ready("thread main panicked").is_none());
    }
}
