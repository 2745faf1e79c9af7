//! The engine: trees and a store to values.

mod aggregate;
mod binary;
mod call;
mod error;
mod eval;
mod extended;
mod group;
mod histogram_call;
mod info;
mod labels;
mod notes;
mod over_time;
mod rate;
mod selector;
mod series;
mod value;
mod vector;

mod engine_api;

pub use engine_api::{Engine, EngineConfig};
pub use error::QueryError;
pub use value::{InstantSample, Point, QueryOutput, RangeSeries, SampleValue, Value};
