//! A Grafana dashboard: its panels, queries and variables.

use gameday_signal::nearest;
use serde::Serialize;
use serde_json::Value;

use crate::document::Node;
use crate::panel::{Panel, Query, read_datasource};
use crate::variable::{Variable, VariableKind, variables_in};
use crate::{DatasourceRef, Error};

/// Panels of one dashboard.
const MAX_PANELS: usize = 1000;
/// Bytes of one dashboard.
const MAX_BYTES: usize = 16 << 20;

/// A dashboard as JSON, in the form that Grafana exports, stores or answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dashboard {
    /// Its identity, part of its address `/d/<uid>`.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The version of the form (`schemaVersion`).
    pub schema_version: i64,
    /// The range that is shown first, such as `now-1h` and `now`.
    pub time: (String, String),
    /// How often it is loaded again, such as `30s`; the empty text for never.
    pub refresh: String,
    /// The variables in the order of their selectors.
    pub variables: Vec<Variable>,
    /// All panels in reading order, those of collapsed rows included; rows themselves are left out.
    pub panels: Vec<Panel>,
    /// Queries that mark instants on all panels.
    pub annotations: Vec<Annotation>,
}

/// A query that marks instants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Annotation {
    /// Its name.
    pub name: String,
    /// What it asks.
    pub datasource: Option<DatasourceRef>,
    /// The query; the empty text for Grafana's own annotations.
    pub expr: String,
    /// Whether it is shown.
    pub enabled: bool,
}

/// Something about a dashboard that would surprise whoever opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a panel's title and a query's letter, or a variable.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What would probably be right.
    pub hint: Option<String>,
}

