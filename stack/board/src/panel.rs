//! A panel of a dashboard and what it asks.

use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::document::Node;

/// Which data source is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatasourceRef {
    /// The kind (`prometheus`, `loki`, `tempo`), the empty text where only a name is given.
    #[serde(rename = "type")]
    pub kind: String,
    /// The uid, a name, or a variable such as `${datasource}`.
    pub uid: String,
}

/// A query of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    /// Its letter.
    pub ref_id: String,
    /// Whom it asks: its own data source, or else the panel's.
    pub datasource: Option<DatasourceRef>,
    /// The query in the language of the data source, its variables not filled in.
    pub expr: String,
    /// How a series is called, such as `{{instance}}`.
    pub legend: String,
    /// Whether it asks for one instant instead of a range.
    pub instant: bool,
    /// Whether exemplars are shown.
    pub exemplar: bool,
    /// Whether it is switched off.
    pub hidden: bool,
    /// The smallest step, such as `1m` or `$__interval`.
    pub interval: String,
    /// How a Tempo or Loki query is meant (`traceql`, `range`, `serviceMap`), the empty text for the data source's usual way.
    pub query_type: String,
}

/// A value from which on a colour holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// The value; `None` for the lowest step.
    pub value: Option<f64>,
    /// The colour's name or code.
    pub color: String,
}

/// Where a panel stands: a grid of 24 columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GridPosition {
    /// Columns from the left.
    pub x: i64,
    /// Rows from the top.
    pub y: i64,
    /// Columns.
    pub width: i64,
    /// Rows.
    pub height: i64,
}

/// A link of a panel or of its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PanelLink {
    /// What it says.
    pub title: String,
    /// Where it leads.
    pub url: String,
}

/// A panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// Its number in the dashboard, 0 where there is none.
    pub id: i64,
    /// Its title.
    pub title: String,
    /// What it shows, in words.
    pub description: String,
    /// The kind of drawing: `timeseries`, `stat`, `gauge`, `table`, `logs`, `text`, ...
    pub kind: String,
    /// Whom its queries ask where they do not say.
    pub datasource: Option<DatasourceRef>,
    /// What it asks.
    pub queries: Vec<Query>,
    /// The unit of its values in Grafana's names (`s`, `percentunit`, `reqps`).
    pub unit: String,
    /// The steps of its colours, lowest first.
    pub thresholds: Vec<Threshold>,
    /// Whether the thresholds are percentages of the range between `min` and `max`.
    pub thresholds_are_percentages: bool,
    /// The bounds of its axis, where they are set.
    pub bounds: (Option<f64>, Option<f64>),
    /// Where it stands.
    pub position: GridPosition,
    /// Its links.
    pub links: Vec<PanelLink>,
    /// The text of a `text` panel.
    pub content: String,
    /// The variable for whose every value the panel is repeated.
    pub repeat: String,
}

impl Panel {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, Error> {
        let datasource = read_datasource(node)?;
        let defaults = node
            .get("fieldConfig")
            .and_then(|config| config.get("defaults"));
        let options = node.get("options");
        let mut panel = Self {
            id: node.number("id")?.unwrap_or(0.0) as i64,
            title: node.text("title")?,
            description: node.text("description")?,
            kind: node.text("type")?,
            queries: node
                .list("targets")?
                .iter()
                .enumerate()
                .map(|(index, target)| Query::read(target, index, datasource.as_ref()))
                .collect::<Result<_, _>>()?,
            datasource,
            unit: String::new(),
            thresholds: Vec::new(),
            thresholds_are_percentages: false,
            bounds: (None, None),
            position: read_position(node)?,
            links: read_links(node)?,
            content: match &options {
                Some(options) if options.value.is_object() => options.text("content")?,
                _ => node.text("content")?,
            },
            repeat: node.text("repeat")?,
        };
        if let Some(defaults) = defaults {
            panel.unit = defaults.text("unit")?;
            panel.bounds = (defaults.number("min")?, defaults.number("max")?);
            panel.links.extend(read_links(&defaults)?);
            if let Some(thresholds) = defaults.get("thresholds") {
                panel.thresholds_are_percentages = thresholds.text("mode")? == "percentage";
                panel.thresholds = read_thresholds(&thresholds)?;
            }
        } else {
            // The graph and singlestat panels of old.
            panel.unit = node.text("format")?;
            if let Some(axis) = node.list("yaxes")?.first()
                && panel.unit.is_empty()
            {
                panel.unit = axis.text("format")?;
            }
        }
        Ok(panel)
    }

