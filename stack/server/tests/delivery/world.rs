//! A stack and the servers that it sends to.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, Mode, ServeOptions, Sim, SimConfig, TlsServer, serve, serve_tls};
use gameday_server::{NotifyMode, Stack, StackFiles, StackOptions};
use gameday_signal::{EventKind, Timestamp};
use http::Response;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

const CERT: &str = include_str!("../../../env/tests/data/server.pem");
const KEY: &str = include_str!("../../../env/tests/data/server.key");

const EPOCH: Timestamp = Timestamp::from_secs(1_700_000_000);
/// 2023-11-14T22:13:20Z.
pub(crate) const VIRTUAL: Mode = Mode::Virtual {
    epoch: EPOCH,
    speed: None,
};

/// A request as a server got it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at_secs: f64,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

#[derive(Clone)]
pub(crate) struct World {
    env: Env,
    alerts: Arc<Mutex<Vec<Value>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    mails: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Plays `scene` on a stack with that alertmanager.yml.
    pub(crate) fn play(mode: Mode, alertmanager: &str, scene: impl AsyncFnOnce(&Self)) {
        let files = [("alertmanager.yml", alertmanager)];
        Self::play_files(mode, &files, NotifyMode::Direct, scene);
    }

    /// The same on a stack that keeps all notifications.
    pub(crate) fn keep(alertmanager: &str, scene: impl AsyncFnOnce(&Self)) {
        let files = [("alertmanager.yml", alertmanager)];
        Self::play_files(VIRTUAL, &files, NotifyMode::Keep, scene);
    }

    /// The same with files of any name.
    pub(crate) fn play_files(
        mode: Mode,
        files: &[(&str, &str)],
        notify: NotifyMode,
        scene: impl AsyncFnOnce(&Self),
    ) {
        let sim = Sim::new(&SimConfig {
            mode,
            seed: 1,
            watchdog: Duration::from_secs(60),
        })
        .expect("a runtime");
        let folder = Folder::new(files);
        let files = StackFiles::load(&folder.0).expect("valid files");
        sim.block_on(async {
            let options = StackOptions {
                notify,
                ..StackOptions::default()
            };
            let env = sim.env().clone();
            let _stack = Stack::start(&env, &files, options).await.expect("a stack");
            let world = Self {
                env,
                alerts: Arc::default(),
                requests: Arc::default(),
                mails: Arc::default(),
            };
            scene(&world).await;
        });
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("alone").clone()
    }

    pub(crate) fn mails(&self) -> Vec<String> {
        self.mails.lock().expect("alone").clone()
    }

    pub(crate) fn events(&self) -> Vec<EventKind> {
        let events = self.env.journal().events().into_iter();
        events.map(|event| event.kind).collect()
    }

    /// An alert for the next [`World::post`].
    pub(crate) fn alert(&self, labels: &[(&str, &str)]) {
        let labels: Value = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
            .collect();
        let alert = serde_json::json!({"labels": labels});
        self.alerts.lock().expect("alone").push(alert);
    }

    pub(crate) async fn post(&self) {
        let alerts = std::mem::take(&mut *self.alerts.lock().expect("alone"));
        let request = http::Request::post("http://alertmanager:9093/api/v2/alerts")
            .header("content-type", "application/json")
            .body(Bytes::from(Value::from(alerts).to_string()))
            .expect("a request");
        let answer = self.env.http_client().send(request, LIMIT).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.ask(&format!("http://alertmanager:9093{path}")).await
    }

