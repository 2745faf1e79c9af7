//! The trace store and TraceQL.
