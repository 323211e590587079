//! The file system that the kernel sees.
//!
//! The number of a file's inode follows from all that is known of the file. A file that changes is another one to the
//! kernel, which therefore may keep what it has read of each for good; whoever has the old one open goes on reading it.
//! A folder is the same one in each revision: processes stand in it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyXattr, Request,
};

use crate::ahead::Ahead;
use crate::catalog::{Content, Entry, Part};
use crate::error::{Context, Error, Result};
use crate::log;
use crate::objects::Opened;
use crate::repository::Repository;

const ROOT: u64 = 1;

/// A repository as a file system.
pub struct Files {
    repository: Arc<Repository>,
    ahead: Ahead,
    nodes: Mutex<HashMap<u64, Known>>,
    listings: Mutex<HashMap<u64, Arc<Listing>>>,
    opened: AtomicU64,
    /// Whether the kernel must be told that a file can be opened.
    asks_to_open: bool,
}

/// A node that the kernel knows, and how often it was told of it.
struct Known {
    node: Arc<Node>,
    lookups: u64,
}

/// What was in a folder when it was opened.
struct Listing {
    nodes: Vec<Arc<Node>>,
    /// Until when that is certainly so.
    end: Instant,
}

/// Something in the file system.
struct Node {
    number: u64,
    path: Vec<u8>,
    entry: Entry,
}

impl Node {
    fn new(path: Vec<u8>, entry: Entry) -> Self {
        let mut hasher = DefaultHasher::new(); // its keys are fixed: a number is the same after a restart
        path.hash(&mut hasher);
        if kind(&entry) != FileType::Directory {
            entry.hash(&mut hasher);
        }
        let number = if path.is_empty() { ROOT } else { hasher.finish().max(ROOT + 1) };
        Self { number, path, entry }
    }

