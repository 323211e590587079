//! The answer to whether all is well, for Kubernetes' probes.

use crate::config::General;
use crate::{Result, mount};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How long all repositories together may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Checks that every repository is mounted and lists.
///
/// # Errors
/// One is not or does not; names each that is the matter.
pub fn probe(general: &General) -> Result<()> {
    let (tell, told) = mpsc::channel();
    for fqrn in &general.repositories {
        let (tell, fqrn, path) = (tell.clone(), fqrn.clone(), general.mounts.join(fqrn));
        // on a thread of its own: a file system that hangs takes only that along
        std::thread::spawn(move || tell.send((fqrn, lists(&path))));
    }
    let (mut wrong, mut waiting) = (Vec::new(), general.repositories.clone());
    let end = std::time::Instant::now() + PATIENCE;
    while !waiting.is_empty() {
        let Ok((fqrn, outcome)) = told.recv_timeout(end.saturating_duration_since(std::time::Instant::now())) else {
            wrong.push(format!("no answer within {} s: {}", PATIENCE.as_secs(), waiting.join(", ")));
            break;
        };
        waiting.retain(|other| *other != fqrn);
        wrong.extend(outcome.err());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn lists(path: &Path) -> Result<()> {
    let shown = path.display();
    // lists first: that a mount is in the table does not mean that somebody serves it
    let listed = std::fs::read_dir(path).and_then(|mut entries| entries.next().transpose());
    listed.map_err(|error| format!("{shown} does not list: {error}"))?;
    if mount::is_mounted(path) { Ok(()) } else { Err(format!("nothing is mounted at {shown}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mounted_is_named() {
        let mounts = std::env::temp_dir().join(format!("cvmfs-probe-{}", std::process::id()));
        std::fs::create_dir_all(mounts.join("b.example.org")).unwrap();
        let repositories = vec!["a.example.org".into(), "b.example.org".into()];
        let general = General { repositories, cache: "/".into(), quota: None, mounts: mounts.clone() };
        let error = probe(&general).unwrap_err();
        assert!(error.contains("a.example.org does not list"), "{error}");
        assert!(error.contains("nothing is mounted at") && error.contains("b.example.org"), "{error}");
        std::fs::remove_dir_all(mounts).unwrap();
    }
}
