//! Objects: what a repository is made of, each named by the hash of how it is stored.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use libdeflater::{DecompressionError, Decompressor};
use rustix::process::setpriority_process;
use sha1::{Digest, Sha1};

use crate::cache::Cache;
use crate::catalog::Part;
use crate::error::{Error, Result};
use crate::log;
use crate::transport::Transport;

/// Of what waits for its turn to be written into the cache, in memory, in bytes; who fetches more writes it himself.
const MOST_TO_KEEP: usize = 64 << 20;
/// As `nice` counts.
const LOWER_PRIORITY: i32 = 10;
/// No object holds more bytes.
const LARGEST: usize = 1 << 30;

/// What an object is, which its name ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The content of a file.
    Content,
    /// A part of the content of a file.
    Chunk,
    /// A catalog.
    Catalog,
    /// A certificate.
    Certificate,
}

/// The name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    /// The SHA-1 of what is stored.
    pub hash: [u8; 20],
    /// What it is.
    pub kind: Kind,
    /// Whether it is stored as a zlib stream; else it is stored as it is.
    pub is_compressed: bool,
}

impl Object {
    /// Returns the object of a hash in hexadecimal digits.
    pub fn named(digits: &str, kind: Kind) -> std::result::Result<Self, String> {
        let hash = unhex(digits).ok_or_else(|| format!("{digits} is no SHA-1, which alone is understood"))?;
        Ok(Self { hash, kind, is_compressed: true })
    }

    /// Returns its path below the URL of a repository, and below the folder of a cache.
    pub fn path(&self) -> String {
        let digits = hex(&self.hash);
        let suffix = match self.kind {
            Kind::Content => "",
            Kind::Chunk => "P",
            Kind::Catalog => "C",
            Kind::Certificate => "X",
        };
        format!("data/{}/{}{suffix}", &digits[..2], &digits[2..])
    }

    /// Returns what an object holds that is stored so, if it is this one. It is unpacked once where its size is known.
    fn unpack(&self, stored: Vec<u8>, size: usize) -> std::result::Result<Vec<u8>, String> {
        if Sha1::digest(&stored)[..] != self.hash {
            return Err(format!("corrupt object: {} bytes with another hash", stored.len()));
        }
        if !self.is_compressed {
            return Ok(stored);
        }
        let mut content = vec![0; size];
        loop {
            match Decompressor::new().zlib_decompress(&stored, &mut content) {
                Ok(size) => {
                    content.truncate(size);
                    return Ok(content);
                }
                Err(DecompressionError::InsufficientSpace) if content.len() < LARGEST => {
                    content = vec![0; LARGEST.min(4 * content.len().max(stored.len()))];
                }
                Err(error) => return Err(format!("no zlib stream: {error}")),
            }
        }
    }
}

/// The objects of a repository: those of its cache, and of its servers.
pub struct Objects {
    /// The servers.
    pub transport: Transport,
    kept: Arc<Kept>,
    to_keep: Sender<(Object, Arc<Vec<u8>>)>,
}

/// What was fetched, and verified.
struct Kept {
    cache: Cache,
    arriving: Arriving,
    /// Bytes that wait to be written into the cache.
    waiting: AtomicUsize,
}

/// What is on its way into the cache: nothing yet where it is being fetched, else what it holds.
#[derive(Default)]
struct Arriving {
    objects: Mutex<HashMap<Object, Option<Arc<Vec<u8>>>>>,
    changed: Condvar,
}

/// What an object holds, to be read from any thread.
pub enum Opened {
    /// It is in the cache.
    Kept(File),
    /// It has just come.
    New(Arc<Vec<u8>>),
}

impl Opened {
    /// Reads a part of it, all of which must be there.
    pub fn read_exact_at(&self, part: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Kept(file) => file.read_exact_at(part, offset),
            Self::New(content) => {
                let rest = usize::try_from(offset).ok().and_then(|start| content.get(start..));
                let found = rest.and_then(|rest| rest.get(..part.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
                part.copy_from_slice(found);
                Ok(())
            }
        }
    }
}

impl Objects {
    /// Returns the objects of a cache and of servers.
    pub fn new(cache: Cache, transport: Transport) -> Self {
        let (to_keep, keeping) = channel();
        let kept = Arc::new(Kept { cache, arriving: Arriving::default(), waiting: AtomicUsize::default() });
        let keeper = kept.clone();
        thread::spawn(move || keeper.keep_all(&keeping));
        Self { kept, transport, to_keep }
    }

    /// Opens what a part of a file holds. Who wants the same one waits for it, and fetches nothing.
    pub fn open(&self, part: &Part) -> Result<Opened> {
        self.open_sized(&part.object, part.size)
    }

    fn open_sized(&self, object: &Object, size: u64) -> Result<Opened> {
        let Kept { cache, arriving, .. } = &*self.kept;
        if let Some(file) = cache.open(object) {
            return Ok(Opened::Kept(file));
        }
        if let Some(content) = arriving.begin(object) {
            return Ok(Opened::New(content));
        }
        // It is ours to fetch, unless it came into the cache after we looked there.
        if let Some(file) = cache.open(object) {
            arriving.end(object);
            return Ok(Opened::Kept(file));
        }
        let size = usize::try_from(size).map_or(LARGEST, |size| size.min(LARGEST));
        let fetched = self.transport.fetch(&object.path(), |stored| object.unpack(stored, size));
        let content = Arc::new(fetched.inspect_err(|_| arriving.end(object))?);
        arriving.arrived(object, &content);
        self.keep(object, &content);
        Ok(Opened::New(content))
    }

