//! Checked, unpacked objects on the disk, within a quota, shared by all repositories.
//!
//! An object's file is named `HASH[KIND].DIGEST`: the object's own name, and the SHA-1 of the unpacked content, by
//! which a file that was damaged on the disk is found when it is first opened. A download has no such name before it is
//! complete and checked. Files go, the least recently used first, when the quota would be exceeded; those in use stay.

use crate::flight::Flight;
use crate::object::{Key, Kind};
use crate::{Result, lock, log};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Bytes that a file takes on the disk are a multiple of this.
const BLOCK: u64 = 4096;

/// A download's space is booked in steps of so many bytes.
const STEP: u64 = 1 << 20;

/// The cache.
pub struct Cache {
    folder: PathBuf,
    quota: u64,
    state: Mutex<State>,
    number: AtomicU64,
    /// Held as long as the process lives: one process uses a folder.
    _lock: File,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// Objects that nobody uses, by the turn of their last use.
    idle: BTreeMap<u64, Key>,
    turn: u64,
    /// Bytes of all entries and of what is being downloaded.
    used: u64,
    /// Objects that a thread downloads, checks or removes.
    busy: HashMap<Key, Arc<Flight>>,
}

struct Entry {
    /// Tells it from a later one of the same object.
    id: u64,
    digest: [u8; 20],
    space: u64,
    users: u32,
    turn: u64,
    /// What the file looked like when this process checked its content; `None` before that.
    checked: Option<Stamp>,
}

/// Tells whether a file was written to: device's file number, size, time of modification.
type Stamp = (u64, u64, i64, i64);

fn stamp(file: &File) -> std::io::Result<Stamp> {
    let status = file.metadata()?;
    Ok((status.ino(), status.size(), status.mtime(), status.mtime_nsec()))
}

/// What to do about a wanted object.
enum Next {
    Open(u64, [u8; 20], Stamp),
    Wait(Arc<Flight>),
    Make(Arc<Flight>, Option<[u8; 20]>),
}

