//! The unix prober: a connection to a socket in the file system of the exporter's host, and a conversation over it.

use gameday_env::Env;

use super::config::Module;
use super::conversation::{self, Setting};
use super::probe::{Probe, SessionMetrics};

pub(super) async fn run(env: &Env, module: &Module, target: &str, probe: &mut Probe) -> bool {
    let settings = &module.unix;
    let connection = match env.dial_unix(target).await {
        Ok(connection) => connection,
        Err(error) => {
            probe.fail(format!("Error dialing unix: {error}"));
            return false;
        }
    };
    let setting = Setting {
        steps: &settings.query_response,
        tls: &settings.tls_config,
        // A path is no name that a certificate could bear.
        server_name: None,
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
            probe.fail(format!("Error dialing unix: {reason}"));
            false
        }
    }
}
