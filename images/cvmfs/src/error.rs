//! What can go wrong, as far as it matters to whoever asked.

use std::fmt;

/// Why something could not be had.
#[derive(Debug)]
pub enum Error {
    /// No server answered; what was verified before may still serve.
    Unreachable(String),
    /// What is there cannot be trusted or used.
    Refused(String),
}

/// What is there, or why it could not be had.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Unreachable(reason) | Error::Refused(reason) => out.write_str(reason),
        }
    }
}

/// Gives the errors of libraries a place in ours.
pub trait Context<T> {
    /// Refuses, and says what was tried.
    fn context(self, what: &str) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: &str) -> Result<T> {
        self.map_err(|error| Error::Refused(format!("{what}: {error}")))
    }
}
