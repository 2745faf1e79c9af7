//! Whole reports: three records by hand, rendered by everything.

mod moments;
mod page;
mod sample;
mod tree;
mod xml;

use std::path::Path;

use gameday_signal::Timestamp;

use super::*;

fn records() -> [RunRecord; 3] {
    [sample::latency(), sample::failed(), sample::hostile()]
}

fn known() -> Vec<KnownAlert> {
    ["LatencyFastBurn", "DiskFull", sample::HOSTILE]
        .map(|name| KnownAlert {
            name: name.to_owned(),
            place: "rules/slo.yml:12".to_owned(),
        })
        .to_vec()
}

/// All outputs of all records with a name each.
fn outputs() -> Vec<(String, String)> {
    let records = records();
    let mut outputs = Vec::new();
    for (index, record) in records.iter().enumerate() {
        for (name, text) in report_files(record) {
            outputs.push((format!("{index}/{name}"), text));
        }
        for colour in [false, true] {
            let options = ConsoleOptions {
                colour,
                verbose: colour,
                ..ConsoleOptions::default()
            };
            let name = if colour { "colour.txt" } else { "plain.txt" };
            outputs.push((format!("{index}/{name}"), render_console(record, options)));
        }
    }
    for (name, text) in overview_files(&records, &known()) {
        outputs.push((format!("overview/{name}"), text));
    }
    outputs
}

#[test]
fn an_empty_record_renders() {
    let record = RunRecord::new("empty", "Empty", Timestamp::EPOCH);
    for (name, text) in report_files(&record) {
        assert!(text.contains("nconclusive"), "{name}: {text}");
    }
    for (name, text) in overview_files(std::slice::from_ref(&record), &[]) {
        assert!(text.contains("inconclusive"), "{name}: {text}");
    }
    assert!(render_console(&record, ConsoleOptions::default()).contains("INCONCLUSIVE"));
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    assert_eq!(outputs(), outputs());
}

#[test]
fn a_record_survives_its_json() {
    for record in [sample::latency(), sample::failed()] {
        let read = parse_json(&render_json(&record)).expect("our own report");
        assert_eq!(read.name, record.name);
        assert_eq!(render_json(&read), render_json(&record));
        assert_eq!(render_html(&read), render_html(&record));
    }
    let hostile = render_json(&sample::hostile());
    let read = parse_json(&hostile).expect("our own report");
    assert_eq!(read.title, sample::HOSTILE);
    assert_eq!(render_json(&read), hostile);
}

