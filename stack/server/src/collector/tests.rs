use super::CollectorConfig;

/// The shape of a configuration with one thing changed.
fn with(what: &str) -> String {
    let base = [
        ("receivers", "{otlp: {protocols: {grpc: {}, http: {}}}}"),
        ("processors", "{batch: }"),
        ("exporters", "{stack: }"),
        ("connectors", "{spanmetrics: }"),
        (
            "service",
            "{pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [stack, spanmetrics]}, metrics: {receivers: [spanmetrics], exporters: [stack]}}}",
        ),
    ];
    let (section, text) = what.split_once(": ").unwrap_or((what, ""));
    let mut out = String::new();
    let mut replaced = false;
    for (name, own) in base {
        let own = if name == section {
            replaced = true;
            text
        } else {
            own
        };
        out.extend([name, ": ", own, "\n"]);
    }
    if !replaced && !what.is_empty() {
        out.extend([what, "\n"]);
    }
    out
}

/// `expected` is a part of the refusal; the empty text where there is none.
fn check(what: &str, expected: &str) {
    match CollectorConfig::parse("collector.yaml", &with(what)) {
        Ok(_) => assert_eq!(expected, "", "{what}"),
        Err(error) => {
            let error = error.to_string();
            assert!(
                !expected.is_empty() && error.contains(expected),
                "{what}\n{error}"
            );
        }
    }
}

#[test]
fn what_is_not_there_is_refused_with_its_place() {
    check("", "");
    check("receivers: {otpl: {}}", "collector.yaml:1:");
    check(
        "receivers: {otpl: {}}",
        "unknown receiver type \"otpl\": did you mean \"otlp\"?",
    );
    check(
        "receivers: {zipkin: {}}",
        "unknown receiver type \"zipkin\": this stack has otlp",
    );
    check(
        "processors: {batch: {timeuot: 1s}}",
        "unknown field `timeuot`, did you mean \"timeout\"?",
    );
    check(
        "processors: {batch: {timeout: 1 day}}",
        "not a valid duration: \"1 day\"",
    );
    check(
        "exporters: {otlphttp: {endpoint: http://c:4318}}",
        "exporter \"stack\" is not configured",
    );
    check("exporters: {stack: , otlp: {endpoint: 'c:4317'}}", "");
    check(
        "exporters: {stack: , otlp: {endpoint: 'c:4317', tls: {insecure: true}}}",
        "",
    );
    check(
        "exporters: {stack: , otlphttp: {endpoint: 'c:4318'}}",
        "expected http:// in front",
    );
    check("exporters: {stack: , otlphttp: {}}", "expected an endpoint");
    check(
        "connectors: {spanmetrics: {namespace: my}}",
        "unsupported namespace \"my\"",
    );
    check(
        "connectors: {spanmetrics: {histogram: {unit: ms}}}",
        "unsupported unit",
    );
    check(
        "connectors: {spanmetrics: {histogram: {explicit: {buckets: [2s, 1s]}}}}",
        "buckets must grow",
    );
    check("extensions: {health_check: {}}", "");
    check("pipelines: {}", "unknown field `pipelines`");
    for (pipelines, expected) in [
        ("{}", "no pipeline"),
        (
            "{trace: {receivers: [otlp], exporters: [stack]}}",
            "unknown signal \"trace\": did you mean \"traces\"?",
        ),
        (
            "{traces: {exporters: [stack]}}",
            "expected at least one receiver",
        ),
        (
            "{traces: {receivers: [otlp/2], exporters: [stack]}}",
            "service.pipelines.traces: receiver \"otlp/2\" is not configured",
        ),
        (
            "{traces: {receivers: [otlp], processors: [batsh], exporters: [stack]}}",
            "processor \"batsh\" is not configured: did you mean \"batch\"?",
        ),
        (
            "{traces: {receivers: [otlp], exporters: [spanmetrics]}}",
            "connector \"spanmetrics\" is used as exporter and not as receiver",
        ),
        (
            "{logs: {receivers: [otlp], exporters: [spanmetrics]}, metrics: {receivers: [spanmetrics], exporters: [stack]}}",
            "takes traces alone",
        ),
    ] {
        check(&format!("service: {{pipelines: {pipelines}}}"), expected);
    }
    for (processor, expected) in [
        (
            "memory_limiter: {check_interval: 1s}",
            "expected limit_mib or limit_percentage",
        ),
        (
            "memory_limiter: {limit_mib: 10, spike_limit_mib: 10}",
            "must be smaller",
        ),
        ("attributes: {}", "missing required field \"actions\""),
        (
            "attributes: {actions: [{key: a, action: hash}]}",
            "unknown action \"hash\"",
        ),
        (
            "attributes: {actions: [{key: a, action: insert}]}",
            "expected one of value and from_attribute",
        ),
        (
            "attributes: {actions: [{key: a, action: extract, pattern: 'x'}]}",
            "named groups",
        ),
        (
            "resource: {attributes: [{action: delete, pattern: '('}]}",
            "unclosed group",
        ),
        ("tail_sampling: {}", "expected at least one policy"),
        (
            "tail_sampling: {policies: [{name: a, type: latency}]}",
            "policy \"a\": type latency: expected its settings",
        ),
        (
            "tail_sampling: {policies: [{name: a, type: status_code, status_code: {status_codes: [BAD]}}]}",
            "unknown status code \"BAD\"",
        ),
        (
            "tail_sampling: {policies: [{name: a, type: ottl}]}",
            "unknown type \"ottl\"",
        ),
        (
            "probabilistic_sampler: {mode: equalizing}",
            "unsupported mode",
        ),
        (
            "batch: {send_batch_size: 10, send_batch_max_size: 5}",
            "must be greater or equal",
        ),
    ] {
        check(&format!("processors: {{{processor}, batch/2: }}"), expected);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,300}", at in 0usize..400) {
        let _ = CollectorConfig::parse("collector.yaml", &text);
        // A valid file with something odd in it is more likely to get far.
        let mut valid = super::DEFAULT.to_owned();
        if valid.is_char_boundary(at) {
            valid.insert_str(at, &text);
        }
        let _ = CollectorConfig::parse("collector.yaml", &valid);
    }
}

