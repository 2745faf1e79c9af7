use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gameday_alerts::EmailAuth;
use gameday_env::{Mode, Sim, SimConfig, TlsServer};
use gameday_signal::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;

const CA: &str = include_str!("../../../env/tests/data/ca.pem");
const CERT: &str = include_str!("../../../env/tests/data/server.pem");
const KEY: &str = include_str!("../../../env/tests/data/server.key");

/// What a server is like.
#[derive(Clone, Default)]
struct Server {
    /// The lines after the first of its answer to EHLO.
    offers: Vec<&'static str>,
    /// The same once TLS has begun.
    offers_in_secret: Vec<&'static str>,
    /// TLS begins with the connection.
    implicit: bool,
    /// Answers to lines that begin so, instead of the usual ones.
    answers: BTreeMap<&'static str, &'static str>,
}

type Transcript = Arc<Mutex<Vec<String>>>;

impl Server {
    async fn start(self, env: &Env) -> Transcript {
        let transcript = Transcript::default();
        let mut listener = env
            .listen(&Address::new("receiver", 25))
            .await
            .expect("a free port");
        let told = Arc::clone(&transcript);
        env.spawn(async move {
            while let Ok(connection) = listener.accept().await {
                self.clone().serve(connection, &told).await;
            }
        });
        transcript
    }

    async fn serve(self, connection: Connection, told: &Transcript) -> Option<()> {
        let tls = TlsServer::new(CERT, KEY, None).expect("a valid identity");
        let mut connection = connection;
        let mut in_secret = self.implicit;
        if self.implicit {
            connection = tls.accept(connection).await.ok()?;
        }
        let mut stream = BufReader::new(connection);
        let mut reply = "220 receiver ESMTP".to_owned();
        loop {
            let text = format!("{reply}\r\n");
            stream.get_mut().write_all(text.as_bytes()).await.ok()?;
            stream.get_mut().flush().await.ok()?;
            if reply == "220 Ready to start TLS" {
                let shaken = tls.accept(stream.into_inner()).await;
                let Ok(secret) = shaken else {
                    told.lock().expect("alone").push("TLS failed".to_owned());
                    return None;
                };
                told.lock().expect("alone").push("TLS".to_owned());
                stream = BufReader::new(secret);
                in_secret = true;
                // After STARTTLS the client speaks first.
            }
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            told.lock().expect("alone").push(line.clone());
            reply = self.reply(&line, in_secret);
            if reply.starts_with("354") {
                stream.get_mut().write_all(b"354 Go ahead\r\n").await.ok()?;
                stream.get_mut().flush().await.ok()?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut data).await.ok()?;
                }
                told.lock().expect("alone").push(data);
                reply = self.reply("<message>", in_secret);
            }
        }
    }

    fn reply(&self, line: &str, in_secret: bool) -> String {
        let own = self
            .answers
            .iter()
            .find(|(start, _)| line.starts_with(**start));
        if let Some((_, answer)) = own {
            return (*answer).to_owned();
        }
        let word = line.split([' ', ':']).next().unwrap_or_default();
        match word {
            "EHLO" => {
                let offers = if in_secret && !self.implicit {
                    &self.offers_in_secret
                } else {
                    &self.offers
                };
                let mut lines = vec!["receiver"];
                lines.extend(offers);
                let last = lines.len() - 1;
                let lines = lines.iter().enumerate().map(|(index, line)| {
                    let mark = if index == last { ' ' } else { '-' };
                    format!("250{mark}{line}")
                });
                lines.collect::<Vec<_>>().join("\r\n")
            }
            "STARTTLS" => "220 Ready to start TLS".to_owned(),
            "AUTH" if line == "AUTH CRAM-MD5" => {
                // The example of RFC 2195.
                "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+".to_owned()
            }
            "AUTH" if line == "AUTH LOGIN" => "334 VXNlcm5hbWU6".to_owned(),
            "DATA" => "354 Go ahead".to_owned(),
            "QUIT" => "221 Bye".to_owned(),
            "bWU=" => "334 UGFzc3dvcmQ6".to_owned(),
            "AUTH" | "cHc=" | "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw" => {
                "235 Welcome".to_owned()
            }
            _ => "250 OK".to_owned(),
        }
    }
}

