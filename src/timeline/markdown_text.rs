//! Text as Markdown: escapes, code, tables.

use std::fmt::Write as _;

use super::text;

/// A table; nothing where there is no row. Cells are Markdown already.
pub(super) fn rows(md: &mut String, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(md, "| {} |", heads.join(" | "));
    let _ = writeln!(md, "|{}", "---|".repeat(heads.len()));
    for row in rows {
        let _ = writeln!(md, "| {} |", row.join(" | "));
    }
    md.push('\n');
}

/// Text as Markdown: every character that could mean something is escaped.
pub(super) fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text::visible(text).chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A name after it would be told of this report.
            '@' => escaped.push_str("&#64;<!-- -->"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~'
            | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    // A line may not begin like a list, a quotation or a rule.
    if escaped.starts_with(['-', '=', '+']) || escaped.starts_with(|c: char| c.is_ascii_digit()) {
        return guard_start(&escaped);
    }
    escaped
}

/// `1. x` would begin a list, `- x` as well, `---` a rule.
fn guard_start(escaped: &str) -> String {
    let digits = escaped.bytes().take_while(u8::is_ascii_digit).count();
    let next = escaped.as_bytes().get(digits);
    if digits == 0 || next == Some(&b'.') {
        format!("{}\\{}", &escaped[..digits], &escaped[digits..])
    } else {
        escaped.to_owned()
    }
}

/// Text as code in a cell of a table. A bar ends a cell even inside of code, and how a backslash before it counts differs
/// between parsers, so text with a bar is written as HTML.
pub(super) fn cell(text: &str) -> String {
    if text.contains('|') {
        let escaped = plain(text).replace("\\|", "&#124;");
        format!("<code>{escaped}</code>")
    } else {
        code(text)
    }
}

/// Text as code in a line: a fence longer than any run of backticks in it.
pub(super) fn code(text: &str) -> String {
    let text = text::visible(text);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Lines as a block of code.
pub(super) fn block(md: &mut String, lines: &[String]) {
    let longest = lines
        .iter()
        .map(|line| longest_run(line))
        .max()
        .unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let _ = writeln!(md, "{fence}\n{}\n{fence}", lines.join("\n"));
}

fn longest_run(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_means_nothing() {
        for (text, expected) in [
            ("a|b", "a\\|b"),
            ("<script>", "&lt;script&gt;"),
            ("[x](javascript:y)", "\\[x\\]\\(javascript:y\\)"),
            ("- x", "\\- x"),
            ("+5m03s", "\\+5m03s"),
            ("a + b", "a + b"),
            ("1. x", "1\\. x"),
            ("99.5 %", "99\\.5 %"),
            ("# x\n## y", "\\# x\\\\n\\#\\# y"),
            ("\x1b[0m", "\\\\x1b\\[0m"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn code_ends_where_it_should() {
        for (text, expected) in [
            ("a", "`a`"),
            ("a`b", "``a`b``"),
            ("```", "```` ``` ````"),
            ("a|b", "`a|b`"),
            ("", ""),
        ] {
            assert_eq!(code(text), expected);
        }
        assert_eq!(cell("a`b"), "``a`b``");
        assert_eq!(cell("a|b\\|`"), "<code>a&#124;b\\\\&#124;\\`</code>");
    }
}
