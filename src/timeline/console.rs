//! The timeline and the verdict for a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthChar;

use super::chart::{courses, threshold_name};
use super::incidents::Incident;
use super::lines::{Line, Timeline, Tone, moment_time, passing, reached_ms, theoretical};
use super::moments::Moment;
use super::record::{Outcome, RunRecord, StepRecord, StepStatus, Verdict};
use super::stages::Stage;
use super::text;

/// How the console output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleOptions {
    /// Columns of the terminal; lines are broken to fit (at least 40 are assumed).
    pub width: usize,
    /// Whether to write the escape sequences of colours.
    pub colour: bool,
    /// Whether to show every event and step, not only what a person needs.
    pub verbose: bool,
}

impl Default for ConsoleOptions {
    fn default() -> Self {
        Self {
            width: 100,
            colour: false,
            verbose: false,
        }
    }
}

/// A timeline has at most this many lines unless all are asked for.
const LINES_MAX: usize = 120;
/// So many incidents are told unless all are asked for.
const INCIDENTS_MAX: usize = 10;
/// The width of the column of times.
const TIME_COLUMN: usize = 12;

/// The run as text for a terminal. Nothing that telemetry says reaches the terminal as a control character.
pub fn render_console(record: &RunRecord, options: ConsoleOptions) -> String {
    let mut page = Page::new(options);
    page.heading(record);
    for scenario in &record.scenarios {
        let timeline = Timeline::new(scenario);
        page.blank();
        let title = format!("Scenario: {}", scenario.name);
        page.block(&[(Style::new().bold(), &title)], 2);
        page.timeline(&timeline);
        page.steps(&timeline);
        let most = if options.verbose {
            usize::MAX
        } else {
            INCIDENTS_MAX
        };
        for incident in timeline.expected_first().into_iter().take(most) {
            page.blank();
            if options.verbose || !incident.minor() {
                page.incident(incident, &timeline);
            } else {
                let line = format!("  {}", passing(incident, &timeline));
                page.block(&[(soft(), &line)], 4);
            }
        }
        if timeline.incidents.len() > most {
            let left = timeline.incidents.len() - most;
            let note = format!("  … {left} more alerts, all of them in the report");
            page.block(&[(soft(), &note)], 4);
        }
        for unexpected in timeline.unexpected().take(most) {
            let line = format!("  ✗ unexpected alert {}", text::alert(&unexpected.labels));
            page.block(&[(bad(), &line)], 4);
        }
        page.charts(&timeline);
        page.verdict(&scenario.verdict);
    }
    page.blank();
    page.footer(record);
    page.text
}

fn bad() -> Style {
    AnsiColor::Red.on_default().bold()
}

fn good() -> Style {
    AnsiColor::Green.on_default()
}

fn soft() -> Style {
    Style::new().dimmed()
}

fn style_of(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Fault => AnsiColor::Magenta.on_default(),
        Tone::Good => good(),
        Tone::Warning => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
    }
}

fn style_of_outcome(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Held => good().bold(),
        Outcome::Inconclusive => AnsiColor::Yellow.on_default().bold(),
        Outcome::Aborted | Outcome::Failed | Outcome::Error => bad(),
    }
}

/// The text so far, and how it is written.
struct Page {
    text: String,
    width: usize,
    options: ConsoleOptions,
    /// The style in force at the end of the text.
    style: Style,
}

