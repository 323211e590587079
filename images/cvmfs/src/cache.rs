//! What was fetched and verified, in a folder, within a quota.
//!
//! A file of the cache has the name of its object and the checksum of what it holds: the object's own hash is of what is
//! stored by the server, and a file is kept unpacked. Whoever opens a file that has changed since it was last checked
//! checks it again, so that a damaged one is noticed, and fetched anew.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sha1::{Digest, Sha1};

use crate::error::{Context, Result};
use crate::log;
use crate::objects::{Object, hex, unhex};

/// The cache of a repository.
pub struct Cache {
    folder: PathBuf,
    quota: u64,
    index: Mutex<Index>,
    written: AtomicU64,
}

#[derive(Default)]
struct Index {
    kept: HashMap<String, Kept>,
    bytes: u64,
    uses: u64,
}

#[derive(Clone)]
struct Kept {
    checksum: [u8; 20],
    size: u64,
    used: u64,
    checked: Option<Identity>,
}

/// What differs when a file does: nobody can set the time of a change back.
type Identity = (u64, u64, i64, i64);

impl Cache {
    /// Opens the cache in a folder, which is made where there is none.
    pub fn new(folder: &Path, quota: u64) -> Result<Self> {
        let what = format!("The cache {}", folder.display());
        let _ = fs::remove_dir_all(folder.join("new")); // of a predecessor that was killed
        fs::create_dir_all(folder.join("new")).context(&what)?;
        for first in 0..=255 {
            fs::create_dir_all(folder.join(format!("data/{first:02x}"))).context(&what)?;
        }
        let index = Mutex::new(Index::of(folder).context(&what)?);
        Ok(Self { folder: folder.to_owned(), quota, index, written: AtomicU64::new(0) })
    }

