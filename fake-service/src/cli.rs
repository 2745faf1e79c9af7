//! The command line: one service in a process of its own, or the whole topology in one process.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use gameday_env::{Address, Env, Mode, Sim, SimConfig, interrupted, parent_gone};
use gameday_signal::parse_duration;

use crate::config::{HostLimits, Level, NODE_EXPORTER_PORT, ServiceConfig, Upstream, topology};
use crate::service::{Error, Service, start};
use crate::topology::Role;

/// An instrumented service to break on purpose: metrics, logs and traces as a real one has them, and faults as behaviour.
///
/// Without --role the whole topology runs in this process on loopback: frontend -> checkout -> payments, and frontend -> users. With
/// --role it is one service, which prints `listening <address> control <address>` when it is ready. Faults come and go through the
/// control API: try GET /-/catalogue on the control address. SIGINT and SIGTERM end it after its telemetry has been sent.
#[derive(Debug, Parser)]
#[command(name = "fake-service", version)]
struct Options {
    /// Which service to be: frontend, checkout, payments or users.
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// The service's name, where it differs from its role.
    #[arg(long, requires = "role")]
    name: Option<String>,
    /// What service_info and service.version say.
    #[arg(long, value_name = "VERSION", default_value = "1.0.0")]
    service_version: String,
    /// Where to take requests [default: <name>:8080; a name is bound to a free port of loopback]
    #[arg(long, value_name = "HOST:PORT", requires = "role")]
    listen: Option<Address>,
    /// Where to take faults [default: <name>:8081]
    #[arg(long, value_name = "HOST:PORT", requires = "role")]
    control: Option<Address>,
    /// Where a service to call is found.
    #[arg(long = "upstream", value_name = "NAME=HOST:PORT")]
    upstreams: Vec<Assignment<Address>>,
    /// Where a name is really found, for example checkout:8080=127.0.0.1:34567.
    #[arg(long = "name-of", value_name = "NAME:PORT=IP:PORT")]
    names: Vec<Assignment<SocketAddr>>,
    /// The first port of the topology; frontend takes requests there, and each service has two ports.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 8080,
        conflicts_with = "role"
    )]
    port_base: u16,
    /// The OTLP/HTTP receiver for traces and logs, or "none".
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4318")]
    otlp_endpoint: String,
    /// How often telemetry is sent.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    flush_interval: Duration,
    /// The share of traces that begin here and are recorded, 0 to 1.
    #[arg(long, value_name = "RATIO", default_value_t = 1.0)]
    sampling_ratio: f64,
    /// The lowest level of log lines: debug, info, warn or error.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: Level,
    /// Of the log lines of ordinary requests, every so manieth is written; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 1)]
    access_log_every: u32,
    /// The file of the database; without it the database is in memory.
    #[arg(long, value_name = "FILE", requires = "role")]
    database: Option<PathBuf>,
    /// Cores that are a hundred percent of process_cpu_usage_percent.
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    cpu_cores: f64,
    /// Bytes that are a hundred percent of process_memory_usage_percent.
    #[arg(long, value_name = "BYTES", default_value_t = 512 << 20)]
    memory_bytes: u64,
    /// Bytes that the data volume has.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    disk_bytes: u64,
    /// The seed of service times, ids and faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Serve the node exporter of the host too [default: <name>:9100]
    #[arg(long, value_name = "HOST:PORT", requires = "role", num_args = 0..=1, default_missing_value = "")]
    node_exporter: Option<String>,
    /// The node exporter shows this process's slice of the machine, and not the whole machine.
    #[arg(long)]
    host_slice: bool,
    /// End when standard input is closed, that is, when the parent process has gone.
    #[arg(long)]
    with_parent: bool,
}

/// `left=right`, where the left side is a name or an address.
#[derive(Clone, Debug)]
struct Assignment<T> {
    name: String,
    value: T,
}

impl<T> FromStr for Assignment<T>
where
    T: FromStr,
    T::Err: Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("expected NAME=ADDRESS, got {text:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            value: value.parse().map_err(|error: T::Err| error.to_string())?,
        })
    }
}

/// Exit code of a mistake on the command line (as clap's own).
const EXIT_USAGE: u8 = 2;
/// Exit code of a service that could not start.
const EXIT_FAILED: u8 = 1;

