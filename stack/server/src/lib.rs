//! The assembly of the embedded stack: receivers, scraper, tickers and the public APIs.

pub mod config;
pub mod receive;
pub mod relabel;
pub mod scrape;
