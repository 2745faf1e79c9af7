//! The expressions of `| json` and `| logfmt`: `a.b["c"][0]`.

use super::json::PathStep;

/// Reads an expression.
pub(crate) fn parse_path(expression: &str) -> Result<Vec<PathStep>, String> {
    read(expression).map_err(|reason| format!("cannot parse expression [{expression}]: {reason}"))
}

/// Reads the expression of `| logfmt`, which is the name of one key.
pub(crate) fn parse_key(expression: &str) -> Result<String, String> {
    match parse_path(expression)?.as_slice() {
        [PathStep::Key(key)] => Ok(key.clone()),
        _ => Err(format!(
            "cannot parse expression [{expression}]: syntax error: unexpected end of expression"
        )),
    }
}

fn read(expression: &str) -> Result<Vec<PathStep>, String> {
    let mut steps = Vec::new();
    let mut rest = expression.trim();
    if rest.is_empty() {
        return Err("syntax error: unexpected $end, expecting LSB or FIELD".to_owned());
    }
    while let Some(first) = rest.chars().next() {
        match first {
            ' ' | '\t' | '\n' => rest = &rest[1..],
            '[' => rest = bracket(&rest[1..], &mut steps)?,
            '.' if !steps.is_empty() => rest = field(&rest[1..], &mut steps)?,
            _ if steps.is_empty() => rest = field(rest, &mut steps)?,
            _ => return Err(format!("unexpected char {first}")),
        }
    }
    Ok(steps)
}

fn field<'a>(text: &'a str, steps: &mut Vec<PathStep>) -> Result<&'a str, String> {
    let length = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    let name = &text[..length];
    match name.chars().next() {
        None => Err(text.chars().next().map_or_else(
            || "syntax error: unexpected $end, expecting FIELD".to_owned(),
            |character| format!("unexpected char {character}"),
        )),
        Some(first) if first.is_ascii_digit() => Err("syntax error: unexpected INDEX".to_owned()),
        Some(_) => {
            steps.push(PathStep::Key(name.to_owned()));
            Ok(&text[length..])
        }
    }
}

fn bracket<'a>(text: &'a str, steps: &mut Vec<PathStep>) -> Result<&'a str, String> {
    let text = text.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, rest) = quoted
            .split_once('"')
            .ok_or("syntax error: unexpected $end, expecting RSB")?;
        let rest = rest
            .trim_start()
            .strip_prefix(']')
            .ok_or("syntax error: unexpected $end, expecting RSB")?;
        steps.push(PathStep::Key(key.to_owned()));
        return Ok(rest);
    }
    let (index, rest) = text
        .split_once(']')
        .ok_or("syntax error: unexpected $end, expecting STRING or INDEX")?;
    if index.contains('.') {
        return Err("cannot use float as array index".to_owned());
    }
    let index = index
        .trim()
        .parse()
        .map_err(|_| format!("non-integer value: {index}"))?;
    steps.push(PathStep::Index(index));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths() {
        let key = |text: &str| PathStep::Key(text.to_owned());
        for (expression, expected) in [
            ("a", vec![key("a")]),
            ("a.b[0]", vec![key("a"), key("b"), PathStep::Index(0)]),
            (r#"["a b"].c"#, vec![key("a b"), key("c")]),
            ("[2].x", vec![PathStep::Index(2), key("x")]),
        ] {
            assert_eq!(parse_path(expression), Ok(expected), "{expression}");
        }
        for expression in ["", "user[", "a..b", "a[1.5]", "a[x]", "a-b", "1a", "[\"x"] {
            assert!(parse_path(expression).is_err(), "{expression}");
        }
        assert_eq!(parse_key("status"), Ok("status".to_owned()));
        assert!(parse_key("a.b").is_err());
    }
}
