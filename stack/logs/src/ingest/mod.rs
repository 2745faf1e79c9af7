//! What happens to a line before it is stored.

mod level;
mod otlp;
mod service_name;

pub(crate) use level::{DETECTED_LEVEL, detect_level, level_of_labels};
pub(crate) use otlp::{entry_of, shared_metadata, stream_of};
pub(crate) use service_name::discover as discover_service_name;
