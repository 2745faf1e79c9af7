//! YAML as a tree whose every node knows where it stands.
//!
//! A file is read to its end even where it is wrong, and each mistake is reported at its place; that is more than reading it
//! straight into structs can do.

use std::collections::BTreeMap;
use std::sync::Arc;

use gameday_query::Position;
use granit_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::Mistake;

/// A file may have this many bytes.
pub(crate) const FILE_LIMIT_BYTES: usize = 16 << 20;
/// And this many nodes.
pub(crate) const NODE_LIMIT: usize = 2_000_000;
/// Maps and lists within each other; files of settings need a dozen.
const DEPTH_LIMIT: usize = 64;

/// A value with its place in the file.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A text, or what a text stands for.
    Scalar(Scalar),
    /// A list; what aliases refer to is shared.
    List(Arc<Vec<Node>>),
    /// A map in the order of the file, each key once.
    Map(Arc<Vec<(Key, Node)>>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it begins.
    pub at: Position,
    /// The key as a text.
    pub name: String,
}

/// The text of a value, and where each of its lines stands.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Whether it stands without quotes, so that it may mean a number or a truth.
    pub is_plain: bool,
    /// The byte of the text at which a line of the source begins, and the place of it.
    lines: Arc<Vec<(usize, Position)>>,
}

impl Scalar {
    /// Where byte `offset` of the text stands in the file.
    pub fn place_of(&self, offset: usize) -> Position {
        let index = self.lines.partition_point(|(start, _)| *start <= offset);
        let Some((start, place)) = self.lines.get(index.saturating_sub(1)) else {
            return Position::START;
        };
        let end = offset.min(self.text.len());
        let between = self.text.get(*start..end).unwrap_or_default();
        Position {
            line: place.line,
            column: place.column + between.chars().count(),
        }
    }
}

/// The first document of a file, whether there are more, and what is wrong.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// Its content; none where the file is empty or cannot be read.
    pub root: Option<Node>,
    /// Where the second document begins.
    pub second: Option<Position>,
    /// What is wrong, in the order in which it was found.
    pub mistakes: Vec<Mistake>,
}

/// Reads the first document of `text` to its end, even where it is wrong.
pub fn read(text: &str) -> Document {
    let mut document = Document::default();
    if text.len() > FILE_LIMIT_BYTES {
        let bytes = text.len();
        let message =
            format!("the file has {bytes} bytes, more than the limit of {FILE_LIMIT_BYTES}");
        document
            .mistakes
            .push(Mistake::new(Position::START, message));
        return document;
    }
    let mut reader = Reader {
        lines: text.split('\n').collect(),
        events: Parser::new_from_str(text),
        anchors: BTreeMap::new(),
        nodes: 0,
        mistakes: Vec::new(),
    };
    let read = reader.document(&mut document);
    document.mistakes = reader.mistakes;
    if let Err(mistake) = read {
        document.mistakes.push(*mistake);
        document.root = None;
    }
    document
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    mistakes: Vec<Mistake>,
}

/// A mistake after which the rest of the file cannot be read.
fn stop(at: Position, message: impl Into<String>) -> Box<Mistake> {
    Box::new(Mistake::new(at, message))
}

