//! Answers to the kernel's questions about one repository.

use crate::catalog::{Content, Entry, Tree};
use crate::handle::Handle;
use crate::inodes::{self, Inodes};
use crate::object::Objects;
use crate::statistics::{Facts, Statistics};
use crate::{Result, lock, log};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyXattr,
    Request,
};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// How many names that are not there the kernel may remember for us.
const ABSENT: usize = 50_000;

/// A mounted repository.
pub struct Mounted {
    fqrn: String,
    objects: Arc<Objects>,
    tree: RwLock<(Arc<Tree>, Instant)>,
    inodes: Inodes,
    absent: Mutex<Absent>,
    files: Open<Handle>,
    folders: Open<Folder>,
    statistics: Statistics,
}

/// An open directory.
struct Folder {
    tree: Arc<Tree>,
    entries: Vec<(String, Entry)>,
}

/// What processes have open, by the number that the kernel knows it by.
struct Open<T> {
    all: RwLock<HashMap<u64, Arc<T>>>,
    next: AtomicU64,
}

impl<T> Open<T> {
    fn new() -> Self {
        Self { all: RwLock::default(), next: AtomicU64::new(1) }
    }

    fn add(&self, value: T) -> FileHandle {
        let number = self.next.fetch_add(1, Relaxed);
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(value));
        FileHandle(number)
    }

    fn get(&self, handle: FileHandle) -> Option<Arc<T>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).get(&handle.0).cloned()
    }

    fn remove(&self, handle: FileHandle) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }
}

/// Names that the kernel remembers not to be there, for at most one TTL: those of this TTL and of the one before.
struct Absent {
    since: Instant,
    young: HashSet<(u64, OsString)>,
    old: HashSet<(u64, OsString)>,
}

impl Absent {
    fn new() -> Self {
        Self { since: Instant::now(), young: HashSet::new(), old: HashSet::new() }
    }

    /// Adds a name; returns whether there is room for it.
    fn add(&mut self, parent: u64, name: &OsStr, ttl: Duration) -> bool {
        if self.since.elapsed() >= ttl {
            self.old = std::mem::take(&mut self.young);
            self.since = Instant::now();
        }
        self.young.len() < ABSENT && {
            self.young.insert((parent, name.into()));
            true
        }
    }
}

impl Mounted {
    /// Shows a revision.
    ///
    /// # Errors
    /// The root cannot be had.
    pub fn new(fqrn: &str, objects: Arc<Objects>, tree: Tree) -> Result<Self> {
        let root = tree.find("")?.ok_or("the root catalog has no root. Remedy: publish with schema 2.5")?;
        let inodes = Inodes::default();
        inodes.told("", &root);
        Ok(Self {
            fqrn: fqrn.into(),
            objects,
            tree: RwLock::new((Arc::new(tree), Instant::now())),
            inodes,
            absent: Mutex::new(Absent::new()),
            files: Open::new(),
            folders: Open::new(),
            statistics: Statistics::new(),
        })
    }

    /// Returns the tree that is shown.
    pub fn tree(&self) -> Arc<Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Notes that the tree is the newest as of now.
    pub fn confirm(&self) {
        self.tree.write().unwrap_or_else(PoisonError::into_inner).1 = Instant::now();
    }

