//! The other sections: global, alerting, remote_write, otlp, storage.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::Labels;
use gameday_wire::otlp::{MetricOptions, Translation};
use gameday_wire::remote_write::Version;
use serde::Deserialize;
use serde::de::Error as _;

use super::http::{
    Authorization, BasicAuth, HeaderConfig, HttpClientConfig, OAuth2Config, Secret, TlsConfig,
    take_http_keys,
};
use super::scrape::{
    FileSdConfig, NameEscaping, NameValidation, ScrapeProtocol, StaticConfig, check_files,
};
use super::values::{Ignored, bytes, duration, scale};
use crate::relabel::Relabel;

/// `global`: what holds for everything.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Global {
    /// How often targets are scraped.
    #[serde(deserialize_with = "duration")]
    pub scrape_interval: Duration,
    /// When a scrape has failed.
    #[serde(deserialize_with = "duration")]
    pub scrape_timeout: Duration,
    /// The formats asked for, the dearest first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// How often rules are evaluated.
    #[serde(deserialize_with = "duration")]
    pub evaluation_interval: Duration,
    /// How far rules look back, to wait for late data.
    #[serde(deserialize_with = "duration")]
    pub rule_query_offset: Duration,
    /// The labels that mark this server when its data leaves it.
    pub external_labels: Labels,
    /// The default of each scrape configuration.
    #[serde(deserialize_with = "optional_bytes")]
    pub body_size_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub sample_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub target_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub label_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub label_name_length_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub label_value_length_limit: Option<u64>,
    /// The default of each scrape configuration.
    pub scrape_native_histograms: Option<bool>,
    /// The default of each scrape configuration.
    pub always_scrape_classic_histograms: Option<bool>,
    /// The default of each scrape configuration.
    pub keep_dropped_targets: Option<u64>,
    /// The default of each scrape configuration.
    pub metric_name_validation_scheme: Option<NameValidation>,
    /// The default of each scrape configuration.
    pub metric_name_escaping_scheme: Option<NameEscaping>,
    /// The default of each scrape configuration.
    pub extra_scrape_metrics: Option<bool>,

    query_log_file: Option<Ignored>,
    scrape_failure_log_file: Option<Ignored>,
    convert_classic_histograms_to_nhcb: Option<Ignored>,
}

fn optional_bytes<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    bytes(deserializer).map(Some)
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::ZERO,
            scrape_timeout: Duration::ZERO,
            scrape_protocols: Vec::new(),
            evaluation_interval: Duration::ZERO,
            rule_query_offset: Duration::ZERO,
            external_labels: Labels::empty(),
            body_size_limit: None,
            sample_limit: None,
            target_limit: None,
            label_limit: None,
            label_name_length_limit: None,
            label_value_length_limit: None,
            scrape_native_histograms: None,
            always_scrape_classic_histograms: None,
            keep_dropped_targets: None,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            extra_scrape_metrics: None,
            query_log_file: None,
            scrape_failure_log_file: None,
            convert_classic_histograms_to_nhcb: None,
        }
    }
}

impl Global {
    pub(super) fn resolve(mut self, warnings: &mut Vec<String>) -> Result<Self, String> {
        for (key, given) in [
            ("query_log_file", &self.query_log_file),
            ("scrape_failure_log_file", &self.scrape_failure_log_file),
            (
                "convert_classic_histograms_to_nhcb",
                &self.convert_classic_histograms_to_nhcb,
            ),
        ] {
            if given.is_some() {
                warnings.push(format!("global: {key} is read and not obeyed"));
            }
        }
        if self.scrape_interval.is_zero() {
            self.scrape_interval = DEFAULT_INTERVAL;
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err("global scrape timeout greater than scrape interval".to_owned());
        }
        if self.scrape_timeout.is_zero() {
            self.scrape_timeout = DEFAULT_TIMEOUT.min(self.scrape_interval);
        }
        if self.evaluation_interval.is_zero() {
            self.evaluation_interval = DEFAULT_INTERVAL;
        }
        Ok(self)
    }

    pub(super) fn scale_durations(&mut self, divisor: f64) {
        for own in [
            &mut self.scrape_interval,
            &mut self.scrape_timeout,
            &mut self.evaluation_interval,
            &mut self.rule_query_offset,
        ] {
            scale(own, divisor);
        }
    }
}

/// `alerting`: where alerts go.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertingConfig {
    /// What becomes of alerts on their way out.
    pub alert_relabel_configs: Vec<Relabel>,
    /// Who receives them.
    pub alertmanagers: Vec<AlertmanagerConfig>,
}