/// Runs the command line `args`, the program's name first; for the binary, and for a hidden subcommand of another one.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match Options::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; a closed one is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: options.seed,
        watchdog: Duration::from_secs(60),
    });
    let outcome = match sim {
        Ok(sim) => sim.block_on(serve(sim.env(), &options)),
        Err(error) => Err(format!("cannot make a runtime: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "fake-service: {message}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

async fn serve(env: &Env, options: &Options) -> Result<(), String> {
    for name in &options.names {
        let address: Address = name
            .name
            .parse()
            .map_err(|error| format!("--name-of {}: {error}", name.name))?;
        env.net().assign(&address, name.value);
    }
    let services = match options.role {
        Some(role) => one(env, options, role).await?,
        None => all(env, options).await?,
    };
    tokio::select! {
        biased;
        _ = interrupted() => {}
        () = parent_gone(), if options.with_parent => {}
    }
    for service in services {
        service.stop().await;
    }
    Ok(())
}

async fn one(env: &Env, options: &Options, role: Role) -> Result<Vec<Service>, String> {
    let config = config_of(options, role)?;
    let service = started(env, config, "--listen and --control").await?;
    let mut line = String::new();
    if let (Some(socket), Some(control)) = (service.socket(), service.control_socket()) {
        line = format!("listening {socket} control {control}");
    }
    if let Some(address) = &options.node_exporter {
        let address = match address.as_str() {
            "" => Address::new(service.config().name.clone(), NODE_EXPORTER_PORT),
            text => text
                .parse()
                .map_err(|error| format!("--node-exporter: {error}"))?,
        };
        let bound = service.export_node(&address).await;
        let socket = bound.map_err(|error| format!("{error} (--node-exporter moves it)"))?;
        if let Some(socket) = socket {
            line = format!("{line} node-exporter {socket}");
        }
    }
    say(&line)?;
    Ok(vec![service])
}

async fn all(env: &Env, options: &Options) -> Result<Vec<Service>, String> {
    let mut services = Vec::new();
    let mut port = options.port_base;
    for service in topology() {
        for address in [&service.listen, &service.control] {
            env.net().assign(address, ([127, 0, 0, 1], port).into());
            port = port.checked_add(1).ok_or("--port-base is too high")?;
        }
        let config = config_of(options, service.role)?;
        services.push(started(env, config, "--port-base").await?);
    }
    for service in &services {
        if let (Some(socket), Some(control)) = (service.socket(), service.control_socket()) {
            let name = &service.config().name;
            say(&format!(
                "{name:<10} http://{socket}/  control http://{control}/-/faults"
            ))?;
        }
    }
    if let Some(socket) = services.first().and_then(Service::socket) {
        say(&format!(
            "open http://{socket}/api/checkout; Ctrl-C ends it"
        ))?;
    }
    Ok(services)
}

async fn started(env: &Env, config: ServiceConfig, moved_by: &str) -> Result<Service, String> {
    let name = config.name.clone();
    start(&env.on(&name), config)
        .await
        .map_err(|error| match error {
            Error::Listen(_) => format!("{name}: {error} ({moved_by} moves it)"),
            _ => format!("{name}: {error}"),
        })
}

fn config_of(options: &Options, role: Role) -> Result<ServiceConfig, String> {
    if !(0.0..=1.0).contains(&options.sampling_ratio) {
        return Err("--sampling-ratio: expected a number from 0 to 1".to_owned());
    }
    if options.flush_interval.is_zero() || options.cpu_cores <= 0.0 {
        return Err("--flush-interval and --cpu-cores must be above zero".to_owned());
    }
    if options.memory_bytes == 0 || options.disk_bytes == 0 {
        return Err("--memory-bytes and --disk-bytes must be above zero".to_owned());
    }
    let mut config = ServiceConfig::of(role);
    if let Some(name) = &options.name {
        config.listen.host.clone_from(name);
        config.control.host.clone_from(name);
        config.name.clone_from(name);
    }
    if let Some(listen) = &options.listen {
        config.listen = listen.clone();
    }
    if let Some(control) = &options.control {
        config.control = control.clone();
    }
    for assignment in &options.upstreams {
        let upstream: &mut Upstream = config
            .upstreams
            .iter_mut()
            .find(|it| it.name == assignment.name)
            .ok_or_else(|| format!("--upstream: {role} does not call {:?}", assignment.name))?;
        upstream.address = assignment.value.clone();
    }
    config.otlp_endpoint = match options.otlp_endpoint.as_str() {
        "none" => None,
        text => Some(
            text.parse()
                .map_err(|error| format!("--otlp-endpoint: {error}"))?,
        ),
    };
    config.version.clone_from(&options.service_version);
    config.flush_interval = options.flush_interval;
    config.sampling_ratio = options.sampling_ratio;
    config.log_level = options.log_level;
    config.host_slice = options.host_slice;
    config.access_log_every = options.access_log_every;
    config.database.clone_from(&options.database);
    config.limits = HostLimits {
        cpu_cores: options.cpu_cores,
        memory_bytes: options.memory_bytes,
        disk_bytes: options.disk_bytes,
    };
    Ok(config)
}

/// Prints a line; the reader may be waiting for it.
fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}
