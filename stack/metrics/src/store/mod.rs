//! Series in memory: append, select, forget.

mod bits;
mod chunk;
mod index;
mod memory;
mod series;

pub(crate) use series::{Newest, Series, Summary, WindowTotals};

pub use memory::{
    AppendError, AppendStats, ExemplarSeries, SeriesRef, Store, StoreConfig, StoreStats,
};
