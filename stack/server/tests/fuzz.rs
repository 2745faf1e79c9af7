//! The fuzz targets of `fuzz/targets` on the stable compiler: changed seeds, as long as `GAMEDAY_FUZZ_SECS` says; each target gets some
//! thousand cases where it says nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gameday_env::{Rng, Stopwatch, environment_variable};

#[path = "../../../fuzz/targets/metrics.rs"]
mod metrics;

/// A target: its name, what it runs, texts that it takes, and pieces that its language is made of.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: &'static [&'static str],
    pieces: &'static [&'static str],
}

const YAML: &[&str] = &[
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

const EXPOSITION: &[&str] = &[
    "# TYPE ",
    "# HELP ",
    "# UNIT ",
    "# EOF\n",
    "\n",
    " ",
    "{",
    "}",
    "=\"",
    "\",",
    "a_total",
    "le=\"+Inf\"",
    "NaN",
    "1e308",
    "-Inf",
    " # {a=\"b\"} 1 2",
    "\\",
    "\\n",
    "\"a.b\"",
    "é",
    "counter",
    "histogram",
    "summary",
    "info",
    "stateset",
    "1.5e3",
    "\t",
    "0x1p3",
];

const TARGETS: &[Target] = &[
    Target {
        name: "promql",
        run: metrics::promql,
        seeds: &[
            "sum by (l) (rate(a{job=\"j\",le!~\"x|y\"}[5m] offset -1m)) / on (job) group_left (le) max without (le) (b @ end())",
            "histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m:30s] @ 100)))",
            "topk(3, -a ^ 2 % b) or vector(scalar(b)) unless absent(c) and bool == 1e3",
            "label_replace(a, \"x\", \"$1-${n}\", \"job\", \"(?P<n>.*)\") > bool 0x1F",
            "quantile_over_time(0.5, {\"a.b\", `c`=\"\\u00e9\"}[1h30m]) + time() atan2 -Inf",
            "predict_linear(a[1m], 3600) != +NaN ## comment\n",
        ],
        pieces: &[
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            "5m",
            "1y",
            "[5m:]",
            " by (a)",
            " without ()",
            " offset -5m",
            " @ start()",
            " @ 1e9",
            "\"",
            "'",
            "`",
            "=~",
            "!=",
            "==",
            " and ",
            " or ",
            " unless ",
            " bool ",
            " on (job)",
            " group_left",
            "rate(",
            "sum(",
            "topk(5, ",
            "count_values(\"v\", ",
            "limitk(2, ",
            "-",
            "+",
            "^",
            "*",
            "/",
            "%",
            "1",
            "1e400",
            "0x",
            "NaN",
            "Inf",
            "a",
            "b",
            "x_bucket",
            "\\x",
            "\n",
            "#",
            " anchored",
            " smoothed",
            ",",
            "histogram_fraction(",
            "min_of(",
            "step()",
            "info(",
        ],
    },
    Target {
        name: "text_exposition",
        run: metrics::text_exposition,
        seeds: &[
            "# HELP a_total Words \\\\ \\n more.\n# TYPE a_total counter\na_total{x=\"y\\\"\",z=\"\",} 1.5 1700000000000\n{\"a.b\", c=\"d\"} NaN\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 1\nh_count 3\n",
        ],
        pieces: EXPOSITION,
    },
    Target {
        name: "open_metrics",
        run: metrics::open_metrics,
        seeds: &[
            "# TYPE a counter\n# UNIT a seconds\n# HELP a Words.\na_total{x=\"y\"} 1 1.5 # {trace_id=\"1\"} 0.5 1.25\na_created 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_count 3\nh_sum 1.0\n# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"a\"} 1\n# EOF\n",
        ],
        pieces: EXPOSITION,
    },
    Target {
        name: "protobuf_exposition",
        run: metrics::protobuf_exposition,
        seeds: &[
            "\u{18}\n\u{1}a\u{18}\u{0}\"\u{11}\n\u{6}\n\u{1}x\u{12}\u{1}y\u{1a}\u{7}\t\0\0\0\0\0\0",
            "\u{20}\n\u{1}h\u{18}\u{4}\"\u{19}:\u{17}\u{8}\u{3}\u{11}\0\0\0\0\0\0\0\0(\u{2}1\0\0\0\0\0\0\0\0",
        ],
        pieces: &[
            "\n\u{1}a",
            "\u{18}\u{4}",
            "\"\u{4}",
            "(\u{2}",
            "\0\0\0\0\0\0\0\0",
            "\u{7f}",
            "b\u{4}\u{8}\u{1}\u{10}\u{2}",
            "z\u{2}",
        ],
    },
    Target {
        name: "remote_write",
        run: metrics::remote_write,
        seeds: &[
            "\n\u{27}\n\u{d}\n\u{8}__name__\u{12}\u{1}a\n\u{8}\n\u{3}job\u{12}\u{1}b\u{12}\u{c}\t\0\0\0\0\0\0\0\0\u{10}\u{1}",
            "\"\0\"\u{8}__name__\"\u{1}a*\u{12}\n\u{2}\u{1}\u{2}\u{12}\u{c}\t\0\0\0\0\0\0\0\0\u{10}\u{1}",
        ],
        pieces: &[
            "\n\u{8}__name__\u{12}\u{1}a",
            "\u{12}\u{2}",
            "\u{1a}\u{4}",
            "\"\u{3}",
            " \u{8}",
            "B\u{4}\u{8}\u{1}\u{10}\u{5}",
            "J\u{1}\u{2}",
            "\0\0\0\0\0\0\0\0",
            "Z\u{4}\u{8}\u{1}\u{10}\u{2}",
        ],
    },
    Target {
        name: "rule_file",
        run: metrics::rule_file,
        seeds: &[
            "groups:\n  - name: g\n    interval: 1m\n    limit: 5\n    labels: {team: a}\n    rules:\n      - record: a:b\n        expr: sum(rate(a[5m]))\n        labels: {x: y}\n      - alert: A\n        expr: |\n          a > 1\n        for: 5m\n        keep_firing_for: 1m\n        labels: {severity: '{{ $labels.x }}'}\n        annotations: {summary: \"{{ $value | humanize }}\"}\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "prometheus_yml",
        run: metrics::prometheus_yml,
        seeds: &[
            "global: {scrape_interval: 15s, external_labels: {a: '${B}$$'}}\nscrape_configs:\n  - job_name: a\n    params: {m: [b]}\n    static_configs: [{targets: ['a:1'], labels: {x: y}}]\n    relabel_configs: [{source_labels: [a], regex: '(.*)', replacement: '$1', target_label: b, action: replace, modulus: 3}]\n    file_sd_configs: [{files: ['a/*.yml']}]\nremote_write: [{url: 'http://a', queue_config: {capacity: 5}}]\nstorage: {tsdb: {retention: {size: 1GB}}}\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "alertmanager_yml",
        run: metrics::alertmanager_yml,
        seeds: &[
            "route:\n  receiver: a\n  group_by: ['...']\n  routes: [{matchers: ['a=\"b\"', 'c=~d'], continue: true, receiver: b, mute_time_intervals: [n]}]\nreceivers: [{name: a, webhook_configs: [{url: 'http://a'}]}, {name: b, slack_configs: [{api_url: 'http://s', channel: '#x', text: '{{ .Status }}'}]}]\ninhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d], equal: [e]}]\ntime_intervals: [{name: n, time_intervals: [{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}], days_of_month: ['1:-1'], months: ['1:3'], years: [2020], location: UTC}]}]\n",
        ],
        pieces: YAML,
    },
    Target {
        name: "template",
        run: metrics::template,
        seeds: &[
            "{{ define \"x\" }}{{ . }}{{ end }}{{ template \"x\" 1 }}{{ range $i, $e := query \"up\" }}{{ $e.Value | humanize }}{{ else }}none{{ end }}{{ with $a := 1.5 }}{{ printf \"%5.2f|%q|%x\" $a . \"s\" }}{{ end }}",
            "{{ if and (eq 1 1) (not (gt 2 3)) -}} {{- len \"abc\" | humanizeDuration }}{{ else if lt 1 2 }}{{ index (args 1 2) \"arg0\" }}{{ end }}<a href=\"{{ . }}\" onclick='{{ . }}'>{{ safeHtml . }}</a>{{/* c */}}",
        ],
        pieces: &[
            "{{",
            "}}",
            "{{-",
            "-}}",
            "|",
            "(",
            ")",
            "\"",
            "`",
            "'",
            "%",
            "$",
            "$x := ",
            ".",
            ".a.b",
            "range ",
            "if ",
            "else ",
            "end ",
            "with ",
            "define \"x\"",
            "template \"x\" .",
            "block \"y\" .",
            "printf ",
            "%*d",
            "%[2]v",
            "html ",
            "js ",
            "slice ",
            "index ",
            "reReplaceAll \"(\" ",
            "break",
            "continue",
            "1e999",
            "0b1",
            "nil",
            "<script>",
            "<a b=",
            "-->",
            "humanizeTimestamp ",
            "parseDuration ",
            "toTime ",
            "sortByLabel \"a\" ",
            "match ",
            "title ",
            "\u{0}",
        ],
    },
    Target {
        name: "log_record",
        run: metrics::log_record,
        seeds: &[
            "\u{1}\u{0}\u{1}\u{8}__name__\u{1}a\u{2}\u{0}\u{2}\0\0\0\0\0\0\0\0\u{2}\u{0}\u{4}\0\0\0\0\0\0\0\0",
            // A series of a block or of heads: labels, then nothing of either kind.
            "\u{1}\u{8}__name__\u{1}a\u{0}\u{0}\u{0}\u{0}",
            "\u{1}\u{1}\u{1}\u{8}__name__\u{1}h\u{3}\u{1}\u{2}\u{0}\u{0}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\u{1}\u{2}\u{1}\u{1}\0\0\0\0\0\0\0\0",
        ],
        pieces: &[
            "\u{1}",
            "\u{2}",
            "\u{3}",
            "\u{4}",
            "\u{0}",
            "\u{7f}",
            "\0\0\0\0\0\0\0\0",
            "\u{8}__name__\u{1}a",
        ],
    },
];

/// Cases of a target where nothing else is asked for.
const CASES: u64 = 1_000;
const BYTES_MAX: usize = 4096;
/// Cases that are kept to be changed further.
const KEPT_MAX: usize = 200;

fn pick<'t, T>(list: &'t [T], random: &mut Rng) -> &'t T {
    &list[random.below(list.len() as u64) as usize]
}

/// Changes a case at a few places.
fn change(case: &mut Vec<u8>, target: &Target, kept: &[Vec<u8>], random: &mut Rng) {
    for _ in 0..=random.below(4) {
        let at = random.below(case.len() as u64 + 1) as usize;
        let end = (at + random.below(16) as usize).min(case.len());
        match random.below(8) {
            0 if at < case.len() => case[at] ^= 1 << random.below(8),
            1 if at < case.len() => case[at] = *pick(&[0, 1, 0x7f, 0x80, 0xff], random),
            2 => drop(case.drain(at..end)),
            3 => {
                let copy = case[at..end].repeat(1 + random.below(40) as usize);
                case.splice(at..at, copy);
            }
            4 => {
                let other = pick(kept, random);
                let from = random.below(other.len() as u64 + 1) as usize;
                case.truncate(at);
                case.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = pick(target.pieces, random).bytes();
                case.splice(at..at, piece);
            }
        }
        case.truncate(BYTES_MAX);
    }
}

/// Runs cases until `enough` says so; the first that panics is told.
fn fuzz(target: &Target, seed: u64, enough: impl Fn(u64) -> bool) {
    let mut random = Rng::named(seed, target.name);
    let mut kept: Vec<Vec<u8>> = target
        .seeds
        .iter()
        .map(|seed| seed.as_bytes().to_vec())
        .collect();
    let mut cases = 0;
    while !enough(cases) {
        cases += 1;
        let mut case = pick(&kept, &mut random).clone();
        change(&mut case, target, &kept, &mut random);
        let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&case)));
        assert!(
            ran.is_ok(),
            "{} panics (seed {seed}, case {cases}) on {:?}",
            target.name,
            String::from_utf8_lossy(&case)
        );
        if kept.len() < KEPT_MAX {
            kept.push(case);
        } else if random.below(20) == 0 {
            let seeds = target.seeds.len();
            let place = seeds + random.below((KEPT_MAX - seeds) as u64) as usize;
            kept[place] = case;
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let secs: Option<u64> =
        environment_variable("GAMEDAY_FUZZ_SECS").and_then(|secs| secs.parse().ok());
    let Some(secs) = secs else {
        for target in TARGETS {
            fuzz(target, 1, |cases| cases >= CASES);
        }
        return;
    };
    let seed = environment_variable("GAMEDAY_FUZZ_SEED").and_then(|seed| seed.parse().ok());
    let only = environment_variable("GAMEDAY_FUZZ_TARGET");
    let targets: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| only.as_deref().is_none_or(|only| only == target.name))
        .collect();
    let share = Duration::from_secs(secs) / targets.len().max(1) as u32;
    for target in targets {
        let watch = Stopwatch::start();
        fuzz(target, seed.unwrap_or(1), |_| watch.elapsed() >= share);
    }
}
