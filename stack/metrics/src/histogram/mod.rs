//! What can be computed from histograms, native and classic.

mod buckets;
mod classic;
mod estimate;
mod native;
mod text;
mod trim;

pub(crate) use classic::{ClassicBucket, ForcedMonotonicity, bucket_fraction, bucket_quantile};
pub(crate) use estimate::{NanNote, fraction, quantile, variance};
pub(crate) use native::{IncompatibleSchema, Native, detect_reset, equals};
pub(crate) use text::format_g;
pub(crate) use trim::trim;

pub use native::CUSTOM_BUCKETS_SCHEMA;
pub use text::histogram_text;

pub use buckets::{Bucket, buckets};
