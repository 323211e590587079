//! Objects: what a repository is made of, each named by the hash of how it is stored.

use std::fs::File;
use std::io::Read;
use std::sync::Mutex;

use flate2::read::ZlibDecoder;
use sha1::{Digest, Sha1};

use crate::cache::Cache;
use crate::error::Result;
use crate::transport::Transport;

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
    pub cache: Cache,
    /// The servers.
    pub transport: Transport,
    turns: Vec<Mutex<()>>,
}

impl Objects {
    /// Returns the objects of a cache and of servers.
    pub fn new(cache: Cache, transport: Transport) -> Self {
        Self { cache, transport, turns: (0..256).map(|_| Mutex::default()).collect() }
    }

    /// Opens what an object holds.
    pub fn open(&self, object: &Object) -> Result<File> {
        if let Some(file) = self.cache.open(object) {
            return Ok(file);
        }
        // Who wants the same object waits for it; one in 256 of the others does, too.
        let _turn = self.turns[usize::from(object.hash[19])].lock().unwrap();
        if let Some(file) = self.cache.open(object) {
            return Ok(file);
        }
        let content = self.transport.fetch(&object.path(), |stored| object.unpack(stored))?;
        self.cache.insert(object, &content)
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