    /// The panel as errors and findings name it.
    pub fn place(&self) -> String {
        if self.title.is_empty() {
            format!("panel {}", self.id)
        } else {
            format!("panel {:?}", self.title)
        }
    }

    /// The colour of a value, where the thresholds are absolute.
    pub fn color_of(&self, value: f64) -> Option<&str> {
        if self.thresholds_are_percentages || value.is_nan() {
            return None;
        }
        let mut reached = self
            .thresholds
            .iter()
            .filter(|step| step.value.is_none_or(|from| value >= from));
        reached.next_back().map(|step| step.color.as_str())
    }
}

impl Query {
    fn read(
        node: &Node<'_>,
        index: usize,
        of_panel: Option<&DatasourceRef>,
    ) -> Result<Self, Error> {
        let node = node.clone().object()?;
        let ref_id = node.text("refId")?;
        // Prometheus and Loki say `expr`, Tempo and others `query`, expressions `expression`.
        let mut expr = node.text_like("expr")?;
        for key in ["query", "expression", "rawSql"] {
            if expr.is_empty()
                && let Some(found) = node.get(key)
                && let Value::String(text) = found.value
            {
                expr.clone_from(text);
            }
        }
        Ok(Self {
            ref_id: if ref_id.is_empty() {
                letter(index)
            } else {
                ref_id
            },
            datasource: read_datasource(&node)?.or_else(|| of_panel.cloned()),
            expr,
            legend: node.text("legendFormat")?,
            instant: node.flag("instant")?,
            exemplar: node.flag("exemplar")?,
            hidden: node.flag("hide")?,
            interval: node.text_like("interval")?,
            query_type: node.text("queryType")?,
        })
    }

    /// Whether it computes with the answers of other queries (Grafana's expressions) or repeats those of another panel.
    pub fn is_expression(&self) -> bool {
        self.datasource.as_ref().is_some_and(|own| {
            own.kind == "__expr__" || own.uid == "__expr__" || own.uid == "-- Dashboard --"
        })
    }
}

/// The letter that Grafana gives to the query at `index`.
fn letter(index: usize) -> String {
    char::from(b'A' + (index % 26) as u8).to_string()
}

/// The data source of a panel, a query, a variable or an annotation: an object, or a name as old dashboards have it.
pub(crate) fn read_datasource(node: &Node<'_>) -> Result<Option<DatasourceRef>, Error> {
    let Some(found) = node.get("datasource") else {
        return Ok(None);
    };
    match found.value {
        Value::String(name) => Ok(Some(DatasourceRef {
            kind: String::new(),
            uid: name.clone(),
        })),
        Value::Object(_) => Ok(Some(DatasourceRef {
            kind: found.text("type")?,
            uid: found.text_like("uid")?,
        })),
        _ => Err(found.expected("a data source")),
    }
}

fn read_position(node: &Node<'_>) -> Result<GridPosition, Error> {
    let Some(position) = node.get("gridPos") else {
        return Ok(GridPosition::default());
    };
    let number = |key: &str| {
        position
            .number(key)
            .map(|number| number.unwrap_or(0.0) as i64)
    };
    Ok(GridPosition {
        x: number("x")?,
        y: number("y")?,
        width: number("w")?,
        height: number("h")?,
    })
}

fn read_links(node: &Node<'_>) -> Result<Vec<PanelLink>, Error> {
    node.list("links")?
        .iter()
        .map(|link| {
            Ok(PanelLink {
                title: link.text("title")?,
                url: link.text("url")?,
            })
        })
        .collect()
}

fn read_thresholds(node: &Node<'_>) -> Result<Vec<Threshold>, Error> {
    node.list("steps")?
        .iter()
        .map(|step| {
            Ok(Threshold {
                value: step.number("value")?,
                color: step.text("color")?,
            })
        })
        .collect()
}
