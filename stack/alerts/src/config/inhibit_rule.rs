//! `inhibit_rules`: which alerts keep which others from being sent, as it is written.

use std::collections::BTreeMap;

use gameday_signal::Matcher;

use super::route::{legacy_matchers, listed_matchers};
use super::yaml::block;
use crate::matchers::is_valid_label_name;

block! {
    /// While a source alert fires, target alerts with the same `equal` labels are not sent.
    InhibitRule {
        name: String = String::new(),
        source_match: BTreeMap<String, String> = BTreeMap::new(),
        source_match_re: BTreeMap<String, Option<String>> = BTreeMap::new(),
        source_matchers: Vec<String> = Vec::new(),
        target_match: BTreeMap<String, String> = BTreeMap::new(),
        target_match_re: BTreeMap<String, Option<String>> = BTreeMap::new(),
        target_matchers: Vec<String> = Vec::new(),
        equal: Vec<String> = Vec::new(),
    }
    check(rule) {
        rule.sources()?;
        rule.targets()?;
        match rule.equal.iter().find(|name| !is_valid_label_name(name)) {
            Some(name) => Err(format!("invalid label name {name:?} in equal list")),
            None => Ok(()),
        }
    }
}

impl InhibitRule {
    /// What the alerts that inhibit have to satisfy.
    pub(crate) fn sources(&self) -> Result<Vec<Matcher>, String> {
        let mut matchers = legacy_matchers(&self.source_match, &self.source_match_re)?;
        matchers.extend(listed_matchers(&self.source_matchers)?);
        Ok(matchers)
    }

    /// What the alerts that are inhibited have to satisfy.
    pub(crate) fn targets(&self) -> Result<Vec<Matcher>, String> {
        let mut matchers = legacy_matchers(&self.target_match, &self.target_match_re)?;
        matchers.extend(listed_matchers(&self.target_matchers)?);
        Ok(matchers)
    }
}
