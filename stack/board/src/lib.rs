//! Grafana dashboards as panels, and the links from metric to log to trace.
//!
//! ```text
//!   dashboard.json --Dashboard::parse--> panels, queries, variables --Scope::fill--> PromQL, LogQL, TraceQL
//!   datasources.yaml --Datasources::parse--> derived fields, exemplar destinations, traces to logs --link--> Link
//! ```
//!
//! [`Dashboard::parse`] reads what Grafana exports, stores or answers, old and new forms; [`Scope::fill`] makes of a panel's
//! query what Grafana would send. [`Datasources::parse`] reads the provisioning of data sources, whose links are the drill-down:
//! [`DerivedField::link`], [`ExemplarDestination::link`], [`TracesToLogs::query`].
//!
//! Invariants: nothing is asked or fetched here; a query is never understood, only filled in; every error names the file and
//! the place in it.

mod dashboard;
mod datasource;
mod document;
mod error;
mod link;
mod panel;
mod variable;

pub use dashboard::{Annotation, Dashboard, Finding};
pub use datasource::{
    Datasource, Datasources, DerivedField, ExemplarDestination, FieldMatcher, Link, TracesToLogs,
};
pub use error::Error;
pub use panel::{DatasourceRef, GridPosition, Panel, PanelLink, Query, Threshold};
pub use variable::{Scope, Variable, VariableKind};
