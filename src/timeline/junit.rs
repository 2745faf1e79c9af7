//! The verdict as JUnit XML: a suite a feature, a case a scenario, times on the clock of the game day.

use std::fmt::Write as _;
use std::time::Duration;

use super::lines::Timeline;
use super::record::{Outcome, RunRecord, ScenarioRecord, StepRecord, StepStatus};
use super::text;

/// The run as JUnit XML.
pub fn render_junit(record: &RunRecord) -> String {
    render_junit_all(&[record])
}

/// Several runs as one JUnit XML.
pub fn render_junit_all(records: &[&RunRecord]) -> String {
    let suites: Vec<Suite<'_>> = records.iter().flat_map(|record| suites(record)).collect();
    let played: Duration = suites.iter().map(Suite::played).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites name=\"gameday\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">",
        suites.iter().map(Suite::tests).sum::<usize>(),
        suites.iter().map(Suite::failures).sum::<usize>(),
        suites.iter().map(Suite::errors).sum::<usize>(),
        secs(played)
    );
    for suite in &suites {
        suite.write(&mut xml);
    }
    xml.push_str("</testsuites>\n");
    xml
}

struct Suite<'a> {
    record: &'a RunRecord,
    feature: &'a str,
    scenarios: Vec<&'a ScenarioRecord>,
}

/// The features of a run in the order of their first scenario. A run that broke before its first scenario is a suite with one
/// case of its own, since a suite without cases would pass unseen.
fn suites(record: &RunRecord) -> Vec<Suite<'_>> {
    let mut suites: Vec<Suite<'_>> = Vec::new();
    for scenario in &record.scenarios {
        match suites
            .iter_mut()
            .find(|suite| suite.feature == scenario.feature)
        {
            Some(suite) => suite.scenarios.push(scenario),
            None => suites.push(Suite {
                record,
                feature: &scenario.feature,
                scenarios: vec![scenario],
            }),
        }
    }
    let held = record.verdict.outcome == Outcome::Held;
    let shown = suites
        .iter()
        .any(|suite| suite.failures() + suite.errors() > 0);
    if suites.is_empty() || (!held && !shown) {
        suites.push(Suite {
            record,
            feature: &record.title,
            scenarios: Vec::new(),
        });
    }
    suites
}

