//! `route`: one node of the routing tree, as it is written.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::{MatchOp, Matcher};

use super::values::PromDuration;
use super::yaml::block;
use crate::matchers::{is_valid_label_name, parse_matchers};

block! {
    /// One node of the routing tree, as it is written.
    Route {
        receiver: String = String::new(),
        group_by: Option<Vec<String>> = None,
        #[serde(rename = "match")]
        match_equal: BTreeMap<String, String> = BTreeMap::new(),
        match_re: BTreeMap<String, Option<String>> = BTreeMap::new(),
        matchers: Vec<String> = Vec::new(),
        mute_time_intervals: Vec<String> = Vec::new(),
        active_time_intervals: Vec<String> = Vec::new(),
        #[serde(rename = "continue")]
        continues: bool = false,
        routes: Vec<Route> = Vec::new(),
        group_wait: Option<PromDuration> = None,
        group_interval: Option<PromDuration> = None,
        repeat_interval: Option<PromDuration> = None,
        labels: BTreeMap<String, String> = BTreeMap::new(),
    }
    check(route) { check(route) }
}

/// `group_by: ['...']` groups by all labels.
const ALL_LABELS: &str = "...";

fn check(route: &Route) -> Result<(), String> {
    route.own_matchers()?;
    for name in route.labels.keys() {
        if !is_valid_label_name(name) {
            return Err(format!("invalid label name {name:?} in route labels"));
        }
    }
    let mut seen = BTreeSet::new();
    for name in route.group_by.iter().flatten() {
        if name == ALL_LABELS {
            continue;
        }
        if !is_valid_label_name(name) {
            return Err(format!("invalid label name {name:?} in group_by list"));
        }
        if !seen.insert(name) {
            return Err(format!("duplicated label {name:?} in group_by"));
        }
    }
    if route.groups_by_all() && !seen.is_empty() {
        return Err(
            "cannot have wildcard group_by (`...`) and other labels at the same time".to_owned(),
        );
    }
    if route
        .group_interval
        .is_some_and(|interval| interval.0.is_zero())
    {
        return Err("group_interval cannot be zero".to_owned());
    }
    if route
        .repeat_interval
        .is_some_and(|interval| interval.0.is_zero())
    {
        return Err("repeat_interval cannot be zero".to_owned());
    }
    Ok(())
}

impl Route {
    /// Whether every label counts for the group.
    pub(crate) fn groups_by_all(&self) -> bool {
        self.group_by
            .iter()
            .flatten()
            .any(|name| name == ALL_LABELS)
    }

    /// All conditions of this node in Alertmanager's order: by name, then value, then operator.
    pub(crate) fn own_matchers(&self) -> Result<Vec<Matcher>, String> {
        let mut matchers = legacy_matchers(&self.match_equal, &self.match_re)?;
        matchers.extend(listed_matchers(&self.matchers)?);
        sort_matchers(&mut matchers);
        Ok(matchers)
    }

    /// This node and all nodes below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in &self.routes {
            child.walk(visit);
        }
    }

    /// The same with write access.
    pub(crate) fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        visit(self);
        for child in &mut self.routes {
            child.walk_mut(visit);
        }
    }
}

/// The conditions of `match` and `match_re`, which only know classic label names.
pub(crate) fn legacy_matchers(
    equal: &BTreeMap<String, String>,
    regex: &BTreeMap<String, Option<String>>,
) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::with_capacity(equal.len() + regex.len());
    for (name, value) in equal {
        check_classic_name(name)?;
        matchers.push(Matcher::equal(name, value));
    }
    for (name, pattern) in regex {
        check_classic_name(name)?;
        let pattern = pattern
            .as_ref()
            .ok_or_else(|| format!("invalid regexp value for {name:?}"))?;
        matchers
            .push(Matcher::new(name, MatchOp::Regex, pattern).map_err(|error| error.to_string())?);
    }
    Ok(matchers)
}

/// The conditions of a `matchers` list.
pub(crate) fn listed_matchers(lines: &[String]) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::with_capacity(lines.len());
    for line in lines {
        matchers.extend(parse_matchers(line).map_err(|error| error.to_string())?);
    }
    sort_matchers(&mut matchers);
    Ok(matchers)
}

/// Alertmanager's order of matchers: by name, then value, then operator.
fn sort_matchers(matchers: &mut [Matcher]) {
    matchers.sort_by(|one, other| {
        (one.name(), one.value(), one.op()).cmp(&(other.name(), other.value(), other.op()))
    });
}

fn check_classic_name(name: &str) -> Result<(), String> {
    let mut characters = name.chars();
    let starts_well = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if starts_well && characters.all(|other| other.is_ascii_alphanumeric() || other == '_') {
        Ok(())
    } else {
        Err(format!("invalid label name {name:?}"))
    }
}
