//! What the targets of settings and posts begin with.

use super::{Target, settings};

pub(super) const YAML: &[&str] = &[
    "\n",
    "  ",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "'",
    "\"",
    "|\n",
    "#",
    "null",
    "~",
    "5m",
    "1h30m",
    "-1",
    "true",
    "!!str ",
    "<<: ",
    "\t",
    "---\n",
    "\u{feff}",
    "\\",
    "99999999999999999999",
    "$1",
    "(",
    ".*",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "1e400",
    "-1",
    "99999999999999999999",
    "\\u0000",
    "\\ud800",
    "\u{1f600}",
    "2023-11-14T22:13:20Z",
    "0001-01-01T00:00:00Z",
    "\"labels\":",
    "\"a\":\"b\"",
];

pub(super) const TARGETS: &[Target] = &[
    Target {
        name: "yaml",
        run: settings::yaml,
        seeds: &[
            "a: &x [1, 'b', \"c\\n\", ~, 2023-01-01]\nb: {<<: {d: 1}, e: *x}\nf: |+\n  text\n\n  more\ng: >-\n  folded\n  lines\n? h\n: !!str 5\n",
            "- - - a\n  - b: c\n    d:\n    - 0x1F\n    - .inf\n    - 1_000\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "matchers",
        run: settings::matchers,
        seeds: &[
            "{a=\"b\", c!=d, \"e.f\"=~\"(g|h)\", i!~j.*,}",
            "foo=bar,baz=~\"\\\"x\\\\n\"",
        ],
        pieces: &[
            "{", "}", "=", "!=", "=~", "!~", "\"", "'", "\\", "\\n", ",", " ", "a", "é", "(", "[",
            "*", "\u{0}",
        ],
    },
    Target {
        name: "posted",
        run: settings::posted,
        seeds: &[
            r#"[{"labels":{"alertname":"A","a":"b"},"annotations":{"summary":"x"},"startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-14T22:23:20.5Z","generatorURL":"http://a"},{"labels":{"c":"d","e":""}}]"#,
            r#"{"matchers":[{"name":"a","value":".+","isRegex":true,"isEqual":false}],"startsAt":"2023-11-14T22:13:20Z","endsAt":"2023-11-14T23:13:20Z","createdBy":"me","comment":"c","id":""}"#,
        ],
        pieces: JSON,
    },
    Target {
        name: "collector_yml",
        run: settings::collector_yml,
        seeds: &[
            "receivers: {otlp: {protocols: {grpc: {}, http: {}}}}\nprocessors:\n  batch: {timeout: 1s, send_batch_size: 10}\n  tail_sampling: {decision_wait: 5s, policies: [{name: e, type: status_code, status_code: {status_codes: [ERROR]}}, {name: p, type: probabilistic, probabilistic: {sampling_percentage: 10}}]}\nexporters: {otlp: {endpoint: 'a:4317'}}\nservice: {pipelines: {traces: {receivers: [otlp], processors: [tail_sampling, batch], exporters: [otlp]}}}\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "loki_yml",
        run: settings::loki_yml,
        seeds: &[
            "ruler: {storage: {type: local, local: {directory: rules}}, alertmanager_url: 'http://a', evaluation_interval: 1m}\nlimits_config: {reject_old_samples: true, max_line_size: 1KB}\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "dashboard",
        run: settings::dashboard,
        seeds: &[
            r#"{"uid":"a","title":"t","templating":{"list":[{"name":"v","type":"query","query":"label_values(up, job)"}]},"panels":[{"id":1,"type":"row","panels":[{"id":2,"type":"timeseries","gridPos":{"x":0,"y":0,"w":12,"h":8},"datasource":{"type":"prometheus","uid":"p"},"targets":[{"expr":"rate(a{job=\"$v\"}[$__rate_interval])","refId":"A"}],"fieldConfig":{"defaults":{"thresholds":{"steps":[{"value":null,"color":"green"},{"value":80,"color":"red"}]}}}}]}]}"#,
            "datasources:\n- name: Loki\n  type: loki\n  url: http://${HOST}:3100\n  jsonData:\n    derivedFields: [{name: TraceID, matcherRegex: 'trace_id=(\\w+)', datasourceUid: tempo, url: '$${__value.raw}'}]\n",
        ],
        pieces: JSON,
    },
];
