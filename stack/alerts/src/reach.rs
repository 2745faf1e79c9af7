//! Whom an alert would reach, and when, by its labels alone.

use std::time::Duration;

use gameday_signal::Labels;

use crate::engine::Alertmanager;

impl Alertmanager {
    /// The receivers that would be told of an alert with these labels, in the order of their routes; those without an integration
    /// notify nobody and are left out.
    pub fn receivers_of(&self, labels: &Labels) -> Vec<String> {
        let routes = self.tree.matches(labels).into_iter();
        let names = routes.map(|route| self.tree.node(route).options.receiver.clone());
        names.filter(|name| self.has_integrations(name)).collect()
    }

    /// How long the first notification of an alert with these labels waits for others of its group.
    pub fn group_wait_of(&self, labels: &Labels) -> Duration {
        let first = self.tree.matches(labels).into_iter().next();
        first.map_or(Duration::ZERO, |route| {
            self.tree.node(route).options.group_wait
        })
    }
}
