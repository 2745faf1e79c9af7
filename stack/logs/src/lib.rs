//! The log store and LogQL.
