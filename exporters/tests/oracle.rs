//! Real time: Debian's blackbox exporter beside ours, with the same blackbox.yml and the same targets, where it is installed.

mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Child, Env, Mode, Sim, SimConfig};
use gameday_exporters::blackbox::{self, Config};
use http::Request;

/// Where Debian's listens.
const THEIRS: &str = "127.0.0.1:29118";
/// What 0.23 of December 2022 does not have, by what brought it: the limit of the probe and the bytes of a conversation (0.28), the cipher (0.26).
const NEWER: [&str; 3] = [
    "probe_timeout_seconds",
    "probe_failed_due_to_bytes",
    "probe_tls_cipher_info",
];

const CONFIG: &str = r#"
modules:
  http: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}
  http_any: {prober: http, timeout: 5s}
  http_ip6_only: {prober: http, timeout: 5s, http: {ip_protocol_fallback: false}}
  http_stay: {prober: http, timeout: 5s, http: {follow_redirects: false, valid_status_codes: [302]}}
  http_post: {prober: http, timeout: 5s, http: {method: POST, body: "abc", fail_if_body_not_matches_regexp: ["^POST 3$"]}}
  http_post_get: {prober: http, timeout: 5s, http: {method: POST, body: "abc", fail_if_body_not_matches_regexp: ["^GET 0$"]}}
  http_head: {prober: http, timeout: 5s, http: {method: HEAD}}
  http_hello: {prober: http, timeout: 5s, http: {fail_if_body_not_matches_regexp: [hello]}}
  http_no_hello: {prober: http, timeout: 5s, http: {fail_if_body_matches_regexp: [hello]}}
  http_header: {prober: http, timeout: 5s, http: {fail_if_header_not_matches: [{header: X-Kind, regexp: good}]}}
  http_no_header: {prober: http, timeout: 5s, http: {fail_if_header_matches: [{header: x-kind, regexp: g, allow_missing: true}]}}
  http_gzip: {prober: http, timeout: 5s, http: {compression: gzip, headers: {Accept-Encoding: gzip}}}
  http_deflate: {prober: http, timeout: 5s, http: {compression: deflate}}
  http_small: {prober: http, timeout: 5s, http: {body_size_limit: 64B}}
  http_small_hello: {prober: http, timeout: 5s, http: {body_size_limit: 64B, fail_if_body_not_matches_regexp: [hello]}}
  http_small_gzip: {prober: http, timeout: 5s, http: {body_size_limit: 64B, compression: gzip}}
  http_large: {prober: http, timeout: 5s, http: {body_size_limit: 1KB}}
  http_2_only: {prober: http, timeout: 5s, http: {valid_http_versions: ["HTTP/2.0"], tls_config: {ca_file: CA}}}
  http_1_only: {prober: http, timeout: 5s, http: {enable_http2: false, tls_config: {ca_file: CA}}}
  http_host: {prober: http, timeout: 5s, http: {headers: {Host: shop.example}, fail_if_body_not_matches_regexp: ["^shop.example$"]}}
  http_login: {prober: http, timeout: 5s, http: {basic_auth: {username: me, password: it}}}
  http_ssl: {prober: http, timeout: 5s, http: {fail_if_not_ssl: true, tls_config: {ca_file: CA}}}
  http_no_ssl: {prober: http, timeout: 5s, http: {fail_if_ssl: true, tls_config: {insecure_skip_verify: true}}}
  http_untrusted: {prober: http, timeout: 5s}
  tcp: {prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}
  tcp_tls: {prober: tcp, timeout: 5s, tcp: {tls: true, tls_config: {ca_file: CA}}}
  tcp_tls_any: {prober: tcp, timeout: 5s, tcp: {tls: true, tls_config: {insecure_skip_verify: true}}}
  talk:
    prober: tcp
    timeout: 5s
    tcp:
      query_response: [{expect: "^220 ([^ ]+)", send: "EHLO ${1}"}, {expect: "^250 EHLO mail.example$"}]
  talk_tls:
    prober: tcp
    timeout: 5s
    tcp:
      tls_config: {ca_file: CA}
      query_response:
        - expect: "^220 "
          send: "STARTTLS"
        - expect: "^220 "
          starttls: true
        - send: "QUIT"
        - expect: "^250 secretly QUIT$"
  talk_wrong: {prober: tcp, timeout: 5s, tcp: {query_response: [{send: "GET / HTTP/1.0\n"}, {expect: "no such line"}]}}
  dns_udp: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: A}}
  dns_any: {prober: dns, timeout: 2s, dns: {query_name: example.com, recursion_desired: false}}
  dns_tcp: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: A, transport_protocol: tcp}}
  dns_soa: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: SOA}}
  dns_soa_gone: {prober: dns, timeout: 2s, dns: {query_name: nothing.example.com, query_type: SOA, valid_rcodes: [NXDOMAIN]}}
  dns_gone: {prober: dns, timeout: 2s, dns: {query_name: nothing.example.com, query_type: A}}
  dns_refused: {prober: dns, timeout: 2s, dns: {query_name: refused.example.com, query_type: A, valid_rcodes: [NOERROR, REFUSED]}}
  dns_cut: {prober: dns, timeout: 2s, dns: {query_name: cut.example.com, query_type: A}}
  dns_cut_tcp: {prober: dns, timeout: 2s, dns: {query_name: cut.example.com, query_type: A, transport_protocol: tcp}}
  dns_pointer: {prober: dns, timeout: 2s, dns: {query_name: pointer.example.com, query_type: A}}
  dns_foreign: {prober: dns, timeout: 2s, dns: {query_name: foreign.example.com, query_type: A}}
  dns_chaos: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: TXT, query_class: CH}}
  dns_answer:
    prober: dns
    timeout: 2s
    dns:
      query_name: example.com
      query_type: A
      validate_answer_rrs: {fail_if_not_matches_regexp: ["^example\\.com\\.\t300\tIN\tA\t127\\.0\\.0\\.[12]$"]}
      validate_authority_rrs: {fail_if_none_matches_regexp: ["\tNS\tns\\.example\\.com\\.$"]}
      validate_additional_rrs: {fail_if_not_matches_regexp: ["\tTXT\t\"a.*b\"$"]}
  dns_all: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: A, validate_answer_rrs: {fail_if_all_match_regexp: ["127"]}}}
  dns_not_all: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: A, validate_answer_rrs: {fail_if_all_match_regexp: ["0.1$"]}}}
  dns_bad: {prober: dns, timeout: 2s, dns: {query_name: example.com, query_type: A, validate_answer_rrs: {fail_if_matches_regexp: ["0.2$"]}}}
  icmp: {prober: icmp, timeout: 2s, icmp: {preferred_ip_protocol: ip4}}
  icmp_ttl: {prober: icmp, timeout: 2s, icmp: {ttl: 5, payload_size: 200}}
  icmp_whole: {prober: icmp, timeout: 2s, icmp: {dont_fragment: true}}
  icmp_huge: {prober: icmp, timeout: 2s, icmp: {payload_size: 65000}}
  icmp_source: {prober: icmp, timeout: 2s, icmp: {source_ip_address: 127.0.0.1}}
  grpc: {prober: grpc, timeout: 5s, grpc: {preferred_ip_protocol: ip4}}
  grpc_orders: {prober: grpc, timeout: 5s, grpc: {service: orders}}
  grpc_nobody: {prober: grpc, timeout: 5s, grpc: {service: nobody}}
  grpc_tls: {prober: grpc, timeout: 5s, grpc: {tls: true, tls_config: {ca_file: CA}}}
