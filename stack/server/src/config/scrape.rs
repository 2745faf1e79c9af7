//! What is scraped: one `scrape_config`.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::Labels;
use gameday_wire::exposition::Format;
use serde::Deserialize;
use serde::de::Error as _;

use super::http::{
    Authorization, BasicAuth, HeaderConfig, HttpClientConfig, OAuth2Config, Secret, TlsConfig,
    take_http_keys,
};
use super::sections::Global;
use super::values::{Ignored, bytes, duration, scale};
use crate::relabel::Relabel;

/// A format that a target is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ScrapeProtocol {
    /// Protobuf.
    PrometheusProto,
    /// text 0.0.4.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText0_0_4,
    /// text 1.0.0, which allows UTF-8 names.
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText1_0_0,
    /// OpenMetrics 0.0.1.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText0_0_1,
    /// OpenMetrics 1.0.0.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText1_0_0,
}

impl ScrapeProtocol {
    /// The protocols that are asked for where nothing is said, the dearest first (Prometheus 3).
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText1_0_0,
        Self::OpenMetricsText0_0_1,
        Self::PrometheusText1_0_0,
        Self::PrometheusText0_0_4,
    ];

    /// How an answer in this protocol is read.
    pub const fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => Format::Text,
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => Format::OpenMetrics,
        }
    }

    /// How the Accept header names it; only the newer text formats know about escaping.
    pub fn accept(self, escaping: NameEscaping) -> String {
        let name = match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        };
        match self {
            Self::PrometheusText1_0_0 | Self::OpenMetricsText1_0_0 => {
                format!("{name};escaping={}", escaping.as_str())
            }
            Self::PrometheusProto | Self::PrometheusText0_0_4 | Self::OpenMetricsText0_0_1 => {
                name.to_owned()
            }
        }
    }
}

/// Which names metrics and labels may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameValidation {
    /// Any text.
    #[default]
    Utf8,
    /// Letters, digits and underscores, in names of metrics also colons.
    Legacy,
}

impl NameValidation {
    /// Whether a series may be called so.
    pub fn allows(self, labels: &Labels) -> bool {
        let classic = |name: &str, colons: bool| {
            name.bytes().enumerate().all(|(index, byte)| {
                byte.is_ascii_alphabetic()
                    || byte == b'_'
                    || (colons && byte == b':')
                    || (index > 0 && byte.is_ascii_digit())
            })
        };
        self == Self::Utf8
            || (classic(labels.metric_name(), true)
                && labels.iter().all(|(name, _)| classic(name, false)))
    }
}

/// How a target is asked to write names that the classic grammar does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameEscaping {
    /// As they are, in quotes.
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    /// With an underscore for each other character.
    Underscores,
    /// With `_dot_` for each dot.
    Dots,
    /// With `U__` in front and the codes of other characters.
    Values,
}

impl NameEscaping {
    /// As the Accept header has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// Targets that are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StaticConfig {
    /// Their addresses, `host:port`.
    #[serde(deserialize_with = "addresses")]
    pub targets: Vec<String>,
    /// The labels that all of them have.
    pub labels: Labels,
}

fn addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<String>::deserialize(deserializer)?;
    if let Some(wrong) = list.iter().find(|address| address.contains('/')) {
        return Err(D::Error::custom(format!(
            "{wrong:?} is not a valid hostname"
        )));
    }
    Ok(list)
}

/// Targets in files, which are read again and again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSdConfig {
    /// The files (`.json`, `.yml`, `.yaml`); the last part may hold one `*`.
    pub files: Vec<String>,
    /// How often they are read again.
    #[serde(default = "five_minutes", deserialize_with = "duration")]
    pub refresh_interval: Duration,
}

const fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// One `scrape_config`, with the defaults filled in by [`super::PrometheusConfig::parse`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScrapeConfig {
    /// The name of the job: the label `job` of its targets.
    pub job_name: String,
    /// How often each target is scraped.
    #[serde(deserialize_with = "duration")]
    pub scrape_interval: Duration,
    /// When a scrape has failed.
    #[serde(deserialize_with = "duration")]
    pub scrape_timeout: Duration,
    /// The formats asked for, the dearest first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// How an answer is read whose Content-Type says nothing.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Take native histograms from targets that offer them.
    pub scrape_native_histograms: Option<bool>,
    /// Take the classic buckets of native histograms too.
    pub always_scrape_classic_histograms: Option<bool>,
    /// The path of the metrics.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Parameters of the address.
    pub params: BTreeMap<String, Vec<String>>,
    /// Keep the target's own labels where they clash with those of the configuration.
    pub honor_labels: bool,
    /// Keep the target's own timestamps.
    pub honor_timestamps: bool,
    /// Write stale markers for series that have own timestamps.
    pub track_timestamps_staleness: bool,
    /// Ask for compressed answers.
    pub enable_compression: bool,
    /// Which names are taken; `utf8` where nothing is said.
    pub metric_name_validation_scheme: Option<NameValidation>,
    /// How targets are asked to write names that the classic grammar does not have.
    pub metric_name_escaping_scheme: Option<NameEscaping>,
    /// Write `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` too.
    pub extra_scrape_metrics: Option<bool>,
    /// So many targets that relabelling dropped are remembered; 0 is without limit.
    pub keep_dropped_targets: Option<u64>,
    /// Where the targets are, written down.
    pub static_configs: Vec<StaticConfig>,
    /// Where the targets are, in files.
    pub file_sd_configs: Vec<FileSdConfig>,
    /// What becomes of targets.
    pub relabel_configs: Vec<Relabel>,
    /// What becomes of samples.
    pub metric_relabel_configs: Vec<Relabel>,
    /// An answer may be this large; 0 is without limit.
    #[serde(deserialize_with = "optional_bytes")]
    pub body_size_limit: Option<u64>,
    /// A scrape may yield so many samples after relabelling; 0 is without limit.
    pub sample_limit: Option<u64>,
    /// There may be so many targets; 0 is without limit.
    pub target_limit: Option<u64>,
    /// A series may have so many labels; 0 is without limit.
    pub label_limit: Option<u64>,
    /// A label's name may be this long; 0 is without limit.
    pub label_name_length_limit: Option<u64>,
    /// A label's value may be this long; 0 is without limit.
    pub label_value_length_limit: Option<u64>,
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
    scrape_failure_log_file: Option<Ignored>,
    convert_classic_histograms_to_nhcb: Option<Ignored>,
    native_histogram_bucket_limit: Option<Ignored>,
    native_histogram_min_bucket_factor: Option<Ignored>,
    azure_sd_configs: Option<Ignored>,
    consul_sd_configs: Option<Ignored>,
    digitalocean_sd_configs: Option<Ignored>,
    dns_sd_configs: Option<Ignored>,
    docker_sd_configs: Option<Ignored>,
    dockerswarm_sd_configs: Option<Ignored>,
    ec2_sd_configs: Option<Ignored>,
    eureka_sd_configs: Option<Ignored>,
    gce_sd_configs: Option<Ignored>,
    hetzner_sd_configs: Option<Ignored>,
    http_sd_configs: Option<Ignored>,
    ionos_sd_configs: Option<Ignored>,
    kubernetes_sd_configs: Option<Ignored>,
    kuma_sd_configs: Option<Ignored>,
    lightsail_sd_configs: Option<Ignored>,
    linode_sd_configs: Option<Ignored>,
    marathon_sd_configs: Option<Ignored>,
    nerve_sd_configs: Option<Ignored>,
    nomad_sd_configs: Option<Ignored>,
    openstack_sd_configs: Option<Ignored>,
    ovhcloud_sd_configs: Option<Ignored>,
    puppetdb_sd_configs: Option<Ignored>,
    scaleway_sd_configs: Option<Ignored>,
    serverset_sd_configs: Option<Ignored>,
    stackit_sd_configs: Option<Ignored>,
    triton_sd_configs: Option<Ignored>,
    uyuni_sd_configs: Option<Ignored>,
    vultr_sd_configs: Option<Ignored>,
}

fn optional_bytes<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    bytes(deserializer).map(Some)
}

