//! What a runbook must have.

/// The six sections, in order, each with the words of which its heading must hold one (in lower case).
pub const SECTIONS: [(&str, &[&str]); 6] = [
    (
        "what is this alert",
        &[
            "what is this alert",
            "what is it",
            "what does this alert mean",
        ],
    ),
    (
        "likely causes",
        &["likely cause", "why did it fire", "causes"],
    ),
    (
        "first investigation steps",
        &[
            "investigation step",
            "first steps",
            "investigate",
            "first 3",
            "first four",
        ],
    ),
    (
        "how to resolve",
        &["resolve", "resolution", "how to fix", "mitigat"],
    ),
    ("when to roll back", &["roll back", "rollback"]),
    ("when to escalate", &["escalate", "escalation"]),
];

/// The required sections that a runbook lacks, or has without a text.
pub fn missing_sections(markdown: &str) -> Vec<&'static str> {
    let sections = sections(markdown);
    let has = |words: &[&str]| {
        sections.iter().any(|(heading, text)| {
            !text.trim().is_empty() && words.iter().any(|word| heading.contains(word))
        })
    };
    SECTIONS
        .iter()
        .filter(|(_, words)| !has(words))
        .map(|(name, _)| *name)
        .collect()
}

/// Headings (in lower case) with the text below them, up to the next heading. Lines inside code fences are no headings.
fn sections(markdown: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        match line.strip_prefix('#') {
            Some(rest) if !fenced => {
                sections.push((
                    rest.trim_start_matches('#').trim().to_lowercase(),
                    String::new(),
                ));
            }
            _ => {
                if let Some((_, text)) = sections.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    sections
}

/// A query in a fenced block of a runbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunbookQuery {
    /// `promql`, `logql` or `traceql`.
    pub language: String,
    /// The query.
    pub text: String,
    /// The line of the query in the file, counted from 1.
    pub line: usize,
}

/// The queries of a runbook: its code blocks that say `promql`, `logql` or `traceql`.
pub fn queries(markdown: &str) -> Vec<RunbookQuery> {
    let mut queries = Vec::new();
    let mut open: Option<RunbookQuery> = None;
    for (index, line) in markdown.lines().enumerate() {
        let trimmed = line.trim();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(language)) => {
                let language = language.trim().to_lowercase();
                open = Some(RunbookQuery {
                    language,
                    text: String::new(),
                    line: index + 2,
                });
            }
            (Some(_), Some(_)) => {
                let query = open.take().filter(|query| {
                    matches!(query.language.as_str(), "promql" | "logql" | "traceql")
                });
                queries.extend(query);
            }
            (Some(query), None) => {
                if !query.text.is_empty() {
                    query.text.push('\n');
                }
                query.text.push_str(trimmed);
            }
            (None, None) => {}
        }
    }
    queries
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# X\n\n## What is this alert?\na\n## Likely causes\nb\n## First investigation steps\n1. c\n\n   ```promql\n   up == 0\n   ```\n## How to resolve\nd\n## When to roll back\ne\n## When to escalate\nf\n";

    #[test]
    fn six_sections_are_required() {
        assert!(missing_sections(GOOD).is_empty());
        assert_eq!(
            missing_sections(&GOOD.replace("## When to roll back", "## Whatever")),
            ["when to roll back"]
        );
        assert_eq!(
            missing_sections(&GOOD.replace("## When to escalate\nf", "## When to escalate\n")),
            ["when to escalate"]
        );
        assert_eq!(missing_sections("").len(), 6);
    }

    #[test]
    fn queries_are_found_with_their_lines() {
        let found = queries(GOOD);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].text.as_str(), found[0].line), ("up == 0", 11));
    }
}