impl Suite<'_> {
    /// A suite without a scenario has one case, which says so.
    fn tests(&self) -> usize {
        self.scenarios.len().max(1)
    }

    fn failures(&self) -> usize {
        self.count(|outcome| outcome == Outcome::Failed)
    }

    /// Inconclusive and aborted runs are errors: nothing passes by accident.
    fn errors(&self) -> usize {
        let own = self.count(|outcome| !matches!(outcome, Outcome::Held | Outcome::Failed));
        own + usize::from(self.scenarios.is_empty())
    }

    fn count(&self, wanted: impl Fn(Outcome) -> bool) -> usize {
        self.scenarios
            .iter()
            .filter(|scenario| wanted(scenario.verdict.outcome))
            .count()
    }

    fn played(&self) -> Duration {
        self.scenarios
            .iter()
            .map(|scenario| scenario.played())
            .sum()
    }

    fn write(&self, xml: &mut String) {
        let record = self.record;
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{}\" timestamp=\"{}\">",
            text::xml(self.feature),
            self.tests(),
            self.failures(),
            self.errors(),
            secs(self.played()),
            // JUnit's schema wants no zone and whole seconds.
            format_args!("{}T{}", text::day(record.epoch), whole_clock(record))
        );
        xml.push_str("    <properties>\n");
        let mut property = |name: &str, value: &str| {
            let _ = writeln!(
                xml,
                "      <property name=\"gameday.{name}\" value=\"{}\"/>",
                text::xml(value)
            );
        };
        property("name", &record.name);
        property("version", &record.gameday_version);
        property("seed", &record.seed.to_string());
        property("clock", record.clock.as_str());
        if let Some(compress) = record.compress {
            property("compress", &text::number(compress));
        }
        if let Some(speed) = record.speed {
            property("speed", &text::number(speed));
        }
        property("verdict", record.verdict.outcome.as_str());
        xml.push_str("    </properties>\n");
        if self.scenarios.is_empty() {
            self.write_broken(xml);
        }
        for scenario in &self.scenarios {
            self.write_case(xml, scenario);
        }
        xml.push_str("  </testsuite>\n");
    }

    fn write_broken(&self, xml: &mut String) {
        let verdict = &self.record.verdict;
        let _ = writeln!(
            xml,
            "    <testcase name=\"the run as a whole\" classname=\"{}\" time=\"0.000\">\n      <error type=\"{}\" message=\"{}\"/>\n    </testcase>",
            text::xml(self.feature),
            verdict.outcome.as_str(),
            text::xml(&verdict.reasons.join("; "))
        );
    }

    fn write_case(&self, xml: &mut String, scenario: &ScenarioRecord) {
        let _ = write!(
            xml,
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
            text::xml(&scenario.name),
            text::xml(self.feature),
            secs(scenario.played())
        );
        if !scenario.place.file.is_empty() {
            let file = text::xml(&scenario.place.file);
            let _ = write!(xml, " file=\"{file}\" line=\"{}\"", scenario.place.line);
        }
        xml.push_str(">\n");
        let verdict = &scenario.verdict;
        let element = match verdict.outcome {
            Outcome::Held => None,
            Outcome::Failed => Some("failure"),
            Outcome::Inconclusive | Outcome::Aborted | Outcome::Error => Some("error"),
        };
        let timeline = Timeline::new(scenario);
        if let Some(element) = element {
            let _ = writeln!(
                xml,
                "      <{element} type=\"{}\" message=\"{}\">{}</{element}>",
                verdict.outcome.as_str(),
                text::xml(&verdict.reasons.join("; ")),
                text::xml_lines(&details(&timeline))
            );
        }
        let _ = writeln!(
            xml,
            "      <system-out>{}</system-out>\n    </testcase>",
            text::xml_lines(&summary(&timeline))
        );
    }
}

/// Every step that did not hold, with what a person needs to understand it.
fn details(timeline: &Timeline<'_>) -> String {
    let mut details = String::new();
    let bad =
        |step: &&StepRecord| matches!(step.status, StepStatus::Failed | StepStatus::Inconclusive);
    for step in timeline.scenario.steps.iter().filter(bad) {
        let _ = writeln!(
            details,
            "{}: {} {} ({})",
            step.status.as_str(),
            step.keyword,
            step.text,
            step.place
        );
        let Some(failure) = &step.failure else {
            let _ = writeln!(details, "  observed: {}", step.observed);
            continue;
        };
        let _ = writeln!(details, "  expected: {}", failure.expected);
        let _ = writeln!(details, "  observed: {}", failure.observed);
        if !failure.query.is_empty() {
            let _ = writeln!(details, "  query: {}", failure.query);
        }
        for line in failure.nearest.iter().filter_map(|seq| timeline.line(*seq)) {
            let at = timeline.since(line.event.at);
            let _ = writeln!(details, "  nearest: {at} {} {}", line.kind, line.text);
        }
        if let Some(link) = &failure.link {
            let _ = writeln!(details, "  see: {link}");
        }
    }
    details
}

fn summary(timeline: &Timeline<'_>) -> String {
    let mut summary = String::new();
    for incident in &timeline.incidents {
        let alert = text::alert(&incident.labels);
        for (name, definition, ms) in incident.measures.times_ms() {
            if let Some(ms) = ms {
                let time = text::signed_ms(ms);
                let _ = writeln!(summary, "{alert}: {name} ({definition}) {time}");
            }
        }
    }
    summary
}

/// Seconds with three decimals, as JUnit has them.
fn secs(duration: Duration) -> String {
    format!("{}.{:03}", duration.as_secs(), duration.subsec_millis())
}

fn whole_clock(record: &RunRecord) -> String {
    let clock = text::clock(record.epoch);
    clock.split('.').next().unwrap_or_default().to_owned()
}
