//! Catalogs: what lies in a part of a repository, as SQLite databases.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use md5::{Digest, Md5};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Params, Row, params};

use crate::error::{Context, Error, Result};
use crate::objects::{Kind, Object};

const CHUNKED: i64 = 64;
const EXTERNAL: i64 = 128;
const HIDDEN: i64 = 0x8000;
const FORMAT: u32 = 0o170_000;
const FILE: u32 = 0o100_000;

/// The part of a repository that one catalog describes.
pub struct Catalog {
    database: Mutex<Connection>,
    nested: Vec<(Vec<u8>, Object)>,
    columns: String,
}

/// What lies at a path.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name in its folder.
    pub name: Vec<u8>,
    /// Its type and permissions, as `stat` tells them.
    pub mode: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: SystemTime,
    /// How many links it has.
    pub links: u32,
    /// Its owner.
    pub owner: (u32, u32),
    /// What can be read of it.
    pub content: Content,
}

/// What can be read of an entry.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing: it is a folder, or an empty file.
    None,
    /// The target of a symbolic link.
    Target(Vec<u8>),
    /// One object.
    Whole(Object),
    /// Objects at their offsets, which rise.
    Chunks(Vec<(u64, Object)>),
    /// Something that this client does not understand.
    Foreign(&'static str),
}

/// A part of what can be read of a file: one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where in the file it begins.
    pub start: u64,
    /// How many bytes it holds.
    pub size: u64,
    /// What holds them.
    pub object: Object,
}

impl Part {
    /// Returns where in the file the next one begins.
    pub fn end(&self) -> u64 {
        self.start + self.size
    }
}

impl Entry {
    /// Returns the part that has a position, if there is one.
    pub fn part_at(&self, position: u64) -> Option<Part> {
        if position >= self.size {
            return None;
        }
        match &self.content {
            Content::Whole(object) => Some(Part { start: 0, size: self.size, object: *object }),
            Content::Chunks(chunks) => {
                let next = chunks.partition_point(|(start, _)| *start <= position);
                let (start, object) = chunks[next.checked_sub(1)?];
                let end = chunks.get(next).map_or(self.size, |(start, _)| *start);
                Some(Part { start, size: end - start, object })
            }
            _ => None,
        }
    }

    /// Returns its parts, from its beginning.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        std::iter::successors(self.part_at(0), |part| self.part_at(part.end()))
    }

    /// Returns its only part, if it has one and not more.
    pub fn whole(&self) -> Option<Part> {
        self.part_at(0).filter(|part| part.size == self.size)
    }
}

impl Catalog {
    /// Opens a catalog from a verified file.
    pub fn open(file: &File) -> Result<Self> {
        // The same file that was checked, and one that nobody changes: no locks, and no look at its name.
        let uri = format!("file:/proc/self/fd/{}?immutable=1", file.as_raw_fd());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(uri, flags).context("catalog")?;
        let (nested, fraction) = read_outline(&database).context("catalog")?;
        let nested = nested.into_iter().map(|(path, hash)| Ok((path, Object::named(&hash, Kind::Catalog)?)));
        let nested = nested.collect::<std::result::Result<_, String>>().context("nested catalog")?;
        let columns = format!(
            "name, mode, size, mtime, {fraction}, hardlinks, uid, gid, flags, hash, symlink, md5path_1, md5path_2"
        );
        Ok(Self { database: Mutex::new(database), nested, columns })
    }

    /// Returns the catalog that is nested here and has a path below it, if there is one.
    pub fn nested(&self, path: &[u8]) -> Option<&Object> {
        let holds = |root: &[u8]| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        // Of those that hold it the one next to us: others are nested in it.
        let found = self.nested.iter().filter(|(root, _)| holds(root)).min_by_key(|(root, _)| root.len());
        found.map(|(_, object)| object)
    }

    /// Returns what lies at a path, if anything does.
    pub fn entry(&self, path: &[u8]) -> Result<Option<Entry>> {
        let (first, second) = key(path);
        Ok(self.select("md5path_1 = ? AND md5path_2 = ?", params![first, second])?.pop())
    }