/// One group of Alertmanagers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// `http` or `https`.
    pub scheme: String,
    /// Stands before `/api/v2/alerts`.
    pub path_prefix: String,
    /// When sending has failed.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Where they are, written down.
    pub static_configs: Vec<StaticConfig>,
    /// Where they are, in files.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// What becomes of these targets.
    pub relabel_configs: Vec<Relabel>,
    /// What becomes of alerts on their way to this group.
    pub alert_relabel_configs: Vec<Relabel>,
    /// How requests are made: set by [`super::PrometheusConfig::parse`].
    #[serde(skip)]
    pub http: HttpClientConfig,

    #[serde(deserialize_with = "api_version")]
    api_version: (),
    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    oauth2: Option<OAuth2Config>,
    bearer_token: Secret,
    bearer_token_file: String,
    tls_config: TlsConfig,
    follow_redirects: bool,
    /// HTTP/1.1 is spoken whether HTTP/2 may be or not.
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
    proxy_url: Secret,
    no_proxy: String,
    proxy_from_environment: bool,
    proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    http_headers: BTreeMap<String, HeaderConfig>,
    sigv4: Option<Ignored>,
    consul_sd_configs: Option<Ignored>,
    dns_sd_configs: Option<Ignored>,
    ec2_sd_configs: Option<Ignored>,
    http_sd_configs: Option<Ignored>,
    kubernetes_sd_configs: Option<Ignored>,
}

fn api_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "v2" => Ok(()),
        other => Err(D::Error::custom(format!(
            "expected Alertmanager api version to be one of [v2] but got {other}"
        ))),
    }
}

impl Default for AlertmanagerConfig {
    fn default() -> Self {
        Self {
            scheme: "http".to_owned(),
            path_prefix: String::new(),
            timeout: Duration::from_secs(10),
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            alert_relabel_configs: Vec::new(),
            http: HttpClientConfig::default(),
            api_version: (),
            basic_auth: None,
            authorization: None,
            bearer_token: Secret::default(),
            bearer_token_file: String::new(),
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            _enable_http2: None,
            proxy_url: Secret::default(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
            oauth2: None,
            sigv4: None,
            consul_sd_configs: None,
            dns_sd_configs: None,
            ec2_sd_configs: None,
            http_sd_configs: None,
            kubernetes_sd_configs: None,
        }
    }
}

impl AlertmanagerConfig {
    pub(super) fn check(&mut self, index: usize, warnings: &mut Vec<String>) -> Result<(), String> {
        let place = format!("alertmanagers[{index}]");
        self.http = HttpClientConfig::new(take_http_keys!(self))
            .map_err(|reason| format!("{place}: {reason}"))?;
        for own in &self.file_sd_configs {
            check_files(&own.files).map_err(|reason| format!("{place}: {reason}"))?;
        }
        for (key, given) in [
            ("sigv4", &self.sigv4),
            ("consul_sd_configs", &self.consul_sd_configs),
            ("dns_sd_configs", &self.dns_sd_configs),
            ("ec2_sd_configs", &self.ec2_sd_configs),
            ("http_sd_configs", &self.http_sd_configs),
            ("kubernetes_sd_configs", &self.kubernetes_sd_configs),
        ] {
            if given.is_some() {
                warnings.push(format!("{place}: {key} is read and not obeyed"));
            }
        }
        Ok(())
    }

    pub(super) fn scale_durations(&mut self, divisor: f64) {
        scale(&mut self.timeout, divisor);
        for own in &mut self.file_sd_configs {
            scale(&mut own.refresh_interval, divisor);
        }
    }
}

/// `queue_config`: how samples wait to be sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Samples that may wait in each shard.
    pub capacity: usize,
    /// The most requests at a time.
    pub max_shards: usize,
    /// The fewest requests at a time.
    pub min_shards: usize,
    /// Samples in a request.
    pub max_samples_per_send: usize,
    /// How long a request waits to become full.
    #[serde(deserialize_with = "duration")]
    pub batch_send_deadline: Duration,
    /// The first wait before another try.
    #[serde(deserialize_with = "duration")]
    pub min_backoff: Duration,
    /// The longest wait before another try.
    #[serde(deserialize_with = "duration")]
    pub max_backoff: Duration,
    /// Try again after 429.
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent; zero sends all.
    #[serde(deserialize_with = "duration")]
    pub sample_age_limit: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2000,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_http_429: true,
            sample_age_limit: Duration::ZERO,
        }
    }
}