"#;

async fn get(env: &Env, url: &str) -> Option<String> {
    let request = Request::get(url)
        .body(Bytes::new())
        .expect("a valid request");
    let limit = Duration::from_secs(10);
    let answer = env.http_client().send(request, limit).await.ok()?;
    Some(String::from_utf8_lossy(answer.body()).into_owned())
}

/// The series of an exposition, with the values of those that do not depend on time and are not skipped, in Rust's way of writing numbers.
fn series(text: &str, skipped: &[&str]) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with("# HELP"));
    let newer = |line: &&str| !NEWER.iter().any(|name| line.contains(name));
    let shown = |line: &str| {
        let line = without_serial_number(line);
        let (name, value) = line.rsplit_once(' ').unwrap_or((&line, ""));
        let timed = name.contains("duration") || name.contains("lookup");
        let timed = timed || skipped.contains(&name);
        match value.parse::<f64>() {
            Ok(_) if timed => name.to_owned(),
            Ok(value) => format!("{name} {value}"),
            Err(_) => line,
        }
    };
    lines.filter(newer).map(shown).collect()
}

/// A label that 0.26 has brought.
fn without_serial_number(line: &str) -> String {
    let Some((before, after)) = line.split_once("serialnumber=\"") else {
        return line.to_owned();
    };
    let rest = after.split_once("\",").map_or("", |(_, rest)| rest);
    format!("{before}{rest}")
}

