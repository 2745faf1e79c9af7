//! The routing tree: which nodes an alert reaches, and what they say about its groups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gameday_signal::{Labels, Matcher};

use crate::config;
use crate::matchers::render_matchers;

/// What a node says about the groups of its alerts, own and inherited.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RouteOptions {
    /// Who is told.
    pub(crate) receiver: String,
    /// The labels that make a group.
    pub(crate) group_by: BTreeSet<String>,
    /// Whether all labels make a group.
    pub(crate) group_by_all: bool,
    /// How long to wait for further alerts before the first message of a group.
    pub(crate) group_wait: Duration,
    /// How long to wait between messages about changes of a group.
    pub(crate) group_interval: Duration,
    /// How long to wait before the same message is sent again.
    pub(crate) repeat_interval: Duration,
    /// Calendars that mute; not inherited.
    pub(crate) mute_time_intervals: Vec<String>,
    /// Calendars outside of which the node is mute; not inherited.
    pub(crate) active_time_intervals: Vec<String>,
    /// Labels of the route for templates.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Default for RouteOptions {
    /// The defaults of Alertmanager's dispatcher (dispatch/route.go, `DefaultRouteOpts`).
    fn default() -> Self {
        Self {
            receiver: String::new(),
            group_by: BTreeSet::new(),
            group_by_all: false,
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// One node of the tree.
#[derive(Clone, Debug)]
pub(crate) struct RouteNode {
    /// Its conditions, sorted.
    pub(crate) matchers: Vec<Matcher>,
    /// What it says about groups.
    pub(crate) options: RouteOptions,
    /// The conditions from the root down (`{}/{a="b"}`), the first half of a group's key.
    pub(crate) key: String,
    continues: bool,
    children: Vec<usize>,
}

/// The tree, its nodes in the order of the file; node 0 is the root.
#[derive(Clone, Debug)]
pub(crate) struct RouteTree {
    nodes: Vec<RouteNode>,
}

/// Why an alert went past or into a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteStep {
    /// The node.
    pub(crate) node: usize,
    /// How deep it lies.
    pub(crate) depth: usize,
    /// The first condition that did not hold, if one did not.
    pub(crate) failed: Option<String>,
    /// Whether the alert is grouped and sent here.
    pub(crate) chosen: bool,
}

impl RouteTree {
    /// Builds the tree of a checked configuration.
    pub(crate) fn new(root: &config::route::Route) -> Self {
        let mut tree = Self { nodes: Vec::new() };
        tree.add(root, None);
        tree
    }

    fn add(&mut self, written: &config::route::Route, parent: Option<usize>) -> usize {
        let mut options = parent.map_or_else(RouteOptions::default, |parent| {
            self.nodes[parent].options.clone()
        });
        options.labels.extend(written.labels.clone());
        if !written.receiver.is_empty() {
            options.receiver.clone_from(&written.receiver);
        }
        if written.groups_by_all() {
            options.group_by_all = true;
        } else if let Some(names) = &written.group_by {
            options.group_by = names.iter().cloned().collect();
            options.group_by_all = false;
        }
        for (own, inherited) in [
            (written.group_wait, &mut options.group_wait),
            (written.group_interval, &mut options.group_interval),
            (written.repeat_interval, &mut options.repeat_interval),
        ] {
            if let Some(duration) = own {
                *inherited = duration.0;
            }
        }
        options
            .mute_time_intervals
            .clone_from(&written.mute_time_intervals);
        options
            .active_time_intervals
            .clone_from(&written.active_time_intervals);
        let matchers = written
            .own_matchers()
            .expect("invariant: the configuration was checked when it was read");
        let own_key = render_matchers(&matchers);
        let key = match parent {
            Some(parent) => format!("{}/{own_key}", self.nodes[parent].key),
            None => own_key,
        };
        let index = self.nodes.len();
        self.nodes.push(RouteNode {
            matchers,
            options,
            key,
            continues: written.continues,
            children: Vec::new(),
        });
        for child in &written.routes {
            let child = self.add(child, Some(index));
            self.nodes[index].children.push(child);
        }
        index
    }

    /// The node with this index.
    pub(crate) fn node(&self, index: usize) -> &RouteNode {
        &self.nodes[index]
    }

    /// All nodes, in the order of the file.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &RouteNode> {
        self.nodes.iter()
    }

    /// The nodes that an alert with these labels reaches, depth first; there is at least one.
    pub(crate) fn matches(&self, labels: &Labels) -> Vec<usize> {
        let mut found = Vec::new();
        self.collect(0, labels, 0, &mut found, &mut |_| {});
        found
    }

    /// The way that an alert with these labels takes, node by node.
    pub(crate) fn explain(&self, labels: &Labels) -> Vec<RouteStep> {
        let mut steps = Vec::new();
        let mut found = Vec::new();
        self.collect(0, labels, 0, &mut found, &mut |step| steps.push(step));
        for step in &mut steps {
            step.chosen = found.contains(&step.node);
        }
        steps
    }

    /// The same for people: a line a node, indented by depth, with the condition that failed or the receiver that is told.
    pub(crate) fn explain_lines(&self, labels: &Labels) -> Vec<String> {
        self.explain(labels)
            .into_iter()
            .map(|step| {
                let node = &self.nodes[step.node];
                let indent = "  ".repeat(step.depth);
                let own = render_matchers(&node.matchers);
                let went = match (step.failed, step.chosen) {
                    (Some(condition), _) => format!("no: {condition} does not hold"),
                    (None, true) => format!("yes -> receiver {:?}", node.options.receiver),
                    (None, false) => "yes, and a route below takes it".to_owned(),
                };
                format!("{indent}{own} {went}")
            })
            .collect()
    }

    /// Adds the nodes that match below and including `index`; says whether there were any.
    fn collect(
        &self,
        index: usize,
        labels: &Labels,
        depth: usize,
        found: &mut Vec<usize>,
        visit: &mut dyn FnMut(RouteStep),
    ) -> bool {
        let node = &self.nodes[index];
        let failed = node
            .matchers
            .iter()
            .find(|matcher| !matcher.matches(labels));
        visit(RouteStep {
            node: index,
            depth,
            failed: failed.map(crate::matchers::render_matcher),
            chosen: false,
        });
        if failed.is_some() {
            return false;
        }
        let before = found.len();
        for child in &node.children {
            let matched = self.collect(*child, labels, depth + 1, found, visit);
            if matched && !self.nodes[*child].continues {
                break;
            }
        }
        if found.len() == before {
            found.push(index);
        }
        true
    }
}

