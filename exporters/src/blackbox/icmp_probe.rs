//! The icmp prober: an echo.

use std::time::Duration;

use gameday_env::{EchoOptions, EchoReply, Env};

use super::config::Module;
use super::probe::Probe;
use super::settings::IcmpSettings;

/// What is sent, as the real exporter does; a longer payload has zeros after it.
const PAYLOAD: &[u8] = b"Prometheus Blackbox Exporter";

#[derive(Clone, Copy, Default)]
struct Phases {
    resolve: Duration,
    setup: Duration,
    rtt: Duration,
}

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.icmp;
    let mut phases = Phases::default();
    report(probe, phases);
    let (preferred, fallback) = (
        settings.preferred_ip_protocol,
        settings.ip_protocol_fallback,
    );
    let Some((ip, lookup)) = probe.resolve(target, preferred, fallback).await else {
        return false;
    };
    phases.resolve = lookup;
    let begin = env.now();
    probe.say("Creating socket");
    let options = EchoOptions {
        source: settings.source_ip_address,
        ttl: settings.ttl,
        dont_fragment: settings.dont_fragment,
    };
    let mut echo = match env.echo(target, ip, &options) {
        Ok(echo) => echo,
        Err(error) => {
            report(probe, phases);
            probe.fail(format!("Error listening to socket: {error}"));
            return false;
        }
    };
    if let Some(reason) = echo.raw_because() {
        probe.say(format!(
            "Unable to do unprivileged listen on socket, took a raw one: {reason}"
        ));
    }
    let payload = payload(settings);
    phases.setup = env.now().since(begin);
    report(probe, phases);
    probe.say("Writing out packet");
    let sent = env.now();
    let answer = env.clock().timeout(probe.left(), echo.ask(&payload)).await;
    match answer {
        Ok(Ok(EchoReply { hop_limit })) => {
            phases.rtt = env.now().since(sent);
            report(probe, phases);
            if let Some(hop_limit) = hop_limit {
                let help = "Replied packet hop limit (TTL for ipv4)";
                probe.set(("probe_icmp_reply_hop_limit", help), f64::from(hop_limit));
            }
            probe.say("Found matching reply packet");
            true
        }
        Ok(Err(error)) => {
            probe.fail(format!("Error writing to socket: {error}"));
            false
        }
        Err(elapsed) => {
            probe.fail(format!("Timeout reading from socket: {elapsed}"));
            false
        }
    }
}

fn payload(settings: &IcmpSettings) -> Vec<u8> {
    let mut payload = PAYLOAD.to_vec();
    if settings.payload_size > 0 {
        // More than a packet holds is refused as it is sent.
        let size = usize::try_from(settings.payload_size).unwrap_or(usize::MAX);
        payload.resize(size.min(1 << 16), 0);
    }
    payload
}

fn report(probe: &mut Probe, phases: Phases) {
    const PHASES: &str = "probe_icmp_duration_seconds";
    probe.out.reset(PHASES);
    for (phase, duration) in [
        ("resolve", phases.resolve),
        ("rtt", phases.rtt),
        ("setup", phases.setup),
    ] {
        let help = "Duration of icmp request by phase";
        probe.gauge(PHASES, help, &[("phase", phase)], duration.as_secs_f64());
    }
}
