//! Open files.

use crate::Result;
use crate::cache::Object;
use crate::catalog::{Chunk, Content, Entry};
use crate::lock;
use crate::object::{Objects, Packing};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// How many chunks of a file stay open between reads: readers are mostly near one another.
const OPEN_CHUNKS: usize = 4;

/// An open file: it goes on reading this content, whatever a new revision brings.
pub enum Handle {
    /// Its content is one object.
    Whole(Object),
    /// Its content is many objects, opened as they are read.
    Chunked {
        /// All of them.
        chunks: Arc<[Chunk]>,
        /// How they are packed.
        packing: Packing,
        /// Those that were read last, by number.
        open: Mutex<VecDeque<(usize, Arc<Object>)>>,
    },
}

impl Handle {
    /// Opens a file.
    ///
    /// # Errors
    /// Its content cannot be had.
    pub fn open(entry: &Entry, objects: &Objects) -> Result<Self> {
        match &entry.content {
            Content::Object(key, packing) => Ok(Self::Whole(objects.open(*key, *packing, Some(entry.size))?)),
            Content::Chunks(chunks, packing) => {
                Ok(Self::Chunked { chunks: chunks.clone(), packing: *packing, open: Mutex::default() })
            }
            Content::Unreadable(what) => Err(what.to_string()),
            Content::Directory | Content::Link(_) => Err("it is not a file".into()),
        }
    }

    /// Reads from an offset; less than `size` bytes only at the end of the file.
    ///
    /// # Errors
    /// The content cannot be had, or not be read.
    pub fn read(&self, offset: u64, size: usize, objects: &Objects) -> Result<Vec<u8>> {
        let mut buffer = vec![0; size];
        let mut done = 0;
        while done < size {
            let count = self.read_some(offset + done as u64, &mut buffer[done..], objects)?;
            if count == 0 {
                break;
            }
            done += count;
        }
        buffer.truncate(done);
        Ok(buffer)
    }

    /// Reads at least a byte, but for the end of the file.
    fn read_some(&self, offset: u64, buffer: &mut [u8], objects: &Objects) -> Result<usize> {
        match self {
            Self::Whole(object) => read_object(object, buffer, offset),
            Self::Chunked { chunks, packing, open } => {
                let number = chunks.partition_point(|chunk| chunk.offset + chunk.size <= offset);
                let Some(chunk) = chunks.get(number) else { return Ok(0) };
                let object = open_chunk(number, chunk, *packing, open, objects)?;
                read_object(&object, buffer, offset - chunk.offset)
            }
        }
    }
}

fn read_object(object: &Object, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let room = object.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
    match object.read_at(&mut buffer[..room], offset) {
        // the kernel would put zeros in place of what is missing
        Ok(count) if count < room => Err(format!("the cached file ends at byte {}", offset + count as u64)),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("the cache cannot be read: {error}")),
    }
}

fn open_chunk(
    number: usize,
    chunk: &Chunk,
    packing: Packing,
    open: &Mutex<VecDeque<(usize, Arc<Object>)>>,
    objects: &Objects,
) -> Result<Arc<Object>> {
    let found = lock(open).iter().find(|(other, _)| *other == number).map(|(_, object)| object.clone());
    if let Some(object) = found {
        return Ok(object);
    }
    let object = Arc::new(objects.open(chunk.key, packing, Some(chunk.size))?);
    let mut open = lock(open);
    if open.len() >= OPEN_CHUNKS {
        open.pop_front();
    }
    open.push_back((number, object.clone()));
    Ok(object)
}
