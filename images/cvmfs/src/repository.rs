//! A repository at its current revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use rsa::RsaPublicKey;

use crate::catalog::{Catalog, Entry};
use crate::config::Settings;
use crate::error::{Context, Error, Result};
use crate::letters::{Letter, Manifest};
use crate::log;
use crate::objects::{Object, Objects};
use crate::{cache, transport, trust};

const MANIFEST: &str = ".cvmfspublished";
/// Of the catalogs that are open at a time; each is an open file.
const MOST_CATALOGS: usize = 256;
const WHITELIST: &str = ".cvmfswhitelist";

/// A repository, of which one revision is read at a time.
pub struct Repository {
    /// What it is made of.
    pub objects: Objects,
    settings: Settings,
    master: RsaPublicKey,
    current: RwLock<(Arc<Revision>, Instant)>,
}

/// One revision, which never changes.
pub struct Revision {
    /// What names it.
    pub manifest: Manifest,
    catalogs: Mutex<HashMap<Object, Arc<Catalog>>>,
}

impl Repository {
    /// Opens a repository: from its servers, or if none answers from the cache alone.
    pub fn open(settings: Settings) -> Result<Self> {
        let cache = cache::Cache::new(&settings.cache, settings.quota)?;
        let objects = Objects::new(cache, transport::Transport::new(&settings)?);
        let master = trust::master_key(&settings.key)?;
        let revision = load(&objects, &settings.fqrn, &master)?;
        let current = RwLock::new(current(Arc::new(revision), &settings));
        Ok(Self { objects, settings, master, current })
    }

    /// Returns the current revision, and for how long it certainly is the current one.
    pub fn revision(&self) -> (Arc<Revision>, Duration) {
        let (revision, end) = &*self.current.read().unwrap();
        (revision.clone(), end.saturating_duration_since(Instant::now()))
    }

    /// Follows the repository to each new revision; never returns.
    pub fn follow(&self) {
        let mut told = String::new();
        loop {
            let (old, valid) = self.revision();
            std::thread::sleep(valid);
            old.touch(&self.objects);
            let new = load(&self.objects, &self.settings.fqrn, &self.master);
            let reason = new.as_ref().err().map(Error::to_string).unwrap_or_default();
            match new {
                Ok(new) if new.manifest.revision > old.manifest.revision => {
                    log::say(format_args!("revision {} follows {}", new.manifest.revision, old.manifest.revision));
                    self.set(Arc::new(new));
                }
                _ => self.set(old.clone()),
            }
            if !reason.is_empty() && reason != told {
                log::say(format_args!("stays at revision {}: {reason}", old.manifest.revision));
            }
            told = reason;
        }
    }

    fn set(&self, revision: Arc<Revision>) {
        *self.current.write().unwrap() = current(revision, &self.settings);
    }

    /// Returns what lies at a path, if anything does.
    pub fn entry(&self, path: &[u8]) -> Result<Option<Entry>> {
        self.revision().0.catalog(&self.objects, path)?.entry(path)
    }

    /// Returns others of the folder of a file, as `Catalog::others` does.
    pub fn others(&self, path: &[u8], count: u32, size: u64) -> Result<Vec<Entry>> {
        self.revision().0.catalog(&self.objects, path)?.others(path, count, size)
    }

    /// Returns what lies in a folder.
    pub fn list(&self, path: &[u8]) -> Result<Vec<Entry>> {
        self.revision().0.catalog(&self.objects, path)?.list(path)
    }
}

impl Revision {
    /// Returns the catalog that holds a path. Those on the way to it are fetched, by one reader at a time for each.
    fn catalog(&self, objects: &Objects, path: &[u8]) -> Result<Arc<Catalog>> {
        let mut object = self.manifest.catalog;
        loop {
            let known = self.catalogs.lock().unwrap().get(&object).cloned();
            let catalog = match known {
                Some(catalog) => catalog,
                None => {
                    let opened = Arc::new(Catalog::open(&objects.file(&object)?)?);
                    let mut catalogs = self.catalogs.lock().unwrap();
                    if catalogs.len() >= MOST_CATALOGS {
                        catalogs.clear(); // they are opened again from the cache
                    }
                    catalogs.entry(object).or_insert(opened).clone()
                }
            };
            match catalog.nested(path) {
                Some(nested) => object = *nested,
                None => return Ok(catalog),
            }
        }
    }

    /// Keeps what it is read by in the cache, though files may fill it.
    fn touch(&self, objects: &Objects) {
        objects.cache().touch(&self.manifest.certificate);
        self.catalogs.lock().unwrap().keys().for_each(|object| objects.cache().touch(object));
    }
}

/// Says of a revision until when it is the current one, from now on.
fn current(revision: Arc<Revision>, settings: &Settings) -> (Arc<Revision>, Instant) {
    let ttl = revision.manifest.ttl;
    (revision, Instant::now() + settings.max_ttl.map_or(ttl, |longest| ttl.min(longest)))
}

/// Returns the newest revision, once all that speaks for it is verified.
fn load(objects: &Objects, fqrn: &str, master: &RsaPublicKey) -> Result<Revision> {
    let (whitelist, manifest) = (letter(objects, WHITELIST)?, letter(objects, MANIFEST)?);
    let trusted = trust::whitelist(&whitelist, fqrn, master)?;
    let certificate = |manifest: &Manifest| {
        let file = objects.file(&manifest.certificate)?;
        std::io::read_to_string(file).map(String::into_bytes).context("certificate")
    };
    let revision =
        Revision { manifest: trust::manifest(&manifest, &trusted, certificate)?, catalogs: Mutex::default() };
    revision.catalog(objects, b"")?;
    for (name, content) in [(WHITELIST, whitelist), (MANIFEST, manifest)] {
        if objects.cache().letter(name).as_ref() != Some(&content) {
            objects.cache().keep_letter(name, &content)?;
        }
    }
    Ok(revision)
}

/// Fetches a letter. Only where no server answers, the last good one serves; it is verified as a new one is.
fn letter(objects: &Objects, name: &str) -> Result<Vec<u8>> {
    match objects.transport.fetch(name, |content| Letter::open(&content).map(drop).and(Ok(content))) {
        Err(Error::Unreachable(reason)) => objects.cache().letter(name).ok_or(Error::Unreachable(reason)),
        answer => answer,
    }
}