fn message() -> EmailMessage {
    EmailMessage {
        host: "receiver".to_owned(),
        port: "25".to_owned(),
        hello: "gameday".to_owned(),
        implicit_tls: false,
        require_tls: true,
        tls: gameday_alerts::TlsOptions::default(),
        auth: None,
        from: "from@x.org".to_owned(),
        to: vec!["a@x.org".to_owned(), "b@x.org".to_owned()],
        data: b"Subject: s\r\n\r\n.hidden\r\nend\r\n".to_vec(),
        timeout: Duration::from_secs(5),
    }
}

fn login(username: &str) -> Option<EmailAuth> {
    Some(EmailAuth {
        username: username.to_owned(),
        password: "pw".to_owned(),
        secret: "tanstaaftanstaaf".to_owned(),
        identity: "id".to_owned(),
    })
}

/// What the server heard, and the outcome, in memory and over TCP.
fn play(server: &Server, message: &EmailMessage, ca: &str) -> (String, Outcome) {
    let results = [
        Mode::Virtual {
            epoch: Timestamp::from_secs(1_700_000_000),
            speed: None,
        },
        Mode::Real,
    ]
    .map(|mode| {
        let sim = Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime");
        sim.block_on(async {
            let env = sim.env().on("receiver");
            let transcript = server.clone().start(&env).await;
            let sender = sim.env().on("alertmanager");
            let tls = TlsOptions {
                ca: Some(ca.to_owned()),
                ..TlsOptions::default()
            };
            let outcome = send(&sender, message, &tls).await;
            let heard = transcript.lock().expect("alone").join("\n");
            (heard, outcome)
        })
    });
    let [first, second] = results;
    assert_eq!(first, second);
    first
}

fn error_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

const ENVELOPE: &str = "MAIL FROM:<from@x.org>\nRCPT TO:<a@x.org>\nRCPT TO:<b@x.org>\nDATA\n\
    Subject: s\r\n\r\n..hidden\r\nend\r\n.\r\n\nQUIT";

#[test]
fn starttls_and_each_way_to_log_in() {
    for (offers, username, logged_in) in [
        ("AUTH PLAIN LOGIN", "me", "AUTH PLAIN aWQAbWUAcHc="),
        ("AUTH LOGIN PLAIN", "me", "AUTH LOGIN\nbWU=\ncHc="),
        (
            "AUTH CRAM-MD5 PLAIN",
            "tim",
            "AUTH CRAM-MD5\ndGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
        ),
    ] {
        let server = Server {
            offers: vec!["STARTTLS"],
            offers_in_secret: vec!["SIZE 1000", offers],
            ..Server::default()
        };
        let message = EmailMessage {
            auth: login(username),
            ..message()
        };
        let (heard, outcome) = play(&server, &message, CA);
        assert_eq!(outcome, Outcome::Delivered, "{offers}: {heard}");
        let expected =
            format!("EHLO gameday\nSTARTTLS\nTLS\nEHLO gameday\n{logged_in}\n{ENVELOPE}");
        assert_eq!(heard, expected, "{offers}");
    }
}

#[test]
fn tls_from_the_start_and_none_at_all() {
    let implicit = Server {
        implicit: true,
        offers: vec!["8BITMIME", "SMTPUTF8", "AUTH PLAIN"],
        ..Server::default()
    };
    let own = EmailMessage {
        implicit_tls: true,
        auth: login("me"),
        ..message()
    };
    let (heard, outcome) = play(&implicit, &own, CA);
    assert_eq!(outcome, Outcome::Delivered, "{heard}");
    assert!(
        heard.contains("MAIL FROM:<from@x.org> BODY=8BITMIME SMTPUTF8\n"),
        "{heard}"
    );
    let plain = EmailMessage {
        require_tls: false,
        ..message()
    };
    let (heard, outcome) = play(&Server::default(), &plain, CA);
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(heard, format!("EHLO gameday\n{ENVELOPE}"));
}

