//! Services as child processes on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use fake_service::ServiceConfig;
use gameday_env::{Address, Child, Env};
use gameday_signal::format_duration;

use crate::failure::Failure;
use crate::world::RunOptions;

/// The processes, in the order in which they were started. Dropping them ends them.
pub struct Processes {
    children: Vec<Child>,
}

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
        let program = match &options.service_program {
            Some(program) => program.clone(),
            None => own_program()?,
        };
        let mut children = Vec::new();
        for config in configs {
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
            let (service, control) = read_ready(&line).ok_or_else(|| {
                Failure::internal(format!(
                    "service {:?} says {line:?} instead of where it listens",
                    config.name
                ))
            })?;
            env.net().assign(&config.listen, service);
            env.net().assign(&config.control, control);
            children.push(child);
        }
        Ok(Self { children })
    }

    /// Ends all of them.
    pub(super) async fn stop(&mut self) {
        // Callers first, so that nobody calls what is gone.
        for child in self.children.iter_mut().rev() {
            child.kill().await;
        }
    }
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
        "--with-parent".to_owned(),
    ];
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

/// Reads `listening <service> control <control>`.
fn read_ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["listening", service, "control", control, ..] => {
            Some((service.parse().ok()?, control.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_read() {
        assert!(read_ready("listening 127.0.0.1:4001 control 127.0.0.1:4002").is_some());
        assert!(read_ready("thread main panicked").is_none());
    }
}
