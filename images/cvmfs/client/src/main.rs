//! `cvmfs-client`: mounts the configured repositories and stays in front; `cvmfs-client --probe` tells whether they are there.

use cvmfs_client::cache::Cache;
use cvmfs_client::config::{self, Config};
use cvmfs_client::{Result, log, mount, probe, repository};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const USAGE: &str = "\
usage: cvmfs-client [--config FOLDER] [--probe]
Mounts the repositories that FOLDER/default.local names (default: /etc/cvmfs) and keeps them mounted.
  --probe    end at once, with 0 if every repository is mounted and lists, or else with 1";

/// How long to wait for another process to let go of the cache, before trying again.
const CACHE_WAIT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let (mut folder, mut probes, mut words) = (PathBuf::from(config::FOLDER), false, std::env::args().skip(1));
    while let Some(word) = words.next() {
        match (word.as_str(), &mut words) {
            ("--probe", _) => probes = true,
            ("--config", rest) => folder = rest.next().unwrap_or_default().into(),
            ("--help", _) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("cvmfs-client does not know {word}\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let outcome = Config::read(&folder, environment)
        .and_then(|config| if probes { probe::probe(&config.general()?) } else { run(config) });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            log::general(&what);
            ExitCode::FAILURE
        }
    }
}

/// Mounts all repositories and waits to be told to end.
fn run(config: Config) -> Result<()> {
    let general = config.general()?;
    prepare_process();
    let endings = signals(); // before there are threads, which inherit what is blocked
    let mounts = general.mounts.clone();
    let repositories = general.repositories.clone();
    std::thread::spawn(move || {
        let cache = open_cache(&general);
        for fqrn in general.repositories {
            let (config, cache, mounts) = (config.clone(), cache.clone(), general.mounts.clone());
            std::thread::spawn(move || repository::keep(&fqrn, &config, &cache, &mounts));
        }
    });
    let mut number = 0;
    // SAFETY: both point to what lives until the call returns
    unsafe { libc::sigwait(&raw const endings, &raw mut number) };
    repository::ENDING.store(true, Relaxed);
    log::general(&format!("signal {number}: unmounting"));
    for fqrn in repositories {
        let point = mounts.join(&fqrn);
        if mount::is_mounted(&point)
            && let Err(error) = mount::detach(&point)
        {
            log::event(&fqrn, &format!("{} cannot be unmounted: {error}", point.display()));
        }
    }
    Ok(())
}

/// Opens the cache, as soon as a predecessor that is ending has let go of it.
fn open_cache(general: &config::General) -> Arc<Cache> {
    loop {
        match Cache::new(&general.cache, general.quota) {
            Ok(cache) => return cache,
            Err(what) => log::general(&what),
        }
        std::thread::sleep(CACHE_WAIT);
    }
}

/// Makes this process fit to be the first of a container, with many threads and files.
fn prepare_process() {
    std::panic::set_hook(Box::new(|panic| {
        // the kubelet starts us again, and then the dead mounts heal; a thread missing would be for ever
        eprintln!("cvmfs: client: this is an error in the client: {panic}");
        std::process::abort();
    }));
    // SAFETY: calls of the C library with values that live until they return
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN); // orphans that end up here leave no zombies
        libc::mallopt(libc::M_ARENA_MAX, 2); // threads would keep a heap each
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20); // their large buffers take no memory before they are used
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Blocks the signals that end us, and returns them.
fn signals() -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before it is used
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        set
    }
}
