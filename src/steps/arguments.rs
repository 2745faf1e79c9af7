//! The arguments of a step.

use std::time::Duration;

use gameday_signal::parse_duration;

use crate::world::StepError;

/// The arguments of a step, in the order of its pattern, and its table.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    texts: Vec<String>,
    /// The rows of the step's table.
    pub table: Vec<Vec<String>>,
}

/// An alert of a table: its name, and labels that it must have.
pub type NamedAlert = (String, Vec<(String, String)>);

impl Arguments {
    /// Arguments as they were captured.
    pub fn new(texts: Vec<String>, table: Vec<Vec<String>>) -> Self {
        Self { texts, table }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// An argument as text.
    pub fn text(&self, index: usize) -> &str {
        self.texts.get(index).map_or("", String::as_str)
    }

    /// An argument as a number.
    ///
    /// # Errors
    /// Where it is none.
    pub fn number(&self, index: usize) -> Result<f64, StepError> {
        let text = self.text(index);
        text.parse()
            .map_err(|_| StepError::invalid(format!("{text:?} is no number")))
    }

    /// An argument as a duration: `6 minutes`, `1 hour 30 minutes`, `1h30m`.
    ///
    /// # Errors
    /// Where it is none.
    pub fn duration(&self, index: usize) -> Result<Duration, StepError> {
        words_to_duration(self.text(index)).map_err(StepError::invalid)
    }

    /// The table as alerts: a name, then cells of label and value by turns.
    ///
    /// # Errors
    /// Where there is no table, a name is empty or a value is missing.
    pub fn alerts(&self) -> Result<Vec<NamedAlert>, StepError> {
        if self.table.is_empty() {
            return Err(StepError::invalid(
                "a table names the alerts: | ServiceDown | instance | users:8080 |",
            ));
        }
        let of = |row: &Vec<String>| {
            let mut cells: Vec<&String> = row.iter().collect();
            // The rows of a table are equally long: what is left empty at the end is no cell.
            while cells.last().is_some_and(|cell| cell.is_empty()) {
                cells.pop();
            }
            let Some((name, labels)) = cells.split_first() else {
                return Err(StepError::invalid("a row of the table is empty"));
            };
            let pairs = labels.chunks(2).map(|pair| match pair {
                [label, value] => Ok(((*label).clone(), (*value).clone())),
                _ => Err(StepError::invalid(format!(
                    "the row of {name} has a label without a value"
                ))),
            });
            Ok(((*name).clone(), pairs.collect::<Result<_, _>>()?))
        };
        self.table.iter().map(of).collect()
    }

    /// The table as pairs of its first two columns.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let cell = |row: &Vec<String>, index: usize| row.get(index).cloned().unwrap_or_default();
        self.table
            .iter()
            .map(|row| (cell(row, 0), cell(row, 1)))
            .collect()
    }
}

fn words_to_duration(text: &str) -> Result<Duration, String> {
    if !text.contains(' ') {
        return parse_duration(text).map_err(|error| error.to_string());
    }
    let words: Vec<&str> = text.split(' ').collect();
    let mut total = Duration::ZERO;
    for pair in words.chunks(2) {
        let [number, unit] = pair else {
            return Err(format!("{text:?} is no duration: a unit is missing"));
        };
        let secs = match unit.strip_suffix('s').unwrap_or(unit) {
            "millisecond" => 0.001,
            "second" => 1.0,
            "minute" => 60.0,
            "hour" => 3600.0,
            "day" => 86_400.0,
            "week" => 604_800.0,
            _ => {
                return Err(format!(
                    "unknown unit {unit:?}: expected seconds, minutes, hours, days or weeks"
                ));
            }
        };
        let number: f64 = number
            .parse()
            .map_err(|_| format!("{number:?} is no number"))?;
        total += Duration::try_from_secs_f64(number * secs).map_err(|error| error.to_string())?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        for (text, secs) in [
            ("6 minutes", 360.0),
            ("1 minute", 60.0),
            ("1 hour 30 minutes", 5400.0),
            ("0.5 seconds", 0.5),
            ("1h30m", 5400.0),
            ("15s", 15.0),
        ] {
            assert_eq!(
                words_to_duration(text),
                Ok(Duration::from_secs_f64(secs)),
                "{text}"
            );
        }
        for text in ["6 fortnights", "6", "1 hour 30"] {
            assert!(words_to_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_tables_of_alerts() {
        let table = |rows: &[&[&str]]| {
            let row = |cells: &&[&str]| cells.iter().map(ToString::to_string).collect();
            Arguments::new(Vec::new(), rows.iter().map(row).collect())
        };
        let alerts = table(&[&["Down", "instance", "a"], &["Slow", "", ""]]).alerts();
        let pair = ("instance".to_owned(), "a".to_owned());
        assert_eq!(
            alerts.expect("it is valid"),
            [("Down".to_owned(), vec![pair]), ("Slow".to_owned(), vec![])]
        );
        for rows in [&[][..], &[&["Down", "instance"][..]], &[&["", ""]]] {
            assert!(table(rows).alerts().is_err(), "{rows:?}");
        }
    }
}
