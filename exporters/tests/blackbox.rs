//! The blackbox exporter against targets in virtual time.

mod targets;
mod world;

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, LinkFault};
use gameday_exporters::blackbox;
use http::{Request, StatusCode};
use world::play;

async fn probe(env: &Env, module: &str, target: &str) -> (StatusCode, String) {
    let url = format!("http://blackbox:9115/probe?module={module}&target={target}");
    let request = Request::get(url)
        .header("X-Prometheus-Scrape-Timeout-Seconds", "10")
        .body(Bytes::new())
        .expect("a valid request");
    let answer = env.on("prometheus").http_client();
    let answer = answer
        .send(request, Duration::from_secs(20))
        .await
        .expect("an answer");
    let text = String::from_utf8(answer.body().to_vec()).expect("a text");
    (answer.status(), text)
}

#[test]
fn probes_tell_what_a_user_would_see() {
    play(|env| async move {
        targets::start(&env).await;
        let config = targets::config();
        let host = env.on("blackbox");
        blackbox::start(&host, &Address::new("blackbox", 9115), config)
            .await
            .expect("free");
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "http_2xx",
                "web:80/health",
                &[
                    "probe_success 1",
                    "probe_http_status_code 200",
                    "probe_http_version 1.1",
                    "probe_http_content_length 15",
                    "probe_http_uncompressed_body_length 15",
                    "probe_http_last_modified_timestamp_seconds 784111777",
                    r#"probe_http_duration_seconds{phase="processing"} 0.03"#,
                    r#"probe_http_duration_seconds{phase="tls"} 0"#,
                    "probe_duration_seconds 0.03",
                    "probe_failed_due_to_regex 0",
                    "probe_http_ssl 0",
                ],
            ),
            (
                "http_2xx",
                "http://web/broken",
                &["probe_success 0", "probe_http_status_code 500"],
            ),
            (
                "http_2xx",
                "web/moved",
                &["probe_success 1", "probe_http_redirects 1"],
            ),
            (
                "http_2xx",
                "web/loop",
                &["probe_success 0", "probe_http_redirects 10"],
            ),
            (
                "no_redirects",
                "web/moved",
                &["probe_success 1", "probe_http_status_code 302"],
            ),
            ("http_404", "web/nothing", &["probe_success 1"]),
            ("says_ok", "web/health", &["probe_success 1"]),
            (
                "says_ok",
                "web/bad",
                &["probe_success 0", "probe_failed_due_to_regex 1"],
            ),
            (
                "http_2xx",
                "nobody:80",
                &["probe_success 0", "probe_http_status_code 0"],
            ),
            ("http_2xx", "https://web/health", &["probe_success 0"]),
            (
                "tls_banner",
                "web:443",
                &[
                    "probe_success 1",
                    "probe_failed_due_to_bytes 0",
                    "probe_failed_due_to_regex 0",
                ],
            ),
            (
                "tcp_connect",
                "web:80",
                &["probe_success 1", "probe_ip_protocol 4"],
            ),
            ("tcp_connect", "web:81", &["probe_success 0"]),
            ("tcp_connect", "web", &["probe_success 0"]),
            (
                "irc",
                "irc:6667",
                &[
                    "probe_success 1",
                    r#"probe_expect_info{server="irc.example"} 1"#,
                ],
            ),
            (
                "dns_a",
                "dns",
                &[
                    "probe_success 1",
                    "probe_dns_answer_rrs 1",
                    "probe_dns_query_succeeded 1",
                ],
            ),
            (
                "dns_a",
                "web:80",
                &["probe_success 0", "probe_dns_query_succeeded 0"],
            ),
            ("icmp", "web", &["probe_success 0"]),
            (
                "grpc",
                "health:50051",
                &[
                    "probe_success 1",
                    "probe_grpc_status_code 0",
                    "probe_grpc_ssl 0",
                    r#"probe_grpc_healthcheck_response{serving_status="SERVING"} 1"#,
                    r#"probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 0"#,
                    r#"probe_grpc_duration_seconds{phase="check"} 0"#,
                ],
            ),
            (
                "grpc_orders",
                "grpc://health:50051",
                &[
                    "probe_success 0",
                    "probe_grpc_status_code 0",
                    r#"probe_grpc_healthcheck_response{serving_status="NOT_SERVING"} 1"#,
                ],
            ),
            (
                "grpc_nobody",
                "health:50051",
                &["probe_success 0", "probe_grpc_status_code 5"],
            ),
            ("grpc", "web:80", &["probe_success 0"]),
            (
                "grpc",
                "nobody:80",
                &["probe_success 0", "probe_grpc_status_code 14"],
            ),
        ];
        for (module, target, expected) in cases {
            let (status, text) = probe(&env, module, target).await;
            assert_eq!(status, StatusCode::OK, "{module} {target}: {text}");
            for line in *expected {
                assert!(
                    text.lines().any(|it| it == *line),
                    "{module} {target}: {line} is missing in\n{text}"
                );
            }
        }
    });
}