impl Default for ScrapeConfig {
    fn default() -> Self {
        Self {
            job_name: String::new(),
            scrape_interval: Duration::ZERO,
            scrape_timeout: Duration::ZERO,
            scrape_protocols: Vec::new(),
            fallback_scrape_protocol: None,
            scrape_native_histograms: None,
            always_scrape_classic_histograms: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            body_size_limit: None,
            sample_limit: None,
            target_limit: None,
            label_limit: None,
            label_name_length_limit: None,
            label_value_length_limit: None,
            http: HttpClientConfig::default(),
            basic_auth: None,
            authorization: None,
            bearer_token: Secret::default(),
            bearer_token_file: String::new(),
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            _enable_http2: None,
            keep_dropped_targets: None,
            scrape_failure_log_file: None,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            convert_classic_histograms_to_nhcb: None,
            extra_scrape_metrics: None,
            native_histogram_bucket_limit: None,
            native_histogram_min_bucket_factor: None,
            no_proxy: String::new(),
            proxy_connect_header: BTreeMap::new(),
            proxy_from_environment: false,
            proxy_url: Secret::default(),
            http_headers: BTreeMap::new(),
            oauth2: None,
            azure_sd_configs: None,
            consul_sd_configs: None,
            digitalocean_sd_configs: None,
            dns_sd_configs: None,
            docker_sd_configs: None,
            dockerswarm_sd_configs: None,
            ec2_sd_configs: None,
            eureka_sd_configs: None,
            gce_sd_configs: None,
            hetzner_sd_configs: None,
            http_sd_configs: None,
            ionos_sd_configs: None,
            kubernetes_sd_configs: None,
            kuma_sd_configs: None,
            lightsail_sd_configs: None,
            linode_sd_configs: None,
            marathon_sd_configs: None,
            nerve_sd_configs: None,
            nomad_sd_configs: None,
            openstack_sd_configs: None,
            ovhcloud_sd_configs: None,
            puppetdb_sd_configs: None,
            scaleway_sd_configs: None,
            serverset_sd_configs: None,
            stackit_sd_configs: None,
            triton_sd_configs: None,
            uyuni_sd_configs: None,
            vultr_sd_configs: None,
        }
    }
}

impl ScrapeConfig {
    /// Fills in what the global section says and checks what belongs together.
    pub(super) fn resolve(
        &mut self,
        global: &Global,
        warnings: &mut Vec<String>,
    ) -> Result<(), String> {
        if self.job_name.is_empty() {
            return Err("job_name is empty".to_owned());
        }
        let job = format!("scrape config with job name {:?}", self.job_name);
        if self.scrape_interval.is_zero() {
            self.scrape_interval = global.scrape_interval;
        }
        if self.scrape_timeout > self.scrape_interval {
            return Err(format!(
                "scrape timeout greater than scrape interval for {job}"
            ));
        }
        if self.scrape_timeout.is_zero() {
            self.scrape_timeout = global.scrape_timeout.min(self.scrape_interval);
        }
        if !matches!(self.scheme.as_str(), "http" | "https") {
            return Err(format!(
                "{job}: scheme {:?}, expected \"http\" or \"https\"",
                self.scheme
            ));
        }
        let native = self
            .scrape_native_histograms
            .unwrap_or(global.scrape_native_histograms.unwrap_or(false));
        self.scrape_native_histograms = Some(native);
        self.always_scrape_classic_histograms = self
            .always_scrape_classic_histograms
            .or(global.always_scrape_classic_histograms)
            .or(Some(false));
        if self.scrape_protocols.is_empty() {
            self.scrape_protocols.clone_from(&global.scrape_protocols);
        }
        if self.scrape_protocols.is_empty() {
            if native {
                self.scrape_protocols.push(ScrapeProtocol::PrometheusProto);
            }
            self.scrape_protocols.extend(ScrapeProtocol::DEFAULT);
        }
        for (index, protocol) in self.scrape_protocols.iter().enumerate() {
            if self.scrape_protocols[..index].contains(protocol) {
                return Err(format!(
                    "{job}: duplicated protocol in scrape_protocols: {protocol:?}"
                ));
            }
        }
        for (own, global) in [
            (&mut self.body_size_limit, global.body_size_limit),
            (&mut self.sample_limit, global.sample_limit),
            (&mut self.target_limit, global.target_limit),
            (&mut self.label_limit, global.label_limit),
            (
                &mut self.label_name_length_limit,
                global.label_name_length_limit,
            ),
            (
                &mut self.label_value_length_limit,
                global.label_value_length_limit,
            ),
        ] {
            *own = own.or(global).filter(|limit| *limit > 0);
        }
        self.http = HttpClientConfig::new(take_http_keys!(self))
            .map_err(|reason| format!("{job}: {reason}"))?;
        for own in &self.file_sd_configs {
            check_files(&own.files).map_err(|reason| format!("{job}: {reason}"))?;
        }
        self.resolve_names(global)
            .map_err(|reason| format!("{job}: {reason}"))?;
        self.extra_scrape_metrics = self.extra_scrape_metrics.or(global.extra_scrape_metrics);
        self.keep_dropped_targets = self
            .keep_dropped_targets
            .or(global.keep_dropped_targets)
            .filter(|limit| *limit > 0);
        for key in self.not_obeyed() {
            warnings.push(format!("{job}: {key} is read and not obeyed"));
        }
        Ok(())
    }

