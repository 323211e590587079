//! One repository: mounts it, follows its revisions, and mounts it again when it is gone.

use crate::cache::Cache;
use crate::catalog::{Catalogs, Tree};
use crate::config::{Config, Specific};
use crate::fetch::{LETTER_LIMIT, Network, Problem};
use crate::filesystem::{Filesystem, Mounted};
use crate::object::{Key, Kind, Objects, Packing, UNTOLD_LIMIT};
use crate::{Result, log, mount, trust};
use cvmfs::manifest::Manifest;
use fuser::{MountOption, SessionACL};
use rsa::RsaPublicKey;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// After how long a repository that cannot be mounted is tried again the first time; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What that doubles up to.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// How often servers that are down may be tried again.
const TICK: Duration = Duration::from_millis(500);

/// After how long to look for a new revision again when that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// How many requests of the kernel are answered at a time; those that wait for a server keep one busy each.
const THREADS: usize = 32;

/// Set when the client is to end: nothing is mounted from then on.
pub static ENDING: AtomicBool = AtomicBool::new(false);

/// Keeps a repository mounted until the client is to end. Its own configuration is read again before each mount.
pub fn keep(fqrn: &str, config: &Config, cache: &Arc<Cache>, mounts: &Path) {
    let mut wait = FIRST_WAIT;
    while !ENDING.load(Relaxed) {
        let started = Instant::now();
        let outcome =
            config.specific(fqrn).and_then(|own| Repository::new(own, cache.clone())?.serve(&mounts.join(fqrn)));
        if ENDING.load(Relaxed) {
            return;
        }
        if started.elapsed() > LONGEST_WAIT {
            wait = FIRST_WAIT;
        }
        let what = outcome.map_or_else(|what| format!("not mounted: {what}"), |()| "it was unmounted".into());
        log::event(fqrn, &format!("{what}; trying again"));
        std::thread::sleep(wait);
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

/// A manifest and a whitelist as a server sends them.
#[derive(PartialEq)]
struct Letters {
    manifest: Vec<u8>,
    whitelist: Vec<u8>,
}

struct Repository {
    config: Specific,
    keys: Vec<RsaPublicKey>,
    cache: Arc<Cache>,
    objects: Arc<Objects>,
    catalogs: Arc<Catalogs>,
}

impl Repository {
    fn new(config: Specific, cache: Arc<Cache>) -> Result<Self> {
        let keys = trust::keys(&config.keys)?;
        let objects = Arc::new(Objects::new(cache.clone(), Arc::new(Network::new(&config)?)));
        let catalogs = Arc::new(Catalogs::new(objects.clone()));
        Ok(Self { config, keys, cache, objects, catalogs })
    }

    /// Mounts the repository and follows its revisions until it is unmounted.
    fn serve(&self, point: &Path) -> Result<()> {
        let (letters, tree) = self.first()?;
        let revision = tree.revision;
        let mounted = Arc::new(Mounted::new(&self.config.fqrn, self.objects.clone(), tree)?);
        mount::prepare(point)?;
        let failed =
            |error| format!("{} cannot be mounted: {error}. Remedy: /dev/fuse and CAP_SYS_ADMIN", point.display());
        let session = fuser::Session::new(Filesystem(mounted.clone()), point, &options()).map_err(failed)?;
        let kernel = session.notifier();
        let (tell, ended) = mpsc::channel();
        let running = session.spawn().map_err(failed)?;
        std::thread::spawn(move || tell.send(running.join()));
        self.event(&format!("revision {revision} is mounted at {}", point.display()));
        self.follow(letters, &mounted, &kernel, &ended)
    }

    /// Looks for new revisions until the repository is unmounted.
    fn follow(
        &self,
        mut letters: Letters,
        mounted: &Mounted,
        kernel: &fuser::Notifier,
        ended: &mpsc::Receiver<std::io::Result<()>>,
    ) -> Result<()> {
        let (mut due, mut failed) = (Instant::now() + mounted.tree().ttl, false);
        loop {
            match ended.recv_timeout(TICK.min(due.saturating_duration_since(Instant::now()))) {
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(outcome) => return outcome.map_err(|error| format!("the mount ended: {error}")),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err("the mount ended".into()),
            }
            let healed = self.objects.network().try_again();
            if Instant::now() < due && !(healed && failed) {
                continue;
            }
            let outcome = self.renew(&mut letters, mounted, kernel);
            failed = outcome.is_err();
            let (ttl, revision) = (mounted.tree().ttl, mounted.tree().revision);
            due = Instant::now() + if failed { ttl.min(AFTER_FAILURE) } else { ttl };
            if let Err(what) = outcome {
                self.event(&format!("revision {revision} stays: {what}"));
            }
        }
    }

    /// Shows a new revision if there is one.
    fn renew(&self, letters: &mut Letters, mounted: &Mounted, kernel: &fuser::Notifier) -> Result<()> {
        let (new, manifest) = self.fetch()?;
        let tree = mounted.tree();
        let root = Key::parse(&manifest.root_catalog, Kind::Catalog)?;
        if manifest.revision < tree.revision {
            return Err(format!(
                "the server offers revision {}, which is older, and is not followed",
                manifest.revision
            ));
        }
        if manifest.revision == tree.revision && root != tree.root() {
            return Err("the server offers another content under the same number, which is not followed".into());
        }
        if manifest.revision > tree.revision {
            mounted.switch(self.tree(&manifest)?, kernel);
            self.event(&format!("revision {} follows {}", manifest.revision, tree.revision));
        }
        mounted.confirm();
        if new != *letters {
            self.save(&new);
            *letters = new;
        }
        Ok(())
    }

    /// Returns the revision to begin with: the server's, or the last one seen if no server answers.
    fn first(&self) -> Result<(Letters, Tree)> {
        let (letters, manifest) = match (self.fetch(), self.saved()) {
            (Ok((new, manifest)), saved) => match saved.and_then(|saved| self.unless_older(saved, &new, &manifest)) {
                Some(seen) => seen,
                None => (new, manifest),
            },
            (Err(what), None) => return Err(what),
            (Err(what), Some(saved)) => {
                let manifest = self.check(&saved, "the cache").map_err(|cached| format!("{what}; {cached}"))?;
                self.event(&format!("revision {} is taken from the cache: {what}", manifest.revision));
                (saved, manifest)
            }
        };
        let tree = self.tree(&manifest)?;
        self.save(&letters);
        Ok((letters, tree))
    }

    /// Returns what was seen before, if a server offers something older.
    fn unless_older(&self, saved: Letters, new: &Letters, offered: &Manifest) -> Option<(Letters, Manifest)> {
        let seen = Letters { manifest: saved.manifest, whitelist: new.whitelist.clone() };
        let manifest = self.check(&seen, "the cache").ok().filter(|seen| seen.revision > offered.revision)?;
        self.event(&format!(
            "the server offers revision {}, but {} was seen before and is mounted. Remedy: if the repository began anew, empty the cache",
            offered.revision, manifest.revision
        ));
        Some((seen, manifest))
    }

    fn fetch(&self) -> Result<(Letters, Manifest)> {
        self.objects.network().any(|request| {
            let manifest = request.read(".cvmfspublished", LETTER_LIMIT)?;
            let whitelist = request.read(".cvmfswhitelist", LETTER_LIMIT)?;
            let letters = Letters { manifest, whitelist };
            let manifest = self.check(&letters, &request.route.to_string()).map_err(Problem::Content)?;
            Ok((letters, manifest))
        })
    }

    /// Checks the chain of trust from the master keys to the manifest.
    fn check(&self, letters: &Letters, origin: &str) -> Result<Manifest> {
        let fqrn = &self.config.fqrn;
        let check = || {
            let whitelist = trust::whitelist(&letters.whitelist, fqrn, &self.keys)?;
            let manifest = trust::manifest(&letters.manifest, fqrn)?;
            let key = Key::parse(&manifest.certificate, Kind::Certificate)?;
            let object = self.objects.open(key, Packing::Zlib, None)?;
            if object.size() > LETTER_LIMIT {
                return Err(format!("the certificate {key:?} has {} bytes", object.size()));
            }
            let mut certificate = vec![0; object.size() as usize];
            object.read_at(&mut certificate, 0).map_err(|error| format!("the cache cannot be read: {error}"))?;
            trust::signed_by(&manifest, &certificate, &whitelist)?;
            Ok(manifest)
        };
        check().map_err(|what| format!("{what} (from {origin})"))
    }

    fn tree(&self, manifest: &Manifest) -> Result<Tree> {
        let root = Key::parse(&manifest.root_catalog, Kind::Catalog)?;
        let size = Some(u64::from(manifest.root_catalog_size)).filter(|size| (1..UNTOLD_LIMIT).contains(size));
        let ttl = Duration::from_secs(manifest.ttl.into());
        let mut tree = Tree::new(self.catalogs.clone(), root, size, manifest.revision, ttl)?;
        tree.ttl = self.config.max_ttl.map_or(tree.ttl, |max| tree.ttl.min(max));
        Ok(tree)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.cache.letter(&self.config.fqrn, name)
    }

    fn saved(&self) -> Option<Letters> {
        let read = |name| fs::read(self.path(name)).ok();
        Some(Letters { manifest: read("manifest")?, whitelist: read("whitelist")? })
    }

    /// Keeps letters for a start without servers, and to know what was seen.
    fn save(&self, letters: &Letters) {
        let write = |name: &str, text: &[u8]| {
            let (new, path) = (self.path(&format!("{name}.new")), self.path(name));
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&new, text)?;
            fs::rename(new, path)
        };
        let outcome = write("whitelist", &letters.whitelist).and_then(|()| write("manifest", &letters.manifest));
        if let Err(error) = outcome {
            self.event(&format!("the cache does not take the manifest: {error}"));
        }
    }

    fn event(&self, text: &str) {
        log::event(&self.config.fqrn, text);
    }
}

fn options() -> fuser::Config {
    let mut options = fuser::Config::default();
    options.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::DefaultPermissions,
        MountOption::FSName("cvmfs2".into()), // as the official client, for tools that look for it
    ];
    options.acl = SessionACL::All;
    options.n_threads = Some(THREADS);
    options.clone_fd = true;
    options
}
