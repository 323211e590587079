//! One line per event on standard error, with the repository's name.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// How long a line that was written is not written again: a thousand readers of a damaged file say it once.
const QUIET: Duration = Duration::from_secs(60);

/// How many different lines are remembered for that.
const REMEMBERED: usize = 1000;

static WRITTEN: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(Mutex::default);

/// Writes a line about a repository; one that was written within the last minute is left out.
pub fn event(repository: &str, text: &str) {
    let line = format!("cvmfs: {repository}: {text}").replace('\n', " ");
    if is_news(&mut crate::lock(&WRITTEN), &line, Instant::now()) {
        eprintln!("{line}");
    }
}

/// Writes a line that is about no repository in particular.
pub fn general(text: &str) {
    event("client", text);
}

fn is_news(written: &mut HashMap<String, Instant>, line: &str, now: Instant) -> bool {
    if written.get(line).is_some_and(|at| now.duration_since(*at) < QUIET) {
        return false;
    }
    if written.len() >= REMEMBERED {
        written.retain(|_, at| now.duration_since(*at) < QUIET);
    }
    if written.len() >= REMEMBERED {
        written.clear();
    }
    written.insert(line.into(), now);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_written_once_a_minute() {
        let (mut written, start) = (HashMap::new(), Instant::now());
        assert!(is_news(&mut written, "a", start));
        assert!(!is_news(&mut written, "a", start + QUIET / 2));
        assert!(is_news(&mut written, "b", start + QUIET / 2));
        assert!(is_news(&mut written, "a", start + QUIET));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut written, start) = (HashMap::new(), Instant::now());
        for number in 0..3 * REMEMBERED {
            assert!(is_news(&mut written, &number.to_string(), start));
            assert!(written.len() <= REMEMBERED);
        }
    }
}
