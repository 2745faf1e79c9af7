//! `gameday stack up`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use futures::future::{Either, select};
use gameday_env::{Env, Hangups, Mode, Sim, SimConfig};
use gameday_server::{NotifyMode, Stack, StackAddresses, StackError, StackFiles, StackOptions};

use gameday_signal::EventKind;

use super::say;
use crate::failure::Failure;

/// How long an end waits for what the collector has still to send.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Commands about the embedded stack.
#[derive(clap::Subcommand)]
pub(super) enum StackCommand {
    /// Serves Prometheus, Alertmanager, Loki, Tempo, the collector and Pushgateway on their standard ports, on loopback.
    Up(Args),
}

/// Options of `gameday stack up`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The folder with prometheus.yml, alertmanager.yml and rules under their usual names [default: the embedded files]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Keeps metrics, log lines, traces, silences and the notification log in this folder, so that they survive a restart and a kill
    /// [default: all in memory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Sends no notification anywhere: all are kept on the page /receivers of Alertmanager's port [default without --config]
    #[arg(long)]
    keep_notifications: bool,
    /// Moves every port by this much.
    #[arg(long, value_name = "N", default_value_t = 0)]
    port_offset: u16,
}

/// The watchdog is for virtual time; the real clock has none.
const NO_WATCHDOG: Duration = Duration::MAX;

pub(super) fn run(command: StackCommand) -> Result<ExitCode, Failure> {
    let StackCommand::Up(args) = command;
    let files = match &args.config {
        Some(dir) => StackFiles::load(dir).map_err(Failure::scenario)?,
        None => StackFiles::embedded(),
    };
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: NO_WATCHDOG,
    })
    .map_err(|error| Failure::internal(format!("cannot start a runtime: {error}")))?;
    let env = sim.env().clone();
    sim.block_on(async {
        let addresses = StackAddresses::loopback(args.port_offset);
        let external_url = format!("http://{}", addresses.prometheus);
        let options = StackOptions {
            addresses: addresses.clone(),
            notify: if args.keep_notifications || args.config.is_none() {
                NotifyMode::Keep
            } else {
                NotifyMode::Direct
            },
            compress: None,
            external_url,
            span_metrics: true,
            data: args.data.clone(),
        };
        // A configuration of game days names the servers by their hosts: those names lead to the servers of this stack.
        for (name, address) in StackAddresses::named()
            .all()
            .into_iter()
            .zip(addresses.all())
        {
            if let Ok(ip) = address.host.parse::<std::net::IpAddr>() {
                env.net()
                    .assign(name, std::net::SocketAddr::new(ip, address.port));
            }
        }
        let started = Stack::start(&env, &files, options).await;
        // A start that fails may already have repaired files.
        tell_notes(&env)?;
        let stack = started.map_err(|error| match error {
            StackError::Listen { .. } => Failure::target(error.to_string())
                .hinted("move every port of the stack with --port-offset N, for example 1000"),
            StackError::DataInUse(_) => Failure::target(error.to_string())
                .hinted("stop that process, or name another folder with --data"),
            StackError::File(_) | StackError::Data(_) => Failure::scenario(error.to_string()),
        })?;
        for (server, address) in [
            ("Prometheus", &addresses.prometheus),
            ("Alertmanager", &addresses.alertmanager),
            ("Loki", &addresses.loki),
            ("Tempo", &addresses.tempo),
            ("OTLP/HTTP", &addresses.otlp_http),
            ("Pushgateway", &addresses.pushgateway),
        ] {
            say(format!("{server:<13} http://{address}"))?;
        }
        say(format!(
            "{:<13} http://{}/receivers",
            "Receivers", addresses.alertmanager
        ))?;
        let mut hangups = Hangups::listen();
        let interrupted = gameday_env::interrupted();
        let mut interrupted = std::pin::pin!(interrupted);
        let signal = loop {
            let hangup = std::pin::pin!(hangups.next());
            match select(interrupted.as_mut(), hangup).await {
                Either::Left((signal, _)) => break signal,
                Either::Right(_) => reload(&stack)?,
            }
        };
        for left in stack.drain(DRAIN_MAX).await {
            say(left)?;
        }
        stack.save().map_err(Failure::target)?;
        say(format!("{signal}: stopped"))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says what the start has to tell: what was read, what was damaged, what is not obeyed.
fn tell_notes(env: &Env) -> Result<(), Failure> {
    for event in env.journal().events() {
        if let EventKind::Note { text } = event.kind {
            say(text)?;
        }
    }
    Ok(())
}

/// Reads all files again, as SIGHUP asks for.
fn reload(stack: &Stack) -> Result<(), Failure> {
    match stack.reload() {
        Ok(()) => say("SIGHUP: all files were read again"),
        Err(errors) => errors.into_iter().try_for_each(|error| {
            say(format!("SIGHUP: {error}; what was in force stays in force"))
        }),
    }
}