    fn attributes(&self) -> FileAttr {
        let (entry, time) = (&self.entry, self.entry.modified);
        FileAttr {
            ino: INodeNo(self.number),
            size: entry.size,
            blocks: entry.size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: kind(entry),
            perm: (entry.mode & 0o7777) as u16,
            nlink: entry.links,
            uid: entry.owner.0,
            gid: entry.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

fn kind(entry: &Entry) -> FileType {
    match entry.mode >> 12 {
        0o01 => FileType::NamedPipe,
        0o02 => FileType::CharDevice,
        0o04 => FileType::Directory,
        0o06 => FileType::BlockDevice,
        0o12 => FileType::Symlink,
        0o14 => FileType::Socket,
        _ => FileType::RegularFile,
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}

/// What the kernel is told of a name that is not there: a node without a number.
const ABSENT: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: SystemTime::UNIX_EPOCH,
    mtime: SystemTime::UNIX_EPOCH,
    ctime: SystemTime::UNIX_EPOCH,
    crtime: SystemTime::UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

impl Files {
    /// Returns the file system of a repository.
    pub fn new(repository: Arc<Repository>) -> Self {
        Self {
            ahead: Ahead::new(&repository),
            repository,
            nodes: Mutex::default(),
            listings: Mutex::default(),
            opened: AtomicU64::new(1),
            asks_to_open: true,
        }
    }

    /// For how long the kernel need not ask again: until a new revision may be there.
    fn valid(&self) -> Duration {
        self.repository.revision().1
    }

    /// Returns what the kernel means by a number.
    fn node(&self, number: INodeNo) -> Result<Arc<Node>> {
        if let Some(known) = self.nodes.lock().unwrap().get(&number.0) {
            return Ok(known.node.clone());
        }
        if number.0 == ROOT {
            return self.find(vec![])?.ok_or(Error::Refused("it has no root".into()));
        }
        Err(Error::Refused(format!("nothing has the number {number:?}")))
    }

    fn find(&self, path: Vec<u8>) -> Result<Option<Arc<Node>>> {
        Ok(self.repository.entry(&path)?.map(|entry| Arc::new(Node::new(path, entry))))
    }

    /// Notes that the kernel is told of a node. The newest is kept: a folder's may have changed.
    fn tell(&self, node: &Arc<Node>) {
        let mut nodes = self.nodes.lock().unwrap();
        let lookups = nodes.get(&node.number).map_or(0, |known| known.lookups) + 1;
        nodes.insert(node.number, Known { node: node.clone(), lookups });
    }

    /// Notes that the kernel has forgotten a node so often, or was not told of it after all.
    fn untell(&self, number: INodeNo, lookups: u64) {
        let mut nodes = self.nodes.lock().unwrap();
        if let Some(known) = nodes.get_mut(&number.0) {
            known.lookups = known.lookups.saturating_sub(lookups);
            if known.lookups == 0 {
                nodes.remove(&number.0);
            }
        }
    }

    /// Returns the attributes of a node: a file's never change, a folder's are those of the current revision.
    fn attributes(&self, number: INodeNo) -> Result<FileAttr> {
        let node = self.node(number)?;
        if kind(&node.entry) == FileType::Directory
            && let Some(now) = self.find(node.path.clone())?
            && now.number == node.number
        {
            return Ok(now.attributes());
        }
        Ok(node.attributes())
    }

    /// Returns what is in a folder.
    fn list(&self, number: INodeNo) -> Result<Listing> {
        let end = Instant::now() + self.valid();
        let node = self.node(number)?;
        let entries = self.repository.list(&node.path)?;
        let named = |entry: Entry| Arc::new(Node::new(join(&node.path, &entry.name), entry));
        Ok(Listing { nodes: entries.into_iter().map(named).collect(), end })
    }

    /// Reads from a file; less than was asked for only at its end.
    fn read(&self, number: INodeNo, offset: u64, size: usize) -> Result<Vec<u8>> {
        let node = self.node(number)?;
        let wanted = node.entry.size.saturating_sub(offset).min(size as u64) as usize;
        let (mut buffer, mut done) = (vec![0; wanted], 0);
        while done < wanted {
            let position = offset + done as u64;
            let part = node.entry.part_at(position).ok_or(Error::Refused(match node.entry.content {
                Content::Foreign(reason) => reason.into(),
                _ => "it has no such part".into(),
            }))?;
            let stop = wanted.min(done + (part.end() - position) as usize);
            let opened = self.open(&node, &part, position)?;
            opened.read_exact_at(&mut buffer[done..stop], position - part.start).context("its end is missing")?;
            done = stop;
        }
        Ok(buffer)
    }

    /// Opens a part of a file to read it from a position, and lets that be fetched which is likely to be wanted next.
    fn open(&self, node: &Node, part: &Part, position: u64) -> Result<Opened> {
        let (objects, entry) = (&self.repository.objects, &node.entry);
        let is_new = !objects.has(&part.object);
        if is_new {
            self.ahead.libraries(&node.path);
        }
        // Who comes to a chunk from the one before it goes on; a look at the first one is no sign of that.
        let before = part.start.checked_sub(1).filter(|_| position == part.start).and_then(|end| entry.part_at(end));
        if before.is_some_and(|before| objects.has(&before.object))
            && let Some(next) = entry.part_at(part.end())
        {
            self.ahead.chunk(next);
        }
        let opened = objects.open(part)?;
        if is_new && part.size == entry.size {
            self.ahead.small(&node.path);
        }
        Ok(opened)
    }

    /// Tells why something fails; that no server answers was told where they were asked.
    fn failed(&self, what: &str, number: INodeNo, error: &Error) -> Errno {
        if matches!(error, Error::Unreachable(_)) {
            return Errno::EIO;
        }
        let path = self.nodes.lock().unwrap().get(&number.0).map(|known| known.node.path.clone()).unwrap_or_default();
        log::say(format_args!("{what} {}: {error}", OsStr::from_bytes(&path).display()));
        Errno::EIO
    }
}

impl Filesystem for Files {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // A listing with attributes saves a look-up of each name. Who opens a file need not ask us: what is read follows
        // from its number. An older kernel does without any of these.
        self.asks_to_open = config.add_capabilities(InitFlags::FUSE_NO_OPEN_SUPPORT).is_err();
        for wanted in [
            InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            let _ = config.add_capabilities(wanted);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let valid = self.valid(); // before the look-up, which may be the first of a new revision
        match self.node(parent).and_then(|folder| self.find(join(&folder.path, name.as_bytes()))) {
            Ok(Some(node)) => {
                self.tell(&node);
                reply.entry(&valid, &node.attributes(), Generation(0));
            }
            Ok(None) => reply.entry(&valid, &ABSENT, Generation(0)),
            Err(error) => reply.error(self.failed("looking in", parent, &error)),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.untell(number, lookups);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let valid = self.valid();
        match self.attributes(number) {
            Ok(attributes) => reply.attr(&valid, &attributes),
            Err(error) => reply.error(self.failed("asking for", number, &error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.node(number) {
            Ok(node) => match &node.entry.content {
                Content::Target(target) => reply.data(target),
                _ => reply.error(Errno::EINVAL),
            },
            Err(error) => reply.error(self.failed("following", number, &error)),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.asks_to_open {
            return reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        }
        reply.error(Errno::ENOSYS); // which says that the kernel need never ask, and keeps what it has read
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match Files::read(self, number, offset, size as usize) {
            Ok(content) => reply.data(&content),
            Err(error) => reply.error(self.failed("reading", number, &error)),
        }
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(number) {
            Ok(listing) => {
                let handle = self.opened.fetch_add(1, Ordering::Relaxed);
                self.listings.lock().unwrap().insert(handle, Arc::new(listing));
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(self.failed("listing", number, &error)),
        }
    }

    fn readdir(&self, _: &Request, number: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(listing) = self.listings.lock().unwrap().get(&handle.0).cloned() else {
            return reply.error(Errno::EBADF);
        };
        let dots = [".", ".."].map(|dot| (number, FileType::Directory, OsStr::new(dot)));
        let entries = listing.nodes.iter().map(|node| {
            let name = OsStr::from_bytes(&node.entry.name);
            (INodeNo(node.number), kind(&node.entry), name)
        });
        for (index, (number, kind, name)) in dots.into_iter().chain(entries).enumerate().skip(offset as usize) {
            if reply.add(number, index as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(listing) = self.listings.lock().unwrap().get(&handle.0).cloned() else {
            return reply.error(Errno::EBADF);
        };
        let (valid, offset) = (listing.end.saturating_duration_since(Instant::now()), offset as usize);
        // The kernel takes nothing of these but their names.
        let dot = FileAttr { ino: number, kind: FileType::Directory, ..ABSENT };
        for (index, name) in [".", ".."].into_iter().enumerate().skip(offset) {
            if reply.add(number, index as u64 + 1, OsStr::new(name), &valid, &dot, Generation(0)) {
                return reply.ok();
            }
        }
        for (index, node) in listing.nodes.iter().enumerate().skip(offset.saturating_sub(2)) {
            let (name, attributes) = (OsStr::from_bytes(&node.entry.name), node.attributes());
            self.tell(node);
            if reply.add(attributes.ino, index as u64 + 3, name, &valid, &attributes, Generation(0)) {
                self.untell(attributes.ino, 1);
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.listings.lock().unwrap().remove(&handle.0);
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let manifest = &self.repository.revision().0.manifest;
        let value = match name.to_str() {
            Some("user.fqrn") => manifest.fqrn.clone(),
            Some("user.revision") => manifest.revision.to_string(),
            Some("user.rx") => (self.repository.objects.transport.received() / 1024).to_string(),
            _ => return reply.error(Errno::ENODATA),
        };
        match size as usize {
            0 => reply.size(value.len() as u32),
            room if room < value.len() => reply.error(Errno::ERANGE),
            _ => reply.data(value.as_bytes()),
        }
    }

    fn listxattr(&self, _: &Request, _: INodeNo, size: u32, reply: ReplyXattr) {
        if size == 0 { reply.size(0) } else { reply.data(b"") }
    }
}
