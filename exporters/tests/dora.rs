//! The DORA exporter against the double of the GitHub API, in virtual time.

mod world;

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env};
use gameday_exporters::dora::{self, DoraConfig};
use gameday_exporters::github::{self, GitHub, NewPush, Outcome};
use http::{Method, Request, StatusCode};
use serde_json::json;
use world::play;

struct World {
    env: Env,
    github: GitHub,
}

impl World {
    async fn start(env: &Env, config: DoraConfig, token: Option<&str>) -> Self {
        let host = env.on("api.github");
        let address = Address::new("api.github", 8080);
        let double = github::start(&host, &address, "acme/shop", token.map(String::from));
        let (github, _) = double.await.expect("free");
        let host = env.on("dora-exporter");
        let address = Address::new("dora-exporter", dora::PORT);
        dora::start(&host, &address, config).await.expect("free");
        Self {
            env: env.clone(),
            github,
        }
    }

    async fn send(&self, method: Method, url: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Bytes::from(body.to_owned()))
            .expect("a valid request");
        let client = self.env.on("scenario").http_client();
        let answer = client
            .send(request, Duration::from_secs(5))
            .await
            .expect("an answer");
        let text = String::from_utf8(answer.body().to_vec()).expect("a text");
        (answer.status(), text)
    }

    async fn script(&self, path: &str, body: &serde_json::Value) -> (StatusCode, String) {
        let url = format!("http://api.github:8080/-/{path}");
        self.send(Method::POST, &url, &body.to_string()).await
    }

    async fn sleep(&self, secs: u64) {
        self.env.clock().sleep(Duration::from_secs(secs)).await;
    }

    async fn check(&self, expected: &[&str]) {
        let (_, text) = self
            .send(Method::GET, "http://dora-exporter:8000/metrics", "")
            .await;
        for line in expected {
            assert!(
                text.lines().any(|it| it == *line),
                "{line} is missing in\n{text}"
            );
        }
    }

    fn history(&self, days: u64, per_day: u64) {
        for index in (1..=days * per_day).rev() {
            let age = format!("{}m", index * 24 * 60 / per_day);
            let push = NewPush {
                age: Some(age),
                ..NewPush::default()
            };
            self.github.push(&push).expect("a good push");
        }
    }
}

fn config() -> DoraConfig {
    DoraConfig::of("http://api.github:8080", "acme/shop")
}

#[test]
fn a_failed_pipeline_raises_the_change_failure_rate_and_is_restored() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        world.history(30, 2);
        world.sleep(61).await;
        world
            .check(&[
                r#"dora_deployment_frequency_per_day{repository="acme/shop",window="7d"} 2"#,
                r#"dora_change_failure_rate{repository="acme/shop",window="7d"} 0"#,
                r#"dora_lead_time_seconds{repository="acme/shop",stage="commit_to_trigger",window="7d"} 600"#,
                r#"dora_lead_time_seconds{repository="acme/shop",stage="trigger_to_build",window="7d"} 300"#,
                r#"dora_lead_time_seconds{repository="acme/shop",stage="build_to_deploy",window="7d"} 60"#,
                r#"dora_lead_time_seconds{repository="acme/shop",stage="total",window="30d"} 960"#,
                r#"dora_classification{level="elite",measure="deployment_frequency",repository="acme/shop"} 1"#,
                r#"dora_classification{level="elite",measure="lead_time",repository="acme/shop"} 1"#,
                r#"dora_open_failure_seconds{repository="acme/shop"} 0"#,
            ])
            .await;
        let (status, _) = world
            .script("pushes", &json!({"outcome": "failure", "build": "4m"}))
            .await;
        assert_eq!(status, StatusCode::OK);
        // Under way it is no change yet.
        world.sleep(120).await;
        world
            .check(&[r#"dora_change_failure_rate{repository="acme/shop",window="7d"} 0"#])
            .await;
        world.sleep(180).await;
        world
            .check(&[
                r#"dora_changes{outcome="failure",repository="acme/shop"} 1"#,
                r#"dora_change_failure_rate{repository="acme/shop",window="7d"} 0.07142857142857142"#,
            ])
            .await;
        world
            .script("pushes", &json!({"build": "4m", "deploy": "1m"}))
            .await;
        world.sleep(361).await;
        // The fix began 300 s after the failing push, whose pipeline took 240 s, and was live 300 s later.
        world
            .check(&[
                r#"dora_time_to_restore_seconds{repository="acme/shop",window="7d"} 360"#,
                r#"dora_open_failure_seconds{repository="acme/shop"} 0"#,
            ])
            .await;
    });
}

#[test]
fn a_rollback_takes_the_bad_version_back() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        world.history(7, 1);
        world
            .script("pushes", &json!({"build": "1m", "deploy": "1m"}))
            .await;
        world.sleep(600).await;
        world
            .check(&[r#"dora_changes{outcome="rolled_back",repository="acme/shop"} 0"#])
            .await;
        let (status, body) = world.script("rollback", &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        world.sleep(180).await;
        // Live after 120 s, and the version before it again after 660 s.
        world
            .check(&[
                r#"dora_changes{outcome="rolled_back",repository="acme/shop"} 1"#,
                r#"dora_time_to_restore_seconds{repository="acme/shop",window="7d"} 540"#,
                r#"dora_classification{level="elite",measure="time_to_restore",repository="acme/shop"} 1"#,
            ])
            .await;
    });
}