#[test]
fn other_texts_are_no_report() {
    for (text, expected) in [
        ("", "not a gameday report: EOF"),
        ("{}", "not a gameday report: missing field `format`"),
        (
            r#"{"format":"gameday-report/9"}"#,
            "unsupported report format \"gameday-report/9\"",
        ),
    ] {
        let error = parse_json(text).expect_err("no report").to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn markup_is_well_formed() {
    for (name, text) in outputs() {
        if name.ends_with(".xml") {
            xml::check(&text, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        } else if name.ends_with(".html") {
            let body = text
                .strip_prefix("<!DOCTYPE html>\n")
                .unwrap_or_else(|| panic!("{name} begins with {:?}", &text[..40]));
            let void = ["meta", "br"];
            xml::check(body, &void).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn ids_are_unique_and_links_inside_lead_somewhere() {
    for (name, text) in outputs() {
        if !name.ends_with(".html") {
            continue;
        }
        let values = |attribute: &str| -> Vec<String> {
            text.split(attribute)
                .skip(1)
                .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
                .collect()
        };
        let mut ids = values(" id=\"");
        ids.sort();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name} has an id twice");
        for target in values("href=\"#").into_iter().chain(values("url(#")) {
            let target = target.split(')').next().unwrap_or_default();
            assert!(ids.iter().any(|id| id == target), "{name}: #{target}");
        }
        for label in values("aria-labelledby=\"") {
            for target in label.split(' ') {
                assert!(ids.iter().any(|id| id == target), "{name}: {target}");
            }
        }
    }
}

#[test]
fn nothing_hostile_gets_through() {
    for (name, text) in outputs() {
        if name.ends_with(".json") {
            continue;
        }
        let own_escapes = name.ends_with("colour.txt");
        for character in text.chars() {
            let allowed = character == '\n' || (own_escapes && character == '\u{1b}');
            assert!(
                allowed || !character.is_control(),
                "{name} holds {character:?}"
            );
            assert!(
                !matches!(character, '\u{202e}' | '\u{ffff}' | '\u{9b}'),
                "{name} holds {character:?}"
            );
        }
        if own_escapes {
            // Ours are all `ESC [ numbers m`.
            for sequence in text.split('\u{1b}').skip(1) {
                let body = sequence.strip_prefix('[').unwrap_or("x");
                let end = body.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
                assert!(end.starts_with('m'), "{name}: {sequence:?}");
            }
        }
        if name.ends_with(".html") {
            assert!(!text.contains("<script"), "{name}");
            assert!(!text.contains("href=\"javascript"), "{name}");
            assert!(!text.contains("href=\"data"), "{name}");
        }
        if name.ends_with(".md") {
            let text = outside_code(&text);
            assert!(!text.contains("<script"), "{name}");
            assert!(!text.contains("](javascript"), "{name}");
            assert!(!text.contains("<https"), "{name}");
        }
    }
}

/// Markdown without its code, which CommonMark shows as it is.
fn outside_code(md: &str) -> String {
    let mut kept = String::new();
    let mut fence: Option<&str> = None;
    for line in md.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks >= 3 && ticks == line.len() => fence = Some(line),
            None => kept.push_str(&outside_spans(line)),
        }
        kept.push('\n');
    }
    assert_eq!(fence, None, "an open fence");
    kept
}

fn outside_spans(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        kept.push_str(&rest[..start]);
        // An even number of backslashes are backslashes themselves.
        let backslashes = kept.len() - kept.trim_end_matches('\\').len();
        if !backslashes.is_multiple_of(2) {
            kept.push('`');
            rest = &rest[start + 1..];
            continue;
        }
        let run = rest.len() - start - rest[start..].trim_start_matches('`').len();
        let inner = &rest[start + run..];
        // A span ends at a run of the same length.
        let mut at = 0;
        let end = loop {
            let next = at + inner[at..].find('`').expect("every span is closed");
            let length = inner.len() - next - inner[next..].trim_start_matches('`').len();
            if length == run {
                break next + length;
            }
            at = next + length;
        };
        rest = &inner[end..];
    }
    kept.push_str(rest);
    kept
}

#[test]
fn templates_in_telemetry_are_text() {
    let html = render_html(&sample::hostile());
    assert!(html.contains("{{ 7*7 }}"));
    assert!(!html.contains(" 49 "));
}

#[test]
fn console_lines_fit() {
    use unicode_width::UnicodeWidthStr;
    for record in records() {
        for width in [60, 100, 160] {
            let options = ConsoleOptions {
                width,
                ..ConsoleOptions::default()
            };
            for line in render_console(&record, options).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn moments_and_measures_are_those_of_the_incident() {
    let record = sample::latency();
    let all = incidents(&record.scenarios[0]);
    let own = primary(&all).expect("an incident");
    assert_eq!(own.name(), "LatencyFastBurn");
    assert_eq!(own.fault.as_deref(), Some("slow-checkout-db"));
    let times: Vec<_> = own
        .measures
        .times_ms()
        .into_iter()
        .map(|own| own.2)
        .collect();
    let expected = [381_027, 411_067, 62_960, 78_460, 187_960, 614_027, 277_000];
    assert_eq!(times, expected.map(Some));
    assert!(
        Moment::ALL
            .iter()
            .all(|moment| own.moments.get(*moment).is_some())
    );
    let theory = own.theoretical.expect("known timing");
    let pending = own.moments.pending.expect("it was pending").at;
    assert_eq!(theory.pending.earliest, pending, "as early as it can be");
    let total: i64 = own
        .stages
        .iter()
        .filter_map(|stage| stage.observed)
        .map(|observed| observed.as_millis() as i64)
        .sum();
    assert_eq!(Some(total), own.measures.time_to_page_ms);
}

#[test]
fn what_was_not_reached_says_so() {
    let record = sample::failed();
    let all = incidents(&record.scenarios[0]);
    let missing = all
        .iter()
        .find(|own| own.name() == "ErrorFastBurn")
        .expect("an alert that was expected");
    assert_eq!(missing.moments.firing, None);
    assert_eq!(missing.measures.time_to_page_ms, None);
    assert!(missing.moments.fault_injected.is_some());
    for text in [
        render_html(&record),
        render_markdown(&record),
        render_console(&record, ConsoleOptions::default()),
    ] {
        assert!(text.contains("not reached"));
        assert!(text.contains("compressed by 60"));
        assert!(text.contains("nexpected alert"));
    }
}

#[test]
fn the_overview_counts() {
    let records = [sample::latency(), sample::failed()];
    let score = AlertScore::of(&records);
    let expected = AlertScore {
        expected_fired: 1,
        // LatencyFastBurn, which was pending only, and ErrorFastBurn, which never came.
        expected_missing: 2,
        unexpected_fired: 1,
    };
    assert_eq!(score, expected);
    assert_eq!(score.precision(), Some(0.5));
    let coverage = alert_coverage(&records, &known());
    let fired: Vec<_> = coverage
        .iter()
        .map(|own| {
            (
                own.alert.clone(),
                own.fired_in.join(" "),
                own.pending_in.join(" "),
            )
        })
        .filter(|(alert, ..)| !alert.starts_with("HOSTILE"))
        .collect();
    let row = |alert: &str, fired: &str, pending: &str| {
        (alert.to_owned(), fired.to_owned(), pending.to_owned())
    };
    assert_eq!(
        fired,
        [
            row("DiskFull", "", ""),
            row("HighCpu", "error-burst", ""),
            row("LatencyFastBurn", "latency-injection", "error-burst"),
            row("LatencySlowBurn", "", "latency-injection error-burst"),
        ]
    );
    assert_eq!(
        overview_line(&records),
        "failed: 1 of 2 game days held, 1h50m00s of game time played"
    );
}

#[test]
fn junit_counts_add_up() {
    let text = render_junit_all(&[&sample::latency(), &sample::failed()]);
    assert!(
        text.contains("<testsuites name=\"gameday\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"6600.000\">"),
        "{text}"
    );
    assert!(text.contains("type=\"inconclusive\""));
    assert!(text.contains("expected: alert &quot;ErrorFastBurn&quot; pending within"));
}

/// The reports are written under their names; they lie in `target/sample-reports`, for a person to look at.
#[test]
fn reports_are_written() {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sample-reports");
    let records = records();
    for record in &records {
        let files = write_report(record, &out).expect("a folder that can be written");
        assert!(files.iter().all(|file| file.is_file()));
    }
    write_overview(&records, &known(), &out).expect("a folder that can be written");
    for (name, text) in outputs() {
        if let Some((index, file)) = name.split_once('/')
            && file.ends_with(".txt")
        {
            std::fs::write(out.join(format!("{index}-{file}")), text).expect("a file");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Any text in a title, a log line and a message leaves every output whole.
    #[test]
    fn random_texts_break_nothing(text in proptest::prelude::any::<String>(), markup in "[<>&\"'`*_~|\\\\{}%#\\[\\]() \n\u{1b}a]{0,40}") {
        let mut record = sample::latency();
        record.title = text.clone();
        let scenario = &mut record.scenarios[0];
        scenario.name = markup.clone();
        scenario.steps[0].text = markup.clone();
        scenario.drill_downs[0].log_lines[0].line = format!("{markup}{text}");
        scenario.charts[0].series[0].name = format!("{text}{markup}");
        for event in &mut scenario.events {
            if let gameday_signal::EventKind::Notified { payload, .. } = &mut event.kind {
                *payload = serde_json::json!({"text": markup, "attachments": [{"title": text}]}).to_string();
            }
        }
        for (name, output) in report_files(&record) {
            match name {
                "junit.xml" => xml::check(&output, &[]).expect(name),
                "index.html" => {
                    let body = output.strip_prefix("<!DOCTYPE html>\n").expect(name);
                    xml::check(body, &["meta", "br"]).expect(name);
                }
                "report.md" => {
                    outside_code(&output);
                }
                _ => {
                    parse_json(&output).expect(name);
                }
            }
        }
        let console = render_console(&record, ConsoleOptions::default());
        assert!(console.chars().all(|character| character == '\n' || !character.is_control()));
    }
}
