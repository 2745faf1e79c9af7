//! html/template's escaping: each value is escaped for the place in the document where it stands.
//!
//! Go decides the place once, when the template is parsed; here it is followed while the text is written, which gives the same
//! answer for every template that Go accepts.

use crate::format::print_value;
use crate::html_escape::{
    REFUSED, css_value, escape_plus, escape_spaces, is_safe_url, percent_encode, script_literal,
    script_string,
};
use crate::{SafeKind, Value};

/// What an attribute's value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Plain,
    Url,
    Css,
    Script,
}

/// Where in the document the next character stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Comment,
    TagName,
    InTag,
    AttributeName,
    AfterName,
    BeforeValue,
    /// The quote that ends the value, or none.
    Value(Option<char>, Kind),
}

/// How far a document has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct HtmlContext {
    state: State,
    /// The name of the tag or attribute that is being read.
    name: String,
    tag: String,
    /// The element whose text is no markup (`script`, `style`, `title`, `textarea`).
    raw: Option<String>,
    /// Whether the attribute's value has begun.
    value_begun: bool,
    /// Whether the template's own text of the value holds `?` or `#`.
    in_query: bool,
    /// The quote of the script's string that the next character stands in.
    script_quote: Option<char>,
    /// Whether a backslash in it has just been read.
    script_escaped: bool,
}

