//! What reads settings and what people and programs post: each function takes any bytes and may not panic.

use std::time::Duration;

use gameday_alerts::{
    Alertmanager, Config, Options, PostableAlert, PostableSilence, parse_classic_matchers,
    parse_matcher, parse_matchers, parse_utf8_matchers,
};
use gameday_server::CollectorConfig;
use gameday_server::board::{Dashboard, Datasources};
use gameday_server::config::LokiConfig;
use gameday_signal::Timestamp;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// A file of settings: read as a tree and as any value; a value is written and read again.
pub(crate) fn yaml(data: &[u8]) {
    let source = text(data);
    let document = gameday_yaml::read(source);
    for mistake in &document.mistakes {
        let _ = mistake.to_string();
    }
    let Ok(value) = gameday_yaml::from_str::<Value>(source) else {
        return;
    };
    let Ok(written) = gameday_yaml::to_string(&value) else {
        return;
    };
    let again = gameday_yaml::from_str::<Value>(&written);
    let again = again.unwrap_or_else(|error| panic!("{source:?} -> {written:?}: {error}"));
    assert_eq!(value, again, "{source:?} -> {written:?}");
}

/// Matchers in both syntaxes.
pub(crate) fn matchers(data: &[u8]) {
    let source = text(data);
    let _ = parse_matcher(source);
    for parse in [parse_matchers, parse_classic_matchers, parse_utf8_matchers] {
        for matcher in parse(source).into_iter().flatten() {
            let _ = matcher.to_string();
        }
    }
}

const ALERTMANAGER_YML: &str = "route: {receiver: a, group_by: [a], group_wait: 0s, routes: [{matchers: [a=~'.+'], receiver: a, continue: true}]}\nreceivers: [{name: a, webhook_configs: [{url: 'http://a'}]}]\ninhibit_rules: [{source_matchers: [a=b], target_matchers: [c=d], equal: [e]}]\n";

/// Alerts and a silence as they are posted, taken by an Alertmanager that then runs for an hour.
pub(crate) fn posted(data: &[u8]) {
    let config = Config::load("alertmanager.yml", ALERTMANAGER_YML).expect("valid");
    let mut alertmanager = Alertmanager::new(config, Options::default());
    if let Ok(silence) = serde_json::from_slice::<PostableSilence>(data) {
        let _ = alertmanager.set_silence(silence, NOW);
    }
    if let Ok(alerts) = serde_json::from_slice::<Vec<PostableAlert>>(data) {
        let _ = alertmanager.receive(alerts, NOW);
    }
    for minute in 0..60 {
        let _ = alertmanager.tick(NOW + Duration::from_secs(60 * minute));
    }
}

/// The settings of the collector.
pub(crate) fn collector_yml(data: &[u8]) {
    let _ = CollectorConfig::parse("collector.yml", text(data));
}

/// loki.yaml.
pub(crate) fn loki_yml(data: &[u8]) {
    let _ = LokiConfig::parse("loki.yaml", text(data));
}

/// A dashboard and provisioned data sources of Grafana.
pub(crate) fn dashboard(data: &[u8]) {
    let _ = Dashboard::parse("dashboard.json", text(data));
    let _ = Datasources::parse("datasources.yml", text(data), |name| Some(name.to_owned()));
}