#[test]
fn more_than_a_page_is_read_page_by_page() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        world.history(10, 25);
        world.sleep(61).await;
        world
            .check(&[r#"dora_changes{outcome="success",repository="acme/shop"} 250"#])
            .await;
        // What has not changed is not sent again.
        world.sleep(300).await;
        let (_, text) = world
            .send(Method::GET, "http://dora-exporter:8000/metrics", "")
            .await;
        assert!(
            text.contains(
                r#"dora_exporter_api_requests_total{repository="acme/shop",status="304"}"#
            ),
            "{text}"
        );
    });
}

#[test]
fn an_api_that_refuses_is_told_and_the_last_history_stands() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        world.history(7, 1);
        world.sleep(61).await;
        for (script, reason) in [
            (json!({"status": 401, "lease": "90s"}), "unauthorized"),
            (json!({"status": 403, "lease": "90s"}), "forbidden"),
            (json!({"status": 500, "lease": "90s"}), "status"),
            (
                json!({"status": 200, "lease": "90s", "html": true}),
                "not_json",
            ),
            (
                json!({"status": 429, "lease": "90s", "retry_after": 30}),
                "rate_limited",
            ),
        ] {
            world.script("misbehave", &script).await;
            world.sleep(61).await;
            let error = format!(
                r#"dora_exporter_errors_total{{reason="{reason}",repository="acme/shop"}} 1"#
            );
            world
                .check(&[
                    r#"dora_exporter_last_poll_successful{repository="acme/shop"} 0"#,
                    &error,
                    r#"dora_changes{outcome="success",repository="acme/shop"} 7"#,
                ])
                .await;
            world.sleep(89).await;
            world
                .check(&[r#"dora_exporter_last_poll_successful{repository="acme/shop"} 1"#])
                .await;
        }
        env.crash("api.github");
        world.sleep(61).await;
        world
            .check(&[
                r#"dora_exporter_errors_total{reason="unreachable",repository="acme/shop"} 1"#,
            ])
            .await;
    });
}

#[test]
fn a_rate_limit_is_waited_for() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        world.sleep(1).await;
        world
            .script("limit", &json!({"remaining": 1, "reset_in": "10m"}))
            .await;
        world.sleep(300).await;
        let requests = |text: &str| {
            text.lines()
                .filter(|it| it.contains("api_requests_total{"))
                .map(String::from)
                .collect::<Vec<_>>()
        };
        let (_, before) = world
            .send(Method::GET, "http://dora-exporter:8000/metrics", "")
            .await;
        world.sleep(200).await;
        let (_, after) = world
            .send(Method::GET, "http://dora-exporter:8000/metrics", "")
            .await;
        assert_eq!(
            requests(&before),
            requests(&after),
            "nothing is asked before the reset"
        );
        world
            .check(&[r#"dora_exporter_rate_limit_remaining{repository="acme/shop"} 0"#])
            .await;
        world.sleep(200).await;
        world
            .check(&[r#"dora_exporter_last_poll_successful{repository="acme/shop"} 1"#])
            .await;
    });
}

#[test]
fn the_token_comes_from_its_file() {
    let file = std::env::temp_dir().join(format!("gameday-dora-token-{}", std::process::id()));
    std::fs::write(&file, "secret\n").expect("a file");
    let path = file.clone();
    play(|env| async move {
        let config = DoraConfig {
            token_file: Some(path.clone()),
            ..config()
        };
        let world = World::start(&env, config, Some("secret")).await;
        world.sleep(1).await;
        world
            .check(&[r#"dora_exporter_last_poll_successful{repository="acme/shop"} 1"#])
            .await;
        std::fs::write(&path, "wrong").expect("a file");
        world.sleep(61).await;
        world
            .check(&[
                r#"dora_exporter_errors_total{reason="unauthorized",repository="acme/shop"} 1"#,
            ])
            .await;
        std::fs::remove_file(&path).expect("the file");
        world.sleep(61).await;
        world
            .check(&[r#"dora_exporter_errors_total{reason="token",repository="acme/shop"} 1"#])
            .await;
    });
}

#[test]
fn mistakes_of_a_script_are_named() {
    play(|env| async move {
        let world = World::start(&env, config(), None).await;
        for (path, body, expected) in [
            (
                "pushes",
                json!({"outcom": "failure"}),
                "unknown field `outcom`",
            ),
            ("pushes", json!({"build": "soon"}), "not a valid duration"),
            (
                "misbehave",
                json!({"status": 500, "lease": "0s"}),
                "lease: is zero",
            ),
            ("rollback", json!({}), "no version to go back to"),
        ] {
            let (status, text) = world.script(path, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert!(text.contains(expected), "{text}");
        }
        let _ = Outcome::DeployFailure;
    });
}
