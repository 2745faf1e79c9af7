//! The text format 0.0.4, written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The families of an exposition, sorted by name; the samples of a family stay in the order of their writing.
#[derive(Default)]
pub struct Exposition(BTreeMap<String, Family>);

struct Family {
    kind: &'static str,
    help: String,
    samples: String,
}

impl Exposition {
    /// A sample; the first of a family gives its type and help.
    pub fn sample(
        &mut self,
        kind: &'static str,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) {
        if !self.0.contains_key(name) {
            let family = Family {
                kind,
                help: help.to_owned(),
                samples: String::new(),
            };
            self.0.insert(name.to_owned(), family);
        }
        let Some(family) = self.0.get_mut(name) else {
            return;
        };
        let out = &mut family.samples;
        out.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(label);
            out.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => out.push_str("\\\\"),
                    '"' => out.push_str("\\\""),
                    '\n' => out.push_str("\\n"),
                    other => out.push(other),
                }
            }
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, " {value}");
    }

    /// A counter's sample.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.sample("counter", name, help, labels, value);
    }

    /// A gauge's sample.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.sample("gauge", name, help, labels, value);
    }

    /// Forgets the samples of a family, which are about to be written anew.
    pub fn reset(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The text.
    pub fn finish(self) -> String {
        let mut out = String::with_capacity(16 << 10);
        for (name, family) in self.0 {
            let _ = writeln!(out, "# HELP {name} {}", family.help);
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            out.push_str(&family.samples);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_labels_escaped() {
        let mut out = Exposition::default();
        out.gauge("b", "Second.", &[], 1.5);
        out.counter("a_total", "First.", &[("x", "say \"hi\"\\\n")], 2.0);
        out.gauge("b", "Second.", &[("y", "z")], f64::NAN);
        assert_eq!(
            out.finish(),
            "# HELP a_total First.\n# TYPE a_total counter\na_total{x=\"say \\\"hi\\\"\\\\\\n\"} 2\n\
             # HELP b Second.\n# TYPE b gauge\nb 1.5\nb{y=\"z\"} NaN\n"
        );
    }
}