impl RouteOptions {
    /// The labels that tell the groups of this node apart.
    pub(crate) fn group_labels(&self, labels: &Labels) -> Labels {
        if self.group_by_all {
            labels.clone()
        } else {
            labels.filtered(|name| self.group_by.contains(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn tree(yaml: &str) -> RouteTree {
        let receivers = "\nreceivers: [{name: a}, {name: b}, {name: c}, {name: d}]\n";
        let config = Config::load("alertmanager.yml", &format!("{yaml}{receivers}")).unwrap();
        RouteTree::new(config.route())
    }

    const TREE: &str = "
route:
  receiver: a
  group_by: [alertname]
  group_wait: 10s
  routes:
    - matchers: [team=\"x\"]
      receiver: b
      continue: true
      mute_time_intervals: [nights]
      routes:
        - match: {severity: critical}
          group_by: ['...']
    - matchers: [team=~\"x|y\", region!=\"eu\"]
      receiver: c
      group_by: []
    - match_re: {team: \".*\"}
      receiver: d
time_intervals: [{name: nights}]
";

    #[test]
    fn depth_first_until_a_match_without_continue() {
        let tree = tree(TREE);
        for (labels, expected) in [
            // b goes on, c stops.
            (
                Labels::new([("team", "x")]),
                vec!["{}/{team=\"x\"}", "{}/{region!=\"eu\",team=~\"x|y\"}"],
            ),
            // The child takes the place of its parent.
            (
                Labels::new([("team", "x"), ("severity", "critical"), ("region", "eu")]),
                vec![
                    "{}/{team=\"x\"}/{severity=\"critical\"}",
                    "{}/{team=~\".*\"}",
                ],
            ),
            (Labels::new([("team", "z")]), vec!["{}/{team=~\".*\"}"]),
        ] {
            let keys: Vec<_> = tree
                .matches(&labels)
                .into_iter()
                .map(|node| tree.node(node).key.as_str())
                .collect();
            assert_eq!(keys, expected, "{labels}");
        }
    }

    #[test]
    fn children_inherit_all_but_the_time_intervals() {
        let tree = tree(TREE);
        let critical = &tree.nodes[2].options;
        assert_eq!(critical.receiver, "b");
        assert_eq!(critical.group_wait, Duration::from_secs(10));
        assert!(critical.group_by_all);
        assert_eq!(critical.mute_time_intervals, Vec::<String>::new());
        let labels = Labels::new([("alertname", "A"), ("x", "y")]);
        assert_eq!(critical.group_labels(&labels), labels);
        assert_eq!(tree.nodes[3].options.group_labels(&labels), Labels::empty());
        assert_eq!(
            tree.nodes[4].options.group_labels(&labels),
            Labels::new([("alertname", "A")])
        );
    }
}
