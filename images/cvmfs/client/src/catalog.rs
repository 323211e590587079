//! The tree of one revision, from its catalogs: SQLite files, one for the root and one for each nested catalog.

use crate::cache::Object;
use crate::object::{Key, Kind, Objects, Packing};
use crate::{Result, lock};
use cvmfs::catalog::Catalog;
use cvmfs::common::CvmfsError;
use cvmfs::directory_entry::DirectoryEntry;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many catalogs are kept open.
const OPEN: usize = 100;

/// Bits of an entry's flags, as catalogs of schema 2.5 define them.
mod flags {
    pub const DIRECTORY: u32 = 1;
    pub const LINK: u32 = 8;
    pub const CHUNKED: u32 = 64;
    pub const EXTERNAL: u32 = 128;
    pub const HASH: u32 = 7 << 8;
    pub const PACKING: u32 = 7 << 11;
    pub const PLAIN: u32 = 1 << 11;
    pub const HIDDEN: u32 = 1 << 15;
}

/// A part of a large file.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
    /// Its object.
    pub key: Key,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Other entries.
    Directory,
    /// Where a symbolic link leads.
    Link(Box<str>),
    /// One object.
    Object(Key, Packing),
    /// Many objects.
    Chunks(Arc<[Chunk]>, Packing),
    /// What this client cannot read, and why.
    Unreadable(Box<str>),
}

/// A directory, file or symbolic link.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it holds.
    pub content: Content,
    /// Bytes.
    pub size: u64,
    /// Type and permissions.
    pub mode: u16,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of links.
    pub links: u32,
}

/// Catalogs that are open, of all revisions.
pub struct Catalogs {
    objects: Arc<Objects>,
    open: Mutex<HashMap<Key, Arc<Opened>>>,
    turn: AtomicU64,
}

struct Opened {
    key: Key,
    catalog: Mutex<Catalog>,
    nested: HashMap<String, Key>,
    used: AtomicU64,
    _object: Object,
}

impl Catalogs {
    /// Has none open yet.
    pub fn new(objects: Arc<Objects>) -> Self {
        Self { objects, open: Mutex::default(), turn: AtomicU64::new(0) }
    }

    fn get(&self, key: Key, size: Option<u64>) -> Result<Arc<Opened>> {
        let found = lock(&self.open).get(&key).cloned();
        let opened = match found {
            Some(opened) => opened,
            None => self.keep(Arc::new(Opened::new(key, self.objects.open(key, Packing::Zlib, size)?)?)),
        };
        opened.used.store(self.turn.fetch_add(1, Relaxed), Relaxed);
        Ok(opened)
    }

    fn keep(&self, opened: Arc<Opened>) -> Arc<Opened> {
        let mut open = lock(&self.open);
        while open.len() >= OPEN {
            let oldest = open.values().min_by_key(|other| other.used.load(Relaxed)).map(|other| other.key);
            open.remove(&oldest.expect("there is one"));
        }
        open.entry(opened.key).or_insert(opened).clone()
    }
}

impl Opened {
    fn new(key: Key, object: Object) -> Result<Self> {
        let failed = |error: CvmfsError| format!("catalog {key:?} cannot be read: {error:?}");
        let catalog = Catalog::new(object.path(), format!("{key:?}")).map_err(failed)?;
        let mut nested = HashMap::new();
        for reference in catalog.list_nested().map_err(failed)? {
            nested.insert(reference.root_path, Key::parse(&reference.catalog_hash, Kind::Catalog)?);
        }
        Ok(Self { key, catalog: Mutex::new(catalog), nested, used: AtomicU64::new(0), _object: object })
    }

    /// Returns the nested catalog that a path is in, if it is in one.
    ///
    /// # Arguments
    /// * `inside` - whether a nested catalog's own root counts: its content is in there, its entry is here, too.
    fn nested(&self, path: &str, inside: bool) -> Option<Key> {
        if self.nested.is_empty() {
            return None;
        }
        let whole = inside.then_some(path.len());
        let parents = path.rmatch_indices('/').map(|(end, _)| end);
        whole.into_iter().chain(parents).find_map(|end| self.nested.get(&path[..end]).copied())
    }

    fn failed(&self, error: &CvmfsError) -> String {
        format!("catalog {:?} cannot be read: {error:?}", self.key)
    }

