//! A page as a tree of elements, for tests that ask what a screen reader finds in it.

/// An element with its attributes and what is inside of it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    inside: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// Reads a page that `xml::check` has found to be well-formed.
    pub(super) fn page(html: &str) -> Self {
        let mut rest = html
            .strip_prefix("<!DOCTYPE html>\n")
            .expect("a page begins with its type");
        let mut open = vec![Self::default()];
        while let Some(start) = rest.find('<') {
            let (text, tag) = rest.split_at(start);
            let parent = open.last_mut().expect("the root stays");
            parent.inside.push(Node::Text(unescaped(text)));
            // No attribute of ours holds `>`, which is escaped.
            let end = tag.find('>').expect("a whole tag");
            rest = &tag[end + 1..];
            let tag = &tag[1..end];
            if tag.starts_with('/') {
                let closed = open.pop().expect("a tag that was opened");
                let parent = open.last_mut().expect("the root stays");
                parent.inside.push(Node::Element(closed));
                continue;
            }
            let element = Self::of_tag(tag.trim_end_matches('/'));
            let void = matches!(element.name.as_str(), "meta" | "br") || tag.ends_with('/');
            if void {
                let parent = open.last_mut().expect("the root stays");
                parent.inside.push(Node::Element(element));
            } else {
                open.push(element);
            }
        }
        open.pop().expect("the root stays")
    }

    fn of_tag(tag: &str) -> Self {
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("a quoted value");
            attributes.push((name.trim().to_owned(), unescaped(value)));
            rest = after;
        }
        Self {
            name: name.to_owned(),
            attributes,
            inside: Vec::new(),
        }
    }

    /// The attribute `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// All elements below this one, in the order of the page.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        for child in self.children() {
            found.push(child);
            found.extend(child.all());
        }
        found
    }

    /// The elements below this one with one of these names.
    pub(super) fn named(&self, names: &[&str]) -> Vec<&Self> {
        let mut found = self.all();
        found.retain(|own| names.contains(&own.name.as_str()));
        found
    }

    /// The elements right below this one.
    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        self.inside.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// What a screen reader says of it: its text without what is hidden from it.
    pub(super) fn heard(&self) -> String {
        let mut words = String::new();
        self.collect(&mut words);
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn collect(&self, words: &mut String) {
        if self.get("aria-hidden") == Some("true") {
            return;
        }
        for node in &self.inside {
            match node {
                Node::Text(text) => words.push_str(text),
                Node::Element(element) => element.collect(words),
            }
        }
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&#39;", "'")
        .replace("&#x2f;", "/")
        .replace("&amp;", "&")
}