#[test]
fn what_goes_wrong_is_told_and_tried_again() {
    let open = Server {
        offers: vec!["AUTH PLAIN"],
        ..Server::default()
    };
    let answering = |start, answer| Server {
        offers: vec!["AUTH PLAIN LOGIN"],
        answers: BTreeMap::from([(start, answer)]),
        ..Server::default()
    };
    let plain = EmailMessage {
        require_tls: false,
        ..message()
    };
    let with_login = EmailMessage {
        auth: login("me"),
        ..plain.clone()
    };
    let without_password = EmailMessage {
        auth: login("me").map(|own| EmailAuth {
            password: String::new(),
            ..own
        }),
        ..plain.clone()
    };
    for (server, message, expected) in [
        (
            open.clone(),
            message(),
            "'require_tls' is true (default) but \"receiver:25\" does not advertise the STARTTLS extension",
        ),
        (
            open.clone(),
            with_login.clone(),
            "PLAIN auth: unencrypted connection",
        ),
        (
            open,
            without_password,
            "find auth mechanism: missing password for PLAIN auth mechanism",
        ),
        (
            Server {
                offers: vec!["AUTH XOAUTH2"],
                ..Server::default()
            },
            with_login.clone(),
            "find auth mechanism: unknown auth mechanism: XOAUTH2",
        ),
        (
            Server {
                offers: vec!["AUTH LOGIN"],
                answers: BTreeMap::from([("cHc=", "535 5.7.8 wrong")]),
                ..Server::default()
            },
            with_login,
            "LOGIN auth: 535 5.7.8 wrong",
        ),
        (
            answering("MAIL", "452 4.3.1 full"),
            plain.clone(),
            "send MAIL command: 452 4.3.1 full",
        ),
        (
            answering("RCPT TO:<b@", "550 5.1.1 nobody"),
            plain.clone(),
            "send RCPT command: 550 5.1.1 nobody",
        ),
        (
            answering("DATA", "554 no"),
            plain.clone(),
            "send DATA command: 554 no",
        ),
        (
            answering("<message>", "554-one\r\n554 two"),
            plain.clone(),
            "delivery failure: 554 one two",
        ),
        (
            answering("EHLO", "<html>"),
            plain,
            "send EHLO command: the server's reply is no SMTP: \"<html>\"",
        ),
    ] {
        let (_, outcome) = play(&server, &message, CA);
        assert_eq!(error_of(outcome), expected);
    }
}

#[test]
fn a_server_that_is_not_trusted_gets_no_mail() {
    let server = Server {
        offers: vec!["STARTTLS"],
        ..Server::default()
    };
    let other = include_str!("../../../env/tests/data/self-signed.pem");
    let (_, outcome) = play(&server, &message(), other);
    assert_eq!(
        error_of(outcome),
        "send STARTTLS command: tls: failed to verify the certificate of receiver: \
         signed by an unknown authority (trust it with ca_file)"
    );
}

#[test]
fn a_server_that_hangs_is_left() {
    let sim = Sim::new(&SimConfig {
        mode: Mode::Virtual {
            epoch: Timestamp::EPOCH,
            speed: None,
        },
        seed: 1,
        watchdog: Duration::from_secs(20),
    })
    .expect("a runtime");
    sim.block_on(async {
        let env = sim.env().on("receiver");
        let listener = env.listen(&Address::new("receiver", 25)).await;
        let outcome = send(
            sim.env(),
            &message(),
            &TlsOptions {
                insecure_skip_verify: true,
                ..TlsOptions::default()
            },
        )
        .await;
        assert_eq!(error_of(outcome), "timed out after 5s");
        assert_eq!(sim.env().now(), Timestamp::from_secs(5));
        drop(listener);
    });
}