    /// Shows another revision, and has the kernel forget what differs from the one before.
    pub fn switch(&self, tree: Tree, kernel: &fuser::Notifier) {
        let new = Arc::new(tree);
        let old = {
            let mut current = self.tree.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, (new.clone(), Instant::now())).0
        };
        for (number, path) in self.inodes.all() {
            if let Err(error) = self.renew(number, &path, &old, &new, kernel) {
                log::event(&self.fqrn, &format!("{path}: the kernel does not forget it: {error}"));
            }
        }
        let absent = std::mem::replace(&mut *lock(&self.absent), Absent::new());
        for (parent, name) in absent.young.iter().chain(&absent.old) {
            let _ = kernel.inval_entry(INodeNo(*parent), name);
        }
    }

    /// Has the kernel forget one entry, if it is another in a new revision.
    fn renew(&self, number: u64, path: &str, old: &Tree, new: &Tree, kernel: &fuser::Notifier) -> std::io::Result<()> {
        if let (Ok(before), Ok(after)) = (old.catalog_of(path), new.catalog_of(path))
            && before == after
        {
            return Ok(());
        }
        match new.find(path) {
            Ok(Some(entry)) if inodes::number(path, &entry.content) == number => {
                self.inodes.update(number, &entry);
                kernel.inval_inode(INodeNo(number), -1, 0) // its attributes alone
            }
            _ => {
                let (parent, name) = path.rsplit_once('/').unwrap_or_default();
                kernel.inval_entry(INodeNo(inodes::number(parent, &Content::Directory)), OsStr::new(name))
            }
        }
    }

    /// Returns how long the kernel may believe what was read from a tree.
    fn belief(&self, tree: &Arc<Tree>) -> Duration {
        if Arc::ptr_eq(tree, &self.tree()) { tree.ttl } else { Duration::ZERO }
    }

    fn failed(&self, path: &str, what: &str) -> Errno {
        self.statistics.errors.fetch_add(1, Relaxed);
        log::event(&self.fqrn, &format!("{}: input/output error: {what}", if path.is_empty() { "/" } else { path }));
        Errno::EIO
    }

    fn path(&self, number: INodeNo) -> std::result::Result<Box<str>, Errno> {
        self.inodes.path(number.0).ok_or(Errno::ESTALE)
    }

    fn find(&self, tree: &Tree, parent: INodeNo, name: &OsStr) -> std::result::Result<Option<(String, Entry)>, Errno> {
        let Some(name) = name.to_str() else { return Ok(None) };
        let path = format!("{}/{name}", self.path(parent)?);
        let found = tree.find(&path).map_err(|what| self.failed(&path, &what))?;
        Ok(found.map(|entry| (path, entry)))
    }

    fn open(&self, number: INodeNo, flags: OpenFlags) -> std::result::Result<FileHandle, Errno> {
        if flags.0 & libc::O_ACCMODE != libc::O_RDONLY {
            return Err(Errno::EROFS);
        }
        let node = self.inodes.get(number.0).ok_or(Errno::ESTALE)?;
        let handle = Handle::open(&node.entry, &self.objects).map_err(|what| self.failed(&node.path, &what))?;
        self.statistics.opened.fetch_add(1, Relaxed);
        Ok(self.files.add(handle))
    }

    fn read(&self, number: INodeNo, handle: FileHandle, offset: u64, size: u32) -> std::result::Result<Vec<u8>, Errno> {
        let file = self.files.get(handle).ok_or(Errno::EBADF)?;
        file.read(offset, size as usize, &self.objects)
            .map_err(|what| self.failed(&self.path(number).unwrap_or_default(), &what))
    }

    fn list(&self, number: INodeNo) -> std::result::Result<FileHandle, Errno> {
        let path = self.path(number)?;
        let tree = self.tree();
        let entries = tree.list(&path).map_err(|what| self.failed(&path, &what))?;
        Ok(self.folders.add(Folder { tree, entries }))
    }

    /// Remembers that the kernel is told that a name is not there; returns for how long it may believe that.
    fn absent(&self, parent: INodeNo, name: &OsStr, tree: &Arc<Tree>) -> Duration {
        if lock(&self.absent).add(parent.0, name, tree.ttl) { self.belief(tree) } else { Duration::ZERO }
    }

    fn attribute(&self, name: &OsStr) -> Option<String> {
        let (tree, since) = {
            let current = self.tree.read().unwrap_or_else(PoisonError::into_inner);
            (current.0.clone(), current.1)
        };
        let facts = Facts {
            fqrn: &self.fqrn,
            revision: tree.revision,
            root: hex::encode(tree.root().hash),
            expires: since + tree.ttl,
            network: self.objects.network(),
            statistics: &self.statistics,
        };
        facts.value(name.to_str()?)
    }
}

