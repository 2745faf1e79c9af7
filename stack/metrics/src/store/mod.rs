//! Series in memory: append, select, forget.

mod bits;
mod cardinality;
mod chunk;
mod durable;
mod index;
mod memory;
mod persist;
mod series;
mod summary;
mod tap;

pub(crate) use series::{Newest, Series};
pub(crate) use summary::{Summary, WindowTotals};

pub use cardinality::{Cardinality, NamedCount};
pub use durable::Maintenance;
pub use memory::{
    AppendError, AppendStats, ExemplarSeries, SeriesRef, Store, StoreConfig, StoreStats,
};
pub use tap::{Tapped, TappedValue};
