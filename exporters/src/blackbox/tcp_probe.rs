//! The tcp prober: a connection, and a conversation over it.

use gameday_env::{Address, Env, Route};

use super::config::Module;
use super::conversation::{self, Setting};
use super::probe::{Probe, SessionMetrics};

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.tcp;
    let address: Address = match target.parse() {
        Ok(address) => address,
        Err(error) => {
            probe.fail(format!("Error splitting target address and port: {error}"));
            return false;
        }
    };
    let (preferred, fallback) = (
        settings.preferred_ip_protocol,
        settings.ip_protocol_fallback,
    );
    let Some((ip, _)) = probe.resolve(&address.host, preferred, fallback).await else {
        return false;
    };
    let route = Route {
        from: settings.source_ip_address,
        to: Some(ip),
    };
    let connection = match env.dial_by(&address, route).await {
        Ok(connection) => connection,
        Err(error) => {
            probe.fail(format!("Error dialing TCP: {error}"));
            return false;
        }
    };
    let setting = Setting {
        steps: &settings.query_response,
        tls: &settings.tls_config,
        server_name: Some(&address.host),
    };
    if !settings.tls {
        probe.say("Successfully dialed");
        return conversation::hold(env, &setting, connection, probe).await;
    }
    match setting.shake_hands(env, connection).await {
        Ok((connection, session)) => {
            probe.say("Successfully dialed");
            probe.session(&session, SessionMetrics::WithoutCipher);
            conversation::hold(env, &setting, connection, probe).await
        }
        Err(reason) => {
            probe.fail(format!("Error dialing TCP: {reason}"));
            false
        }
    }
}