fn cases(at: &servers::Servers) -> Vec<(&'static str, String)> {
    let web = |path: &str| format!("{}{path}", at.web);
    let tls = format!("https://{}/", at.web_tls);
    let localhost = |port: u16| format!("localhost:{port}");
    let mut cases = vec![
        ("http_any", format!("{}/", localhost(at.web.port()))),
        ("http_ip6_only", web("/")),
        ("http_ssl", tls.clone()),
        (
            "http_ssl",
            format!("https://{}/", localhost(at.web_tls.port())),
        ),
        ("http_ssl", format!("https://{}/moved", at.web_tls)),
        ("http_ssl", web("/")),
        ("http_no_ssl", tls.clone()),
        ("http_untrusted", tls.clone()),
        ("http_2_only", format!("https://{}/", at.web_http2)),
        ("http_2_only", tls.clone()),
        ("http_1_only", tls),
        ("tcp", at.web.to_string()),
        ("tcp", "127.0.0.1:1".to_owned()),
        ("tcp", "127.0.0.1".to_owned()),
        ("tcp", "no-such-host.invalid:1".to_owned()),
        ("tcp_tls", at.web_tls.to_string()),
        ("tcp_tls", localhost(at.web_tls.port())),
        ("tcp_tls_any", at.web_tls.to_string()),
        ("tcp_tls", at.web.to_string()),
        ("talk", at.talk.to_string()),
        ("talk_tls", at.talk.to_string()),
        ("talk_wrong", at.web.to_string()),
        ("dns_tcp", at.dns_tcp.to_string()),
        ("dns_cut_tcp", at.dns_tcp.to_string()),
        ("dns_tcp", "127.0.0.1:1".to_owned()),
        ("dns_udp", "127.0.0.1:1".to_owned()),
        ("grpc", at.health.to_string()),
        ("grpc_orders", at.health.to_string()),
        ("grpc_nobody", at.health.to_string()),
        ("grpc", "127.0.0.1:1".to_owned()),
        ("grpc_tls", at.health_tls.to_string()),
    ];
    for (module, path) in [
        ("http", "/"),
        ("http", "/moved"),
        ("http", "/other"),
        ("http", "/cookie"),
        ("http", "/loop"),
        ("http", "/nowhere"),
        ("http", "/broken"),
        ("http", "/empty"),
        ("http", "/dated"),
        ("http_stay", "/moved"),
        ("http_stay", "/"),
        ("http_post", "/echo"),
        ("http_post", "/kept"),
        ("http_post_get", "/moved"),
        ("http_head", "/"),
        ("http_hello", "/"),
        ("http_hello", "/broken"),
        ("http_hello", "/dated"),
        ("http_no_hello", "/"),
        ("http_header", "/"),
        ("http_header", "/dated"),
        ("http_no_header", "/"),
        ("http_no_header", "/dated"),
        ("http_gzip", "/gzip"),
        ("http_gzip", "/cut-gzip"),
        ("http_gzip", "/"),
        ("http_deflate", "/deflate"),
        ("http_small", "/"),
        ("http_small", "/dated"),
        ("http_small_hello", "/"),
        ("http_small_gzip", "/gzip"),
        ("http_large", "/"),
        ("http_host", "/host"),
        ("http_login", "/agent"),
        ("http", "/agent"),
    ] {
        cases.push((module, web(path)));
    }
    cases.push(("http", "127.0.0.1:1/".to_owned()));
    cases.push(("http", "no-such-host.invalid/".to_owned()));
    for module in [
        "dns_udp",
        "dns_any",
        "dns_soa",
        "dns_soa_gone",
        "dns_gone",
        "dns_refused",
        "dns_cut",
        "dns_pointer",
        "dns_foreign",
        "dns_chaos",
        "dns_answer",
        "dns_all",
        "dns_not_all",
        "dns_bad",
    ] {
        cases.push((module, at.dns_udp.to_string()));
    }
    for module in ["icmp", "icmp_ttl", "icmp_whole", "icmp_huge", "icmp_source"] {
        cases.push((module, "127.0.0.1".to_owned()));
    }
    cases.push(("icmp", "no-such-host.invalid".to_owned()));
    cases
}