    /// Opens what it has of an object, if that is what was once verified.
    pub fn open(&self, object: &Object) -> Option<File> {
        let name = object.path();
        let kept = self.index.lock().unwrap().used(&name)?;
        let path = self.path(&name, &kept.checksum);
        match self.checked(&path, &kept) {
            Ok((file, identity)) => {
                if let Some(kept) = self.index.lock().unwrap().kept.get_mut(&name) {
                    kept.checked = Some(identity);
                }
                Some(file)
            }
            Err(error) => {
                log::say(format_args!("{} in the cache is lost, and fetched again: {error}", path.display()));
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) {
                    self.index.lock().unwrap().remove(&name);
                    let _ = fs::remove_file(path);
                }
                None
            }
        }
    }

    /// Whether it has an object; it may be found damaged when it is opened.
    pub fn has(&self, object: &Object) -> bool {
        self.index.lock().unwrap().kept.contains_key(&object.path())
    }

    /// Whether so much can come without that anything must go.
    pub fn has_room(&self, size: u64) -> bool {
        self.index.lock().unwrap().bytes + size <= self.quota
    }

    /// Keeps what an object holds, and makes room for it.
    pub fn insert(&self, object: &Object, content: &[u8]) -> Result<()> {
        let (name, checksum): (_, [u8; 20]) = (object.path(), Sha1::digest(content).into());
        let path = self.path(&name, &checksum);
        let file = self.write(&path, content).context(&format!("The cache {}", path.display()))?;
        let checked = file.metadata().ok().map(|info| identity(&info));
        let mut index = self.index.lock().unwrap();
        index.insert(name, checksum, content.len() as u64, checked);
        for (name, checksum) in index.surplus(self.quota) {
            index.remove(&name);
            let _ = fs::remove_file(self.path(&name, &checksum)); // who has it open goes on reading
        }
        Ok(())
    }

    /// Says that an object is still wanted, though nobody opens it.
    pub fn touch(&self, object: &Object) {
        self.index.lock().unwrap().used(&object.path());
    }

    /// Returns the last letter of a name that was good.
    pub fn letter(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    /// Keeps a good letter.
    pub fn keep_letter(&self, name: &str, content: &[u8]) -> Result<()> {
        self.write(&self.folder.join(name), content).map(drop).context(&format!("The cache's {name}"))
    }

    fn path(&self, name: &str, checksum: &[u8]) -> PathBuf {
        self.folder.join(format!("{name}.{}", hex(checksum)))
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<File> {
        let new = self.folder.join(format!("new/{}", self.written.fetch_add(1, Ordering::Relaxed)));
        fs::write(&new, content)?;
        let file = File::open(&new)?;
        fs::rename(&new, path)?;
        Ok(file)
    }

    fn checked(&self, path: &Path, kept: &Kept) -> io::Result<(File, Identity)> {
        let mut file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        if kept.checked != Some(identity) {
            let mut digest = Sha1::new();
            io::copy(&mut file, &mut digest)?;
            if digest.finalize()[..] != kept.checksum {
                return Err(io::Error::new(ErrorKind::InvalidData, "it is damaged"));
            }
            file.rewind()?;
        }
        Ok((file, identity))
    }
}

impl Index {
    /// Reads a folder. What was written last counts as used last.
    fn of(folder: &Path) -> io::Result<Self> {
        let mut found = vec![];
        for first in fs::read_dir(folder.join("data"))? {
            let first = first?;
            for file in fs::read_dir(first.path())? {
                let file = file?;
                let (first, last) = (first.file_name(), file.file_name());
                let named = last.to_str().and_then(|last| last.split_once('.'));
                if let Some((last, checksum)) = named.and_then(|(last, sum)| Some((last, unhex(sum)?))) {
                    let info = file.metadata()?;
                    found.push((info.mtime(), format!("data/{}/{last}", first.display()), checksum, info.len()));
                }
            }
        }
        found.sort();
        let mut index = Self::default();
        for (_, name, checksum, size) in found {
            index.insert(name, checksum, size, None);
        }
        Ok(index)
    }

    fn insert(&mut self, name: String, checksum: [u8; 20], size: u64, checked: Option<Identity>) {
        self.remove(&name);
        self.uses += 1;
        self.bytes += size;
        self.kept.insert(name, Kept { checksum, size, used: self.uses, checked });
    }

    fn remove(&mut self, name: &str) {
        self.bytes -= self.kept.remove(name).map_or(0, |kept| kept.size);
    }

    fn used(&mut self, name: &str) -> Option<Kept> {
        self.uses += 1;
        let kept = self.kept.get_mut(name)?;
        kept.used = self.uses;
        Some(kept.clone())
    }

    /// Returns what was used longest ago, so much that a quarter of the quota becomes free; nothing while it is kept.
    /// The last one stays, whatever its size: somebody is about to read it.
    fn surplus(&self, quota: u64) -> Vec<(String, [u8; 20])> {
        if self.bytes <= quota {
            return vec![];
        }
        let mut all: Vec<_> = self.kept.iter().filter(|(_, kept)| kept.used != self.uses).collect();
        all.sort_by_key(|(_, kept)| kept.used);
        let mut bytes = self.bytes;
        let goes = all.into_iter().take_while(|(_, kept)| {
            let goes = bytes > quota / 4 * 3;
            bytes -= kept.size;
            goes
        });
        goes.map(|(name, kept)| (name.clone(), kept.checksum)).collect()
    }
}

fn identity(info: &Metadata) -> Identity {
    (info.ino(), info.len(), info.ctime(), info.ctime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut index = Index::default();
        for name in ["a", "b", "c", "d"] {
            index.insert(name.into(), [0; 20], 30, None);
        }
        assert!(index.surplus(120).is_empty());
        index.used("a");
        index.insert("e".into(), [0; 20], 30, None);
        let names: Vec<_> = index.surplus(120).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "c"]);
        index.insert("large".into(), [0; 20], 1000, None);
        assert_eq!(index.surplus(120).len(), 5);
    }

    #[test]
    fn what_is_kept_is_counted_once() {
        let mut index = Index::default();
        index.insert("a".into(), [0; 20], 30, None);
        index.insert("a".into(), [0; 20], 40, None);
        assert_eq!(index.bytes, 40);
        index.remove("a");
        index.remove("a");
        assert_eq!(index.bytes, 0);
    }
}