    /// The first value of an instant query; none where there is no series.
    pub(crate) async fn query(&self, query: &str) -> Option<String> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let url = format!("http://prometheus:9090/api/v1/query?query={query}");
        let answer: Value = serde_json::from_str(&self.ask(&url).await).expect("JSON");
        let value = answer.pointer("/data/result/0/value/1");
        value.and_then(Value::as_str).map(str::to_owned)
    }

    /// What Prometheus says about its targets.
    pub(crate) async fn targets(&self) -> String {
        self.ask("http://prometheus:9090/api/v1/targets").await
    }

    async fn ask(&self, url: &str) -> String {
        let request = http::Request::get(url)
            .body(Bytes::new())
            .expect("a request");
        let answer = self.env.http_client().send(request, LIMIT).await;
        String::from_utf8_lossy(answer.expect("an answer").body()).into_owned()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.env.clock().sleep(duration).await;
    }

    /// Waits until something has happened.
    pub(crate) async fn until(&self, happened: impl Fn(&Self) -> bool) {
        for _ in 0..2000 {
            if happened(self) {
                return;
            }
            self.sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "it has not happened: {:#?}\n{:#?}\n{:#?}",
            self.requests(),
            self.mails(),
            self.events()
        );
    }

    async fn take(self, request: http::Request<Incoming>) -> Request {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        });
        let request = Request {
            at_secs: self.env.now().since(EPOCH).as_secs_f64(),
            path: head.uri.to_string(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        self.requests.lock().expect("alone").push(request.clone());
        request
    }

    /// A server over TLS that answers what `answer` says.
    pub(crate) async fn serve_tls<B: Into<Bytes>>(
        &self,
        answer: impl Fn(&Request) -> (u16, B) + Clone + Send + Sync + 'static,
    ) {
        let world = self.clone();
        let service = tower::service_fn(move |request| {
            let (world, answer) = (world.clone(), answer.clone());
            async move {
                let (status, body) = answer(&world.take(request).await);
                Ok::<_, Infallible>(answered(status, body.into()))
            }
        });
        let own = self.env.on("receiver");
        let address = Address::new("receiver", 443);
        let listener = own.listen(&address).await.expect("a free port");
        if let Some(socket) = listener.socket() {
            let pushover = Address::new("api.pushover.net", 443);
            self.env.net().assign(&pushover, socket);
        }
        let tls = TlsServer::new(CERT, KEY, None).expect("a valid identity");
        serve_tls(&own, listener, tls, service, ServeOptions::default());
    }

    /// A server that refuses everything and quotes address, headers and body in a page.
    pub(crate) async fn quote_everything_back(&self) {
        self.serve_tls(|request: &Request| {
            let page = format!(
                "<html>{} {:?} {}</html>",
                request.path, request.headers, request.body
            );
            (400, page)
        })
        .await;
    }

    /// `/good` is good; `/hangs` never answers; `/busy` is busy twice; `/html` is no API; the host `resets` hangs up.
    pub(crate) async fn misbehave(&self) {
        let world = self.clone();
        let service = tower::service_fn(move |request| {
            let world = world.clone();
            async move {
                let path = world.clone().take(request).await.path;
                let before = world
                    .requests()
                    .iter()
                    .filter(|own| own.path == path)
                    .count();
                let (status, body) = match (path.as_str(), before) {
                    ("/hangs", _) => std::future::pending().await,
                    ("/busy", 1) => (429, "slow"),
                    ("/busy", 2) => (503, ""),
                    ("/html", _) => (404, "<html>no</html>"),
                    _ => (200, ""),
                };
                let mut response = answered(status, Bytes::from(body));
                if status == 429 {
                    response.headers_mut().insert("retry-after", 3.into());
                }
                Ok::<_, Infallible>(response)
            }
        });
        let own = self.env.on("web");
        let address = Address::new("web", 80);
        let listener = own.listen(&address).await.expect("a free port");
        serve(&own, listener, service, ServeOptions::default());
        let own = self.env.on("resets");
        let address = Address::new("resets", 80);
        let mut listener = own.listen(&address).await.expect("a free port");
        own.spawn(async move {
            while let Ok(connection) = listener.accept().await {
                drop(connection);
            }
        });
    }

    /// A mail server without TLS that takes everything.
    pub(crate) async fn serve_mail(&self) {
        let own = self.env.on("receiver");
        let address = Address::new("receiver", 25);
        let mut listener = own.listen(&address).await.expect("a free port");
        let mails = Arc::clone(&self.mails);
        own.spawn(async move {
            while let Ok(connection) = listener.accept().await {
                let mut stream = BufReader::new(connection);
                let mut heard = String::new();
                let _ = stream.get_mut().write_all(b"220 hello\r\n").await;
                loop {
                    let start = heard.len();
                    if stream.read_line(&mut heard).await.unwrap_or(0) == 0 {
                        break;
                    }
                    let reply: &[u8] = match heard[start..].trim_end() {
                        "DATA" => {
                            let _ = stream.get_mut().write_all(b"354 go\r\n").await;
                            while !heard.ends_with("\r\n.\r\n") {
                                if stream.read_line(&mut heard).await.unwrap_or(0) == 0 {
                                    break;
                                }
                            }
                            b"250 taken\r\n"
                        }
                        "QUIT" => b"221 bye\r\n",
                        _ => b"250 ok\r\n",
                    };
                    let _ = stream.get_mut().write_all(reply).await;
                }
                mails.lock().expect("alone").push(heard);
            }
        });
    }
}

const LIMIT: Duration = Duration::from_secs(10);

fn answered(status: u16, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::new(body))
        .expect("an answer")
}

/// A folder that goes away with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gameday-delivery-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("prometheus.yml"), "").expect("a file");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
