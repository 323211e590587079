//! Mounts CVMFS repositories, read-only, and checks all that it reads.
//!
//! usage: cvmfs-client [FQRN]
//!
//! Without a name, it mounts the repositories that CVMFS_REPOSITORIES names, each in a process of its own.

mod ahead;
mod cache;
mod catalog;
mod config;
mod error;
mod filesystem;
mod letters;
mod log;
mod mount;
mod objects;
mod repository;
mod supervisor;
mod transport;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let end = match &arguments[..] {
        [] => supervisor::run(),
        [fqrn] => mount::run(fqrn),
        _ => {
            eprintln!("usage: cvmfs-client [FQRN]");
            return ExitCode::from(2);
        }
    };
    end.map_or_else(
        |error| {
            log::say(error);
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