    /// Returns what lies in a folder.
    pub fn list(&self, path: &[u8]) -> Result<Vec<Entry>> {
        let (first, second) = key(path);
        self.select(&format!("parent_1 = ? AND parent_2 = ? AND flags & {HIDDEN} = 0"), params![first, second])
    }

    /// Returns what comes after a file in its folder, and at last what is before it: of so many of them, those that are at
    /// most so large.
    pub fn others(&self, path: &[u8], count: u32, size: u64) -> Result<Vec<Entry>> {
        let (first, second) = key(path);
        let condition = "rowid IN (SELECT other.rowid FROM catalog this JOIN catalog other \
             ON other.parent_1 = this.parent_1 AND other.parent_2 = this.parent_2 AND other.rowid != this.rowid \
             WHERE this.md5path_1 = ? AND this.md5path_2 = ? \
             ORDER BY other.rowid < this.rowid, other.rowid LIMIT ?) AND size <= ?";
        self.select(condition, params![first, second, count, size.cast_signed()])
    }

    fn select(&self, condition: &str, values: impl Params) -> Result<Vec<Entry>> {
        let database = self.database.lock().unwrap();
        let select = || -> rusqlite::Result<_> {
            let mut query =
                database.prepare_cached(&format!("SELECT {} FROM catalog WHERE {condition}", self.columns))?;
            query.query_map(values, |row| read(&database, row))?.collect()
        };
        select().map_err(|error| Error::Refused(format!("catalog: {error}")))
    }
}

type Nested = Vec<(Vec<u8>, String)>;