#[test]
fn a_partition_uses_up_the_limit_and_mistakes_are_told() {
    play(|env| async move {
        targets::start(&env).await;
        let config = targets::config();
        let host = env.on("blackbox");
        blackbox::start(&host, &Address::new("blackbox", 9115), config)
            .await
            .expect("free");
        let partition = env.fault_link("blackbox", "web", LinkFault::Partition);
        let begin = env.now();
        let (_, text) = probe(&env, "http_2xx", "web/health").await;
        assert!(
            text.contains("probe_success 0\n") && text.contains("probe_duration_seconds 5\n"),
            "{text}"
        );
        assert_eq!(env.now().since(begin), Duration::from_secs(5));
        drop(partition);
        let (_, text) = probe(&env, "http_2xx", "web/health").await;
        assert!(text.contains("probe_success 1\n"), "{text}");
        let (status, text) = probe(&env, "http_3xx", "web").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::BAD_REQUEST, "Unknown module \"http_3xx\"\n")
        );
        let (status, text) = probe(&env, "http_2xx", "").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::BAD_REQUEST, "Target parameter is missing\n")
        );
        let (_, text) = probe(&env, "icmp", "web&debug=true").await;
        assert!(
            text.contains("This exporter does not support icmp: echo requests need a raw socket"),
            "{text}"
        );
    });
}

#[test]
fn a_certificate_expires_when_the_clock_says_so() {
    play(|env| async move {
        targets::start(&env).await;
        let host = env.on("blackbox");
        let address = Address::new("blackbox", 9115);
        blackbox::start(&host, &address, targets::config())
            .await
            .expect("free");
        let check = async |module: &str, expected: &[&str]| {
            let (_, text) = probe(&env, module, "https://web/").await;
            for line in expected {
                assert!(
                    text.lines().any(|it| it == *line),
                    "{line} is missing in\n{text}"
                );
            }
        };
        let told = [
            "probe_http_ssl 1",
            "probe_ssl_earliest_cert_expiry 1700002800",
            "probe_ssl_last_chain_expiry_timestamp_seconds 1700002800",
            r#"probe_ssl_last_chain_info{fingerprint_sha256="8767d33423c78390a5e0fe2e1685c630b027b927c57bb7fa1816c4969d1591cd",issuer="CN=gameday test CA",serialnumber="03",subject="CN=web,O=gameday tests",subjectalternative="web,localhost"} 1"#,
            r#"probe_tls_version_info{version="TLS 1.3"} 1"#,
            "probe_success 1",
        ];
        check("https_2xx", &told).await;
        env.clock().sleep(Duration::from_secs(3600)).await;
        check("https_2xx", &["probe_success 0"]).await;
        let (_, text) = probe(&env, "https_2xx", "https://web/&debug=true").await;
        assert!(
            text.contains("it has expired: it is 2023-11-14T23:13:20"),
            "{text}"
        );
        check("https_anything", &told).await;
    });
}
