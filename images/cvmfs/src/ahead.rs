//! Reads ahead: who has had to wait for a file soon wants others of its folder, as an import of Python does.
//!
//! What is fetched so is verified and kept as all else. It is little, it pushes nothing out of the cache, and it ends
//! where a server fails; nobody waits for it but who wants the very same object.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::repository::Repository;

/// How many other files of a folder are looked at, and up to which size they are fetched.
const FILES: u32 = 64;
const LARGEST: u64 = 64 << 10;
/// How many are fetched at a time.
const CONNECTIONS: usize = 4;
/// What must be free in the cache, so that there is room for all that are on their way.
const ROOM: u64 = 4 * CONNECTIONS as u64 * LARGEST;
/// Of the files that somebody had to wait for, in a burst; what is more is passed over.
const MOST_WAITING: usize = 16;

/// Fetches files before somebody asks for them.
pub struct Ahead(SyncSender<Vec<u8>>);

impl Ahead {
    /// Begins to read ahead in a repository.
    pub fn new(repository: Arc<Repository>) -> Self {
        let (sender, paths) = sync_channel(MOST_WAITING);
        thread::spawn(move || run(&repository, &paths));
        Self(sender)
    }

    /// Fetches others of the folder of a file, soon.
    pub fn of(&self, path: &[u8]) {
        let _ = self.0.try_send(path.to_vec());
    }
}

fn run(repository: &Repository, paths: &Receiver<Vec<u8>>) {
    for path in paths {
        // What fails is told to whoever reads it.
        let mut objects = repository.others(&path, FILES, LARGEST).unwrap_or_default();
        objects.retain(|object| !repository.objects.has(object));
        thread::scope(|scope| {
            for first in 0..CONNECTIONS.min(objects.len()) {
                let mut part = objects.iter().skip(first).step_by(CONNECTIONS);
                scope.spawn(move || part.all(|object| repository.objects.fetch_ahead(object, ROOM)));
            }
        });
    }
}