fn kind(entry: &Entry) -> FileType {
    match (&entry.content, u32::from(entry.mode) & libc::S_IFMT) {
        (Content::Directory, _) => FileType::Directory,
        (Content::Link(_), _) => FileType::Symlink,
        (_, libc::S_IFIFO) => FileType::NamedPipe,
        (_, libc::S_IFSOCK) => FileType::Socket,
        (_, libc::S_IFCHR) => FileType::CharDevice,
        (_, libc::S_IFBLK) => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

fn attributes(number: u64, entry: &Entry) -> FileAttr {
    let seconds = Duration::from_secs(entry.mtime.unsigned_abs());
    let time = if entry.mtime < 0 { SystemTime::UNIX_EPOCH - seconds } else { SystemTime::UNIX_EPOCH + seconds };
    FileAttr {
        ino: INodeNo(number),
        size: entry.size,
        blocks: entry.size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: kind(entry),
        perm: entry.mode & 0o7777,
        nlink: entry.links,
        uid: entry.uid,
        gid: entry.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// What the kernel takes as the news that a name is not there, which it then remembers.
fn nothing() -> FileAttr {
    let entry = Entry { content: Content::Directory, size: 0, mode: 0, mtime: 0, uid: 0, gid: 0, links: 0 };
    attributes(0, &entry)
}

/// The kernel's way to a mounted repository.
pub struct Filesystem(pub Arc<Mounted>);

impl fuser::Filesystem for Filesystem {
    fn init(&mut self, _: &Request, kernel: &mut KernelConfig) -> std::io::Result<()> {
        for wanted in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ] {
            let _ = kernel.add_capabilities(wanted); // an older kernel is slower
        }
        let _ = kernel.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let tree = self.0.tree();
        match self.0.find(&tree, parent, name) {
            Ok(Some((path, entry))) => {
                let number = self.0.inodes.told(&path, &entry);
                reply.entry(&self.0.belief(&tree), &attributes(number, &entry), Generation(0));
            }
            Ok(None) => reply.entry(&self.0.absent(parent, name, &tree), &nothing(), Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.0.inodes.forgotten(number.0, lookups);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.inodes.get(number.0) {
            Some(node) => reply.attr(&self.0.tree().ttl, &attributes(number.0, &node.entry)),
            None => reply.error(Errno::ESTALE),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.0.inodes.get(number.0).map(|node| node.entry.content) {
            Some(Content::Link(target)) => reply.data(target.as_bytes()),
            Some(_) => reply.error(Errno::EINVAL),
            None => reply.error(Errno::ESTALE),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.0.open(number, flags) {
            // the number stands for this very content, so what the kernel has of it is right
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.read(number, handle, offset, size) {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.0.files.remove(handle);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.0.list(number) {
            Ok(handle) => reply.opened(handle, FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, number: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let (Some(folder), Some(path)) = (self.0.folders.get(handle), self.0.inodes.path(number.0)) else {
            return reply.error(Errno::EBADF);
        };
        for (index, name) in [".", ".."].into_iter().enumerate().skip(offset as usize) {
            if reply.add(number, index as u64 + 1, FileType::Directory, name) {
                return reply.ok();
            }
        }
        for (index, (name, entry)) in folder.entries.iter().enumerate().skip(offset.saturating_sub(2) as usize) {
            let child = inodes::number(&format!("{path}/{name}"), &entry.content);
            if reply.add(INodeNo(child), index as u64 + 3, kind(entry), name) {
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
        let (Some(folder), Some(node)) = (self.0.folders.get(handle), self.0.inodes.get(number.0)) else {
            return reply.error(Errno::EBADF);
        };
        for (index, name) in [".", ".."].into_iter().enumerate().skip(offset as usize) {
            let own = attributes(number.0, &node.entry);
            if reply.add(number, index as u64 + 1, name, &Duration::ZERO, &own, Generation(0)) {
                return reply.ok();
            }
        }
        let belief = self.0.belief(&folder.tree);
        for (index, (name, entry)) in folder.entries.iter().enumerate().skip(offset.saturating_sub(2) as usize) {
            let path = format!("{}/{name}", node.path);
            let child = inodes::number(&path, &entry.content);
            let (position, shown) = (index as u64 + 3, attributes(child, entry));
            if reply.add(INodeNo(child), position, name, &belief, &shown, Generation(0)) {
                break;
            }
            self.0.inodes.told(&path, entry);
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.0.folders.remove(handle);
        reply.ok();
    }

    fn getxattr(&self, _: &Request, _: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        match self.0.attribute(name) {
            None => reply.error(Errno::from_i32(libc::ENODATA)),
            Some(value) if size == 0 => reply.size(value.len() as u32),
            Some(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
            Some(value) => reply.data(value.as_bytes()),
        }
    }

    fn listxattr(&self, _: &Request, _: INodeNo, size: u32, reply: ReplyXattr) {
        // as the official client: what copies attributes is not to copy ours
        if size == 0 { reply.size(0) } else { reply.data(&[]) }
    }
}