fn start(span: &Span) -> Position {
    Position {
        line: span.start.line().max(1),
        column: span.start.col() + 1,
    }
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Box<Mistake>> {
        loop {
            return match self.events.next() {
                Some(Ok((Event::Comment(..), _))) => continue,
                Some(Ok(found)) => Ok(found),
                Some(Err(error)) => {
                    let at = Position {
                        line: error.marker().line().max(1),
                        column: error.marker().col() + 1,
                    };
                    let mut mistake = Mistake::new(at, format!("not valid YAML: {}", error.info()));
                    mistake.hint = self.tab_hint(at);
                    Err(Box::new(mistake))
                }
                None => Err(stop(Position::START, "not valid YAML: unexpected end")),
            };
        }
    }

    fn tab_hint(&self, at: Position) -> Option<String> {
        let line = self.lines.get(at.line - 1)?;
        let indent: String = line.chars().take_while(|one| one.is_whitespace()).collect();
        indent
            .contains('\t')
            .then(|| "YAML is indented by spaces, never by tabs".to_owned())
    }

    fn document(&mut self, document: &mut Document) -> Result<(), Box<Mistake>> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(..) if document.root.is_some() => {
                    document.second = Some(start(&span));
                    return Ok(());
                }
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                other => {
                    let node = self.node(other, &span, 0)?;
                    document.root = Some(node);
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Box<Mistake>> {
        let at = start(span);
        self.count(1, at)?;
        if depth > DEPTH_LIMIT {
            let message = format!("maps and lists are nested more than {DEPTH_LIMIT} deep");
            return Err(stop(at, message));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                // `!!str 12` is a text as "12" is one; other tags change nothing.
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let plain = style == ScalarStyle::Plain && !is_text;
                let kind = if plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL")
                {
                    Kind::Null
                } else {
                    Kind::Scalar(Scalar {
                        is_plain: plain,
                        lines: Arc::new(self.scalar_lines(&text, style, span)),
                        text: text.into_owned(),
                    })
                };
                (kind, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                return node.ok_or_else(|| {
                    stop(at, "an alias must not stand inside of what it refers to")
                });
            }
            other => {
                return Err(stop(at, format!("not valid YAML: unexpected {other:?}")));
            }
        };
        let node = Node { at, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Box<Mistake>> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Kind::List(Arc::new(nodes)));
            }
            nodes.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Box<Mistake>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        // The line in which each key is set.
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let at = start(&span);
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, &span, depth + 1)?;
            let name = match key.kind {
                Kind::Scalar(scalar) => scalar.text,
                Kind::Null => "null".to_owned(),
                Kind::List(_) | Kind::Map(_) => {
                    self.mistakes.push(Mistake::new(at, "a key must be a text"));
                    continue;
                }
            };
            if name == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(line) = names.get(&name) {
                let message = format!("the key {name:?} is already set in line {line}");
                self.mistakes.push(Mistake {
                    length: name.chars().count().max(1),
                    ..Mistake::new(at, message)
                });
                continue;
            }
            names.insert(name.clone(), at.line);
            entries.push((Key { at, name }, value));
        }
        for node in &merged {
            self.merge(&mut entries, &mut names, node)?;
        }
        Ok(Kind::Map(Arc::new(entries)))
    }

    /// `<<: *anchor` or `<<: [*a, *b]`: what is not there yet is taken over.
    fn merge(
        &mut self,
        entries: &mut Vec<(Key, Node)>,
        names: &mut BTreeMap<String, usize>,
        node: &Node,
    ) -> Result<(), Box<Mistake>> {
        match &node.kind {
            Kind::Map(other) => {
                // What is taken over counts, so that maps which merge each other do not grow without limit.
                self.count(other.len(), node.at)?;
                for (key, value) in other.iter() {
                    if !names.contains_key(&key.name) {
                        names.insert(key.name.clone(), key.at.line);
                        entries.push((key.clone(), value.clone()));
                    }
                }
            }
            Kind::List(nodes) => {
                for node in nodes.iter() {
                    self.merge(entries, names, node)?;
                }
            }
            Kind::Null | Kind::Scalar(_) => {
                self.mistakes
                    .push(Mistake::new(node.at, "`<<` takes a map or a list of maps"));
            }
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Box<Mistake>> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODE_LIMIT {
            let message = format!("the file has more than {NODE_LIMIT} values");
            return Err(stop(at, message));
        }
        Ok(())
    }

    /// Where the lines of a scalar stand: each line of the source is a piece of the text, folded or not.
    fn scalar_lines(&self, text: &str, style: ScalarStyle, span: &Span) -> Vec<(usize, Position)> {
        let at = start(span);
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        let first = Position {
            line: at.line,
            column: at.column + usize::from(quoted),
        };
        if !block {
            // Looking at the line again for each of its scalars would take for ever where a line holds very many.
            let one_line = span.start.line() == span.end.line();
            return if one_line {
                vec![(0, first)]
            } else {
                self.flow_lines(text, first)
            };
        }
        // The span of a block begins at its indicator or at its content, by parser; the indicator's line ends in no content.
        let indicator = self
            .lines
            .get(at.line - 1)
            .and_then(|line| line.get(..))
            .is_some_and(|line| {
                let rest: String = line.chars().skip(at.column - 1).collect();
                rest.starts_with(['|', '>'])
            });
        let from = at.line - 1 + usize::from(indicator);
        let indent = self.lines[from.min(self.lines.len())..]
            .iter()
            .find(|line| !line.trim().is_empty())
            .map_or(0, |line| line.len() - line.trim_start_matches(' ').len());
        let mut places = Vec::new();
        let mut offset = 0;
        for (index, line) in self.lines.iter().enumerate().skip(from) {
            if offset > text.len() {
                break;
            }
            places.push((
                offset,
                Position {
                    line: index + 1,
                    column: indent + 1,
                },
            ));
            offset += line.trim_end_matches('\r').len().saturating_sub(indent) + 1;
        }
        places
    }

    /// The lines of a scalar that is no block: the second and later ones are trimmed and joined by one space.
    fn flow_lines(&self, text: &str, first: Position) -> Vec<(usize, Position)> {
        let mut places = vec![(0, first)];
        let mut offset = self.lines.get(first.line - 1).map_or(0, |line| {
            let rest: String = line.chars().skip(first.column - 1).collect();
            rest.trim_end().len() + 1
        });
        for (index, line) in self.lines.iter().enumerate().skip(first.line) {
            if offset >= text.len() {
                break;
            }
            let content = line.trim_start();
            places.push((
                offset,
                Position {
                    line: index + 1,
                    column: line.chars().count() - content.chars().count() + 1,
                },
            ));
            offset += content.trim_end().len() + 1;
        }
        places
    }
}
