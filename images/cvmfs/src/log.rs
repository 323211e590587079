//! Lines on standard error, each with the name of the repository that it is about.

use std::fmt::Display;
use std::io::Write;
use std::sync::OnceLock;

static REPOSITORY: OnceLock<String> = OnceLock::new();

/// Says which repository this process is for.
pub fn name(fqrn: &str) {
    let _ = REPOSITORY.set(fqrn.to_owned()); // once: a process is for one
}

/// Writes a line about the repository of this process.
pub fn say(line: impl Display) {
    say_of(REPOSITORY.get().map_or("cvmfs-client", String::as_str), line);
}

/// Writes a line about a repository.
pub fn say_of(fqrn: &str, line: impl Display) {
    // At once, since all processes write to the same place. Where nobody reads it, there is nobody to tell that.
    let _ = std::io::stderr().write_all(format!("{fqrn}: {line}\n").as_bytes());
}