/// Returns the nested catalogs, and what older ones without fractions of seconds have in their place.
fn read_outline(database: &Connection) -> rusqlite::Result<(Nested, &'static str)> {
    let mut query = database.prepare("SELECT path, sha1 FROM nested_catalogs")?;
    let nested = query.query_map([], |row| Ok((bytes(row, 0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let has_fraction = "SELECT count(*) FROM pragma_table_info('catalog') WHERE name = 'mtimens'";
    let has_fraction = database.query_row(has_fraction, [], |row| row.get::<_, i64>(0))? > 0;
    Ok((nested, if has_fraction { "mtimens" } else { "NULL" }))
}

fn read(database: &Connection, row: &Row) -> rusqlite::Result<Entry> {
    let (mode, flags): (u32, i64) = (row.get(1)?, row.get(8)?);
    let seconds = u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
    let fraction = row.get::<_, Option<u32>>(4)?.unwrap_or_default();
    Ok(Entry {
        name: bytes(row, 0)?,
        mode,
        size: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
        modified: SystemTime::UNIX_EPOCH + Duration::new(seconds, fraction.min(999_999_999)),
        // The upper half is the number of a group of hard links.
        links: u32::try_from(row.get::<_, i64>(5)? & 0xffff_ffff).unwrap_or_default().max(1),
        owner: (row.get(6)?, row.get(7)?),
        content: content(database, row, mode, flags)?,
    })
}

fn content(database: &Connection, row: &Row, mode: u32, flags: i64) -> rusqlite::Result<Content> {
    const LINK: u32 = 0o120_000;
    let is_compressed = flags >> 11 & 7 == 0;
    let object = |hash: &[u8], kind| hash.try_into().ok().map(|hash| Object { hash, kind, is_compressed });
    Ok(match mode & FORMAT {
        LINK => Content::Target(bytes(row, 10)?),
        FILE if flags & EXTERNAL != 0 => Content::Foreign("its content is not in the repository"),
        FILE if flags >> 8 & 7 != 0 => Content::Foreign("its hash is no SHA-1"),
        FILE if flags & CHUNKED != 0 => {
            let mut query = database.prepare_cached(
                "SELECT offset, hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset",
            )?;
            let key = params![row.get::<_, i64>(11)?, row.get::<_, i64>(12)?];
            let chunks = query.query_map(key, |row| Ok((row.get::<_, i64>(0)?, bytes(row, 1)?)))?;
            let chunks = chunks
                .collect::<rusqlite::Result<Vec<_>>>()?
                .into_iter()
                .map(|(offset, hash)| Some((u64::try_from(offset).ok()?, object(&hash, Kind::Chunk)?)));
            chunks.collect::<Option<Vec<_>>>().map_or(Content::Foreign("its chunks are no objects"), Content::Chunks)
        }
        FILE => match object(&bytes(row, 9)?, Kind::Content) {
            Some(object) => Content::Whole(object),
            None if row.get::<_, i64>(2)? == 0 => Content::None,
            None => Content::Foreign("it has no content"),
        },
        _ => Content::None,
    })
}

/// Returns a text or blob as it is stored: names need not be UTF-8.
fn bytes(row: &Row, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => vec![],
    })
}

/// Returns the two halves by which a path is found.
pub fn key(path: &[u8]) -> (i64, i64) {
    let digest = Md5::digest(path);
    let half = |start: usize| i64::from_le_bytes(std::array::from_fn(|index| digest[start + index]));
    (half(0), half(8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_md5() {
        // d41d8cd98f00b204 e9800998ecf8427e, from the lowest byte
        assert_eq!(key(b""), (0x04b2_008f_d98c_1dd4, 0x7e42_f8ec_9809_80e9));
    }

    #[test]
    fn the_nearest_nested_catalog_holds_a_path() {
        let object = |byte| Object { hash: [byte; 20], kind: Kind::Catalog, is_compressed: true };
        let nested = [("/a/b", 1), ("/a", 2), ("/ab", 3)].map(|(path, byte)| (path.as_bytes().to_vec(), object(byte)));
        let database = Mutex::new(Connection::open_in_memory().unwrap());
        let catalog = Catalog { database, nested: nested.to_vec(), columns: String::new() };
        assert_eq!(catalog.nested(b"/a/b/c"), Some(&object(2)));
        assert_eq!(catalog.nested(b"/ab"), Some(&object(3)));
        assert_eq!(catalog.nested(b"/abc"), None);
    }

    #[test]
    fn a_file_is_all_of_its_parts() {
        let object = |byte| Object { hash: [byte; 20], kind: Kind::Chunk, is_compressed: true };
        let chunks = vec![(0, object(0)), (10, object(1)), (30, object(2))];
        let entry = Entry {
            name: vec![],
            mode: FILE,
            size: 35,
            modified: SystemTime::UNIX_EPOCH,
            links: 1,
            owner: (0, 0),
            content: Content::Chunks(chunks),
        };
        let parts: Vec<_> = entry.parts().map(|part| (part.start, part.size, part.object.hash[0])).collect();
        assert_eq!(parts, [(0, 10, 0), (10, 20, 1), (30, 5, 2)]);
        assert_eq!(entry.part_at(29).unwrap().start, 10);
        assert_eq!(entry.part_at(35), None);
        assert_eq!(entry.whole(), None);
    }

    #[test]
    fn the_others_of_a_folder_come_after_a_file_and_then_before_it() {
        let database = Connection::open_in_memory().unwrap();
        let columns = "name, mode, size, mtime, NULL, hardlinks, uid, gid, flags, hash, symlink, md5path_1, md5path_2";
        database
            .execute_batch(&format!("CREATE TABLE catalog ({}, parent_1, parent_2)", columns.replace("NULL, ", "")))
            .unwrap();
        for (number, path) in ["/f/1", "/g/1", "/f/2", "/f/3", "/f/4", "/f/large"].into_iter().enumerate() {
            let ((first, second), parent) = (key(path.as_bytes()), key(&path.as_bytes()[..2]));
            let (hash, size) = ([number as u8; 20], if path == "/f/large" { 1000 } else { 10 });
            let values = params![size, hash, first, second, parent.0, parent.1];
            let insert = "INSERT INTO catalog VALUES ('', 33188, ?, 0, 1, 0, 0, 0, ?, '', ?, ?, ?, ?)";
            database.execute(insert, values).unwrap();
        }
        let catalog = Catalog { database: Mutex::new(database), nested: vec![], columns: columns.into() };
        let others = |path: &[u8], count| {
            let found = catalog.others(path, count, 100).unwrap();
            found.iter().map(|entry| entry.whole().unwrap().object.hash[0]).collect::<Vec<_>>()
        };
        assert_eq!(others(b"/f/2", 9), [0, 3, 4]);
        assert_eq!(others(b"/f/2", 2), [3, 4]);
        assert_eq!(others(b"/f/4", 2), [0]);
    }
}
