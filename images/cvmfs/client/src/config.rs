//! The official client's configuration names and files.
//!
//! `default.local` is for all repositories, environment variables of the same names override it, and
//! `config.d/FQRN.local` is for one repository and overrides both. A line is `NAME=value`; the value may stand in
//! quotes, `#` begins a comment.

use crate::Result;
use crate::address::{self, Proxy};
use crate::log;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is.
pub const FOLDER: &str = "/etc/cvmfs";

/// Names that are for all repositories together, so that a repository's own file cannot set them.
const GENERAL: [&str; 4] = ["CVMFS_REPOSITORIES", "CVMFS_CACHE_BASE", "CVMFS_QUOTA_LIMIT", "CVMFS_MOUNT_DIR"];

/// Names that a repository's own file may set, too.
const SPECIFIC: [&str; 8] = [
    "CVMFS_SERVER_URL",
    "CVMFS_HTTP_PROXY",
    "CVMFS_KEYS_DIR",
    "CVMFS_PUBLIC_KEY",
    "CVMFS_MAX_TTL",
    "CVMFS_TIMEOUT",
    "CVMFS_TIMEOUT_DIRECT",
    "CVMFS_MAX_RETRIES",
];

/// What is said of all repositories.
#[derive(Debug, PartialEq)]
pub struct General {
    /// Fully qualified repository names, each once.
    pub repositories: Vec<String>,
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Bytes that the cache may take; `None` is no limit.
    pub quota: Option<u64>,
    /// Repositories are mounted in it.
    pub mounts: PathBuf,
}

/// What is said of one repository.
#[derive(Debug, PartialEq)]
pub struct Specific {
    /// Fully qualified repository name.
    pub fqrn: String,
    /// URLs of the repository on its servers, in order of preference.
    pub servers: Vec<String>,
    /// Groups of proxies, in order of preference; those of a group share the load.
    pub proxies: Vec<Vec<Proxy>>,
    /// Files with the master keys, any of which may have signed the whitelist.
    pub keys: Vec<PathBuf>,
    /// A new revision is looked for at least this often.
    pub max_ttl: Option<Duration>,
    /// How long to wait for a proxy.
    pub timeout: Duration,
    /// How long to wait for a server that is asked directly.
    pub timeout_direct: Duration,
    /// How often a broken download is tried again on the same way.
    pub retries: u32,
}

/// Values by name, each with the place where it was set.
type Values = BTreeMap<String, (String, String)>;

/// The configuration as it was read, before its values are understood.
#[derive(Clone)]
pub struct Config {
    folder: PathBuf,
    values: Values,
}

impl Config {
    /// Reads what is for all repositories.
    ///
    /// # Errors
    /// A file cannot be read or has a line that is not `NAME=value`.
    pub fn read(folder: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut values = Values::new();
        let known = |name: &str| GENERAL.contains(&name) || SPECIFIC.contains(&name);
        read_file(&folder.join("default.local"), &mut values, &known)?;
        for (name, value) in environment.filter(|(name, _)| known(name)) {
            values.insert(name, (value, "the environment".into()));
        }
        Ok(Self { folder: folder.into(), values })
    }