    fn find(&self, path: &str) -> Result<Option<Entry>> {
        let catalog = lock(&self.catalog);
        match catalog.find_directory_entry_md5(&md5::compute(path).0) {
            Ok(row) => self.entry(&catalog, row).map(Some),
            Err(CvmfsError::FileNotFound) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<(String, Entry)>> {
        let digest = md5::compute(path).0;
        let half = |from: usize| i64::from_le_bytes(std::array::from_fn(|index| digest[from + index]));
        let catalog = lock(&self.catalog);
        let rows = catalog.list_directory_split_md5(half(0), half(8)).map_err(|error| self.failed(&error))?;
        let shown = rows.into_iter().filter(|row| row.flags & flags::HIDDEN == 0);
        shown.map(|row| Ok((row.name.clone(), self.entry(&catalog, row)?))).collect()
    }

    fn entry(&self, catalog: &Catalog, mut row: DirectoryEntry) -> Result<Entry> {
        if row.flags & flags::CHUNKED != 0 {
            catalog.load_chunks(&mut row).map_err(|error| self.failed(&error))?;
        }
        let links = row.nlink().max(1);
        let (size, mode, mtime, uid, gid) = (row.size.max(0) as u64, row.mode, row.mtime, row.uid, row.gid);
        Ok(Entry { content: content(row), size, mode, mtime, uid, gid, links })
    }

    fn property(&self, name: &str) -> Result<Option<String>> {
        let all = lock(&self.catalog).database.read_properties_table().map_err(|error| self.failed(&error))?;
        Ok(all.into_iter().find_map(|(key, value)| (key == name).then_some(value)))
    }
}

fn content(row: DirectoryEntry) -> Content {
    if row.flags & flags::DIRECTORY != 0 {
        return Content::Directory;
    }
    if row.flags & flags::LINK != 0 {
        return Content::Link(row.symlink.unwrap_or_default().into());
    }
    let packing = match row.flags & flags::PACKING {
        0 => Packing::Zlib,
        flags::PLAIN => Packing::Plain,
        other => return Content::Unreadable(format!("packing algorithm {} is not supported", other >> 11).into()),
    };
    if row.flags & flags::HASH != 0 {
        let number = 1 + ((row.flags & flags::HASH) >> 8);
        return Content::Unreadable(format!("hash algorithm {number} is not supported, only SHA-1 (1)").into());
    }
    if row.flags & flags::EXTERNAL != 0 {
        return Content::Unreadable("its content is outside of the repository".into());
    }
    objects(&row, packing).unwrap_or_else(|what| Content::Unreadable(what.into()))
}

fn objects(row: &DirectoryEntry, packing: Packing) -> Result<Content> {
    if row.flags & flags::CHUNKED == 0 {
        let hash = row.content_hash.as_deref().ok_or("it has no content hash")?;
        return Ok(Content::Object(Key::parse(hash, Kind::File)?, packing));
    }
    let (mut chunks, mut end) = (Vec::with_capacity(row.chunks.len()), 0);
    for chunk in &row.chunks {
        let (offset, size) = (chunk.offset as u64, chunk.size as u64);
        if offset != end || chunk.size <= 0 {
            return Err(format!("its chunks have a gap at byte {end}"));
        }
        end = offset + size;
        chunks.push(Chunk { offset, size, key: Key::parse(&chunk.content_hash, Kind::Chunk)? });
    }
    if end != row.size as u64 {
        return Err(format!("its chunks have {end} bytes, its size is {}", row.size));
    }
    Ok(Content::Chunks(chunks.into(), packing))
}

/// The tree of one revision.
pub struct Tree {
    catalogs: Arc<Catalogs>,
    root: Key,
    root_size: Option<u64>,
    /// The revision's number.
    pub revision: u32,
    /// After how long to look for a new revision.
    pub ttl: Duration,
}

impl Tree {
    /// Opens a revision by its root catalog.
    ///
    /// # Arguments
    /// * `root_size` - bytes of the root catalog, where the manifest says them.
    /// * `ttl` - for a root catalog that says nothing about it.
    ///
    /// # Errors
    /// The root catalog cannot be had.
    pub fn new(
        catalogs: Arc<Catalogs>,
        root: Key,
        root_size: Option<u64>,
        revision: u32,
        ttl: Duration,
    ) -> Result<Self> {
        let opened = catalogs.get(root, root_size)?;
        let own = opened.property("TTL")?.and_then(|text| text.parse().ok());
        let ttl = own.map_or(ttl, Duration::from_secs).max(Duration::from_secs(1));
        Ok(Self { catalogs, root, root_size, revision, ttl })
    }

    /// Returns the root catalog's name.
    pub fn root(&self) -> Key {
        self.root
    }

    /// Returns an entry; `None` if there is no such path. The root's path is empty, others begin with a slash.
    ///
    /// # Errors
    /// A catalog cannot be had.
    pub fn find(&self, path: &str) -> Result<Option<Entry>> {
        self.owner(path, false)?.find(path)
    }

    /// Returns a directory's entries by name.
    ///
    /// # Errors
    /// A catalog cannot be had.
    pub fn list(&self, path: &str) -> Result<Vec<(String, Entry)>> {
        self.owner(path, true)?.list(path)
    }

    /// Returns the name of the catalog that a path's entry is in: while it is the same, so is the entry.
    ///
    /// # Errors
    /// A catalog on the way to it cannot be had.
    pub fn catalog_of(&self, path: &str) -> Result<Key> {
        let mut key = self.root;
        while let Some(next) = self.open(key)?.nested(path, false) {
            key = next;
        }
        Ok(key)
    }

    fn owner(&self, path: &str, inside: bool) -> Result<Arc<Opened>> {
        let mut opened = self.open(self.root)?;
        while let Some(key) = opened.nested(path, inside) {
            opened = self.open(key)?;
        }
        Ok(opened)
    }

    fn open(&self, key: Key) -> Result<Arc<Opened>> {
        self.catalogs.get(key, self.root_size.filter(|_| key == self.root))
    }
}
