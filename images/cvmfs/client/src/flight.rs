//! Something that one thread does while others wait for its outcome.

use crate::{Result, lock};
use std::sync::{Condvar, Mutex};

/// One such thing.
#[derive(Default)]
pub struct Flight {
    outcome: Mutex<Option<Result<()>>>,
    landed: Condvar,
}

impl Flight {
    /// Tells those who wait how it went.
    pub fn land(&self, outcome: Result<()>) {
        *lock(&self.outcome) = Some(outcome);
        self.landed.notify_all();
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    /// It went wrong.
    pub fn wait(&self) -> Result<()> {
        let mut outcome = lock(&self.outcome);
        loop {
            match outcome.as_ref() {
                Some(outcome) => return outcome.clone(),
                None => outcome = self.landed.wait(outcome).unwrap_or_else(std::sync::PoisonError::into_inner),
            }
        }
    }
}
