use std::time::Duration;

use gameday_wire::otlp::Translation;

use super::*;

const FULL: &str = r#"
global:
  scrape_interval: 15s
  evaluation_interval: 30s
  external_labels: {cluster: eu, replica: 1}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: checkout
    metrics_path: /metrics
    params: {module: [http_2xx]}
    honor_labels: true
    basic_auth: {username: me, password_file: pw}
    sample_limit: 100
    body_size_limit: 10MB
    static_configs:
      - targets: ['checkout:8080', 'payments:8080']
        labels: {env: prod}
    relabel_configs:
      - source_labels: [__address__]
        regex: '(.*):.*'
        target_label: host
    metric_relabel_configs:
      - {source_labels: [__name__], regex: 'go_.*', action: drop}
  - job_name: slow
    scrape_interval: 5m
    scrape_timeout: 1m
    fallback_scrape_protocol: PrometheusText0.0.4
    bearer_token_file: token
    file_sd_configs: [{files: ['targets/*.json']}]
    kubernetes_sd_configs: [{role: pod}]
alerting:
  alertmanagers:
    - static_configs: [{targets: ['alertmanager:9093']}]
remote_write:
  - url: http://mimir/api/v1/push
    protobuf_message: io.prometheus.write.v2.Request
otlp: {translation_strategy: NoTranslation, promote_resource_attributes: [service.version]}
storage: {tsdb: {out_of_order_time_window: 10m}}
"#;

fn parse(text: &str) -> Result<PrometheusConfig, String> {
    PrometheusConfig::parse("prometheus.yml", text).map_err(|error| error.to_string())
}

#[test]
fn reads_a_full_file() {
    let config = parse(FULL).expect("a valid file");
    let [checkout, slow] = config.scrape_configs.as_slice() else {
        panic!("two jobs");
    };
    assert_eq!(config.global.external_labels.value_of("replica"), "1");
    assert_eq!(checkout.scrape_interval, Duration::from_secs(15));
    assert_eq!(checkout.scrape_timeout, Duration::from_secs(10));
    assert_eq!(checkout.body_size_limit, Some(10 << 20));
    assert_eq!(checkout.static_configs[0].targets.len(), 2);
    assert_eq!(slow.scrape_timeout, Duration::from_secs(60));
    assert_eq!(
        slow.fallback_scrape_protocol,
        Some(ScrapeProtocol::PrometheusText0_0_4)
    );
    assert_eq!(slow.scrape_protocols, ScrapeProtocol::DEFAULT);
    assert_eq!(
        slow.file_sd_configs[0].refresh_interval,
        Duration::from_secs(300)
    );
    assert_eq!(
        config.otlp.options().translation,
        Translation::NoTranslation
    );
    assert_eq!(
        config.warnings,
        ["scrape config with job name \"slow\": kubernetes_sd_configs is read and not obeyed"]
    );
    let read = |name: &str| {
        assert!(matches!(name, "pw" | "token"), "{name}");
        Ok("s3cret\n".to_owned())
    };
    assert_eq!(
        checkout.http.authorization_header(&read),
        Ok(Some("Basic bWU6czNjcmV0".to_owned()))
    );
    assert_eq!(
        slow.http.authorization_header(&read),
        Ok(Some("Bearer s3cret".to_owned()))
    );
}

#[test]
fn scales_every_duration() {
    let mut config = parse(FULL).expect("a valid file");
    config.scale_durations(60.0);
    assert_eq!(config.global.scrape_interval, Duration::from_millis(250));
    assert_eq!(
        config.global.evaluation_interval,
        Duration::from_millis(500)
    );
    assert_eq!(
        config.scrape_configs[1].scrape_interval,
        Duration::from_secs(5)
    );
    assert_eq!(
        config.storage.tsdb.out_of_order_time_window,
        Duration::from_secs(10)
    );
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing\n---\n", "global:\n"] {
        let config = parse(text).expect(text);
        assert_eq!(
            config.global.scrape_interval,
            Duration::from_secs(60),
            "{text:?}"
        );
    }
    let short = parse("global: {scrape_interval: 5s}").expect("a valid file");
    assert_eq!(short.global.scrape_timeout, Duration::from_secs(5));
}

