//! The series store and PromQL.