    /// Understands what is for all repositories.
    ///
    /// # Errors
    /// A value is missing or wrong.
    pub fn general(&self) -> Result<General> {
        let (text, place) = self.required(&self.values, "CVMFS_REPOSITORIES", "names separated by commas")?;
        let mut repositories: Vec<String> = Vec::new();
        for fqrn in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            check_fqrn(fqrn, place)?;
            if repositories.iter().any(|other| other == fqrn) {
                log::event(fqrn, "CVMFS_REPOSITORIES names it twice; it is mounted once");
            } else {
                repositories.push(fqrn.into());
            }
        }
        if repositories.is_empty() {
            return Err(format!("CVMFS_REPOSITORIES in {place} is empty. Remedy: name at least one repository"));
        }
        Ok(General {
            repositories,
            cache: absolute(&self.values, "CVMFS_CACHE_BASE", "/var/lib/cvmfs")?,
            quota: quota(&self.values)?,
            mounts: absolute(&self.values, "CVMFS_MOUNT_DIR", "/cvmfs")?,
        })
    }

    /// Reads and understands what is for one repository.
    ///
    /// # Errors
    /// A value is missing or wrong.
    pub fn specific(&self, fqrn: &str) -> Result<Specific> {
        let mut values = self.values.clone();
        let file = self.folder.join("config.d").join(format!("{fqrn}.local"));
        let mut own = Values::new();
        read_file(&file, &mut own, &|name| SPECIFIC.contains(&name) || GENERAL.contains(&name))?;
        if let Some(name) = GENERAL.iter().find(|name| own.contains_key(**name)) {
            let home = self.folder.join("default.local");
            let (file, home) = (file.display(), home.display());
            return Err(format!("{file} sets {name}, which is for all repositories. Remedy: set it in {home}"));
        }
        values.extend(own);
        let (servers, place) = self.required(&values, "CVMFS_SERVER_URL", "URLs separated by semicolons")?;
        let servers = address::servers(servers, fqrn).map_err(|what| format!("CVMFS_SERVER_URL in {place} {what}"))?;
        let (proxies, place) = optional(&values, "CVMFS_HTTP_PROXY", "DIRECT");
        let proxies = address::proxies(proxies).map_err(|what| format!("CVMFS_HTTP_PROXY in {place} {what}"))?;
        let seconds = |name, default| number(&values, name, default, 1..=3600).map(Duration::from_secs);
        let minutes = number(&values, "CVMFS_MAX_TTL", 0, 0..=525_600)?;
        Ok(Specific {
            fqrn: fqrn.into(),
            servers,
            proxies,
            keys: keys(&values)?,
            max_ttl: (minutes > 0).then(|| Duration::from_secs(60 * minutes)),
            timeout: seconds("CVMFS_TIMEOUT", 5)?,
            timeout_direct: seconds("CVMFS_TIMEOUT_DIRECT", 10)?,
            retries: number(&values, "CVMFS_MAX_RETRIES", 1, 0..=10)? as u32,
        })
    }

    fn required<'a>(&self, values: &'a Values, name: &str, what: &str) -> Result<(&'a str, &'a str)> {
        match values.get(name) {
            Some((value, place)) => Ok((value, place)),
            None => {
                let home = self.folder.join("default.local");
                Err(format!("{name} is set nowhere. Remedy: set it in {}: {what}", home.display()))
            }
        }
    }
}

fn optional<'a>(values: &'a Values, name: &str, default: &'a str) -> (&'a str, &'a str) {
    values.get(name).map_or((default, "the client's defaults"), |(value, place)| (value, place))
}

fn read_file(path: &Path, values: &mut Values, known: &dyn Fn(&str) -> bool) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}, line {}", path.display(), number + 1);
        let Some((name, value)) = assignment(line).map_err(|what| format!("{place}: {what}"))? else { continue };
        if known(name) {
            values.insert(name.into(), (value.into(), place));
        } else {
            log::general(&format!("{place}: {name} is not a name that this client knows; ignored"));
        }
    }
    Ok(())
}

/// Splits a line into name and value; `None` if it has neither.
fn assignment(line: &str) -> Result<Option<(&str, &str)>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once('=').ok_or_else(|| format!("\"{line}\" is not of the form NAME=value"))?;
    if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Err(format!("\"{name}\" is not a name; a line is NAME=value"));
    }
    let value = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, after) =
                rest[1..].split_once(quote).ok_or_else(|| format!("the value of {name} lacks its closing {quote}"))?;
            let after = after.trim_start();
            if !after.is_empty() && !after.starts_with('#') {
                return Err(format!("after the value of {name} stands \"{after}\""));
            }
            value
        }
        _ => rest.split(" #").next().unwrap_or_default().trim(),
    };
    if value.contains('$') {
        return Err(format!(
            "the value of {name} has a $, but variables are not expanded. Remedy: write the value out"
        ));
    }
    Ok(Some((name, value)))
}

/// Refuses what is not a repository's name; it becomes part of paths and URLs.
fn check_fqrn(fqrn: &str, place: &str) -> Result<()> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_')
    };
    if fqrn.len() <= 60 && fqrn.contains('.') && fqrn.split('.').all(part) {
        return Ok(());
    }
    Err(format!(
        "\"{fqrn}\" of CVMFS_REPOSITORIES in {place} is not a repository's name. \
         Remedy: at most 60 lower-case letters, digits, - and _ with dots in between, such as sw.example.org"
    ))
}

