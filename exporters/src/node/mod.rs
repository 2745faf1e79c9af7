//! The node exporter: a host's processors, memory, disks, file systems, network and load.
//!
//! ```text
//!   real time:    /proc, /sys, /run/udev  --.
//!                                            Source -> collectors -> exposition
//!   virtual time: a model as /proc text   --'
//! ```
//!
//! A model speaks the kernel's formats, so the same collectors read both: names, types and labels are the same by construction, and
//! those of prometheus/node_exporter for the collectors cpu, stat, meminfo, diskstats, filesystem, netdev, loadavg, pressure, vmstat,
//! uname, time and os.

mod collectors;
mod source;

pub use source::{Source, Volume};

use crate::exposition::Exposition;

/// The exposition of a host in the text format 0.0.4.
pub fn expose(source: &Source) -> String {
    let mut out = Exposition::default();
    collectors::collect_all(source, &mut out);
    out.finish()
}
