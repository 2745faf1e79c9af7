//! Log lines as the input of a test: an addition to promtool's format.
//!
//! ```yaml
//! input_logs:
//!   - stream: '{app="checkout"}'
//!     lines:
//!       - {at: 30s, line: 'level=error msg="card refused"'}
//!       - {at: 1m, every: 10s, count: 30, line: 'level=error order={{.i}}', metadata: {trace_id: 'abc{{.i}}'}}
//! ```

use std::time::Duration;

use gameday_query::Position;
use gameday_signal::{Labels, Timestamp, format_duration};

use crate::reader::Reader;
use gameday_yaml::Node;

/// A stream and its lines.
#[derive(Clone, Debug)]
pub struct InputLogs {
    /// The labels, as `{app="checkout"}`.
    pub stream: String,
    /// Its lines, in any order.
    pub lines: Vec<InputLine>,
    /// Where it stands.
    pub at: Position,
}

/// A line, once or repeated.
#[derive(Clone, Debug)]
pub struct InputLine {
    /// The time of the first one after the start.
    pub at: Duration,
    /// The distance of the repetitions.
    pub every: Duration,
    /// How many there are.
    pub count: u32,
    /// The text; `{{.i}}` stands for the number of the repetition, from 0 on.
    pub line: String,
    /// Its structured metadata, with `{{.i}}` as in the text.
    pub metadata: Vec<(String, String)>,
}

/// A test may have this many lines.
const LINES_MAX: u64 = 1_000_000;
/// What stands for the number of a repetition, as in Loki's own test scripts.
const NUMBER: &str = "{{.i}}";

const LOGS_KEYS: [&str; 2] = ["stream", "lines"];
const LINE_KEYS: [&str; 5] = ["at", "every", "count", "line", "metadata"];

impl Reader<'_> {
    /// The value of `input_logs`.
    pub(super) fn input_logs(&mut self, node: &Node) -> Vec<InputLogs> {
        let nodes = self.list(node, "input_logs");
        let logs: Vec<InputLogs> = nodes.iter().map(|node| self.stream(node)).collect();
        let lines: u64 = logs
            .iter()
            .flat_map(|logs| &logs.lines)
            .map(|line| u64::from(line.count))
            .sum();
        if lines > LINES_MAX {
            let message = format!("input_logs has {lines} lines, the limit is {LINES_MAX}");
            self.add(node.at, message);
            return Vec::new();
        }
        logs
    }

    fn stream(&mut self, node: &Node) -> InputLogs {
        let mut logs = InputLogs {
            stream: String::new(),
            lines: Vec::new(),
            at: node.at,
        };
        for (key, value) in self.entries(node, "a stream") {
            match key.name.as_str() {
                "stream" => {
                    logs.stream = self.text(value, "stream");
                    logs.at = value.at;
                }
                "lines" => {
                    for node in self.list(value, "lines") {
                        let line = self.line(node);
                        logs.lines.push(line);
                    }
                }
                _ => self.unknown(key, "a stream", &LOGS_KEYS),
            }
        }
        logs
    }

    fn line(&mut self, node: &Node) -> InputLine {
        let mut line = InputLine {
            at: Duration::ZERO,
            every: Duration::ZERO,
            count: 1,
            line: String::new(),
            metadata: Vec::new(),
        };
        let (mut has_line, mut count_at) = (false, None);
        for (key, value) in self.entries(node, "a line") {
            match key.name.as_str() {
                "at" => line.at = self.duration(value, "at"),
                "every" => line.every = self.duration(value, "every"),
                "count" => {
                    count_at = Some(value.at);
                    let text = self.text(value, "count");
                    match text.parse::<u32>() {
                        Ok(count) if count > 0 => line.count = count,
                        _ => self.add(
                            value.at,
                            format!("count must be a whole number above zero, not {text:?}"),
                        ),
                    }
                }
                "line" => {
                    line.line = self.text(value, "line");
                    has_line = true;
                }
                "metadata" => line.metadata = self.texts(value, "metadata"),
                _ => self.unknown(key, "a line", &LINE_KEYS),
            }
        }
        if !has_line {
            self.add(node.at, "a line of input_logs needs the key line, its text");
        }
        if let Some(at) = count_at
            && line.count > 1
            && line.every.is_zero()
        {
            self.add(
                at,
                "count needs the key every, the distance of the repetitions",
            );
        }
        line
    }
}

/// One line that a test gives to the store.
#[derive(Clone, Debug)]
pub(super) struct TimedLine {
    /// When, after the start.
    pub(super) after: Duration,
    /// The number of its stream.
    pub(super) stream: usize,
    pub(super) line: String,
    pub(super) metadata: Vec<(String, String)>,
}

/// The lines of all streams, ordered by time; those of the same time as the file has them.
pub(super) fn in_order(logs: &[InputLogs]) -> Vec<TimedLine> {
    let mut all = Vec::new();
    for (stream, logs) in logs.iter().enumerate() {
        for line in &logs.lines {
            for number in 0..line.count {
                let text = number.to_string();
                let fill = |template: &str| template.replace(NUMBER, &text);
                all.push(TimedLine {
                    after: line.at + line.every * number,
                    stream,
                    line: fill(&line.line),
                    metadata: line
                        .metadata
                        .iter()
                        .map(|(name, value)| (name.clone(), fill(value)))
                        .collect(),
                });
            }
        }
    }
    all.sort_by_key(|line| line.after);
    all
}

/// The lines that wait for their time.
#[derive(Default)]
pub(super) struct WaitingLines {
    streams: Vec<Labels>,
    lines: std::collections::VecDeque<TimedLine>,
}

impl WaitingLines {
    pub(super) fn new(streams: Vec<Labels>, logs: &[InputLogs]) -> Self {
        Self {
            streams,
            lines: in_order(logs).into(),
        }
    }

    /// Hands the lines up to `at` to `append`; what it refuses is returned.
    pub(super) fn append_until(
        &mut self,
        start: Timestamp,
        at: Timestamp,
        mut append: impl FnMut(&Labels, Timestamp, &TimedLine) -> Result<(), String>,
    ) -> Vec<String> {
        let mut refused = Vec::new();
        while let Some(line) = self.lines.front() {
            let time = start + line.after;
            if time > at {
                break;
            }
            let labels = &self.streams[line.stream];
            if let Err(error) = append(labels, time, line) {
                let after = format_duration(line.after);
                refused.push(format!("input_logs {labels} at {after}: {error}"));
            }
            self.lines.pop_front();
        }
        refused
    }
}
