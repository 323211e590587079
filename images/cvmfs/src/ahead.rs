//! Reads ahead: who has had to wait for a file soon wants others of its folder, as an import of Python does, and who
//! reads one chunk after the other soon wants the next.
//!
//! What is fetched so is verified and kept as all else. It is little, it pushes nothing out of the cache, and it ends
//! where a server fails; nobody waits for it but who wants the very same object.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::catalog::{Entry, Part};
use crate::repository::Repository;

/// How many other files of a folder are looked at, and up to which size they are fetched.
const FILES: u32 = 64;
const LARGEST: u64 = 64 << 10;
/// How many are fetched at a time.
const CONNECTIONS: usize = 4;
/// What must be free in the cache, so that there is room for all that are on their way.
const ROOM: u64 = 4 * CONNECTIONS as u64 * LARGEST;
/// The same for shared objects and chunks, of which one is fetched at a time, and how much for one wait.
const LARGEST_PART: u64 = 32 << 20;
const MOST_OF_LIBRARIES: u64 = 64 << 20;
const ROOM_FOR_PARTS: u64 = 2 * LARGEST_PART;
/// Of the files that somebody had to wait for, in a burst; what is more is passed over.
const MOST_WAITING: usize = 16;

/// Fetches files before somebody asks for them.
pub struct Ahead {
    small: SyncSender<Vec<u8>>,
    large: SyncSender<Large>,
}

/// What is fetched apart from small files, which would else wait for it.
enum Large {
    /// The rest of a shared object, and others of its folder.
    Libraries(Vec<u8>),
    /// A chunk.
    Chunk(Part),
}

impl Ahead {
    /// Begins to read ahead in a repository.
    pub fn new(repository: &Arc<Repository>) -> Self {
        let ((small, folders), (large, parts)) = (sync_channel(MOST_WAITING), sync_channel(MOST_WAITING));
        let (first, second) = (repository.clone(), repository.clone());
        thread::spawn(move || fetch_small(&first, &folders));
        thread::spawn(move || fetch_large(&second, &parts));
        Self { small, large }
    }

    /// Fetches small ones of the folder of a file, soon.
    pub fn small(&self, path: &[u8]) {
        let _ = self.small.try_send(path.to_vec());
    }

    /// Fetches shared objects of the folder of a file, if that is one: what a program loads needs others.
    pub fn libraries(&self, path: &[u8]) {
        if is_library(path) {
            let _ = self.large.try_send(Large::Libraries(path.to_vec()));
        }
    }

    /// Fetches a chunk, soon.
    pub fn chunk(&self, part: Part) {
        let _ = self.large.try_send(Large::Chunk(part));
    }
}

/// Whether a name is that of a shared object, with or without its version.
fn is_library(name: &[u8]) -> bool {
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

// What fails is told to whoever reads it.
fn fetch_small(repository: &Repository, folders: &Receiver<Vec<u8>>) {
    for path in folders {
        let entries = repository.others(&path, FILES, LARGEST).unwrap_or_default();
        let mut parts: Vec<_> = entries.iter().filter_map(Entry::whole).collect();
        parts.retain(|part| !repository.objects.has(&part.object));
        thread::scope(|scope| {
            for first in 0..CONNECTIONS.min(parts.len()) {
                let mut own = parts.iter().skip(first).step_by(CONNECTIONS);
                scope.spawn(move || own.all(|part| repository.objects.fetch_ahead(part, ROOM)));
            }
        });
    }
}

fn fetch_large(repository: &Repository, wanted: &Receiver<Large>) {
    for large in wanted {
        let parts = match large {
            Large::Libraries(path) => libraries(repository, &path),
            Large::Chunk(part) => vec![part],
        };
        let mut small_enough = parts.iter().filter(|part| part.size <= LARGEST_PART);
        small_enough.all(|part| repository.objects.fetch_ahead(part, ROOM_FOR_PARTS));
    }
}

/// Returns the parts of a shared object, and of others of its folder, up to a bound.
fn libraries(repository: &Repository, path: &[u8]) -> Vec<Part> {
    let this = repository.entry(path).ok().flatten();
    let others = repository.others(path, FILES, LARGEST_PART).unwrap_or_default();
    let others = others.into_iter().filter(|entry| is_library(&entry.name));
    let parts: Vec<_> = this.into_iter().chain(others).flat_map(|entry| entry.parts().collect::<Vec<_>>()).collect();
    let sum = parts.iter().scan(0, |sum, part| {
        *sum += part.size;
        Some(*sum)
    });
    let count = sum.take_while(|sum| *sum <= MOST_OF_LIBRARIES).count();
    parts[..count].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_a_version_or_none() {
        assert!(
            ["/f/a.so", "/f/a.cpython-311-x86_64-linux-gnu.so", "a.so.5.0.0"]
                .iter()
                .all(|name| is_library(name.as_bytes()))
        );
        assert!(!["/f/a.sort", "a.py", "so"].iter().any(|name| is_library(name.as_bytes())));
    }
}