impl HtmlContext {
    /// Follows text of the template; gives it back without its comments, which html/template leaves out.
    pub(crate) fn literal(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if self.state == State::Comment {
                match rest.find("-->") {
                    Some(end) => {
                        rest = &rest[end + 3..];
                        self.state = State::Text;
                    }
                    None => return out,
                }
                continue;
            }
            if self.state == State::Text && self.raw.is_none() && rest.starts_with("<!--") {
                self.state = State::Comment;
                rest = &rest[4..];
                continue;
            }
            self.follow(character, rest);
            out.push(character);
            rest = &rest[character.len_utf8()..];
        }
        out
    }

    /// What the document is still inside of, where it must not end there.
    pub(crate) fn unfinished(&self) -> Option<String> {
        match (self.state, &self.raw) {
            (State::Text, None) => None,
            (State::Text, Some(element)) => Some(format!("the element {element}")),
            (State::Comment, _) => Some("a comment".to_owned()),
            (State::Value(..) | State::BeforeValue, _) => {
                Some("the value of an attribute".to_owned())
            }
            _ => Some("a tag".to_owned()),
        }
    }

    fn follow(&mut self, character: char, rest: &str) {
        match self.state {
            State::Comment => {}
            State::Text => self.follow_text(character, rest),
            State::TagName => {
                if character == '>' || character == '/' || character.is_ascii_whitespace() {
                    self.tag = std::mem::take(&mut self.name).to_ascii_lowercase();
                    self.state = State::InTag;
                    self.follow_tag(character);
                } else {
                    self.name.push(character);
                }
            }
            State::InTag => self.follow_tag(character),
            State::AttributeName | State::AfterName => match character {
                '=' => self.state = State::BeforeValue,
                '>' | '/' => self.follow_tag(character),
                space if space.is_ascii_whitespace() => self.state = State::AfterName,
                other if self.state == State::AfterName => {
                    self.name.clear();
                    self.name.push(other);
                    self.state = State::AttributeName;
                }
                other => self.name.push(other),
            },
            State::BeforeValue => match character {
                space if space.is_ascii_whitespace() => {}
                '>' => self.follow_tag(character),
                quote @ ('"' | '\'') => self.begin_value(Some(quote)),
                other => {
                    self.begin_value(None);
                    self.follow_value(other);
                }
            },
            State::Value(Some(quote), _) if character == quote => {
                self.name.clear();
                self.state = State::InTag;
            }
            State::Value(None, _) if character == '>' || character.is_ascii_whitespace() => {
                self.name.clear();
                self.follow_tag(character);
            }
            State::Value(..) => self.follow_value(character),
        }
    }

    fn follow_value(&mut self, character: char) {
        self.value_begun = true;
        self.in_query |= matches!(character, '?' | '#');
        if matches!(self.state, State::Value(_, Kind::Script)) {
            self.follow_script(character);
        }
    }

    fn follow_script(&mut self, character: char) {
        match self.script_quote {
            Some(_) if self.script_escaped => self.script_escaped = false,
            Some(_) if character == '\\' => self.script_escaped = true,
            Some(quote) if character == quote => self.script_quote = None,
            None if matches!(character, '"' | '\'') => self.script_quote = Some(character),
            Some(_) | None => {}
        }
    }

    fn follow_text(&mut self, character: char, rest: &str) {
        if self.raw.as_deref() == Some("script") {
            self.follow_script(character);
        }
        if character != '<' {
            return;
        }
        let after = &rest[1..];
        if let Some(raw) = &self.raw {
            let closes = after
                .strip_prefix('/')
                .and_then(|name| name.get(..raw.len()))
                .is_some_and(|name| name.eq_ignore_ascii_case(raw));
            if !closes {
                return;
            }
        }
        if after.starts_with(|next: char| next.is_ascii_alphabetic() || next == '/') {
            self.name.clear();
            self.state = if after.starts_with('/') {
                self.raw = None;
                self.tag.clear();
                State::InTag
            } else {
                State::TagName
            };
        }
    }

    fn follow_tag(&mut self, character: char) {
        match character {
            '>' => {
                let raw = ["script", "style", "title", "textarea"];
                self.raw = raw
                    .contains(&self.tag.as_str())
                    .then(|| std::mem::take(&mut self.tag));
                self.script_quote = None;
                self.state = State::Text;
            }
            '/' => self.state = State::InTag,
            space if space.is_ascii_whitespace() => self.state = State::InTag,
            other => {
                self.name.clear();
                self.name.push(other);
                self.state = State::AttributeName;
            }
        }
    }

    fn begin_value(&mut self, quote: Option<char>) {
        let name = self.name.to_ascii_lowercase();
        let name = name.strip_prefix("data-").unwrap_or(&name);
        let kind = match name {
            "action" | "background" | "cite" | "codebase" | "data" | "formaction" | "href"
            | "icon" | "longdesc" | "manifest" | "poster" | "profile" | "src" | "usemap"
            | "xmlns" => Kind::Url,
            "style" => Kind::Css,
            name if name.starts_with("on") => Kind::Script,
            name if name.starts_with("xmlns:") => Kind::Url,
            _ => Kind::Plain,
        };
        self.value_begun = false;
        self.in_query = false;
        self.script_quote = None;
        self.state = State::Value(quote, kind);
    }

    /// The value as it may stand here.
    pub(crate) fn escape(&mut self, value: &Value) -> String {
        if self.state == State::BeforeValue {
            self.begin_value(None);
        }
        let text = match value {
            Value::Nil => String::new(),
            other => print_value(other),
        };
        match self.state {
            State::Comment => String::new(),
            State::Text => match self.raw.as_deref() {
                Some("script") => self.script_value(value, &text),
                Some("style") => css_value(&text),
                Some(_) => escape_plus(&text, !matches!(value, Value::Safe(SafeKind::Html, _))),
                None if matches!(value, Value::Safe(SafeKind::Html, _)) => text,
                None => escape_plus(&text, true),
            },
            State::TagName | State::InTag | State::AttributeName | State::AfterName => {
                let harmless = text
                    .chars()
                    .all(|one| one.is_ascii_alphanumeric() || one == '-');
                let name = if harmless && !text.is_empty() {
                    text.to_ascii_lowercase()
                } else {
                    REFUSED.to_owned()
                };
                name.chars().for_each(|one| self.follow(one, ""));
                name
            }
            State::BeforeValue => escape_plus(&text, true),
            State::Value(quote, kind) => {
                let text = match kind {
                    Kind::Plain => text,
                    Kind::Css => css_value(&text),
                    Kind::Script => self.script_value(value, &text),
                    Kind::Url => self.url_value(value, &text),
                };
                self.value_begun = true;
                let double =
                    !matches!(value, Value::Safe(SafeKind::Html, _)) || kind != Kind::Plain;
                let escaped = escape_plus(&text, double);
                if quote.is_none() {
                    escape_spaces(&escaped)
                } else {
                    escaped
                }
            }
        }
    }

    fn script_value(&self, value: &Value, text: &str) -> String {
        match self.script_quote {
            Some(_) => script_string(text),
            None => script_literal(value),
        }
    }

    fn url_value(&self, value: &Value, text: &str) -> String {
        if self.in_query {
            // What is a URL already keeps its escapes.
            return percent_encode(text, matches!(value, Value::Safe(SafeKind::Url, _)));
        }
        let safe = matches!(value, Value::Safe(SafeKind::Url, _)) || self.value_begun;
        if !safe && !is_safe_url(text) {
            return format!("#{REFUSED}");
        }
        percent_encode(text, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, value: &Value, expected: &str) {
        let mut context = HtmlContext::default();
        context.literal(before);
        assert_eq!(context.escape(value), expected, "after {before}");
    }

    #[test]
    fn escapes_for_the_place() {
        let text = Value::text("<a & 'b'> +");
        check("<p>", &text, "&lt;a &amp; &#39;b&#39;&gt; &#43;");
        check("<p title=\"", &text, "&lt;a &amp; &#39;b&#39;&gt; &#43;");
        let html = Value::Safe(SafeKind::Html, "<b>x</b>".into());
        check("<p>", &html, "<b>x</b>");
        check("<title>", &html, "&lt;b&gt;x&lt;/b&gt;");
        let url = Value::text("http://x/?a=b&c=d e");
        check("<a href=\"", &url, "http://x/?a=b&amp;c=d%20e");
        check(
            "<a href='/q?x=",
            &url,
            "http%3a%2f%2fx%2f%3fa%3db%26c%3dd%20e",
        );
        // A pipeline that ends in urlquery arrives like this: its escapes stay.
        let escaped = Value::Safe(SafeKind::Url, "a%5Cb".into());
        check("<a href=\"/q?x=", &escaped, "a%5Cb");
        check(
            "<a href=\"",
            &Value::text("javascript:alert(1)"),
            "#ZgotmplZ",
        );
        check("<a title=", &Value::text("a b"), "a&#32;b");
        check("<p style=\"color: ", &Value::text("red"), "red");
        check(
            "<p style=\"color: ",
            &Value::text("red; background: url(x)"),
            "ZgotmplZ",
        );
        check(
            "<script>var x = ",
            &Value::text("a'</script>"),
            "\"a'\\u003c/script\\u003e\"",
        );
    }

    #[test]
    fn follows_scripts_and_urls() {
        check("<script>var x = ", &Value::Int(1), " 1 ");
        check(
            "<script>var x = \"",
            &Value::text("a/\"<"),
            "a\\/\\u0022\\u003c",
        );
        check("<a onclick='f(", &Value::Bool(true), " true ");
        check("<b ", &Value::text("Checked"), "checked");
        let mut context = HtmlContext::default();
        context.literal("<a href=\"");
        // The query of a value is not that of the template: the next value is a part of a path.
        assert_eq!(context.escape(&Value::text("http://x/?a")), "http://x/?a");
        assert_eq!(context.escape(&Value::text("/b:c")), "/b:c");
        context.literal("#");
        assert_eq!(context.escape(&Value::text("/b:c")), "%2fb%3ac");
        assert_eq!(
            context.unfinished().as_deref(),
            Some("the value of an attribute")
        );
        context.literal("\">");
        assert_eq!(context.unfinished(), None);
    }

    #[test]
    fn leaves_comments_out() {
        let mut context = HtmlContext::default();
        assert_eq!(context.literal("a<!-- b --"), "a");
        assert_eq!(context.escape(&Value::text("x")), "");
        assert_eq!(context.literal(" -->c<!DOCTYPE html>"), "c<!DOCTYPE html>");
        assert_eq!(context.escape(&Value::text("<")), "&lt;");
    }
}
