//! What a client tells of itself, as extended attributes under the official client's names: `user.rx`, `user.revision`…

use crate::fetch::Network;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Counts for one mounted repository.
pub struct Statistics {
    /// Since when it is mounted.
    pub since: Instant,
    /// Requests that were answered with an input/output error.
    pub errors: AtomicU64,
    /// Files that were opened.
    pub opened: AtomicU64,
}

impl Statistics {
    /// Counts from zero.
    pub fn new() -> Self {
        Self { since: Instant::now(), errors: AtomicU64::new(0), opened: AtomicU64::new(0) }
    }
}

impl Default for Statistics {
    fn default() -> Self {
        Self::new()
    }
}

/// What the attributes are made from.
pub struct Facts<'a> {
    /// Fully qualified repository name.
    pub fqrn: &'a str,
    /// Number of the mounted revision.
    pub revision: u32,
    /// Name of its root catalog.
    pub root: String,
    /// When a new revision is looked for.
    pub expires: Instant,
    /// The servers.
    pub network: &'a Network,
    /// The counts.
    pub statistics: &'a Statistics,
}

impl Facts<'_> {
    /// Returns the value of an extended attribute; `None` if there is none of this name.
    pub fn value(&self, name: &str) -> Option<String> {
        let routes = self.network.routes();
        let current = || routes.usable().first().map_or(&routes.all()[0], |number| routes.route(*number));
        let counters = &self.network.counters;
        Some(match name.strip_prefix("user.")? {
            "fqrn" => self.fqrn.into(),
            "revision" => self.revision.to_string(),
            "root_hash" => self.root.clone(),
            "expires" => (self.expires.saturating_duration_since(Instant::now()).as_secs() / 60).to_string(), // minutes
            "host" => current().server.clone(),
            "proxy" => current().proxy.to_string(),
            "rx" => (counters.bytes.load(Relaxed) >> 10).to_string(), // KB, as for the official client
            "rx_bytes" => counters.bytes.load(Relaxed).to_string(),   // ours: exact
            "ndownload" => counters.downloads.load(Relaxed).to_string(),
            "nioerr" => self.statistics.errors.load(Relaxed).to_string(),
            "nopen" => self.statistics.opened.load(Relaxed).to_string(),
            "pid" => std::process::id().to_string(),
            "uptime" => (self.statistics.since.elapsed().as_secs() / 60).to_string(), // minutes
            "version" => concat!("cvmfs-client ", env!("CARGO_PKG_VERSION")).into(),
            _ => return None,
        })
    }
}