#[test]
fn probes_tell_what_debians_exporter_tells() {
    let program = Path::new("/usr/bin/prometheus-blackbox-exporter");
    if !program.exists() {
        println!("skipped: prometheus-blackbox-exporter is not installed");
        return;
    }
    let sim = Sim::new(&SimConfig {
        mode: Mode::Real,
        seed: 1,
        watchdog: Duration::from_secs(30),
    })
    .expect("a runtime");
    let env = sim.env().clone();
    let file = std::env::temp_dir().join(format!("gameday-blackbox-{}.yml", std::process::id()));
    let authority = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../stack/env/tests/data/ca.pem"
    );
    let config = CONFIG.replace("CA}", &format!("{authority:?}}}"));
    std::fs::write(&file, &config).expect("a file");
    let mut differences = Vec::new();
    let mut compared = 0;
    sim.block_on(async {
        let at = servers::start(&env).await;
        let config = Config::parse("blackbox.yml", &config).expect("a good file");
        let (host, address) = (env.on("blackbox"), Address::new("blackbox", 9115));
        let own = blackbox::start(&host, &address, config).await;
        let own = own.expect("free").expect("TCP");
        let arguments = [
            format!("--web.listen-address={THEIRS}"),
            format!("--config.file={}", file.display()),
            "--log.level=error".to_owned(),
        ];
        let mut oracle = Child::start(program, &arguments).expect("it starts");
        for _ in 0..50 {
            env.clock().sleep(Duration::from_millis(100)).await;
            let healthy = format!("http://{THEIRS}/-/healthy");
            if get(&env, &healthy).await.is_some() {
                break;
            }
        }
        for (module, target) in cases(&at) {
            let path = format!("probe?module={module}&target={target}");
            let theirs = get(&env, &format!("http://{THEIRS}/{path}")).await;
            let ours = get(&env, &format!("http://{own}/{path}")).await;
            // How much of a stream comes out before its cut depends on the decoder.
            let skipped: &[&str] = match target.ends_with("/cut-gzip") {
                true => &["probe_http_uncompressed_body_length"],
                false => &[],
            };
            let (mut ours, mut theirs) = (
                series(&ours.expect("an answer"), skipped),
                series(&theirs.expect("an answer"), skipped),
            );
            // Up to 0.27 a conversation had its metric before there was a connection.
            if module.starts_with("tcp") {
                let early = theirs
                    .iter()
                    .filter(|it| it.contains("probe_failed_due_to_regex"));
                ours.extend(early.cloned());
            }
            // Up to 0.25 the expiry of a certificate was told of calls without TLS as well.
            if module.starts_with("grpc") && !ours.iter().any(|it| it.contains("probe_ssl")) {
                let early = "probe_ssl_earliest_cert_expiry";
                theirs.retain(|it| {
                    !it.contains(early) || !(it.ends_with(" 0") || it.starts_with('#'))
                });
            }
            let (more, less): (Vec<_>, Vec<_>) = (
                ours.difference(&theirs).collect(),
                theirs.difference(&ours).collect(),
            );
            compared += theirs.len();
            if !more.is_empty() || !less.is_empty() {
                differences.push(format!("{module} {target}: {more:?} for {less:?}"));
            }
        }
        oracle.kill().await;
    });
    std::fs::remove_file(&file).expect("the file");
    println!("{compared} lines compared");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
