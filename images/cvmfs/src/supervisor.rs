//! Keeps a process for each repository, so that none takes another with it.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Condvar, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::config::Config;
use crate::error::{Context, Result};
use crate::log;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct State {
    running: BTreeMap<String, Pid>,
    is_ending: bool,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static ENDED: Condvar = Condvar::new();

/// Mounts all repositories; returns when it was told to end, and they are unmounted.
pub fn run() -> Result<()> {
    let repositories = Config::read(None)?.repositories()?;
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("signals")?;
    for fqrn in repositories {
        thread::spawn(move || keep(&fqrn));
    }
    signals.wait().context("signals")?;
    let mut state = STATE.lock().unwrap();
    state.is_ending = true;
    for process in state.running.values() {
        let _ = kill(*process, Signal::SIGTERM); // it may just have ended
    }
    drop(ENDED.wait_while(state, |state| !state.running.is_empty()));
    Ok(())
}

/// Starts the process of a repository, and again when it ends: after a pause, which grows while it fails at once.
fn keep(fqrn: &str) {
    let mut pause = FIRST_PAUSE;
    loop {
        let start = Instant::now();
        let Some(child) = begin(fqrn) else { return };
        let end = child.and_then(|child| wait(fqrn, child));
        if STATE.lock().unwrap().is_ending {
            return;
        }
        if start.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        let reason = end.map_or_else(|error| error.to_string(), |status| status.to_string());
        log::say_of(
            fqrn,
            format_args!("its process has ended ({reason}); the next one comes in {} s", pause.as_secs()),
        );
        thread::sleep(pause);
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}

/// Starts a process, unless all are to end.
fn begin(fqrn: &str) -> Option<std::io::Result<Child>> {
    let mut state = STATE.lock().unwrap();
    if state.is_ending {
        return None;
    }
    let child = Command::new("/proc/self/exe").arg(fqrn).spawn();
    if let Ok(child) = &child {
        state.running.insert(fqrn.to_owned(), Pid::from_raw(child.id().cast_signed()));
    }
    Some(child)
}

fn wait(fqrn: &str, mut child: Child) -> std::io::Result<ExitStatus> {
    let status = child.wait();
    STATE.lock().unwrap().running.remove(fqrn);
    ENDED.notify_all();
    status
}
