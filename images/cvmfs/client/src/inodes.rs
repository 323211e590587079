//! Numbers of what the kernel knows. A file whose content changes gets another number, so that the kernel's cache of
//! the old content stays right for those who have it open; directories keep theirs.

use crate::catalog::{Content, Entry};
use crate::lock;
use std::collections::HashMap;
use std::sync::Mutex;

/// Number of the root.
pub const ROOT: u64 = 1;

/// What is known under a number.
#[derive(Clone)]
pub struct Node {
    /// Path in the repository; empty for the root.
    pub path: Box<str>,
    /// What is there.
    pub entry: Entry,
    /// How often the kernel was told of it and has not forgotten it.
    lookups: u64,
}

/// All that the kernel knows.
#[derive(Default)]
pub struct Inodes {
    nodes: Mutex<HashMap<u64, Node>>,
}

impl Inodes {
    /// Returns what is known under a number.
    pub fn get(&self, number: u64) -> Option<Node> {
        lock(&self.nodes).get(&number).cloned()
    }

    /// Returns the path known under a number.
    pub fn path(&self, number: u64) -> Option<Box<str>> {
        lock(&self.nodes).get(&number).map(|node| node.path.clone())
    }

    /// Notes that the kernel is told of an entry; returns its number.
    pub fn told(&self, path: &str, entry: &Entry) -> u64 {
        let number = number(path, &entry.content);
        let mut nodes = lock(&self.nodes);
        match nodes.get_mut(&number) {
            Some(node) => {
                node.lookups += 1;
                node.entry = entry.clone();
            }
            None => {
                nodes.insert(number, Node { path: path.into(), entry: entry.clone(), lookups: 1 });
            }
        }
        number
    }

    /// Notes that the kernel has forgotten a number as often as it was told of it.
    pub fn forgotten(&self, number: u64, lookups: u64) {
        let mut nodes = lock(&self.nodes);
        if let Some(node) = nodes.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 && number != ROOT {
                nodes.remove(&number);
            }
        }
    }

    /// Replaces what is known of a number, if it is known.
    pub fn update(&self, number: u64, entry: &Entry) {
        if let Some(node) = lock(&self.nodes).get_mut(&number) {
            node.entry = entry.clone();
        }
    }

    /// Returns all numbers and paths.
    pub fn all(&self) -> Vec<(u64, Box<str>)> {
        lock(&self.nodes).iter().map(|(number, node)| (*number, node.path.clone())).collect()
    }
}

/// Returns the number of an entry: the same in every process and revision, as long as path and content are the same.
pub fn number(path: &str, content: &Content) -> u64 {
    if path.is_empty() {
        return ROOT;
    }
    let mut hash = md5::Context::new();
    hash.consume(path);
    hash.consume([0]);
    match content {
        Content::Directory => hash.consume("d"),
        Content::Link(target) => {
            hash.consume("l");
            hash.consume(&**target);
        }
        Content::Object(key, _) => hash.consume(key.hash),
        Content::Chunks(chunks, _) => chunks.iter().for_each(|chunk| hash.consume(chunk.key.hash)),
        Content::Unreadable(what) => hash.consume(&**what),
    }
    let digest = hash.finalize().0;
    u64::from_le_bytes(std::array::from_fn(|index| digest[index])).max(ROOT + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(content: Content) -> Entry {
        Entry { content, size: 0, mode: 0o100_644, mtime: 0, uid: 0, gid: 0, links: 1 }
    }

    #[test]
    fn another_content_is_another_number_and_another_date_is_not() {
        let link = |target: &str| Content::Link(target.into());
        assert_eq!(number("", &Content::Directory), ROOT);
        assert_eq!(number("/a", &link("x")), number("/a", &link("x")));
        assert_ne!(number("/a", &link("x")), number("/a", &link("y")));
        assert_ne!(number("/a", &link("x")), number("/b", &link("x")));
        assert_ne!(number("/a", &Content::Directory), number("/a", &link("d")));
    }

    #[test]
    fn what_the_kernel_forgets_is_forgotten_but_for_the_root() {
        let inodes = Inodes::default();
        let (root, file) = (entry(Content::Directory), entry(Content::Link("x".into())));
        inodes.told("", &root);
        let number = inodes.told("/a", &file);
        assert_eq!(inodes.told("/a", &file), number);
        inodes.forgotten(number, 1);
        assert_eq!(inodes.path(number).as_deref(), Some("/a"));
        inodes.forgotten(number, 1);
        inodes.forgotten(ROOT, 5);
        assert!(inodes.get(number).is_none() && inodes.get(ROOT).is_some());
    }
}
