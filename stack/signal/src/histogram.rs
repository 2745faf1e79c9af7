//! Native histograms, with float counts.

/// What is known about a counter reset before this histogram (Prometheus model/histogram, CounterResetHint).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterResetHint {
    /// Nothing: it has to be found out from the values.
    #[default]
    Unknown,
    /// There was a reset.
    CounterReset,
    /// There was none.
    NotCounterReset,
    /// A gauge histogram: resets mean nothing.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketSpan {
    /// The gap to the end of the previous span; for the first span the index of its first bucket.
    pub offset: i32,
    /// How many buckets follow.
    pub length: u32,
}

/// A native histogram: exponential buckets of `schema` -4 to 8, or custom bounds with schema -53.
///
/// Bucket counts are absolute (not deltas) and lie one after the other, as the spans place them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What is known about a reset before it.
    pub counter_reset_hint: CounterResetHint,
    /// The resolution: bucket bounds grow by 2^(2^-schema); -53 means `custom_values`.
    pub schema: i32,
    /// The half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// The sum of all observations.
    pub sum: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<BucketSpan>,
    /// The counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<BucketSpan>,
    /// The counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// The upper bounds of custom buckets, ascending, without +Inf; only with schema -53.
    pub custom_values: Vec<f64>,
}
