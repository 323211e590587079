//! Objects of a repository: how they are named, downloaded, unpacked and checked.

use crate::Result;
use crate::cache::{Cache, Incoming, Object};
use crate::fetch::{Network, Problem, Request};
use sha1::{Digest, Sha1};
use std::io::{Read, Write};
use std::sync::Arc;

/// What an object is, which is the last letter of its name on servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A file's content.
    File,
    /// A part of a file's content.
    Chunk,
    /// A catalog.
    Catalog,
    /// The certificate that manifests are signed with.
    Certificate,
}

impl Kind {
    /// Returns the last letter of the name.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::File => "",
            Kind::Chunk => "P",
            Kind::Catalog => "C",
            Kind::Certificate => "X",
        }
    }

    /// Returns what has this last letter.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        [Kind::File, Kind::Chunk, Kind::Catalog, Kind::Certificate].into_iter().find(|kind| kind.suffix() == suffix)
    }
}

/// Name of an object: the SHA-1 of what servers send, and what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// SHA-1 of the object as it is sent.
    pub hash: [u8; 20],
    /// What it is.
    pub kind: Kind,
}

impl Key {
    /// Reads a hash as catalogs and manifests write it.
    ///
    /// # Errors
    /// It is not a SHA-1: other algorithms are not supported.
    pub fn parse(hash: &str, kind: Kind) -> Result<Self> {
        let mut bytes = [0; 20];
        let decoded = hex::decode_to_slice(hash, &mut bytes);
        decoded.map_err(|_| format!("\"{hash}\" is not a SHA-1, the only hash that this client checks"))?;
        Ok(Self { hash: bytes, kind })
    }

    /// Returns where servers have it, below the repository's URL.
    pub fn path(&self) -> String {
        let hash = hex::encode(self.hash);
        format!("data/{}/{}{}", &hash[..2], &hash[2..], self.kind.suffix())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}{}", hex::encode(self.hash), self.kind.suffix())
    }
}

/// How an object is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// By zlib.
    Zlib,
    /// Not at all.
    Plain,
}

/// Bytes that an object whose size nobody told may have when it is unpacked: a certificate, a catalog.
pub const UNTOLD_LIMIT: u64 = 2 << 30;

/// A repository's objects: from the cache, or else from its servers.
pub struct Objects {
    cache: Arc<Cache>,
    network: Arc<Network>,
}

impl Objects {
    /// Joins a cache and servers.
    pub fn new(cache: Arc<Cache>, network: Arc<Network>) -> Self {
        Self { cache, network }
    }

    /// Returns the servers.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Opens an object, unpacked; downloads it if it is not in the cache.
    ///
    /// # Arguments
    /// * `size` - bytes that it must have when unpacked, where that is known.
    ///
    /// # Errors
    /// No server has it, or none has it undamaged, or the cache cannot take it.
    pub fn open(&self, key: Key, packing: Packing, size: Option<u64>) -> Result<Object> {
        let object = self.cache.open(key, |incoming| self.fetch(key, packing, size, incoming))?;
        match size {
            Some(size) if size != object.size() => {
                Err(format!("object {key:?} has {} bytes, its catalog says {size}", object.size()))
            }
            _ => Ok(object),
        }
    }

    fn fetch(&self, key: Key, packing: Packing, size: Option<u64>, incoming: &mut Incoming) -> Result<()> {
        let limit = size.unwrap_or(UNTOLD_LIMIT);
        self.network.any(|request| {
            incoming.restart().map_err(Problem::Local)?;
            receive(request, key, packing, limit, incoming)
        })
    }
}

/// Downloads an object into the cache and checks it against its name.
fn receive(
    request: &Request,
    key: Key,
    packing: Packing,
    limit: u64,
    incoming: &mut Incoming,
) -> std::result::Result<(), Problem> {
    let mut download = request.begin(&key.path())?;
    let mut sent = Hashing { from: &mut download, hash: Sha1::new(), failed: None };
    let unpacked = match packing {
        Packing::Zlib => copy(&mut flate2::read::ZlibDecoder::new(&mut sent), limit, incoming),
        Packing::Plain => copy(&mut sent, limit, incoming),
    };
    // what follows the packed content belongs to the hash, too
    let rest = if unpacked.is_ok() { copy(&mut sent, 1 << 20, &mut std::io::sink()) } else { Ok(()) };
    let (hash, failed) = (sent.hash.finalize(), sent.failed.take());
    if let Some(error) = failed {
        return Err(download.problem(&error));
    }
    let route = request.route;
    let corrupt = |what: &str| Problem::Content(format!("object {key:?} from {route} is corrupt: {what}"));
    match unpacked.and(rest) {
        Err(Copy::Local(what)) => return Err(Problem::Local(what)),
        Err(Copy::Content(what)) => return Err(corrupt(&what)),
        Ok(()) => download.finish()?,
    }
    if hash[..] != key.hash { Err(corrupt(&format!("its SHA-1 is {}", hex::encode(hash)))) } else { Ok(()) }
}

/// Reads through, hashing; keeps the network's error apart from those of unpacking.
struct Hashing<R> {
    from: R,
    hash: Sha1,
    failed: Option<std::io::Error>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.from.read(buffer) {
            Ok(count) => {
                self.hash.update(&buffer[..count]);
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

enum Copy {
    Local(String),
    Content(String),
}

fn copy(from: &mut impl Read, limit: u64, to: &mut impl Write) -> std::result::Result<(), Copy> {
    let (mut buffer, mut done) = (vec![0; 128 << 10], 0);
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Copy::Content(format!("it does not unpack: {error}"))),
        };
        done += count as u64;
        if done > limit {
            return Err(Copy::Content(format!("it has more than {limit} bytes when unpacked")));
        }
        to.write_all(&buffer[..count]).map_err(|error| Copy::Local(error.to_string()))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_servers() {
        let key = Key::parse("00112233445566778899aabbccddeeff00112233", Kind::Catalog).unwrap();
        assert_eq!(key.path(), "data/00/112233445566778899aabbccddeeff00112233C");
        assert_eq!(format!("{key:?}"), "00112233445566778899aabbccddeeff00112233C");
    }

    #[test]
    fn other_hashes_are_refused() {
        for hash in
            ["", "00", "00112233445566778899aabbccddeeff00112233-rmd160", "../../../../../../../../../../../etc/pass"]
        {
            assert!(Key::parse(hash, Kind::File).unwrap_err().contains("is not a SHA-1"));
        }
    }

    #[test]
    fn suffixes_name_kinds() {
        for kind in [Kind::File, Kind::Chunk, Kind::Catalog, Kind::Certificate] {
            assert_eq!(Kind::of_suffix(kind.suffix()), Some(kind));
        }
        assert_eq!(Kind::of_suffix("H"), None);
    }
}