/// One `remote_write`: where samples are sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWriteConfig {
    /// The address.
    pub url: String,
    /// A name for messages.
    pub name: String,
    /// When sending has failed.
    #[serde(deserialize_with = "duration")]
    pub remote_timeout: Duration,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// What becomes of samples on their way out.
    pub write_relabel_configs: Vec<Relabel>,
    /// How samples wait.
    pub queue_config: QueueConfig,
    /// How often metric families are told.
    pub metadata_config: MetadataConfig,
    /// Send exemplars too.
    pub send_exemplars: bool,
    /// Send native histograms too.
    pub send_native_histograms: bool,
    /// The version of the protocol.
    #[serde(rename = "protobuf_message", deserialize_with = "protobuf_message")]
    pub version: Version,
    /// How requests are made: set by [`super::PrometheusConfig::parse`].
    #[serde(skip)]
    pub http: HttpClientConfig,

    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    oauth2: Option<OAuth2Config>,
    bearer_token: Secret,
    bearer_token_file: String,
    tls_config: TlsConfig,
    follow_redirects: bool,
    /// HTTP/1.1 is spoken whether HTTP/2 may be or not.
    #[serde(rename = "enable_http2")]
    _enable_http2: Option<bool>,
    proxy_url: Secret,
    no_proxy: String,
    proxy_from_environment: bool,
    proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    http_headers: BTreeMap<String, HeaderConfig>,
    sigv4: Option<Ignored>,
    azuread: Option<Ignored>,
    google_iam: Option<Ignored>,
    round_robin_dns: Option<Ignored>,
}

/// `metadata_config`: how often version 1.0 tells what metric families are; version 2.0 does with each series.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataConfig {
    /// Tell it at all.
    pub send: bool,
    /// How often.
    #[serde(deserialize_with = "duration")]
    pub send_interval: Duration,
    /// Families in a request.
    pub max_samples_per_send: usize,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self {
            send: true,
            send_interval: Duration::from_secs(60),
            max_samples_per_send: 2000,
        }
    }
}

fn protobuf_message<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Version, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "prometheus.WriteRequest" => Ok(Version::V1),
        "io.prometheus.write.v2.Request" => Ok(Version::V2),
        other => Err(D::Error::custom(format!(
            "unknown remote write protobuf message {other}, expected prometheus.WriteRequest or io.prometheus.write.v2.Request"
        ))),
    }
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: String::new(),
            remote_timeout: Duration::from_secs(30),
            headers: BTreeMap::new(),
            write_relabel_configs: Vec::new(),
            queue_config: QueueConfig::default(),
            metadata_config: MetadataConfig::default(),
            send_exemplars: false,
            send_native_histograms: false,
            version: Version::V1,
            http: HttpClientConfig::default(),
            basic_auth: None,
            authorization: None,
            bearer_token: Secret::default(),
            bearer_token_file: String::new(),
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            _enable_http2: None,
            proxy_url: Secret::default(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            http_headers: BTreeMap::new(),
            oauth2: None,
            sigv4: None,
            azuread: None,
            google_iam: None,
            round_robin_dns: None,
        }
    }
}

impl RemoteWriteConfig {
    pub(super) fn check(&mut self, index: usize, warnings: &mut Vec<String>) -> Result<(), String> {
        let place = format!("remote_write[{index}]");
        if self.url.is_empty() {
            return Err(format!("{place}: url for remote_write is empty"));
        }
        for name in self.headers.keys() {
            let lower = name.to_ascii_lowercase();
            if lower == "authorization" {
                return Err(format!(
                    "{place}: authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or google_iam parameter"
                ));
            }
            if matches!(
                lower.as_str(),
                "host"
                    | "content-encoding"
                    | "content-length"
                    | "content-type"
                    | "user-agent"
                    | "connection"
                    | "keep-alive"
                    | "proxy-authenticate"
                    | "proxy-authorization"
                    | "www-authenticate"
                    | "accept-encoding"
                    | "x-prometheus-remote-write-version"
            ) {
                return Err(format!(
                    "{place}: {name} is a reserved header, it must not be changed"
                ));
            }
        }
        self.http = HttpClientConfig::new(take_http_keys!(self))
            .map_err(|reason| format!("{place}: {reason}"))?;
        for (key, given) in [
            ("sigv4", &self.sigv4),
            ("azuread", &self.azuread),
            ("google_iam", &self.google_iam),
        ] {
            if given.is_some() {
                warnings.push(format!("{place}: {key} is read and not obeyed"));
            }
        }
        Ok(())
    }

    pub(super) fn scale_durations(&mut self, divisor: f64) {
        for own in [
            &mut self.remote_timeout,
            &mut self.queue_config.batch_send_deadline,
            &mut self.queue_config.min_backoff,
            &mut self.queue_config.max_backoff,
            &mut self.queue_config.sample_age_limit,
            &mut self.metadata_config.send_interval,
        ] {
            scale(own, divisor);
        }
    }
}