    /// Which names are taken and asked for (config, ScrapeConfig.Validate).
    fn resolve_names(&mut self, global: &Global) -> Result<(), String> {
        let validation = self
            .metric_name_validation_scheme
            .or(global.metric_name_validation_scheme)
            .unwrap_or_default();
        let default = match validation {
            NameValidation::Utf8 => NameEscaping::AllowUtf8,
            NameValidation::Legacy => NameEscaping::Underscores,
        };
        let escaping = self
            .metric_name_escaping_scheme
            .or(global.metric_name_escaping_scheme)
            .unwrap_or(default);
        if validation == NameValidation::Legacy && escaping == NameEscaping::AllowUtf8 {
            return Err(
                "metric_name_escaping_scheme is \"allow-utf-8\" but metric_name_validation_scheme is not \"utf8\""
                    .to_owned(),
            );
        }
        self.metric_name_validation_scheme = Some(validation);
        self.metric_name_escaping_scheme = Some(escaping);
        Ok(())
    }

    fn not_obeyed(&self) -> impl Iterator<Item = &'static str> {
        [
            (
                "convert_classic_histograms_to_nhcb",
                &self.convert_classic_histograms_to_nhcb,
            ),
            (
                "native_histogram_bucket_limit",
                &self.native_histogram_bucket_limit,
            ),
            (
                "native_histogram_min_bucket_factor",
                &self.native_histogram_min_bucket_factor,
            ),
            ("scrape_failure_log_file", &self.scrape_failure_log_file),
            ("azure_sd_configs", &self.azure_sd_configs),
            ("consul_sd_configs", &self.consul_sd_configs),
            ("digitalocean_sd_configs", &self.digitalocean_sd_configs),
            ("dns_sd_configs", &self.dns_sd_configs),
            ("docker_sd_configs", &self.docker_sd_configs),
            ("dockerswarm_sd_configs", &self.dockerswarm_sd_configs),
            ("ec2_sd_configs", &self.ec2_sd_configs),
            ("eureka_sd_configs", &self.eureka_sd_configs),
            ("gce_sd_configs", &self.gce_sd_configs),
            ("hetzner_sd_configs", &self.hetzner_sd_configs),
            ("http_sd_configs", &self.http_sd_configs),
            ("ionos_sd_configs", &self.ionos_sd_configs),
            ("kubernetes_sd_configs", &self.kubernetes_sd_configs),
            ("kuma_sd_configs", &self.kuma_sd_configs),
            ("lightsail_sd_configs", &self.lightsail_sd_configs),
            ("linode_sd_configs", &self.linode_sd_configs),
            ("marathon_sd_configs", &self.marathon_sd_configs),
            ("nerve_sd_configs", &self.nerve_sd_configs),
            ("nomad_sd_configs", &self.nomad_sd_configs),
            ("openstack_sd_configs", &self.openstack_sd_configs),
            ("ovhcloud_sd_configs", &self.ovhcloud_sd_configs),
            ("puppetdb_sd_configs", &self.puppetdb_sd_configs),
            ("scaleway_sd_configs", &self.scaleway_sd_configs),
            ("serverset_sd_configs", &self.serverset_sd_configs),
            ("stackit_sd_configs", &self.stackit_sd_configs),
            ("triton_sd_configs", &self.triton_sd_configs),
            ("uyuni_sd_configs", &self.uyuni_sd_configs),
            ("vultr_sd_configs", &self.vultr_sd_configs),
        ]
        .into_iter()
        .filter(|(_, given)| given.is_some())
        .map(|(key, _)| key)
        .collect::<Vec<_>>()
        .into_iter()
    }

    pub(super) fn scale_durations(&mut self, divisor: f64) {
        scale(&mut self.scrape_interval, divisor);
        scale(&mut self.scrape_timeout, divisor);
        for own in &mut self.file_sd_configs {
            scale(&mut own.refresh_interval, divisor);
        }
    }
}

/// Prometheus takes `.json`, `.yml` and `.yaml`, with one `*` in the last part.
pub(super) fn check_files(files: &[String]) -> Result<(), String> {
    if files.is_empty() {
        return Err("file service discovery config must contain at least one path name".to_owned());
    }
    for file in files {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let known = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
            .iter()
            .any(|end| name.ends_with(end));
        if !known || folder.contains('*') || name.matches('*').count() > 1 {
            return Err(format!(
                "path name {file:?} is not valid for file discovery"
            ));
        }
    }
    Ok(())
}
