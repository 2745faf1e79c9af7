//! Servers that take everything and remember it: one for HTTP, one for SMTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One request or mail.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What a server has taken so far, and where it listens.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) port: u16,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Sink {
    fn start(serve: fn(TcpStream) -> std::io::Result<Vec<Taken>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let shared = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    if let Ok(some) = serve(stream) {
                        shared.lock().unwrap().extend(some);
                    }
                });
            }
        });
        Self { port, taken }
    }

    pub(crate) fn http() -> Self {
        Self::start(|stream| Ok(vec![serve_http(stream)?]))
    }

    pub(crate) fn smtp() -> Self {
        Self::start(|stream| Ok(vec![serve_smtp(stream)?]))
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Waits for at least `count` messages.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Taken> {
        let start = Instant::now();
        while self.taken().len() < count {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "only {:?}",
                self.taken()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.taken()
    }
}

fn serve_http(stream: TcpStream) -> std::io::Result<Taken> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let at = Instant::now();
    let path = line
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    // An answer that satisfies Slack, Telegram and Rocket.Chat.
    let answer = r#"{"ok":true,"success":true,"result":{"message_id":1,"chat":{"id":1}}}"#;
    write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )?;
    Ok(Taken {
        at,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

fn serve_smtp(stream: TcpStream) -> std::io::Result<Taken> {
    let mut reader = BufReader::new(stream);
    let at = Instant::now();
    reader.get_mut().write_all(b"220 sink ESMTP\r\n")?;
    let (mut commands, mut body) = (Vec::new(), String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            break;
        }
        let verb = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_uppercase();
        commands.push(("command".to_owned(), line.trim_end().to_owned()));
        let answer: &[u8] = match verb.as_str() {
            "EHLO" | "HELO" => b"250 sink\r\n",
            "DATA" => {
                reader.get_mut().write_all(b"354 go on\r\n")?;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line)? == 0 || line == ".\r\n" {
                        break;
                    }
                    body.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                b"250 taken\r\n"
            }
            "QUIT" => {
                reader.get_mut().write_all(b"221 bye\r\n")?;
                break;
            }
            _ => b"250 ok\r\n",
        };
        reader.get_mut().write_all(answer)?;
    }
    Ok(Taken {
        at,
        path: String::new(),
        headers: commands,
        body,
    })
}
