//! CernVM-FS client: mounts signed repositories below `/cvmfs`, read-only, and reads nothing that it has not checked.
//!
//! From the configuration to the kernel: [`config`] reads what is wanted, [`address`] chooses servers and proxies,
//! [`fetch`] downloads, [`trust`] checks signatures, [`cache`] keeps checked objects, [`catalog`] reads a revision's
//! tree, [`filesystem`] answers the kernel, [`repository`] keeps one repository mounted and up to date.

pub mod address;
pub mod cache;
pub mod catalog;
pub mod config;
pub mod fetch;
pub mod filesystem;
pub mod flight;
pub mod handle;
pub mod inodes;
pub mod log;
pub mod mount;
pub mod object;
pub mod probe;
pub mod repository;
pub mod statistics;
pub mod trust;

/// An outcome whose error is a sentence for the log: the fact, the values and, where there is one, the remedy.
pub type Result<T> = std::result::Result<T, String>;

/// A lock's content, also after a thread panicked with it: the panic hook has ended the process by then.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
