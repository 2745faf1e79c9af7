//! What stays on the machine: sockets in the file system, the addresses of names, and an echo of the loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gameday_env::{Address, EchoError, EchoOptions, Env, Mode, Sim, SimConfig};
use gameday_signal::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const VIRTUAL: Mode = Mode::Virtual {
    epoch: Timestamp::EPOCH,
    speed: None,
};

fn play<F: Future<Output = ()>>(mode: Mode, scene: impl FnOnce(Env) -> F) {
    let sim = Sim::new(&SimConfig {
        mode,
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    sim.block_on(scene(env));
}

#[test]
fn a_socket_in_the_file_system_is_of_its_host() {
    for (number, mode) in [VIRTUAL, Mode::Real].into_iter().enumerate() {
        let name = format!("gameday-{}-{number}.sock", std::process::id());
        let file = std::env::temp_dir().join(name);
        let path = file.to_str().expect("UTF-8").to_owned();
        play(mode, |env| async move {
            let (own, other) = (env.on("own"), env.on("other"));
            let missing = own.dial_unix(&path).await.err().expect("nobody listens");
            assert!(missing.to_string().starts_with(&format!("unix {path}: ")));
            let mut listener = own.listen_unix(&path).expect("free");
            assert!(own.listen_unix(&path).is_err());
            own.spawn(async move {
                while let Ok(mut connection) = listener.accept().await {
                    let mut line = [0; 2];
                    connection.read_exact(&mut line).await.expect("a line");
                    connection.write_all(&line).await.expect("sent");
                }
            });
            let mut connection = own.dial_unix(&path).await.expect("it listens");
            connection.write_all(b"hi").await.expect("sent");
            let mut line = [0; 2];
            connection.read_exact(&mut line).await.expect("an answer");
            assert_eq!(&line, b"hi");
            // In memory each host has a file system of its own.
            assert_eq!(other.dial_unix(&path).await.is_ok(), mode == Mode::Real);
            env.crash("own");
            for _ in 0..50 {
                env.clock().sleep(Duration::from_millis(10)).await;
                if own.dial_unix(&path).await.is_err() {
                    break;
                }
            }
            assert!(own.dial_unix(&path).await.is_err());
        });
        assert!(!file.exists(), "{}", file.display());
    }
}

#[test]
fn names_have_addresses() {
    play(VIRTUAL, |env| async move {
        assert!(env.lookup("web").await.is_err());
        let listener = env.listen(&Address::new("web", 80)).await.expect("free");
        let found = env.lookup("web").await.expect("known");
        assert!(matches!(found[..], [IpAddr::V4(ip)] if ip.octets()[0] == 10));
        drop(listener);
        // A host that is down keeps its address.
        assert_eq!(env.lookup("web").await.expect("known"), found);
        let literal = env.lookup("2001:db8::1").await.expect("itself");
        assert_eq!(literal[0].to_string(), "2001:db8::1");
    });
    play(Mode::Real, |env| async move {
        let _listener = env.listen(&Address::new("web", 80)).await.expect("free");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(env.lookup("web").await.expect("bound"), [loopback]);
        let unknown = env.lookup("no-such-host.invalid").await;
        let unknown = unknown.expect_err("nobody has it");
        assert_eq!(unknown.to_string(), "no such host: no-such-host.invalid");
    });
}

#[test]
fn the_loopback_answers_an_echo() {
    play(Mode::Real, |env| async move {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for (ttl, dont_fragment) in [(0, false), (9, false), (9, true)] {
            let options = EchoOptions {
                source: Some(ip),
                ttl,
                dont_fragment,
            };
            let mut echo = match env.echo("127.0.0.1", ip, &options) {
                Ok(echo) => echo,
                Err(error @ EchoError::Socket { .. }) => {
                    println!("skipped: {error}");
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            let limit = Duration::from_secs(5);
            let answer = env.clock().timeout(limit, echo.ask(b"gameday")).await;
            let reply = answer.expect("in time").expect("an answer");
            // The answer has the system's own limit, whatever the question had.
            assert!(reply.hop_limit.is_some_and(|it| it >= 32), "{reply:?}");
        }
        let long = vec![0; 70_000];
        let mut echo = env
            .echo("127.0.0.1", ip, &EchoOptions::default())
            .expect("as before");
        let error = echo.ask(&long).await.expect_err("too long");
        assert!(error.to_string().contains("70000 bytes"), "{error}");
    });
}