impl Page {
    fn new(options: ConsoleOptions) -> Self {
        Self {
            text: String::new(),
            width: options.width.max(40),
            options,
            style: Style::new(),
        }
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Writes styled pieces, broken at spaces where they do not fit; lines after the first are indented by `indent`. Every
    /// piece is made harmless here, so that no caller can forget it.
    fn block(&mut self, pieces: &[(Style, &str)], indent: usize) {
        let mut column = 0;
        for (style, piece) in pieces {
            let piece = text::visible(piece);
            for word in words(&piece) {
                let width = columns(word);
                if column > indent && column + columns(word.trim_end()) > self.width {
                    self.wrap(indent, &mut column);
                }
                if width > self.width.saturating_sub(column) {
                    self.long_word(*style, word, indent, &mut column);
                } else {
                    self.styled(*style, word);
                    column += width;
                }
            }
        }
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.reset();
        self.text.push('\n');
    }

    fn wrap(&mut self, indent: usize, column: &mut usize) {
        let kept = self.text.trim_end_matches(' ').len();
        self.text.truncate(kept);
        self.text.push('\n');
        self.text.push_str(&" ".repeat(indent));
        *column = indent;
    }

    /// A word that is wider than a line is broken anywhere.
    fn long_word(&mut self, style: Style, word: &str, indent: usize, column: &mut usize) {
        let mut part = String::new();
        for character in word.chars() {
            let width = character.width().unwrap_or(0);
            if *column + width > self.width && *column > indent {
                self.styled(style, &part);
                part.clear();
                self.wrap(indent, column);
            }
            part.push(character);
            *column += width;
        }
        self.styled(style, &part);
    }

    fn styled(&mut self, style: Style, piece: &str) {
        // Spaces look the same in every style used here.
        if style != self.style && !piece.trim().is_empty() {
            self.reset();
            if self.options.colour {
                let _ = write!(self.text, "{style}");
                self.style = style;
            }
        }
        self.text.push_str(piece);
    }

    fn reset(&mut self) {
        let _ = write!(self.text, "{:#}", self.style);
        self.style = Style::new();
    }

    fn heading(&mut self, record: &RunRecord) {
        let outcome = record.verdict.outcome;
        self.block(
            &[
                (Style::new().bold(), &record.name),
                (Style::new(), "  "),
                (Style::new(), &record.title),
                (Style::new(), "  "),
                (style_of_outcome(outcome), &outcome.as_str().to_uppercase()),
            ],
            2,
        );
        let clock = match (record.clock, record.speed) {
            (clock, Some(speed)) => format!("{} clock at {}x", clock.as_str(), text::number(speed)),
            (clock, None) => format!("{} clock", clock.as_str()),
        };
        let facts = format!(
            "{clock}, seed {}, {} played, gameday {}",
            record.seed,
            text::duration(record.played()),
            record.gameday_version
        );
        self.block(&[(soft(), &facts)], 2);
        if let Some(compress) = record.compress {
            let note = compress_note(compress);
            self.block(&[(AnsiColor::Yellow.on_default(), &note)], 2);
        }
    }

    fn timeline(&mut self, timeline: &Timeline<'_>) {
        let wanted: Vec<&Line<'_>> = timeline
            .lines
            .iter()
            .filter(|line| self.options.verbose || matters(line))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let head = format!("  {:>TIME_COLUMN$}  clock (UTC)", timeline.zero_name());
        self.block(&[(soft(), &head)], 4);
        let most = if self.options.verbose {
            usize::MAX
        } else {
            LINES_MAX
        };
        // The first and the last lines tell more than those between.
        let (first, last) = if wanted.len() > most {
            (most * 2 / 3, most - most * 2 / 3)
        } else {
            (wanted.len(), 0)
        };
        for line in &wanted[..first] {
            self.line(timeline, line);
        }
        if last > 0 {
            let left = wanted.len() - first - last;
            let note = format!("  … {left} more lines, all of them in the report");
            self.block(&[(soft(), &note)], 4);
            for line in &wanted[wanted.len() - last..] {
                self.line(timeline, line);
            }
        }
    }

    fn line(&mut self, timeline: &Timeline<'_>, line: &Line<'_>) {
        let since = timeline.since(line.event.at);
        let moments = symbols(&line.moments);
        let head = format!(
            "  {since:>TIME_COLUMN$}  {:<12}  ",
            text::clock(line.event.at)
        );
        let sign = format!("{} ", line.tone.sign());
        let mark = format!("{moments:<4}");
        let kind = format!("{:<17} ", line.kind);
        let shown = text::clip(&line.text, 400);
        let style = style_of(line.tone);
        self.block(
            &[
                (soft(), &head),
                (style, &sign),
                (Style::new().bold(), &mark),
                (Style::new(), " "),
                (style, &kind),
                (Style::new(), &shown),
            ],
            // On a wide terminal the text keeps a column of its own.
            if self.width >= 100 { 55 } else { 30 },
        );
    }

    fn steps(&mut self, timeline: &Timeline<'_>) {
        let steps = &timeline.scenario.steps;
        if steps.is_empty() {
            return;
        }
        self.blank();
        for step in steps {
            self.step(step, timeline);
        }
    }

    fn step(&mut self, step: &StepRecord, timeline: &Timeline<'_>) {
        let (sign, style) = match step.status {
            StepStatus::Passed => ("✓", good()),
            StepStatus::Failed => ("✗", bad()),
            StepStatus::Inconclusive => ("?", AnsiColor::Yellow.on_default().bold()),
            StepStatus::Skipped => ("-", soft()),
        };
        let words = format!("{} {}", step.keyword, step.text);
        let sign = format!("  {sign} ");
        self.block(&[(style, &sign), (Style::new(), &words)], 6);
        for row in &step.table {
            let row = format!("      | {} |", row.join(" | "));
            self.block(&[(Style::new(), &row)], 8);
        }
        let troubled = matches!(step.status, StepStatus::Failed | StepStatus::Inconclusive);
        if !troubled {
            if self.options.verbose && !step.observed.is_empty() {
                self.detail("observed", &step.observed);
            }
            return;
        }
        if let Some(failure) = &step.failure {
            self.detail("expected", &failure.expected);
            self.detail("observed", &failure.observed);
            self.detail("query", &failure.query);
            for line in failure.nearest.iter().filter_map(|seq| timeline.line(*seq)) {
                let near = format!(
                    "{} {}: {}",
                    timeline.since(line.event.at),
                    line.kind,
                    text::clip(&line.text, 300)
                );
                self.detail("nearest", &near);
            }
            self.detail("see", failure.link.as_deref().unwrap_or_default());
        } else {
            self.detail("observed", &step.observed);
        }
        self.detail("at", &step.place.to_string());
    }

    /// A named detail under a step; nothing where there is nothing to say.
    fn detail(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for (index, line) in text::visible_lines(value).iter().enumerate() {
            let name = format!("      {:<9} ", if index == 0 { name } else { "" });
            self.block(&[(soft(), &name), (Style::new(), line)], 16);
        }
    }

    fn incident(&mut self, incident: &Incident, timeline: &Timeline<'_>) {
        let head = format!("  {}", text::alert(&incident.labels));
        let expectation = format!("  ({})", incident.expectation.as_str());
        self.block(&[(Style::new().bold(), &head), (soft(), &expectation)], 4);
        for moment in Moment::ALL {
            let at = incident.moments.get(moment);
            let when = moment_time(incident, moment, timeline);
            let style = if at.is_some() { Style::new() } else { soft() };
            let line = format!("    {:<4} {:<32} {when}", moment.symbol(), moment.name());
            let bound = theoretical(incident, moment, timeline).map_or_else(
                String::new,
                |(bound, late)| {
                    format!(
                        "  at the earliest {bound}{}",
                        late.map_or_else(String::new, |late| format!(", late by {late}"))
                    )
                },
            );
            self.block(&[(style, &line), (soft(), &bound)], 9);
        }
        for (name, definition, ms) in incident.measures.times_ms() {
            // The moments above say already what was not reached.
            if ms.is_some() || self.options.verbose {
                let line = format!("    {name:<20} {definition:<9} {}", reached_ms(ms));
                self.block(&[(Style::new(), &line)], 9);
            }
        }
        if let Some(burnt) = incident.measures.budget_burnt_ratio {
            let share = text::with_unit(burnt, "ratio");
            let line = format!("    {:<20} {:<9} {share}", "budget burnt", "t1 to t9");
            self.block(&[(Style::new(), &line)], 9);
        }
        self.stages(&incident.stages);
    }

    fn stages(&mut self, stages: &[Stage]) {
        if stages.is_empty() {
            return;
        }
        let head = format!(
            "    {:<12} {:>12} {:>12}  setting",
            "stage", "at least", "observed"
        );
        self.block(&[(soft(), &head)], 9);
        for stage in stages {
            let line = format!(
                "    {:<12} {:>12} {:>12}  {}",
                stage.kind.as_str(),
                super::lines::stage_time(stage.minimum),
                super::lines::stage_time(stage.observed),
                stage.setting
            );
            self.block(&[(Style::new(), &line)], 9);
        }
    }

    /// A line for each series: its name, its course, and its extremes.
    fn charts(&mut self, timeline: &Timeline<'_>) {
        const COURSE_COLUMNS: usize = 32;
        for chart in &timeline.scenario.charts {
            self.blank();
            let title = format!("  {}", chart.title);
            let thresholds: Vec<String> = chart
                .thresholds
                .iter()
                .map(|threshold| threshold_name(threshold, &chart.unit))
                .collect();
            let thresholds = format!("  {}", thresholds.join(", "));
            self.block(&[(Style::new().bold(), &title), (soft(), &thresholds)], 4);
            for course in courses(chart, timeline, COURSE_COLUMNS) {
                let name = text::clip(&text::visible(&course.name), 22);
                let line = format!("    {name:<22} {}  ", course.sparkline);
                let greatest = course.greatest.unwrap_or_else(|| "no value".to_owned());
                self.block(&[(Style::new(), &line), (soft(), &greatest)], 8);
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.blank();
        self.block(
            &[
                (Style::new(), "  verdict: "),
                (style_of_outcome(verdict.outcome), verdict.outcome.as_str()),
            ],
            4,
        );
        for reason in &verdict.reasons {
            let line = format!("    - {reason}");
            self.block(&[(Style::new(), &line)], 6);
        }
    }

    fn footer(&mut self, record: &RunRecord) {
        let outcome = record.verdict.outcome;
        self.block(
            &[
                (Style::new().bold(), &record.name),
                (Style::new(), ": "),
                (style_of_outcome(outcome), outcome.as_str()),
            ],
            2,
        );
        for reason in &record.verdict.reasons {
            let line = format!("  - {reason}");
            self.block(&[(Style::new(), &line)], 4);
        }
    }
}

/// Lines that the list of steps shows anyway are left out.
fn matters(line: &Line<'_>) -> bool {
    !line.moments.is_empty() || !line.kind.starts_with("step ")
}

fn symbols(moments: &[Moment]) -> String {
    let symbols: Vec<&str> = moments.iter().map(|moment| moment.symbol()).collect();
    symbols.join(" ")
}

/// What every report of a compressed run says.
pub(super) fn compress_note(compress: f64) -> String {
    format!(
        "Time was compressed by {n}: every duration of rules, routes, scrapes and windows was divided by {n}.",
        n = text::number(compress)
    )
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

fn columns(text: &str) -> usize {
    text.chars()
        .map(|character| character.width().unwrap_or(0))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(width: usize, colour: bool, text: &str) -> String {
        let mut page = Page::new(ConsoleOptions {
            width,
            colour,
            verbose: false,
        });
        page.block(&[(bad(), text)], 2);
        page.text
    }

    #[test]
    fn lines_fit_the_terminal() {
        let text = block(40, false, &"word ".repeat(30));
        assert!(text.lines().count() > 3);
        assert!(text.lines().all(|line| columns(line) <= 40), "{text}");
        let wide = block(40, false, &"漢".repeat(60));
        assert!(wide.lines().all(|line| columns(line) <= 40), "{wide}");
    }

    #[test]
    fn only_our_own_escapes_reach_the_terminal() {
        assert_eq!(
            block(80, false, "a\x1b[2Jb\u{9b}31m"),
            "a\\x1b[2Jb\\u{9b}31m\n"
        );
        let coloured = block(80, true, "a\x1b[2Jb");
        assert_eq!(coloured.matches('\x1b').count(), 3, "{coloured:?}");
    }
}
