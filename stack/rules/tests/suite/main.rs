//! The rules from the outside.

mod files;
mod groups;
mod world;
