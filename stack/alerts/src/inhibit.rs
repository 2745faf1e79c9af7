//! Inhibition: a firing source alert keeps target alerts from being sent.

use std::collections::BTreeMap;

use gameday_signal::{Labels, MatchOp, Matcher, Timestamp};

use crate::alert::StoredAlert;
use crate::config::inhibit_rule::InhibitRule;

/// All rules with the sources that they know, so that asking about a target looks up one key a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inhibitor {
    rules: Vec<Rule>,
    by_source: RuleIndex,
    by_target: RuleIndex,
}

#[derive(Clone, Debug)]
struct Rule {
    sources: Vec<Matcher>,
    targets: Vec<Matcher>,
    equal: Vec<String>,
    /// Source alerts by the values of their equal labels, then by fingerprint.
    index: BTreeMap<String, BTreeMap<u64, Source>>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ends_at: Timestamp,
    /// It matches the target side too, so it does not inhibit alerts that match both sides.
    is_target: bool,
}

impl Inhibitor {
    /// The rules of a checked configuration, without sources yet.
    pub(crate) fn new(rules: &[InhibitRule]) -> Self {
        let checked = "invariant: the configuration was checked when it was read";
        let rules: Vec<_> = rules
            .iter()
            .map(|rule| Rule {
                sources: rule.sources().expect(checked),
                targets: rule.targets().expect(checked),
                equal: rule.equal.clone(),
                index: BTreeMap::new(),
            })
            .collect();
        Self {
            by_source: RuleIndex::new(rules.iter().map(|rule| rule.sources.as_slice())),
            by_target: RuleIndex::new(rules.iter().map(|rule| rule.targets.as_slice())),
            rules,
        }
    }

    /// Takes note of an alert that was posted.
    pub(crate) fn update(&mut self, alert: &StoredAlert) {
        for rule in self.by_source.candidates(&alert.labels) {
            let rule = &mut self.rules[rule];
            if matches_all(&rule.sources, &alert.labels) {
                let source = Source {
                    ends_at: alert.ends_at,
                    is_target: matches_all(&rule.targets, &alert.labels),
                };
                rule.index
                    .entry(equal_key(&rule.equal, &alert.labels))
                    .or_default()
                    .insert(alert.fingerprint(), source);
            }
        }
    }

    /// The fingerprint of an alert that inhibits one with these labels at `now`.
    pub(crate) fn inhibited_by(&self, labels: &Labels, now: Timestamp) -> Option<u64> {
        self.by_target
            .candidates(labels)
            .into_iter()
            .find_map(|rule| {
                let rule = &self.rules[rule];
                if rule.index.is_empty() || !matches_all(&rule.targets, labels) {
                    return None;
                }
                let sources = rule.index.get(&equal_key(&rule.equal, labels))?;
                let is_source = matches_all(&rule.sources, labels);
                sources
                    .iter()
                    .find(|(_, source)| source.ends_at > now && !(is_source && source.is_target))
                    .map(|(fingerprint, _)| *fingerprint)
            })
    }

    /// Forgets sources that have ended.
    pub(crate) fn collect_garbage(&mut self, now: Timestamp) {
        for rule in &mut self.rules {
            for sources in rule.index.values_mut() {
                sources.retain(|_, source| source.ends_at > now);
            }
            rule.index.retain(|_, sources| !sources.is_empty());
        }
    }
}

/// Finds the rules that can match an alert at all by one label that they ask for (`name="value"`), so that a hundred rules cost
/// little more than one.
#[derive(Clone, Debug, Default)]
struct RuleIndex {
    by_label: BTreeMap<String, BTreeMap<String, Vec<usize>>>,
    /// Rules that ask for no certain label.
    rest: Vec<usize>,
}

impl RuleIndex {
    fn new<'a>(rules: impl Iterator<Item = &'a [Matcher]> + Clone) -> Self {
        let asks_for = |matchers: &'a [Matcher]| {
            matchers
                .iter()
                .filter(|matcher| matcher.op() == MatchOp::Equal && !matcher.value().is_empty())
                .map(|matcher| (matcher.name(), matcher.value()))
        };
        let mut uses: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for label in rules.clone().flat_map(asks_for) {
            *uses.entry(label).or_default() += 1;
        }
        let mut index = Self::default();
        for (rule, matchers) in rules.enumerate() {
            // The label that the fewest rules ask for tells them apart best.
            match asks_for(matchers).min_by_key(|label| uses.get(label)) {
                Some((name, value)) => index
                    .by_label
                    .entry(name.to_owned())
                    .or_default()
                    .entry(value.to_owned())
                    .or_default()
                    .push(rule),
                None => index.rest.push(rule),
            }
        }
        index
    }

    /// The rules that may match, in their order.
    fn candidates(&self, labels: &Labels) -> Vec<usize> {
        let mut candidates = self.rest.clone();
        for (name, values) in &self.by_label {
            candidates.extend(values.get(labels.value_of(name)).into_iter().flatten());
        }
        candidates.sort_unstable();
        candidates
    }
}

