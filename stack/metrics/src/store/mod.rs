//! Series in memory: append, select, forget.

mod index;
mod memory;
mod series;

pub(crate) use series::{Newest, Series};

pub use memory::{
    AppendError, AppendStats, ExemplarSeries, SeriesRef, Store, StoreConfig, StoreStats,
};