impl Dashboard {
    /// Reads a dashboard. `file` is the name that errors show.
    ///
    /// # Errors
    /// Where the text is no JSON, or a value that this reader uses is not what Grafana takes there.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::TooMany {
                file: file.to_owned(),
                path: "the document".to_owned(),
                what: "bytes",
                limit: MAX_BYTES,
            });
        }
        let value: Value = serde_json::from_str(text).map_err(|error| Error::Json {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
            message: strip_place(&error.to_string()),
        })?;
        let root = Node::root(file, &value).object()?;
        // Grafana's API wraps the dashboard.
        match root.get("dashboard") {
            Some(inner) if root.get("panels").is_none() => Self::read(&inner.object()?),
            _ => Self::read(&root),
        }
    }

    fn read(root: &Node<'_>) -> Result<Self, Error> {
        if root.get("panels").is_none() && root.get("rows").is_none() && root.get("title").is_none()
        {
            return Err(root.expected("a dashboard with a title and panels"));
        }
        let mut panels = Vec::new();
        // Before version 16 panels stood in rows.
        for row in root.list("rows")? {
            read_panels(&row, &mut panels)?;
        }
        read_panels(root, &mut panels)?;
        let time = match root.get("time") {
            Some(time) => (time.text_like("from")?, time.text_like("to")?),
            None => ("now-6h".to_owned(), "now".to_owned()),
        };
        let templating = root.get("templating");
        let annotations = root.get("annotations");
        Ok(Self {
            uid: root.text("uid")?,
            title: root.text("title")?,
            description: root.text("description")?,
            tags: root
                .list("tags")?
                .iter()
                .map(|tag| {
                    tag.value
                        .as_str()
                        .map(str::to_owned)
                        .ok_or_else(|| tag.expected("a text"))
                })
                .collect::<Result<_, _>>()?,
            schema_version: root.number("schemaVersion")?.unwrap_or(0.0) as i64,
            time,
            refresh: match root.get("refresh").map(|node| node.value.clone()) {
                Some(Value::String(text)) => text,
                _ => String::new(),
            },
            variables: match &templating {
                Some(templating) => templating
                    .list("list")?
                    .iter()
                    .map(Variable::read)
                    .collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
            panels,
            annotations: match &annotations {
                Some(annotations) => annotations
                    .list("list")?
                    .iter()
                    .map(read_annotation)
                    .collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
        })
    }

    /// All queries with their panels, in reading order.
    pub fn queries(&self) -> impl Iterator<Item = (&Panel, &Query)> {
        self.panels
            .iter()
            .flat_map(|panel| panel.queries.iter().map(move |query| (panel, query)))
    }

    /// The panel with this id.
    pub fn panel(&self, id: i64) -> Option<&Panel> {
        self.panels.iter().find(|panel| panel.id == id)
    }

    /// The panel with this title, which may differ in case.
    pub fn panel_by_title(&self, title: &str) -> Option<&Panel> {
        self.panels
            .iter()
            .find(|panel| panel.title.eq_ignore_ascii_case(title))
    }

    /// What would surprise whoever opens the dashboard: variables that nobody defines, queries that ask nothing, ids and names that
    /// stand twice.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let names: Vec<&str> = self
            .variables
            .iter()
            .map(|variable| variable.name.as_str())
            .collect();
        let mut add = |place: String, message: String, hint: Option<String>| {
            findings.push(Finding {
                place,
                message,
                hint,
            });
        };
        if self.title.is_empty() {
            add(
                "the dashboard".to_owned(),
                "it has no title".to_owned(),
                None,
            );
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                add(
                    format!("variable {name}"),
                    "is defined twice; the last one counts".to_owned(),
                    None,
                );
            }
        }
        for (index, panel) in self.panels.iter().enumerate() {
            if panel.id != 0
                && self.panels[..index]
                    .iter()
                    .any(|other| other.id == panel.id)
            {
                add(
                    panel.place(),
                    format!("has the id {}, as another panel has", panel.id),
                    None,
                );
            }
        }
        let undefined = |text: &str| -> Vec<String> {
            let mut unknown: Vec<String> = variables_in(text)
                .into_iter()
                .filter(|name| !names.contains(&name.as_str()))
                .collect();
            unknown.dedup();
            unknown
        };
        for (panel, query) in self.queries() {
            let place = format!("{}, query {}", panel.place(), query.ref_id);
            if query.expr.trim().is_empty() && !query.is_expression() && !query.hidden {
                add(
                    place.clone(),
                    "asks nothing: it has no expression".to_owned(),
                    None,
                );
            }
            // The variables of an expression are the letters of other queries.
            let text = if query.is_expression() {
                ""
            } else {
                &query.expr
            };
            for name in undefined(text) {
                let hint = nearest(&name, names.iter().copied())
                    .map(|name| format!("did you mean ${name}?"));
                add(
                    place.clone(),
                    format!("uses ${name}, which no variable of the dashboard defines"),
                    hint,
                );
            }
        }
        for variable in &self.variables {
            if let VariableKind::Query { query, .. } = &variable.kind {
                for name in undefined(query) {
                    let hint = nearest(&name, names.iter().copied())
                        .map(|name| format!("did you mean ${name}?"));
                    add(
                        format!("variable {}", variable.name),
                        format!("uses ${name}, which no variable of the dashboard defines"),
                        hint,
                    );
                }
            }
        }
        findings
    }
}

/// serde_json ends its messages with the place, which the error shows in front.
fn strip_place(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

fn read_panels(owner: &Node<'_>, panels: &mut Vec<Panel>) -> Result<(), Error> {
    for node in owner.list("panels")? {
        let node = node.object()?;
        if node.text("type")? == "row" {
            // A collapsed row holds its panels, an open one stands before them.
            read_panels(&node, panels)?;
            continue;
        }
        if panels.len() >= MAX_PANELS {
            return Err(Error::TooMany {
                file: node.file.to_owned(),
                path: node.path,
                what: "panels",
                limit: MAX_PANELS,
            });
        }
        panels.push(Panel::read(&node)?);
    }
    Ok(())
}

fn read_annotation(node: &Node<'_>) -> Result<Annotation, Error> {
    let target = node.get("target");
    let expr = match &target {
        Some(target) if target.value.is_object() => target.text_like("expr")?,
        _ => String::new(),
    };
    Ok(Annotation {
        name: node.text("name")?,
        datasource: read_datasource(node)?,
        expr: if expr.is_empty() {
            node.text_like("expr")?
        } else {
            expr
        },
        enabled: node
            .get("enable")
            .is_none_or(|enable| enable.value.as_bool() != Some(false)),
    })
}
