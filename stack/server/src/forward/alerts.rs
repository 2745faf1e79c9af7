//! Which alerts go to which Alertmanager, as Prometheus' notifier sends them.

use std::time::Duration;

use gameday_signal::{Alert, Labels};

use crate::config::{AlertmanagerConfig, HttpClientConfig, PrometheusConfig, StaticConfig};
use crate::relabel::{self, process_labels};
use crate::scrape::{TargetFiles, parse_target_file};

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
pub(crate) fn deliveries(
    config: &PrometheusConfig,
    alerts: &[Alert],
    read: &dyn Fn(&str) -> TargetFiles,
) -> Vec<Delivery> {
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
        for url in manager_urls(manager, read).0 {
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

/// The addresses of all Alertmanagers, and of those that relabelling dropped.
pub(crate) fn alertmanager_urls(
    config: &PrometheusConfig,
    read: &dyn Fn(&str) -> TargetFiles,
) -> (Vec<String>, Vec<String>) {
    let (mut active, mut dropped) = (Vec::new(), Vec::new());
    for manager in &config.alerting.alertmanagers {
        let own = manager_urls(manager, read);
        active.extend(own.0);
        dropped.extend(own.1);
    }
    (active, dropped)
}

/// The groups of targets in files; a file that cannot be read has none.
fn file_groups(
    manager: &AlertmanagerConfig,
    read: &dyn Fn(&str) -> TargetFiles,
) -> Vec<(String, StaticConfig)> {
    let patterns = manager.file_sd_configs.iter().flat_map(|own| &own.files);
    patterns
        .flat_map(|pattern| read(pattern))
        .flat_map(|(path, text)| {
            let groups = text.and_then(|text| parse_target_file(&text));
            let own = move |group| (path.clone(), group);
            groups.unwrap_or_default().into_iter().map(own)
        })
        .collect()
}

fn manager_urls(
    manager: &AlertmanagerConfig,
    read: &dyn Fn(&str) -> TargetFiles,
) -> (Vec<String>, Vec<String>) {
    let path = format!(
        "{}/api/v2/alerts",
        manager.path_prefix.trim_end_matches('/')
    );
    let path = if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    };
    let from_files = file_groups(manager, read);
    let statics = manager.static_configs.iter().map(|group| (None, group));
    let groups = statics.chain(
        from_files
            .iter()
            .map(|(path, group)| (Some(path.as_str()), group)),
    );
    let (mut active, mut dropped) = (Vec::new(), Vec::new());
    for (file, group) in groups {
        for target in &group.targets {
            let mut labels = group.labels.to_builder();
            labels.set("__address__", target);
            labels.set("__scheme__", &manager.scheme);
            labels.set("__alerts_path__", &path);
            if let Some(file) = file {
                labels.set("__meta_filepath", file);
            }
            let before = url_of(&labels.build());
            if relabel::process(&mut labels, &manager.relabel_configs) {
                active.push(url_of(&labels.build()));
            } else {
                dropped.push(before);
            }
        }
    }
    (active, dropped)
}

fn url_of(labels: &Labels) -> String {
    format!(
        "{}://{}{}",
        labels.value_of("__scheme__"),
        labels.value_of("__address__"),
        labels.value_of("__alerts_path__")
    )
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
    file_sd_configs: [{files: ['managers/*.yml']}]
    relabel_configs: [{source_labels: [__meta_filepath, __address__, zone], regex: 'managers/a.yml;e:9093;eu', action: drop}]
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
        let read = |pattern: &str| {
            assert_eq!(pattern, "managers/*.yml");
            let text = "[{targets: ['d:9093', 'e:9093'], labels: {zone: eu}}]".to_owned();
            TargetFiles::from([
                ("managers/a.yml".to_owned(), Ok(text)),
                ("managers/b.yml".to_owned(), Err("it is broken".to_owned())),
            ])
        };
        let found: Vec<(String, Vec<String>)> = deliveries(&config, &alerts, &read)
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
                ("http://c:9093/api/v2/alerts".to_owned(), vec![down.clone()]),
                ("http://d:9093/api/v2/alerts".to_owned(), vec![down]),
            ]
        );
        let (active, dropped) = alertmanager_urls(&config, &read);
        assert_eq!(active.len(), 3);
        let expected = [
            "http://b:9093/am/api/v2/alerts",
            "http://e:9093/api/v2/alerts",
        ];
        assert_eq!(dropped, expected);
    }
}