fn absolute(values: &Values, name: &str, default: &str) -> Result<PathBuf> {
    let (text, place) = optional(values, name, default);
    if text.starts_with('/') {
        return Ok(text.into());
    }
    Err(format!("{name} in {place} is \"{text}\". Remedy: give a path from the root, such as {default}"))
}

fn number(values: &Values, name: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
    let Some((text, place)) = values.get(name) else { return Ok(default) };
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (from, to) = range.into_inner();
        format!(
            "{name} in {place} is \"{text}\". Remedy: give a whole number from {from} to {to}; the default is {default}"
        )
    })
}

fn quota(values: &Values) -> Result<Option<u64>> {
    if values.get("CVMFS_QUOTA_LIMIT").is_some_and(|(text, _)| text == "-1") {
        return Ok(None);
    }
    let limit = number(values, "CVMFS_QUOTA_LIMIT", 4000, 1..=1 << 30);
    limit.map(|megabytes| Some(megabytes << 20)).map_err(|what| format!("{what}, and -1 is no limit"))
}

/// Returns the files of the master keys; a folder of them goes before a list, as for the official client.
fn keys(values: &Values) -> Result<Vec<PathBuf>> {
    if let Some((folder, place)) = values.get("CVMFS_KEYS_DIR") {
        let listed = std::fs::read_dir(folder)
            .map_err(|error| format!("CVMFS_KEYS_DIR in {place} is {folder}, which cannot be listed: {error}"))?;
        let mut found: Vec<PathBuf> = listed
            .flatten()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|end| end == "pub"))
            .collect();
        found.sort();
        if found.is_empty() {
            return Err(format!(
                "CVMFS_KEYS_DIR in {place} is {folder}, which has no *.pub. Remedy: put the master key there"
            ));
        }
        return Ok(found);
    }
    let (list, place) = optional(values, "CVMFS_PUBLIC_KEY", "");
    let found: Vec<PathBuf> = list.split(':').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    if found.is_empty() {
        let what = "neither CVMFS_KEYS_DIR nor CVMFS_PUBLIC_KEY names a key";
        return Err(format!(
            "{what} (looked in {place}). Remedy: name a folder with the repository's master key, *.pub"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes with its test.
    struct Folder(PathBuf);

    impl std::ops::Deref for Folder {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn folder(name: &str, files: &[(&str, &str)]) -> Folder {
        let folder = std::env::temp_dir().join(format!("cvmfs-config-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("config.d")).unwrap();
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        std::fs::write(folder.join("keys/a.pub"), "").unwrap();
        for (path, text) in files {
            std::fs::write(folder.join(path), text).unwrap();
        }
        Folder(folder)
    }

    fn read(folder: &Path, environment: &[(&str, &str)]) -> Config {
        Config::read(folder, environment.iter().map(|(name, value)| (name.to_string(), value.to_string()))).unwrap()
    }

    #[test]
    fn values_are_taken_from_file_environment_and_own_file_in_this_order() {
        let keys = "CVMFS_PUBLIC_KEY=/k/a.pub:/k/b.pub\n";
        let text = format!(
            "# all\n{keys}CVMFS_REPOSITORIES=\"a.example.org,b.example.org\" # two\nCVMFS_TIMEOUT=1\nCVMFS_MAX_RETRIES=3\n"
        );
        let own = "CVMFS_MAX_TTL='2'\nCVMFS_TIMEOUT=9\n";
        let folder = folder("order", &[("default.local", &text), ("config.d/a.example.org.local", own)]);
        let environment = [
            ("CVMFS_TIMEOUT", "7"),
            ("CVMFS_MAX_RETRIES", "2"),
            ("CVMFS_SERVER_URL", "http://s/cvmfs/@fqrn@"),
            ("PATH", "x"),
        ];
        let config = read(&folder, &environment);
        assert_eq!(config.general().unwrap().repositories, ["a.example.org", "b.example.org"]);
        let (a, b) = (config.specific("a.example.org").unwrap(), config.specific("b.example.org").unwrap());
        assert_eq!((a.timeout.as_secs(), b.timeout.as_secs(), a.retries), (9, 7, 2));
        assert_eq!((a.max_ttl, b.max_ttl), (Some(Duration::from_secs(120)), None));
        assert_eq!(a.keys, [PathBuf::from("/k/a.pub"), PathBuf::from("/k/b.pub")]);
        assert_eq!(b.servers, ["http://s/cvmfs/b.example.org"]);
    }

    #[test]
    fn defaults_are_the_official_ones() {
        let folder = folder("defaults", &[]);
        let keys = folder.join("keys");
        let environment = [
            ("CVMFS_REPOSITORIES", "a.example.org"),
            ("CVMFS_SERVER_URL", "http://s/@fqrn@"),
            ("CVMFS_KEYS_DIR", keys.to_str().unwrap()),
        ];
        let config = read(&folder, &environment);
        let general = config.general().unwrap();
        assert_eq!((general.quota, general.cache.to_str().unwrap()), (Some(4000 << 20), "/var/lib/cvmfs"));
        assert_eq!(general.mounts.to_str().unwrap(), "/cvmfs");
        let specific = config.specific("a.example.org").unwrap();
        assert_eq!((specific.timeout.as_secs(), specific.timeout_direct.as_secs(), specific.retries), (5, 10, 1));
        assert_eq!((specific.proxies, specific.keys), (vec![vec![Proxy::Direct]], vec![keys.join("a.pub")]));
    }

    #[test]
    fn wrong_values_are_told_with_place_value_and_remedy() {
        for (name, value, told) in [
            ("CVMFS_QUOTA_LIMIT", "much", "is \"much\". Remedy: give a whole number"),
            ("CVMFS_QUOTA_LIMIT", "0", "is \"0\""),
            ("CVMFS_CACHE_BASE", "here", "is \"here\". Remedy: give a path"),
            ("CVMFS_REPOSITORIES", "", "is empty"),
            ("CVMFS_REPOSITORIES", "../etc", "is not a repository's name"),
            ("CVMFS_REPOSITORIES", "cern", "is not a repository's name"),
        ] {
            let folder = folder("wrong", &[("default.local", &format!("CVMFS_REPOSITORIES=a.b\n{name}={value}\n"))]);
            let error = read(&folder, &[]).general().unwrap_err();
            assert!(error.contains(told) && error.contains("default.local, line 2"), "{error}");
        }
        for (name, value, told) in [
            ("CVMFS_TIMEOUT", "0", "is \"0\". Remedy"),
            ("CVMFS_SERVER_URL", "ftp://x", "ftp://x"),
            ("CVMFS_HTTP_PROXY", ";", "names no proxy"),
            ("CVMFS_KEYS_DIR", "/nonexistent", "cannot be listed"),
            ("CVMFS_QUOTA_LIMIT", "1", "for all repositories"),
        ] {
            let text = "CVMFS_SERVER_URL=http://s\nCVMFS_PUBLIC_KEY=/k\n";
            let own = format!("{name}={value}\n");
            let folder = folder("wrong-own", &[("default.local", text), ("config.d/a.b.local", &own)]);
            let error = read(&folder, &[]).specific("a.b").unwrap_err();
            assert!(error.contains(told) && error.contains("a.b.local"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = folder("missing", &[("default.local", "CVMFS_SERVER_URL=http://s\n")]);
        assert!(read(&folder, &[]).general().unwrap_err().contains("CVMFS_REPOSITORIES is set nowhere. Remedy"));
        assert!(read(&folder, &[]).specific("a.b").unwrap_err().contains("names a key"));
    }

    #[test]
    fn no_limit_is_minus_one() {
        let folder = folder("unlimited", &[]);
        let environment = [("CVMFS_REPOSITORIES", "a.b"), ("CVMFS_QUOTA_LIMIT", "-1")];
        assert_eq!(read(&folder, &environment).general().unwrap().quota, None);
    }

    #[test]
    fn lines_that_are_no_assignments_are_refused() {
        assert_eq!(assignment("A=b # c").unwrap(), Some(("A", "b")));
        assert_eq!(assignment("A='b # c' # d").unwrap(), Some(("A", "b # c")));
        assert_eq!(assignment("A=http://p:1|http://q:1;DIRECT").unwrap(), Some(("A", "http://p:1|http://q:1;DIRECT")));
        assert_eq!(assignment("  # A=b").unwrap(), None);
        for (line, told) in [
            ("source x", "is not of the form"),
            ("A=\"b", "lacks its closing"),
            ("A='b' c", "stands \"c\""),
            ("A=$B", "not expanded"),
            ("A B=c", "is not a name"),
        ] {
            assert!(assignment(line).unwrap_err().contains(told), "{line}");
        }
    }
}
