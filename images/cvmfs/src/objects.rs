//! Objects: what a repository is made of, each named by the hash of how it is stored.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use flate2::read::ZlibDecoder;
use sha1::{Digest, Sha1};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::log;
use crate::transport::Transport;

/// Of the objects that wait for their turn to be written into the cache, in memory; who fetches more waits, too.
const MOST_TO_KEEP: usize = 2;

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

    /// Returns what an object holds that is stored so, if it is this one.
    fn unpack(&self, stored: Vec<u8>) -> std::result::Result<Vec<u8>, String> {
        if Sha1::digest(&stored)[..] != self.hash {
            return Err(format!("corrupt object: {} bytes with another hash", stored.len()));
        }
        if !self.is_compressed {
            return Ok(stored);
        }
        let mut content = Vec::with_capacity(3 * stored.len());
        ZlibDecoder::new(&stored[..]).read_to_end(&mut content).map_err(|error| format!("no zlib stream: {error}"))?;
        Ok(content)
    }
}

/// The objects of a repository: those of its cache, and of its servers.
pub struct Objects {
    /// What was fetched, and verified.
    pub cache: Arc<Cache>,
    /// The servers.
    pub transport: Transport,
    arriving: Arc<Arriving>,
    to_keep: SyncSender<(Object, Arc<Vec<u8>>)>,
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
        let (cache, arriving) = (Arc::new(cache), Arc::<Arriving>::default());
        let (to_keep, keeping) = sync_channel(MOST_TO_KEEP);
        let objects = Self { cache: cache.clone(), transport, arriving: arriving.clone(), to_keep };
        thread::spawn(move || keep(&keeping, &cache, &arriving));
        objects
    }

    /// Opens what an object holds. Who wants the same one waits for it, and fetches nothing.
    pub fn open(&self, object: &Object) -> Result<Opened> {
        if let Some(file) = self.cache.open(object) {
            return Ok(Opened::Kept(file));
        }
        if let Some(content) = self.arriving.begin(object) {
            return Ok(Opened::New(content));
        }
        // It is ours to fetch, unless it came into the cache after we looked there.
        if let Some(file) = self.cache.open(object) {
            self.arriving.end(object);
            return Ok(Opened::Kept(file));
        }
        let fetched = self.transport.fetch(&object.path(), |stored| object.unpack(stored));
        let content = Arc::new(fetched.inspect_err(|_| self.arriving.end(object))?);
        self.arriving.arrived(object, &content);
        let _ = self.to_keep.send((*object, content.clone())); // its receiver is there as long as we are
        Ok(Opened::New(content))
    }

    /// Whether an object is there, or on its way.
    pub fn has(&self, object: &Object) -> bool {
        self.cache.has(object) || self.arriving.objects.lock().unwrap().contains_key(object)
    }

    /// Fetches an object that nobody has asked for, if the cache has that much room; returns whether it may go on so.
    pub fn fetch_ahead(&self, object: &Object, room: u64) -> bool {
        self.has(object) || self.cache.has_room(room) && self.open(object).is_ok()
    }

    /// Opens the file of the cache that has what an object holds.
    pub fn file(&self, object: &Object) -> Result<File> {
        if let Opened::Kept(file) = self.open(object)? {
            return Ok(file);
        }
        self.arriving.wait(object);
        let lost = || Error::Refused(format!("{}: the cache does not keep it", object.path()));
        self.cache.open(object).ok_or_else(lost)
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

/// Writes what has come into the cache, so that who reads it need not wait for that.
fn keep(keeping: &Receiver<(Object, Arc<Vec<u8>>)>, cache: &Cache, arriving: &Arriving) {
    for (object, content) in keeping {
        if let Err(error) = cache.insert(&object, &content) {
            log::say(format_args!("{} is not kept: {error}", object.path()));
        }
        arriving.end(&object);
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
    fn nothing_is_read_past_an_end() {
        let (opened, mut part) = (Opened::New(Arc::new(b"content".to_vec())), [0; 3]);
        opened.read_exact_at(&mut part, 4).unwrap();
        assert_eq!(part, *b"ent");
        for offset in [5, 8, u64::MAX] {
            assert!(opened.read_exact_at(&mut part, offset).is_err(), "{offset}");
        }
    }
}
