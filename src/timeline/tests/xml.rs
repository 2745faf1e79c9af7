//! A check that markup is well-formed: tags match, attributes are quoted and not given twice, references are known.

/// Checks `text`; elements named in `void` have no end tag.
pub(super) fn check(text: &str, void: &[&str]) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    if let Some(after) = rest.strip_prefix("<?xml") {
        rest = after.split_once("?>").ok_or("unclosed declaration")?.1;
    }
    while let Some(start) = rest.find('<') {
        references(&rest[..start])?;
        // Style sheets hold `>` and quotes; what they may not hold is `<`.
        let style = open.last() == Some(&"style");
        let end = tag_end(&rest[start..])
            .ok_or_else(|| format!("unclosed tag: {}", head(&rest[start..])))?;
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing before {}", head(rest)));
            }
        } else if style {
            return Err("a tag inside of a style sheet".to_owned());
        } else {
            let closed = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let name = tag.split_whitespace().next().unwrap_or_default();
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if !plain || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(format!("bad name: <{}", head(tag)));
            }
            attributes(&tag[name.len()..])?;
            if !closed && !void.contains(&name) {
                open.push(name);
            }
        }
    }
    references(rest)?;
    if open.is_empty() {
        Ok(())
    } else {
        Err(format!("left open: {open:?}"))
    }
}

/// The `>` that ends the tag: not one inside of a quoted value.
fn tag_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(index, character)| {
        if character == '"' {
            quoted = !quoted;
        }
        (character == '>' && !quoted).then_some(index)
    })
}

fn attributes(text: &str) -> Result<(), String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once("=\"")
            .ok_or_else(|| format!("no quoted value: {}", head(rest)))?;
        let (value, after) = after.split_once('"').ok_or("unclosed value")?;
        if name.contains(|c: char| c.is_whitespace() || c == '<' || c == '"')
            || seen.contains(&name)
        {
            return Err(format!("bad or repeated attribute {name:?}"));
        }
        if value.contains('<') {
            return Err(format!("a tag in {name}"));
        }
        references(value)?;
        seen.push(name);
        rest = after.trim_start();
    }
    Ok(())
}

fn references(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        let name = part.split(';').next().unwrap_or_default();
        let numeric = name
            .strip_prefix("#x")
            .map(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))
            .or_else(|| {
                name.strip_prefix('#')
                    .map(|digits| digits.chars().all(|c| c.is_ascii_digit()))
            });
        if !matches!(name, "amp" | "lt" | "gt" | "quot") && numeric != Some(true) {
            return Err(format!("unknown reference &{}", head(part)));
        }
    }
    Ok(())
}

fn head(text: &str) -> String {
    text.chars().take(80).collect()
}

#[test]
fn the_check_can_fail() {
    for good in [
        "<a b=\"c > d\">x &amp; y<br/></a>",
        "<?xml version=\"1.0\"?>\n<a/>",
    ] {
        assert_eq!(check(good, &[]), Ok(()), "{good}");
    }
    for bad in [
        "<a>",
        "<a></b>",
        "<a b=c></a>",
        "<a b=\"1\" b=\"2\"/>",
        "<a>&x;</a>",
        "a & b",
        "<1/>",
    ] {
        assert!(check(bad, &[]).is_err(), "{bad}");
    }
}