    /// Has what has come written into the cache soon, or at once what is wanted from there.
    fn keep(&self, object: &Object, content: &Arc<Vec<u8>>) {
        let is_file = matches!(object.kind, Kind::Catalog | Kind::Certificate);
        if is_file || !self.kept.may_wait(content.len()) {
            self.kept.keep(object, content);
        } else {
            let _ = self.to_keep.send((*object, content.clone())); // its receiver is there as long as we are
        }
    }

    /// Whether an object is there, or on its way.
    pub fn has(&self, object: &Object) -> bool {
        self.kept.cache.has(object) || self.kept.arriving.objects.lock().unwrap().contains_key(object)
    }

    /// Fetches an object that nobody has asked for, if the cache has that much room; returns whether it may go on so.
    pub fn fetch_ahead(&self, part: &Part, room: u64) -> bool {
        let waiting = self.kept.waiting.load(Ordering::Relaxed) as u64;
        let has_room = || self.kept.cache.has_room(room + waiting);
        self.has(&part.object) || self.transport.is_answering() && has_room() && self.open(part).is_ok()
    }

    /// Opens the file of the cache that has what an object holds.
    pub fn file(&self, object: &Object) -> Result<File> {
        if let Opened::Kept(file) = self.open_sized(object, 0)? {
            return Ok(file);
        }
        self.kept.arriving.wait(object);
        let lost = || Error::Refused(format!("{}: the cache does not keep it", object.path()));
        self.kept.cache.open(object).ok_or_else(lost)
    }

    /// Returns the cache.
    pub fn cache(&self) -> &Cache {
        &self.kept.cache
    }
}

impl Kept {
    /// Whether so much more may wait in memory; then it counts as waiting.
    fn may_wait(&self, size: usize) -> bool {
        let add = |waiting: usize| waiting.checked_add(size).filter(|sum| *sum <= MOST_TO_KEEP);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Writes into the cache what waits for that, while nobody needs the processor more.
    fn keep_all(&self, waiting: &Receiver<(Object, Arc<Vec<u8>>)>) {
        let _ = setpriority_process(None, LOWER_PRIORITY); // of this thread alone
        for (object, content) in waiting {
            self.keep(&object, &content);
            self.waiting.fetch_sub(content.len(), Ordering::Relaxed);
        }
    }

    fn keep(&self, object: &Object, content: &[u8]) {
        if let Err(error) = self.cache.insert(object, content) {
            log::say(format_args!("{} is not kept: {error}", object.path()));
        }
        self.arriving.end(object);
    }
}

impl Arriving {
    /// Returns an object that has come, once it has if it is being fetched; none if the caller is to fetch it.
    fn begin(&self, object: &Object) -> Option<Arc<Vec<u8>>> {
        let objects = self.objects.lock().unwrap();
        let mut objects = self.changed.wait_while(objects, |all| matches!(all.get(object), Some(None))).unwrap();
        objects.entry(*object).or_default().clone()
    }

    /// Waits until an object is in the cache, or could not be written there.
    fn wait(&self, object: &Object) {
        let objects = self.objects.lock().unwrap();
        drop(self.changed.wait_while(objects, |all| all.contains_key(object)).unwrap());
    }

    fn arrived(&self, object: &Object, content: &Arc<Vec<u8>>) {
        self.objects.lock().unwrap().insert(*object, Some(content.clone()));
        self.changed.notify_all();
    }

    fn end(&self, object: &Object) {
        self.objects.lock().unwrap().remove(object);
        self.changed.notify_all();
    }
}

/// Returns bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the 20 bytes of 40 hexadecimal digits.
pub fn unhex(digits: &str) -> Option<[u8; 20]> {
    if digits.len() != 40 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_what_is_being_fetched_waits_for_it() {
        let (arriving, object) =
            (Arriving::default(), Object { hash: [0; 20], kind: Kind::Chunk, is_compressed: true });
        assert!(arriving.begin(&object).is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| arriving.begin(&object));
            thread::yield_now();
            arriving.arrived(&object, &Arc::new(b"content".to_vec()));
            assert_eq!(other.join().unwrap().unwrap()[..], *b"content");
        });
        arriving.end(&object);
        assert!(arriving.begin(&object).is_none()); // it is theirs to fetch, had the cache lost it
    }

    #[test]
    fn an_object_is_unpacked_whatever_its_size_is_said_to_be() {
        let content = vec![0; 100_000];
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
        let mut stored = vec![0; compressor.zlib_compress_bound(content.len())];
        let size = compressor.zlib_compress(&content, &mut stored).unwrap();
        stored.truncate(size);
        let object = Object { hash: Sha1::digest(&stored).into(), kind: Kind::Content, is_compressed: true };
        for size in [0, 1, 99_999, 100_000, 1_000_000] {
            assert!(object.unpack(stored.clone(), size).unwrap() == content, "{size}");
        }
        let cut = stored[..stored.len() - 1].to_vec();
        let object = Object { hash: Sha1::digest(&cut).into(), ..object };
        assert!(object.unpack(cut, 100_000).unwrap_err().starts_with("no zlib stream"));
    }

    #[test]
    fn nothing_is_read_past_an_end() {
        let (opened, mut part) = (Opened::New(Arc::new(b"content".to_vec())), [0; 3]);
        opened.read_exact_at(&mut part, 4).unwrap();
        assert_eq!(part, *b"ent");
        for offset in [5, 8, u64::MAX] {
            assert!(opened.read_exact_at(&mut part, offset).is_err(), "{offset}");
        }
    }
}