/// Whether every condition holds.
pub(crate) fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// The values of the equal labels with their lengths, so that different values never give the same key. Absent is empty.
fn equal_key(names: &[String], labels: &Labels) -> String {
    let mut key = String::new();
    for name in names {
        let value = labels.value_of(name);
        key.push_str(&value.len().to_string());
        key.push(':');
        key.push_str(value);
    }
    key
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::PostableAlert;

    fn alert(pairs: &[(&str, &str)], ends: i64) -> StoredAlert {
        let posted = PostableAlert {
            labels: Labels::new(pairs.iter().copied()),
            starts_at: Some(Timestamp::EPOCH),
            ends_at: Some(Timestamp::from_secs(ends)),
            ..PostableAlert::default()
        };
        StoredAlert::new(posted, Duration::ZERO, Timestamp::EPOCH).unwrap()
    }

    fn check(
        rule: &str,
        sources: &[StoredAlert],
        target: &[(&str, &str)],
        expected: Option<usize>,
    ) {
        let rule: InhibitRule = gameday_yaml::from_str(rule).unwrap();
        let mut inhibitor = Inhibitor::new(&[rule]);
        sources.iter().for_each(|source| inhibitor.update(source));
        let labels = Labels::new(target.iter().copied());
        let expected = expected.map(|index| sources[index].fingerprint());
        assert_eq!(
            inhibitor.inhibited_by(&labels, Timestamp::from_secs(10)),
            expected
        );
    }

    const RULE: &str = "
source_matchers: [severity=\"critical\"]
target_matchers: [severity=~\"warning|critical\"]
equal: [cluster, zone]";

    #[test]
    fn equal_labels_must_be_equal_and_absent_is_empty() {
        let critical = alert(&[("severity", "critical"), ("cluster", "a")], 20);
        let warning = [("severity", "warning"), ("cluster", "a")];
        check(RULE, std::slice::from_ref(&critical), &warning, Some(0));
        check(
            RULE,
            std::slice::from_ref(&critical),
            &[("severity", "warning"), ("cluster", "b")],
            None,
        );
        check(
            RULE,
            std::slice::from_ref(&critical),
            &[("severity", "warning"), ("cluster", "a"), ("zone", "1")],
            None,
        );
        // Both lack both labels: that is equal.
        check(
            RULE,
            &[alert(&[("severity", "critical")], 20)],
            &[("severity", "warning")],
            Some(0),
        );
    }

    #[test]
    fn only_active_sources_count_and_any_of_them() {
        let ended = alert(&[("severity", "critical"), ("n", "1")], 10);
        let active = alert(&[("severity", "critical"), ("n", "2")], 11);
        check(
            RULE,
            std::slice::from_ref(&ended),
            &[("severity", "warning")],
            None,
        );
        check(RULE, &[ended, active], &[("severity", "warning")], Some(1));
    }

    #[test]
    fn many_rules_are_told_apart_by_a_label() {
        let rules: Vec<InhibitRule> = (0..50)
            .map(|tier| {
                let rule = format!(
                    "source_matchers: [s=1, tier={tier}]\ntarget_matchers: [t=1, tier={tier}]"
                );
                gameday_yaml::from_str(&rule).unwrap()
            })
            .chain([gameday_yaml::from_str("source_matchers: [all=~\"y.*\"]").unwrap()])
            .collect();
        let inhibitor = Inhibitor::new(&rules);
        let labels = Labels::new([("s", "1"), ("tier", "7"), ("all", "n")]);
        // The rule of the tier and the one that asks for no certain label, whose condition is looked at then.
        assert_eq!(inhibitor.by_source.candidates(&labels), [7, 50]);
    }

    #[test]
    fn who_matches_both_sides_is_not_inhibited_by_its_like() {
        let critical = alert(&[("severity", "critical"), ("n", "1")], 20);
        check(
            RULE,
            std::slice::from_ref(&critical),
            &[("severity", "critical"), ("n", "2")],
            None,
        );
        // Itself neither.
        check(
            RULE,
            &[critical],
            &[("severity", "critical"), ("n", "1")],
            None,
        );
        let one_sided = "source_match: {a: '1'}\ntarget_match_re: {b: '1|2'}\nequal: []";
        check(
            one_sided,
            &[alert(&[("a", "1")], 20)],
            &[("a", "1"), ("b", "1")],
            Some(0),
        );
    }
}
