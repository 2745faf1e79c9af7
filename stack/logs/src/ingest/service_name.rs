//! The service that a stream belongs to.

use gameday_signal::Labels;

/// The label that says it.
pub(crate) const SERVICE_NAME: &str = "service_name";

/// The value where nothing says it.
pub(crate) const UNKNOWN_SERVICE: &str = "unknown_service";

/// Labels that may say it, the first one counts (Loki's `discover_service_name`).
pub(crate) const CANDIDATES: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// The labels with `service_name`, taken from the first candidate where it is missing.
pub(crate) fn discover(labels: &Labels) -> Labels {
    if labels.get(SERVICE_NAME).is_some() {
        return labels.clone();
    }
    let found = CANDIDATES.iter().find_map(|name| labels.get(name));
    labels.with(SERVICE_NAME, found.unwrap_or(UNKNOWN_SERVICE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_candidate() {
        for (labels, expected) in [
            (Labels::new([("job", "j"), ("app", "a")]), "a"),
            (Labels::new([("service_name", "s"), ("app", "a")]), "s"),
            (Labels::new([("pod", "p")]), "unknown_service"),
        ] {
            assert_eq!(discover(&labels).value_of(SERVICE_NAME), expected);
        }
    }
}