/// `otlp`: how OTLP metrics are mapped.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    #[serde(deserialize_with = "translation")]
    translation_strategy: Translation,
    promote_resource_attributes: Vec<String>,
    promote_all_resource_attributes: bool,
    ignore_resource_attributes: Vec<String>,
    keep_identifying_resource_attributes: bool,
    convert_histograms_to_nhcb: bool,
    promote_scope_metadata: bool,
    label_name_underscore_sanitization: Option<Ignored>,
    label_name_preserve_multiple_underscores: Option<Ignored>,
}

fn translation<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Translation, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" | "UnderscoreEscapingWithSuffixes" => Ok(Translation::UnderscoreEscapingWithSuffixes),
        "UnderscoreEscapingWithoutSuffixes" => Ok(Translation::UnderscoreEscapingWithoutSuffixes),
        "NoUTF8EscapingWithSuffixes" => Ok(Translation::NoUtf8EscapingWithSuffixes),
        "NoTranslation" => Ok(Translation::NoTranslation),
        other => Err(D::Error::custom(format!(
            "unsupported OTLP translation strategy {other:?}"
        ))),
    }
}

impl OtlpConfig {
    pub(super) fn resolve(self, warnings: &mut Vec<String>) -> Result<Self, String> {
        for (key, given) in [
            (
                "label_name_underscore_sanitization",
                &self.label_name_underscore_sanitization,
            ),
            (
                "label_name_preserve_multiple_underscores",
                &self.label_name_preserve_multiple_underscores,
            ),
        ] {
            if given.is_some() {
                warnings.push(format!("otlp: {key} is read and not obeyed"));
            }
        }
        if self.promote_all_resource_attributes && !self.promote_resource_attributes.is_empty() {
            return Err(
                "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously"
                    .to_owned(),
            );
        }
        if !self.promote_all_resource_attributes && !self.ignore_resource_attributes.is_empty() {
            return Err(
                "'ignore_resource_attributes' cannot be configured unless 'promote_all_resource_attributes' is true"
                    .to_owned(),
            );
        }
        Ok(self)
    }

    /// The options of the decoder.
    pub fn options(&self) -> MetricOptions {
        MetricOptions {
            translation: self.translation_strategy,
            promote_resource_attributes: self.promote_resource_attributes.iter().cloned().collect(),
            promote_all_resource_attributes: self.promote_all_resource_attributes,
            ignore_resource_attributes: self.ignore_resource_attributes.iter().cloned().collect(),
            keep_identifying_resource_attributes: self.keep_identifying_resource_attributes,
            convert_histograms_to_nhcb: self.convert_histograms_to_nhcb,
            promote_scope_metadata: self.promote_scope_metadata,
        }
    }
}

/// `storage`: how samples are kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// The store of samples.
    pub tsdb: TsdbConfig,
    /// The store of exemplars.
    pub exemplars: ExemplarsConfig,
}

impl StorageConfig {
    pub(super) fn warn(&self, warnings: &mut Vec<String>) {
        for (key, given) in [
            ("retention.percentage", &self.tsdb.retention.percentage),
            (
                "stale_series_compaction_threshold",
                &self.tsdb.stale_series_compaction_threshold,
            ),
        ] {
            if given.is_some() {
                warnings.push(format!("storage.tsdb: {key} is read and not obeyed"));
            }
        }
    }

    pub(super) fn scale_durations(&mut self, divisor: f64) {
        scale(&mut self.tsdb.out_of_order_time_window, divisor);
        scale(&mut self.tsdb.retention.time, divisor);
    }
}

/// `storage.tsdb`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TsdbConfig {
    /// How much older than the newest sample of its series a sample may be.
    #[serde(deserialize_with = "duration")]
    pub out_of_order_time_window: Duration,
    /// How long samples are kept.
    pub retention: RetentionConfig,
    stale_series_compaction_threshold: Option<Ignored>,
}

/// `storage.tsdb.retention`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// How long samples are kept; zero is the default of the store.
    #[serde(deserialize_with = "duration")]
    pub time: Duration,
    /// How many bytes are kept; zero is without limit.
    #[serde(deserialize_with = "bytes")]
    pub size: u64,
    percentage: Option<Ignored>,
}

/// `storage.exemplars`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExemplarsConfig {
    /// How many exemplars are kept in all, none for zero and less; without it the store has its default.
    pub max_exemplars: Option<i64>,
}