#[test]
fn a_sampler_has_no_place_in_a_pipeline_of_logs() {
    let text = "receivers: {otlp: }
processors:
  probabilistic_sampler: {sampling_percentage: 10}
exporters: {stack: }
service:
  pipelines:
    logs:
      receivers: [otlp]
      processors: [probabilistic_sampler]
      exporters: [stack]
";
    let error = CollectorConfig::parse("collector.yaml", text).expect_err("refused");
    let error = error.to_string();
    assert!(error.starts_with("collector.yaml:9:20: service.pipelines.logs: processor \"probabilistic_sampler\": it works on traces alone"), "{error}");
}

#[test]
fn a_collectors_own_file_is_read() {
    let text = "
receivers:
  otlp:
    protocols:
      grpc: {endpoint: '0.0.0.0:14317', max_recv_msg_size_mib: 16}
      http:
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 80, spike_limit_percentage: 25}
  resource/team: {attributes: [{key: team, value: shop, action: upsert}, {key: secret, action: delete}]}
  attributes/clean:
    include: {match_type: strict, services: [checkout]}
    exclude: {match_type: regexp, span_names: ['^health'], attributes: [{key: keep, value: true}]}
    actions:
    - {key: db.statement, action: delete}
    - {key: tenant, from_attribute: org, action: insert}
    - {key: http.url, pattern: '^https?://(?P<host>[^/]+)', action: extract}
    - {key: code, action: convert, converted_type: int}
  probabilistic_sampler: {sampling_percentage: 50, hash_seed: 22}
  tail_sampling:
    decision_wait: 10s
    num_traces: 100
    expected_new_traces_per_sec: 10
    decision_cache: {sampled_cache_size: 1000, non_sampled_cache_size: 1000}
    policies:
    - {name: all, type: always_sample}
    - {name: slow, type: latency, latency: {threshold_ms: 500}}
    - {name: failed, type: status_code, status_code: {status_codes: [ERROR]}}
    - {name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}
    - {name: text, type: string_attribute, string_attribute: {key: k, values: [a, 'b.*'], enabled_regex_matching: true, cache_max_size: 10}}
    - {name: number, type: numeric_attribute, numeric_attribute: {key: k, min_value: 1, max_value: 2}}
    - {name: truth, type: boolean_attribute, boolean_attribute: {key: k, value: true}}
    - {name: rate, type: rate_limiting, rate_limiting: {spans_per_second: 35}}
    - {name: many, type: span_count, span_count: {min_spans: 2}}
    - {name: both, type: and, and: {and_sub_policy: [{name: x, type: always_sample}, {name: y, type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 9}}]}}
  batch: {timeout: 1s, send_batch_size: 1024, send_batch_max_size: 2048}
connectors:
  spanmetrics:
    namespace: traces.spanmetrics
    histogram: {unit: s, explicit: {buckets: [100us, 1ms, 2ms, 6ms, 10ms, 100ms, 250ms]}}
    dimensions: [{name: http.method, default: GET}, {name: http.status_code}]
    exemplars: {enabled: true}
    metrics_flush_interval: 15s
    metrics_expiration: 5m
  servicegraph: {latency_histogram_buckets: [100ms, 1s], store: {ttl: 1s, max_items: 10}, dimensions: [cluster], virtual_node_peer_attributes: [db.name]}
exporters:
  otlp/tempo: {endpoint: 'tempo:4317', tls: {insecure: true}}
  otlphttp/logs: {endpoint: 'http://loki:3100/otlp'}
  otlphttp/metrics: {endpoint: 'http://prometheus:9090/api/v1/otlp'}
  otlphttp/far:
    endpoint: http://gateway:4318
    headers: {x-scope-orgid: me}
    compression: none
    timeout: 3s
    sending_queue: {enabled: true, num_consumers: 2, queue_size: 50}
    retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 10s, max_elapsed_time: 1m}
  debug: {verbosity: detailed}
extensions: {health_check: {endpoint: '0.0.0.0:13133'}}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: detailed}}
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, resource/team, attributes/clean, probabilistic_sampler, tail_sampling, batch]
      exporters: [otlp/tempo, otlphttp/far, spanmetrics, servicegraph]
    metrics: {receivers: [otlp, spanmetrics, servicegraph], processors: [memory_limiter, batch], exporters: [otlphttp/metrics, otlphttp/far]}
    logs: {receivers: [otlp], processors: [attributes/clean, batch], exporters: [otlphttp/logs, debug]}
";
    let config = CollectorConfig::parse("collector.yaml", text).expect("a valid file");
    let stages: Vec<&str> = config.pipelines[2]
        .processors
        .iter()
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(config.pipelines[2].name, "traces");
    assert_eq!(stages.len(), 6);
    assert_eq!(
        config.warnings,
        [
            "extensions are read and not obeyed",
            "receivers.otlp: grpc listens at this stack's port 4317, not at 0.0.0.0:14317",
            "connectors.spanmetrics: the default of a dimension is read and not obeyed",
        ]
    );
}

#[test]
fn the_default_pipelines_are_valid() {
    for text in [super::DEFAULT, super::STORES_ONLY] {
        let config = CollectorConfig::parse("collector.yaml", text).expect("a valid file");
        assert_eq!(config.warnings, Vec::<String>::new());
        assert_eq!(config.pipelines.len(), 3);
    }
}
