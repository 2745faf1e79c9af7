//! Reading a script.

use gameday_metrics::{SequenceValue, SeriesDescription, parse_series_description};
use gameday_signal::parse_duration;
use regex::Regex;

pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
    Bad(usize, String),
}

pub(super) struct Load {
    pub(super) line: usize,
    pub(super) step_ms: i64,
    pub(super) with_nhcb: bool,
    pub(super) series: Vec<SeriesDescription>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Steps {
    Instant(i64),
    Range(i64, i64, i64),
}

/// An expectation about a message.
#[derive(Debug)]
pub(super) enum Check {
    Any,
    Text(String),
    Pattern(Regex),
}

impl Check {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(expected) => expected == text,
            Self::Pattern(regex) => regex.is_match(text),
        }
    }
}

pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) steps: Steps,
    pub(super) ordered: bool,
    pub(super) fail: Option<Check>,
    pub(super) warnings: Vec<Check>,
    pub(super) infos: Vec<Check>,
    pub(super) no_warnings: bool,
    pub(super) no_infos: bool,
    /// The times of the values of an instant query that gives a range vector.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) text: Option<String>,
    pub(super) scalar: Option<f64>,
    pub(super) series: Vec<SeriesDescription>,
}

impl Eval {
    pub(super) fn only_instant(&self) -> bool {
        self.range_vector.is_some() || self.text.is_some()
    }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of this file")
}

fn millis(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let duration = parse_duration(digits).map_err(|error| error.to_string())?;
    let ms = duration.as_millis() as i64;
    Ok(if negative { -ms } else { ms })
}

pub(super) fn parse_script(script: &str) -> Vec<Command> {
    let lines: Vec<&str> = script
        .lines()
        .map(|line| {
            let line = line.trim();
            if line.starts_with('#') { "" } else { line }
        })
        .collect();
    let mut commands = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        let start = index;
        index += 1;
        if line.is_empty() {
            continue;
        }
        let mut block = Vec::new();
        let is_clear = line.eq_ignore_ascii_case("clear");
        while !is_clear && index < lines.len() && !lines[index].is_empty() {
            block.push((index + 1, lines[index]));
            index += 1;
        }
        let command = if is_clear {
            Ok(Command::Clear)
        } else if line.starts_with("load") {
            parse_load(start + 1, line, &block).map(Command::Load)
        } else if line.starts_with("eval") {
            parse_eval(start + 1, line, &block, &mut index)
                .map(|eval| Command::Eval(Box::new(eval)))
        } else {
            Err(format!("unknown command {line:?}"))
        };
        commands.push(command.unwrap_or_else(|message| Command::Bad(start + 1, message)));
    }
    commands
}

fn parse_load(number: usize, line: &str, block: &[(usize, &str)]) -> Result<Load, String> {
    let captures = regex(r"^load(?:_(with_nhcb))?\s+(.+?)$")
        .captures(line)
        .ok_or("not a load command")?;
    let series = block
        .iter()
        .map(|(_, line)| parse_series_description(line).map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, String>>()?;
    Ok(Load {
        line: number,
        step_ms: millis(&captures[2])?,
        with_nhcb: captures.get(1).is_some(),
        series,
    })
}

fn parse_eval(
    number: usize,
    line: &str,
    block: &[(usize, &str)],
    next: &mut usize,
) -> Result<Eval, String> {
    let instant = regex(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$");
    let range = regex(
        r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$",
    );
    let (modifier, query, steps) = if let Some(parts) = instant.captures(line) {
        let time = millis(parts.get(2).map_or("0", |at| at.as_str()))?;
        (
            parts.get(1).map(|part| part.as_str().to_owned()),
            parts[3].to_owned(),
            Steps::Instant(time),
        )
    } else if let Some(parts) = range.captures(line) {
        (
            parts.get(1).map(|part| part.as_str().to_owned()),
            parts[5].to_owned(),
            Steps::Range(millis(&parts[2])?, millis(&parts[3])?, millis(&parts[4])?),
        )
    } else {
        return Err(format!("not an eval command: {line:?}"));
    };
    let modifier = modifier.unwrap_or_default();
    let mut eval = Eval {
        line: number,
        query,
        steps,
        ordered: modifier == "ordered",
        fail: (modifier == "fail").then_some(Check::Any),
        warnings: Vec::new(),
        infos: Vec::new(),
        no_warnings: false,
        no_infos: false,
        range_vector: None,
        text: None,
        scalar: None,
        series: Vec::new(),
    };
    if modifier == "warn" {
        eval.warnings.push(Check::Any);
    }
    if modifier == "info" {
        eval.infos.push(Check::Any);
    }
    for (at, line) in block {
        if parse_expectation(&mut eval, line)? {
            // A scalar, like a failure message of the old form, ends the block.
            *next = *at;
            break;
        }
    }
    Ok(eval)
}

/// Reads one line under an eval; whether it is the last one.
fn parse_expectation(eval: &mut Eval, line: &str) -> Result<bool, String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        eval.fail = Some(Check::Text(message.trim().to_owned()));
        return Ok(true);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        eval.fail = Some(Check::Pattern(regex(pattern.trim())));
        return Ok(true);
    }
    if let Some(rest) = line.strip_prefix("expect range vector") {
        let parts = regex(r"^\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
            .captures(rest)
            .ok_or("malformed expect range vector")?;
        eval.range_vector = Some((millis(&parts[1])?, millis(&parts[2])?, millis(&parts[3])?));
        return Ok(false);
    }
    if let Some(text) = line.strip_prefix("expect string ") {
        let (_, text) = gameday_query::read_string(text.trim()).map_err(|error| error.message)?;
        eval.text = Some(text);
        return Ok(false);
    }
    if line == "expect" || line.starts_with("expect ") {
        parse_expect(eval, line)?;
        return Ok(false);
    }
    if let Some(value) = gameday_query::parse_number(line) {
        eval.scalar = Some(value);
        return Ok(true);
    }
    let series = parse_series_description(line).map_err(|error| error.to_string())?;
    let many = series.values.len() > 1;
    if many && matches!(eval.steps, Steps::Instant(_)) && eval.range_vector.is_none() {
        return Err("several values for an instant query".to_owned());
    }
    eval.series.push(series);
    Ok(false)
}

fn parse_expect(eval: &mut Eval, line: &str) -> Result<(), String> {
    let parts =
        regex(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
            .captures(line)
            .ok_or_else(|| format!("malformed expectation {line:?}"))?;
    let check = match parts.get(2).map(|kind| kind.as_str()) {
        Some("msg") => Check::Text(parts[3].trim().to_owned()),
        Some(_) => Check::Pattern(Regex::new(parts[3].trim()).map_err(|error| error.to_string())?),
        None => Check::Any,
    };
    match &parts[1] {
        "ordered" => eval.ordered = true,
        "fail" => eval.fail = Some(check),
        "warn" => eval.warnings.push(check),
        "info" => eval.infos.push(check),
        "no_warn" => eval.no_warnings = true,
        _ => eval.no_infos = true,
    }
    Ok(())
}

/// The values of a description that are there, with their times.
pub(super) fn timed(values: &[SequenceValue], start: i64, step: i64) -> Vec<(i64, &SequenceValue)> {
    values
        .iter()
        .enumerate()
        .filter(|(_, value)| !matches!(value, SequenceValue::Omitted))
        .map(|(index, value)| (start + index as i64 * step, value))
        .collect()
}
