//! What the store and its queries accept at most.

use std::time::Duration;

/// Limits of ingestion, storage and queries; the defaults are those of Loki's `limits_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest log line, in bytes (`max_line_size`).
    pub line_bytes_max: usize,
    /// The most labels of one stream (`max_label_names_per_series`).
    pub labels_max: usize,
    /// The longest label name, in bytes (`max_label_name_length`).
    pub label_name_bytes_max: usize,
    /// The longest label value, in bytes (`max_label_value_length`).
    pub label_value_bytes_max: usize,
    /// The most streams at a time (`max_global_streams_per_user`).
    pub streams_max: usize,
    /// The most structured metadata entries of one line (`max_structured_metadata_entries_count`).
    pub metadata_entries_max: usize,
    /// The most bytes of structured metadata of one line (`max_structured_metadata_size`).
    pub metadata_bytes_max: usize,
    /// Whether a stream without `service_name` gets one from another label (`discover_service_name`).
    pub discover_service_name: bool,
    /// Whether each line gets a `detected_level` (`discover_log_levels`).
    pub discover_log_levels: bool,
    /// Lines older than this are refused (`reject_old_samples_max_age`); none accepts any age.
    pub sample_age_max: Option<Duration>,
    /// Lines further than this in the future are refused (`creation_grace_period`).
    pub creation_grace_period: Duration,
    /// How far a line may lie behind the newest of its stream (half of `max_chunk_age`).
    pub out_of_order_window: Duration,
    /// Lines older than this are dropped by [`crate::Store::apply_retention`] (`retention_period`).
    pub retention: Option<Duration>,
    /// The most raw bytes of lines and metadata the store keeps; the oldest blocks go first.
    pub store_bytes_max: Option<u64>,
    /// The most log lines one query returns (`max_entries_limit_per_query`).
    pub query_entries_max: usize,
    /// The most series of one metric query (`max_query_series`).
    pub query_series_max: usize,
    /// The longest time range of one query (`max_query_length`).
    pub query_length_max: Duration,
    /// The most steps of one range query, as Prometheus and Loki have it.
    pub query_points_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes_max: 256 << 10,
            labels_max: 15,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 2048,
            streams_max: 5000,
            metadata_entries_max: 128,
            metadata_bytes_max: 64 << 10,
            discover_service_name: true,
            discover_log_levels: true,
            sample_age_max: Some(Duration::from_secs(7 * 86_400)),
            creation_grace_period: Duration::from_secs(600),
            out_of_order_window: Duration::from_secs(3600),
            retention: None,
            store_bytes_max: None,
            query_entries_max: 5000,
            query_series_max: 500,
            // Loki's default of 30d1h.
            query_length_max: Duration::from_secs(721 * 3600),
            query_points_max: 11_000,
        }
    }
}