#[test]
fn refuses_with_place_and_hint() {
    for (text, expected) in [
        (
            "global:\n  scrape_intervall: 15s\n",
            "prometheus.yml:2:3: unknown field `scrape_intervall`, did you mean \"scrape_interval\"?\n  scrape_intervall: 15s\n  ^",
        ),
        (
            "global:\n  scrape_interval: 15 s\n",
            "prometheus.yml:2:20: not a valid duration string: \"15 s\", expected for example \"5m\" or \"1h30m\" (units y, w, d, h, m, s, ms, largest first)",
        ),
        (
            "scrape_configs:\n  - job_name: ''\n",
            "prometheus.yml: job_name is empty",
        ),
        (
            "scrape_configs: [{job_name: a}, {job_name: a}]",
            "prometheus.yml: found multiple scrape configs with job name \"a\"",
        ),
        (
            "scrape_configs: [{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}]",
            "prometheus.yml: scrape timeout greater than scrape interval for scrape config with job name \"a\"",
        ),
        (
            "scrape_configs: [{job_name: a, basic_auth: {}, authorization: {}}]",
            "prometheus.yml: scrape config with job name \"a\": at most one of basic_auth, oauth2 & authorization must be configured",
        ),
        (
            "scrape_configs: [{job_name: a, static_configs: [{targets: ['http://a:1']}]}]",
            "is not a valid hostname",
        ),
        (
            "scrape_configs: [{job_name: a, scheme: ftp}]",
            "scheme \"ftp\", expected \"http\" or \"https\"",
        ),
        (
            "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - regex: '('\n    action: keep\n",
            "error parsing regexp \"(\": unclosed group",
        ),
        (
            "alerting: {alertmanagers: [{api_version: v1}]}",
            "expected Alertmanager api version to be one of [v2] but got v1",
        ),
        ("remote_write: [{}]", "url for remote_write is empty"),
        (
            "global: {scrape_interval: 1s, scrape_timeout: 2s}",
            "global scrape timeout greater than scrape interval",
        ),
        (
            "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['a.txt']}]}]",
            "path name \"a.txt\" is not valid for file discovery",
        ),
        ("global: [", "prometheus.yml:1:"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}\n{error}");
    }
}

#[test]
fn what_is_not_obeyed_is_told() {
    let text = "
global: {query_log_file: q.log, scrape_failure_log_file: f.log}
scrape_configs:
- {job_name: a, scrape_failure_log_file: a.log, native_histogram_bucket_limit: 5}
otlp: {label_name_underscore_sanitization: false}
storage: {tsdb: {stale_series_compaction_threshold: 0.5, retention: {percentage: 50}}}
";
    let job = "scrape config with job name \"a\"";
    assert_eq!(
        parse(text).expect("a valid file").warnings,
        [
            "global: query_log_file is read and not obeyed".to_owned(),
            "global: scrape_failure_log_file is read and not obeyed".to_owned(),
            format!("{job}: native_histogram_bucket_limit is read and not obeyed"),
            format!("{job}: scrape_failure_log_file is read and not obeyed"),
            "otlp: label_name_underscore_sanitization is read and not obeyed".to_owned(),
            "storage.tsdb: retention.percentage is read and not obeyed".to_owned(),
            "storage.tsdb: stale_series_compaction_threshold is read and not obeyed".to_owned(),
        ]
    );
}

#[test]
fn external_labels_take_environment_variables() {
    let text =
        "global: {external_labels: {a: '${ZONE}-$N', b: '$$1', c: $GONE, d: 'x$', e: '${}y'}}";
    let mut config = parse(text).expect("a valid file");
    config.expand_external_labels(&|name| match name {
        "ZONE" => Some("eu".to_owned()),
        "N" => Some("1".to_owned()),
        _ => None,
    });
    assert_eq!(
        config.external_labels().to_string(),
        r#"{a="eu-1", b="$1", d="x$", e="y"}"#
    );
    assert_eq!(
        config.warnings,
        ["external label \"c\": the environment variable \"GONE\" is not set"]
    );
}

#[test]
fn names_are_taken_and_asked_for_as_the_schemes_say() {
    let job = |global: &str, own: &str| {
        let text = format!("global: {{{global}}}\nscrape_configs: [{{job_name: a{own}}}]");
        parse(&text).map(|config| {
            let job = &config.scrape_configs[0];
            (
                job.metric_name_validation_scheme,
                job.metric_name_escaping_scheme,
            )
        })
    };
    use NameEscaping::{AllowUtf8, Dots, Underscores};
    use NameValidation::{Legacy, Utf8};
    let legacy = "metric_name_validation_scheme: legacy";
    for (global, own, expected) in [
        ("", "", (Utf8, AllowUtf8)),
        (legacy, "", (Legacy, Underscores)),
        (
            legacy,
            ", metric_name_escaping_scheme: dots",
            (Legacy, Dots),
        ),
        (
            legacy,
            ", metric_name_validation_scheme: utf8",
            (Utf8, AllowUtf8),
        ),
    ] {
        let (validation, escaping) = expected;
        assert_eq!(job(global, own), Ok((Some(validation), Some(escaping))));
    }
    let error = job(legacy, ", metric_name_escaping_scheme: allow-utf-8");
    assert!(error.is_err_and(|error| error.contains("validation_scheme is not \"utf8\"")));
    assert_eq!(
        ScrapeProtocol::OpenMetricsText1_0_0.accept(Dots),
        "application/openmetrics-text;version=1.0.0;escaping=dots"
    );
    let labels = |name: &str| Labels::new([("__name__", name), ("job", "a")]);
    assert!(Legacy.allows(&labels("a:b_1")));
    assert!(!Legacy.allows(&labels("a.b")));
    assert!(Utf8.allows(&labels("a.b")));
}

#[test]
fn secrets_are_not_shown() {
    let config =
        parse("scrape_configs: [{job_name: a, basic_auth: {username: u, password: hidden}}]")
            .expect("a valid file");
    assert!(!format!("{config:?}").contains("hidden"));
}

proptest::proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}", yaml in "(global|scrape_configs|- job_name|regex|: |\\n|  |\\[|\\{|a|'|\\*|&x){0,40}") {
        let _ = parse(&text);
        let _ = parse(&yaml);
    }
}
