//! Mounts one repository, in a process of its own, until the process is told to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuser::{MountOption, SessionACL};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigSet, Signal};

use crate::config::Config;
use crate::error::{Context, Result};
use crate::filesystem::Files;
use crate::log;
use crate::repository::Repository;

/// A reader that waits for a server holds one; the others go on.
const THREADS: usize = 16;

/// Mounts a repository; returns when it was unmounted.
pub fn run(fqrn: &str) -> Result<()> {
    log::name(fqrn);
    let settings = Config::read(Some(fqrn))?.settings(fqrn)?;
    let point = settings.mount.clone();
    let what = format!("The mount point {}", point.display());
    end_when_told(&point)?;
    detach_stale(&point).context(&what)?;
    std::fs::create_dir_all(&point).context(&what)?;
    let repository = Arc::new(Repository::open(settings)?);
    log::say(format_args!("revision {} is at {}", repository.revision().0.manifest.revision, point.display()));
    let followed = repository.clone();
    std::thread::spawn(move || followed.follow());
    let mut config = fuser::Config::default();
    // Whoever may read the folder may read the repository: it is public, and its owners are nobody here.
    config.acl = SessionACL::All;
    config.mount_options =
        vec![MountOption::RO, MountOption::FSName("cvmfs".into()), MountOption::Subtype(fqrn.to_owned())];
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    fuser::mount2(Files::new(repository), &point, &config).context(&what)
}

/// Unmounts and ends the process when it is told to; all threads that are started later leave the signals to this one.
fn end_when_told(point: &Path) -> Result<()> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("signals")?;
    let point = PathBuf::from(point);
    std::thread::spawn(move || {
        let _ = signals.wait();
        let _ = umount2(&point, MntFlags::MNT_DETACH); // there may be none yet
        std::process::exit(0);
    });
    Ok(())
}

/// Detaches what a predecessor has left that was killed: nobody answers there.
fn detach_stale(point: &Path) -> nix::Result<()> {
    while nix::sys::stat::stat(point) == Err(Errno::ENOTCONN) {
        umount2(point, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}
