//! Which alerts go to which Alertmanager, as Prometheus' notifier sends them.

use std::time::Duration;

use gameday_signal::{Alert, Labels};

use crate::config::{AlertmanagerConfig, HttpClientConfig, PrometheusConfig};
use crate::relabel::{self, process_labels};

/// Alerts on their way to one Alertmanager.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) url: String,
    pub(crate) timeout: Duration,
    pub(crate) http: HttpClientConfig,
    pub(crate) alerts: Vec<Alert>,
}

/// Adds the external labels where an alert has none of that name, and runs `alert_relabel_configs`: first those of all, then those of
/// each group of Alertmanagers. An alert that is dropped goes nowhere.
pub(crate) fn deliveries(config: &PrometheusConfig, alerts: &[Alert]) -> Vec<Delivery> {
    let alerting = &config.alerting;
    let alerts: Vec<Alert> = alerts
        .iter()
        .filter_map(|alert| {
            let mut labels = alert.labels.to_builder();
            for (name, value) in config.external_labels().iter() {
                if alert.labels.get(name).is_none() {
                    labels.set(name, value);
                }
            }
            relabel::process(&mut labels, &alerting.alert_relabel_configs).then(|| Alert {
                labels: labels.build(),
                ..alert.clone()
            })
        })
        .collect();
    let mut deliveries = Vec::new();
    for manager in &alerting.alertmanagers {
        let own: Vec<Alert> = alerts
            .iter()
            .filter_map(|alert| {
                let labels = process_labels(&alert.labels, &manager.alert_relabel_configs)?;
                Some(Alert {
                    labels,
                    ..alert.clone()
                })
            })
            .collect();
        for url in manager_urls(manager) {
            deliveries.push(Delivery {
                url,
                timeout: manager.timeout,
                http: manager.http.clone(),
                alerts: own.clone(),
            });
        }
    }
    deliveries
}

/// The addresses of all Alertmanagers.
pub(crate) fn alertmanager_urls(config: &PrometheusConfig) -> Vec<String> {
    config
        .alerting
        .alertmanagers
        .iter()
        .flat_map(manager_urls)
        .collect()
}

fn manager_urls(manager: &AlertmanagerConfig) -> Vec<String> {
    let path = format!(
        "{}/api/v2/alerts",
        manager.path_prefix.trim_end_matches('/')
    );
    let path = if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    };
    let groups = manager.static_configs.iter();
    groups
        .flat_map(|group| group.targets.iter().map(move |target| (group, target)))
        .filter_map(|(group, target)| {
            let mut labels = group.labels.to_builder();
            labels.set("__address__", target);
            labels.set("__scheme__", &manager.scheme);
            labels.set("__alerts_path__", &path);
            let labels: Labels =
                relabel::process(&mut labels, &manager.relabel_configs).then(|| labels.build())?;
            Some(format!(
                "{}://{}{}",
                labels.value_of("__scheme__"),
                labels.value_of("__address__"),
                labels.value_of("__alerts_path__")
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use gameday_signal::Timestamp;

    use super::*;

    #[test]
    fn alerts_are_relabelled_on_their_way() {
        let text = "
global: {external_labels: {cluster: eu, severity: none}}
alerting:
  alert_relabel_configs: [{source_labels: [alertname], regex: Watchdog, action: drop}, {regex: replica, action: labeldrop}]
  alertmanagers:
  - path_prefix: /am/
    timeout: 3s
    static_configs: [{targets: ['a:9093', 'b:9093']}]
    relabel_configs: [{source_labels: [__address__], regex: 'b:.*', action: drop}]
  - static_configs: [{targets: ['c:9093']}]
    alert_relabel_configs: [{source_labels: [severity], regex: info, action: drop}]
";
        let config = PrometheusConfig::parse("prometheus.yml", text).expect("a valid file");
        let alert = |name: &str, severity: &str| Alert {
            labels: Labels::new([
                ("alertname", name),
                ("severity", severity),
                ("replica", "1"),
            ]),
            annotations: Labels::empty(),
            starts_at: Timestamp::EPOCH,
            ends_at: Timestamp::EPOCH,
            generator_url: String::new(),
        };
        let alerts = [
            alert("Watchdog", "none"),
            alert("Slow", "info"),
            alert("Down", "page"),
        ];
        let found: Vec<(String, Vec<String>)> = deliveries(&config, &alerts)
            .into_iter()
            .map(|own| {
                let labels = own.alerts.iter().map(|alert| alert.labels.to_string());
                (own.url, labels.collect())
            })
            .collect();
        let slow = r#"{alertname="Slow", cluster="eu", severity="info"}"#.to_owned();
        let down = r#"{alertname="Down", cluster="eu", severity="page"}"#.to_owned();
        assert_eq!(
            found,
            [
                (
                    "http://a:9093/am/api/v2/alerts".to_owned(),
                    vec![slow, down.clone()]
                ),
                ("http://c:9093/api/v2/alerts".to_owned(), vec![down]),
            ]
        );
        assert_eq!(alertmanager_urls(&config).len(), 2);
    }
}