impl Cache {
    /// Opens a cache folder; makes it if it is not there.
    ///
    /// # Arguments
    /// * `quota` - bytes that it may take; `None` is no limit.
    ///
    /// # Errors
    /// Another process uses the folder, or it cannot be written to.
    pub fn new(folder: &Path, quota: Option<u64>) -> Result<Arc<Self>> {
        let failed = |error| format!("the cache {} cannot be used: {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let held = File::create(folder.join("lock")).map_err(failed)?;
        held.try_lock().map_err(|_| {
            format!("another process uses the cache {}. Remedy: end it, or set CVMFS_CACHE_BASE", folder.display())
        })?;
        let _ = fs::remove_dir_all(folder.join("incoming"));
        fs::create_dir_all(folder.join("incoming")).map_err(failed)?;
        for first in 0..=255 {
            fs::create_dir_all(folder.join(format!("data/{first:02x}"))).map_err(failed)?;
        }
        let (quota, state) = (quota.unwrap_or(u64::MAX), Mutex::new(scan(&folder.join("data")).map_err(failed)?));
        let cache = Self { folder: folder.into(), quota, state, number: AtomicU64::new(0), _lock: held };
        cache.make_room();
        Ok(Arc::new(cache))
    }

    /// Returns the path of a small file that is kept for a repository beside the objects.
    pub fn letter(&self, fqrn: &str, name: &str) -> PathBuf {
        self.folder.join("letters").join(fqrn).join(name)
    }

    /// Returns the bytes that the cache takes, and those that it may.
    pub fn usage(&self) -> (u64, u64) {
        (lock(&self.state).used, self.quota)
    }

    /// Opens an object; has it made if it is not there. Threads that want the same object wait for one of them.
    ///
    /// # Arguments
    /// * `fill` - downloads the object, and checks it.
    ///
    /// # Errors
    /// It could not be made.
    pub fn open(self: &Arc<Self>, key: Key, fill: impl Fn(&mut Incoming) -> Result<()>) -> Result<Object> {
        loop {
            match self.next(key) {
                Next::Open(id, digest, expected) => {
                    let user = User { cache: self.clone(), key, id };
                    if let Ok(file) = File::open(self.path(key, &digest))
                        && stamp(&file).is_ok_and(|found| found == expected)
                    {
                        return Ok(Object { file, size: expected.1, _user: user });
                    }
                    self.doubt(key, id);
                }
                Next::Wait(flight) => flight.wait()?,
                Next::Make(flight, digest) => {
                    let outcome = self.make(key, digest, &fill);
                    lock(&self.state).busy.remove(&key);
                    flight.land(outcome.as_ref().map(drop).map_err(String::clone));
                    let (file, size, id) = outcome?;
                    return Ok(Object { file, size, _user: User { cache: self.clone(), key, id } });
                }
            }
        }
    }

    fn next(&self, key: Key) -> Next {
        let state = &mut *lock(&self.state);
        if let Some(flight) = state.busy.get(&key) {
            return Next::Wait(flight.clone());
        }
        if let Some(entry) = state.entries.get_mut(&key)
            && let Some(expected) = entry.checked
        {
            state.idle.remove(&entry.turn);
            entry.users += 1;
            return Next::Open(entry.id, entry.digest, expected);
        }
        let flight = Arc::new(Flight::default());
        state.busy.insert(key, flight.clone());
        Next::Make(flight, state.entries.get(&key).map(|entry| entry.digest))
    }

    /// Has an object's file checked again before it is used.
    fn doubt(&self, key: Key, id: u64) {
        if let Some(entry) = lock(&self.state).entries.get_mut(&key).filter(|entry| entry.id == id) {
            entry.checked = None;
        }
    }

    /// Checks the file that is there, or makes a new one; it is in use from then on. Returns it with size and id.
    fn make(
        self: &Arc<Self>,
        key: Key,
        digest: Option<[u8; 20]>,
        fill: &impl Fn(&mut Incoming) -> Result<()>,
    ) -> Result<(File, u64, u64)> {
        if let Some(digest) = digest {
            let path = self.path(key, &digest);
            if let Some((file, found)) = check(&path, &digest) {
                let state = &mut *lock(&self.state);
                let entry = state.entries.get_mut(&key).expect("a busy object is not removed");
                state.idle.remove(&entry.turn);
                entry.users += 1;
                entry.checked = Some(found);
                return Ok((file, found.1, entry.id));
            }
            log::general(&format!("the cached file {} is damaged; fetching it again", path.display()));
            self.forget(key);
            let _ = fs::remove_file(path);
        }
        let mut incoming = Incoming::new(self.clone())?;
        fill(&mut incoming)?;
        incoming.keep(key)
    }

    fn forget(&self, key: Key) {
        let state = &mut *lock(&self.state);
        if let Some(entry) = state.entries.remove(&key) {
            state.used -= entry.space;
            state.idle.remove(&entry.turn);
        }
    }

    fn path(&self, key: Key, digest: &[u8; 20]) -> PathBuf {
        self.folder.join(format!("{}.{}", key.path(), hex::encode(digest)))
    }

    /// Books space for a download.
    fn book(&self, bytes: u64) {
        lock(&self.state).used += bytes;
        self.make_room();
    }

    /// Removes objects that nobody uses until the quota is held.
    fn make_room(&self) {
        let mut going = Vec::new();
        {
            let state = &mut *lock(&self.state);
            while state.used > self.quota {
                let Some((_, key)) = state.idle.pop_first() else { break };
                if state.busy.contains_key(&key) {
                    continue; // it is being checked, and comes back when it was used
                }
                let entry = state.entries.remove(&key).expect("what is idle is there");
                state.used -= entry.space;
                let flight = Arc::new(Flight::default());
                state.busy.insert(key, flight.clone());
                going.push((key, entry.digest, flight));
            }
            if state.used > self.quota {
                let quota = self.quota >> 20;
                log::general(&format!(
                    "objects in use take more than the cache's quota of {quota} MB. Remedy: a larger CVMFS_QUOTA_LIMIT"
                ));
            }
        }
        for (key, digest, flight) in going {
            let _ = fs::remove_file(self.path(key, &digest));
            lock(&self.state).busy.remove(&key);
            flight.land(Ok(()));
        }
    }

    fn release(&self, key: Key, id: u64) {
        let state = &mut *lock(&self.state);
        state.turn += 1;
        if let Some(entry) = state.entries.get_mut(&key).filter(|entry| entry.id == id) {
            entry.users -= 1;
            entry.turn = state.turn;
            if entry.users == 0 {
                state.idle.insert(state.turn, key);
            }
        }
    }
}

/// Reads what a former process left; files of other names are removed.
fn scan(data: &Path) -> std::io::Result<State> {
    let mut found = Vec::new();
    for folder in fs::read_dir(data)? {
        let folder = folder?;
        for file in fs::read_dir(folder.path())?.flatten() {
            let name = format!("{}{}", folder.file_name().display(), file.file_name().display());
            match (parse(&name), file.metadata()) {
                (Some((key, digest)), Ok(status)) => {
                    found.push((
                        status.atime().max(status.mtime()),
                        key,
                        digest,
                        status.size().next_multiple_of(BLOCK),
                    ));
                }
                _ => fs::remove_file(file.path())?,
            }
        }
    }
    found.sort_unstable();
    let mut state = State::default();
    for (_, key, digest, space) in found {
        state.turn += 1;
        let entry = Entry { id: state.turn, digest, space, users: 0, turn: state.turn, checked: None };
        state.used += space;
        state.idle.insert(state.turn, key);
        if let Some(other) = state.entries.insert(key, entry) {
            state.used -= other.space; // two contents for one object: at most one passes the check
            state.idle.remove(&other.turn);
        }
    }
    Ok(state)
}

fn parse(name: &str) -> Option<(Key, [u8; 20])> {
    let (object, content) = name.split_once('.')?;
    let (hash, suffix) = object.split_at_checked(40)?;
    let mut digest = [0; 20];
    hex::decode_to_slice(content, &mut digest).ok()?;
    Some((Key::parse(hash, Kind::of_suffix(suffix)?).ok()?, digest))
}

/// Returns a file and what it looks like, if it has the content that it should have.
fn check(path: &Path, digest: &[u8; 20]) -> Option<(File, Stamp)> {
    let mut file = File::open(path).ok()?;
    let found = stamp(&file).ok()?;
    let (mut hash, mut buffer) = (Sha1::new(), vec![0; 128 << 10]);
    loop {
        match file.read(&mut buffer).ok()? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    (hash.finalize()[..] == digest[..]).then_some((file, found))
}

/// An object on its way into the cache.
pub struct Incoming {
    cache: Arc<Cache>,
    path: PathBuf,
    file: File,
    hash: Sha1,
    size: u64,
    booked: u64,
}

impl Incoming {
    fn new(cache: Arc<Cache>) -> Result<Self> {
        let path = cache.folder.join(format!("incoming/{}", cache.number.fetch_add(1, Relaxed)));
        let file = File::create_new(&path).map_err(|error| full(&path, &error))?;
        Ok(Self { cache, path, file, hash: Sha1::new(), size: 0, booked: 0 })
    }

    /// Forgets what was written, for another attempt.
    ///
    /// # Errors
    /// The file cannot be emptied.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|error| full(&self.path, &error))?;
        self.hash = Sha1::new();
        self.size = 0;
        Ok(())
    }

    fn keep(mut self, key: Key) -> Result<(File, u64, u64)> {
        let digest: [u8; 20] = self.hash.finalize_reset().into();
        let path = self.cache.path(key, &digest);
        let kept =
            fs::rename(&self.path, &path).and_then(|()| File::open(&path)).and_then(|file| Ok((stamp(&file)?, file)));
        let (found, file) = kept.map_err(|error| full(&path, &error))?;
        let space = self.size.next_multiple_of(BLOCK);
        let state = &mut *lock(&self.cache.state);
        state.used += space;
        state.turn += 1;
        let (id, checked) = (state.turn, Some(found));
        state.entries.insert(key, Entry { id, digest, space, users: 1, turn: id, checked });
        Ok((file, found.1, id))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        lock(&self.cache.state).used -= self.booked;
        let _ = fs::remove_file(&self.path); // not there any more if it was kept
    }
}

impl Write for Incoming {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        while self.size + data.len() as u64 > self.booked {
            self.booked += STEP;
            self.cache.book(STEP);
        }
        let count = self.file.write(data).map_err(|error| std::io::Error::other(full(&self.path, &error)))?;
        self.hash.update(&data[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

fn full(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be written: {error}. Remedy: make room, or a smaller CVMFS_QUOTA_LIMIT", path.display())
}

/// An object in use: it stays in the cache as long as this lives.
pub struct Object {
    file: File,
    size: u64,
    _user: User,
}

impl Object {
    /// Returns the bytes of the unpacked content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from an offset; less than asked for only at the end.
    ///
    /// # Errors
    /// The disk fails.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    /// Returns a path under which this very file can be opened, whatever becomes of the cache.
    pub fn path(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

struct User {
    cache: Arc<Cache>,
    key: Key,
    id: u64,
}

impl Drop for User {
    fn drop(&mut self) {
        self.cache.release(self.key, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cvmfs-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn key(number: u8) -> Key {
        Key { hash: [number; 20], kind: Kind::File }
    }

    fn megabyte(byte: u8) -> impl Fn(&mut Incoming) -> Result<()> {
        move |incoming| incoming.write_all(&vec![byte; 1 << 20]).map_err(|error| error.to_string())
    }

    fn never(_: &mut Incoming) -> Result<()> {
        Err("it should be there".into())
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder.join("data"))
            .unwrap()
            .flat_map(|sub| fs::read_dir(sub.unwrap().path()).unwrap())
            .map(|file| file.unwrap().path())
            .collect()
    }

    #[test]
    fn what_was_made_is_there_also_for_the_next_process() {
        let folder = folder("again");
        for fill in [true, false] {
            let cache = Cache::new(&folder, None).unwrap();
            let object = if fill { cache.open(key(1), megabyte(7)) } else { cache.open(key(1), never) }.unwrap();
            let mut buffer = [0; 10];
            assert_eq!(object.read_at(&mut buffer, (1 << 20) - 4).unwrap(), 4);
            assert_eq!((object.size(), &buffer[..4]), (1 << 20, &[7; 4][..]));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_quota_is_held_and_what_is_in_use_stays() {
        let folder = folder("quota");
        let cache = Cache::new(&folder, Some(4 << 20)).unwrap();
        let used = cache.open(key(0), megabyte(0)).unwrap();
        for number in 1..13 {
            cache.open(key(number), megabyte(number)).unwrap();
            let on_disk: u64 = files(&folder).iter().map(|path| path.metadata().unwrap().size()).sum();
            assert!(on_disk <= 4 << 20 && cache.usage().0 <= 4 << 20, "{on_disk}");
        }
        cache.open(key(0), never).expect("what is in use stays");
        cache.open(key(12), never).expect("what was used last stays");
        assert!(cache.open(key(1), never).is_err(), "what was used first goes");
        drop(used);
        drop(cache);
        Cache::new(&folder, Some(2 << 20)).unwrap();
        assert_eq!(files(&folder).len(), 2, "a smaller quota holds from the start");
        fs::remove_dir_all(folder).unwrap();
    }

    fn damage(file: &Path) {
        let file = File::options().write(true).open(file).unwrap();
        file.write_all_at(b"x", 5000).unwrap();
        // clocks of files are coarse
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9)).unwrap();
    }

    #[test]
    fn files_damaged_on_the_disk_are_made_again() {
        let folder = folder("damage");
        let good = |cache: &Arc<Cache>| {
            let object = cache.open(key(1), megabyte(7)).unwrap();
            let mut buffer = [0];
            object.read_at(&mut buffer, 5000).unwrap();
            buffer == [7]
        };
        let cache = Cache::new(&folder, None).unwrap();
        assert!(good(&cache));
        damage(&files(&folder)[0]);
        assert!(cache.open(key(1), never).is_err(), "found while running");
        assert!(good(&cache));
        drop(cache);
        damage(&files(&folder)[0]);
        let cache = Cache::new(&folder, None).unwrap();
        assert!(cache.open(key(1), never).is_err(), "found after a restart");
        assert!(good(&cache));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn many_readers_make_an_object_once_and_share_a_failure() {
        let folder = folder("flight");
        let cache = Cache::new(&folder, None).unwrap();
        let (made, all) = (AtomicUsize::new(0), std::sync::Barrier::new(8));
        let outcomes: Vec<bool> = std::thread::scope(|scope| {
            let reader = || {
                all.wait();
                let fill = |incoming: &mut Incoming| {
                    made.fetch_add(1, Relaxed);
                    megabyte(1)(incoming)
                };
                cache.open(key(1), fill).is_ok()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(reader)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((outcomes, made.into_inner()), (vec![true; 8], 1));
        assert!(cache.open(key(2), never).is_err());
        assert!(cache.open(key(2), megabyte(2)).is_ok(), "a failure is not remembered");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_download_that_fails_leaves_nothing() {
        let folder = folder("nothing");
        let cache = Cache::new(&folder, None).unwrap();
        let broken = |incoming: &mut Incoming| megabyte(1)(incoming).and(Err("broken".to_string()));
        assert_eq!(cache.open(key(1), broken).err(), Some("broken".into()));
        assert_eq!((files(&folder).len(), cache.usage().0), (0, 0));
        assert_eq!(fs::read_dir(folder.join("incoming")).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_has_one_process_and_no_foreign_files() {
        let folder = folder("one");
        let cache = Cache::new(&folder, None).unwrap();
        assert!(Cache::new(&folder, None).err().unwrap().contains("another process"));
        drop(cache);
        fs::write(folder.join("data/00/left"), "x").unwrap();
        Cache::new(&folder, None).unwrap();
        assert!(files(&folder).is_empty());
        fs::remove_dir_all(folder).unwrap();
    }
}
