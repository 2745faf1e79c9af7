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
                &[
                    "probe_success 0",
                    "probe_http_redirects 11",
                    "probe_http_status_code 302",
                ],
            ),
            (
                "no_redirects",
                "web/moved",
                &[
                    "probe_success 1",
                    "probe_http_status_code 302",
                    "probe_http_redirects 1",
                ],
            ),
            ("http_404", "web/nothing", &["probe_success 1"]),
            ("says_ok", "web/health", &["probe_success 1"]),
            (
                "says_ok",
                "web/bad",
                &["probe_success 0", "probe_failed_due_to_regex 1"],
            ),
            ("proxied", "http://web.example/health", &["probe_success 1"]),
            ("posted", "web/echo", &["probe_success 1"]),
            (
                "posted_and_moved",
                "web/to-echo",
                &["probe_success 1", "probe_http_redirects 1"],
            ),
            (
                "small",
                "web/health",
                &[
                    "probe_success 0",
                    "probe_http_status_code 200",
                    "probe_http_uncompressed_body_length 4",
                ],
            ),
            ("oauth", "web/health", &["probe_success 0"]),
            (
                "json_ok",
                "web/health",
                &["probe_success 1", "probe_failed_due_to_cel 0"],
            ),
            (
                "json_error",
                "web/health",
                &["probe_success 0", "probe_failed_due_to_cel 1"],
            ),
            (
                "json_number",
                "web/health",
                &["probe_success 0", "probe_failed_due_to_cel 1"],
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
            (
                "icmp",
                "web",
                &[
                    "probe_success 1",
                    "probe_icmp_reply_hop_limit 64",
                    "probe_ip_protocol 4",
                    r#"probe_icmp_duration_seconds{phase="resolve"} 0"#,
                    r#"probe_icmp_duration_seconds{phase="rtt"} 0"#,
                    r#"probe_icmp_duration_seconds{phase="setup"} 0"#,
                    "probe_timeout_seconds 9.5",
                ],
            ),
            ("icmp4_only", "web", &["probe_success 1"]),
            (
                "icmp6_only",
                "web",
                &["probe_success 0", "probe_ip_protocol 0"],
            ),
            ("icmp_large", "web", &["probe_success 0"]),
            ("icmp", "no-such-host", &["probe_success 0"]),
            (
                "chat",
                "ws://chat/",
                &[
                    "probe_success 1",
                    "probe_websocket_connection_upgraded 1",
                    "probe_websocket_status_code 101",
                    "probe_websocket_failed_due_to_regex 0",
                    r#"probe_websocket_duration_seconds{phase="transfer"} 0"#,
                ],
            ),
            (
                "chat_silent",
                "ws://chat/",
                &[
                    "probe_success 0",
                    "probe_websocket_failed_due_to_regex 1",
                    "probe_websocket_connection_upgraded 1",
                ],
            ),
            (
                "chat",
                "ws://chat/closed",
                &[
                    "probe_success 0",
                    "probe_websocket_connection_upgraded 0",
                    "probe_websocket_status_code 403",
                ],
            ),
            (
                "chat",
                "ws://web/health",
                &["probe_success 0", "probe_websocket_status_code 200"],
            ),
            ("chat", "http://chat/", &["probe_success 0"]),
            (
                "control",
                "/run/control.sock",
                &["probe_success 1", r#"probe_expect_info{state="up"} 1"#],
            ),
            ("control", "/run/other.sock", &["probe_success 0"]),
            ("dns_a_tcp", "dns:53", &["probe_success 1"]),
            (
                "dns_soa",
                "dns",
                &["probe_success 1", "probe_dns_serial 2023111401"],
            ),
            (
                "dns_a_cut",
                "dns",
                &["probe_success 0", "probe_dns_query_succeeded 0"],
            ),
            ("dns_a_large", "dns", &["probe_success 0"]),
            (
                "dns_a_foreign",
                "dns",
                &["probe_success 0", "probe_duration_seconds 2"],
            ),
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
                "web:81",
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
        let (_, text) = probe(&env, "oauth", "web&debug=true").await;
        for part in [
            "This exporter does not support oauth2",
            "client_secret: <secret>",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
        let (_, text) = probe(&env, "posted", "web/echo&hostname=another.example").await;
        assert_eq!(
            text,
            "host header defined both in module configuration (other.example) and with URL-parameter 'hostname' (another.example)\n"
        );
        let (_, text) = probe(&env, "dns_a_large", "dns&debug=true").await;
        for part in [
            "Logs for the probe:\ntime=2023-11-14T22:13:2",
            "the answer has 600 bytes, and a datagram may have 512 without EDNS",
            "module=dns_a_large target=dns\n",
            "\n\n\nMetrics that would have been returned:\n# HELP probe_dns_additional_rrs",
            "\n\n\nModule configuration:\ndns:\n  query_name: large.example.com\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
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
        // Of a chain that nobody verifies the real exporter tells Go's zero time.
        let unverified = "probe_ssl_last_chain_expiry_timestamp_seconds -62135596800";
        let told = [&told[..2], &[unverified], &told[3..]].concat();
        check("https_anything", &told).await;
    });
}

#[test]
fn datagrams_and_echoes_are_lost_where_a_link_is_cut() {
    play(|env| async move {
        targets::start(&env).await;
        let (host, address) = (env.on("blackbox"), Address::new("blackbox", 9115));
        blackbox::start(&host, &address, targets::config())
            .await
            .expect("free");
        let check = async |module: &str, target: &str, expected: &[&str]| {
            let (_, text) = probe(&env, module, target).await;
            for line in expected {
                assert!(
                    text.lines().any(|it| it == *line),
                    "{module}: {line} is missing in\n{text}"
                );
            }
        };
        let cases = [("icmp4_only", "dns"), ("dns_soa", "dns")];
        for (module, target) in cases {
            check(module, target, &["probe_success 1"]).await;
            let lost = ["probe_success 0", "probe_duration_seconds 2"];
            for (from, to) in [("blackbox", "dns"), ("dns", "blackbox")] {
                let cut = env.fault_link(from, to, LinkFault::Partition);
                check(module, target, &lost).await;
                drop(cut);
            }
            let latency = Duration::from_millis(400);
            let slow = env.fault_link("blackbox", "dns", LinkFault::Latency { latency });
            let late = ["probe_success 1", "probe_duration_seconds 0.4"];
            check(module, target, &late).await;
            drop(slow);
        }
        let refuse = env.fault_link("blackbox", "dns", LinkFault::Refuse);
        let refused = ["probe_success 0", "probe_duration_seconds 0"];
        check("dns_soa", "dns", &refused).await;
        drop(refuse);
        let slow = r#"probe_websocket_duration_seconds{phase="connect"} 0.4"#;
        let latency = Duration::from_millis(400);
        let late = env.fault_link("blackbox", "chat", LinkFault::Latency { latency });
        check("chat", "ws://chat/", &[slow, "probe_success 1"]).await;
        drop(late);
        let cut = env.fault_link("blackbox", "chat", LinkFault::Partition);
        let lost = ["probe_success 0", "probe_duration_seconds 2"];
        check("chat", "ws://chat/", &lost).await;
        drop(cut);
        env.crash("dns");
        for (module, target) in cases {
            let lost = ["probe_success 0", "probe_duration_seconds 2"];
            check(module, target, &lost).await;
        }
    });
}
