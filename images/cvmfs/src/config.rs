//! What the client is told, by the names of the official client: in files, and above them in the environment.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Error, Result};

const FOLDER: &str = "/etc/cvmfs";
const DEFAULT_QUOTA_MB: u64 = 4000;
const DEFAULT_TIMEOUT_S: u64 = 5;

/// Settings as they are written.
#[derive(Debug, Default)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads what holds for all repositories, or for one.
    pub fn read(fqrn: Option<&str>) -> Result<Self> {
        let mut config = Self::default();
        let mut files = vec!["default.conf".to_owned(), "default.local".to_owned()];
        files.extend(fqrn.iter().flat_map(|fqrn| [format!("config.d/{fqrn}.conf"), format!("config.d/{fqrn}.local")]));
        for file in files {
            let path = Path::new(FOLDER).join(file);
            match fs::read_to_string(&path) {
                Ok(text) => config.add(&text),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::Refused(format!("{}: {error}", path.display()))),
            }
        }
        config.0.extend(std::env::vars().filter(|(name, _)| name.starts_with("CVMFS_")));
        Ok(config)
    }

    /// Adds the lines of a file, which are assignments of a shell without anything that a shell would expand.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            let Some((name, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else { continue };
            if name.starts_with("CVMFS_") {
                self.0.insert(name.to_owned(), unquoted(value).to_owned());
            }
        }
    }

    /// Returns a value, where there is one that is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<u64>> {
        let parse = |value: &str| value.parse().context(&format!("{name}={value} is no number"));
        self.get(name).map(parse).transpose()
    }

    /// Returns the names of the repositories.
    pub fn repositories(&self) -> Result<Vec<String>> {
        let names: Vec<_> = items(self.get("CVMFS_REPOSITORIES").unwrap_or_default(), &[',', ' ']);
        if names.is_empty() {
            return Err(Error::Refused(format!(
                "There is no repository to mount. Name some in CVMFS_REPOSITORIES, or in {FOLDER}/default.local."
            )));
        }
        Ok(names)
    }

    /// Returns what one repository needs.
    pub fn settings(&self, fqrn: &str) -> Result<Settings> {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !fqrn.contains('.') || fqrn.starts_with('.') || !fqrn.chars().all(letters) {
            return Err(Error::Refused(
                "No repository can have that name. Use its full one, as sw.example.org.".into(),
            ));
        }
        let organisation = fqrn.split('.').next().unwrap_or_default();
        let template = self.get("CVMFS_SERVER_URL").unwrap_or_default();
        let servers = items(&template.replace("@fqrn@", fqrn).replace("@org@", organisation), &[';']);
        if servers.is_empty() {
            return Err(Error::Refused("There is no server. Name one in CVMFS_SERVER_URL.".into()));
        }
        let folder = |name, default: &str| PathBuf::from(self.get(name).unwrap_or(default));
        Ok(Settings {
            fqrn: fqrn.to_owned(),
            servers: servers.iter().map(|server| server.trim_end_matches('/').to_owned()).collect(),
            proxies: proxies(self.get("CVMFS_HTTP_PROXY").unwrap_or("DIRECT"))?,
            key: folder("CVMFS_KEYS_DIR", "/etc/cvmfs/keys").join(format!("{fqrn}.pub")),
            cache: folder("CVMFS_CACHE_BASE", "/var/lib/cvmfs").join(fqrn),
            mount: folder("CVMFS_MOUNT_DIR", "/cvmfs").join(fqrn),
            quota: self.number("CVMFS_QUOTA_LIMIT")?.unwrap_or(DEFAULT_QUOTA_MB) << 20,
            timeout: Duration::from_secs(self.number("CVMFS_TIMEOUT")?.unwrap_or(DEFAULT_TIMEOUT_S).max(1)),
            max_ttl: self
                .number("CVMFS_MAX_TTL")?
                .filter(|minutes| *minutes > 0)
                .map(|minutes| Duration::from_secs(60 * minutes)),
        })
    }
}

/// What one repository needs.
#[derive(Debug)]
pub struct Settings {
    /// Its name.
    pub fqrn: String,
    /// The URLs under which servers have it, the preferred one first.
    pub servers: Vec<String>,
    /// Groups of proxies, the preferred one first; those of a group share the load. `None` is no proxy.
    pub proxies: Vec<Vec<Option<String>>>,
    /// The file of its public master key.
    pub key: PathBuf,
    /// The folder of its cache.
    pub cache: PathBuf,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// How many bytes the cache may hold.
    pub quota: u64,
    /// For how long a server may be silent.
    pub timeout: Duration,
    /// The longest time after which a new revision is looked for.
    pub max_ttl: Option<Duration>,
}

/// Returns a value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split(quote).next().unwrap_or_default(),
        _ => value.split_once(" #").map_or(value, |(value, _)| value).trim(),
    }
}

fn items(list: &str, separators: &[char]) -> Vec<String> {
    list.split(separators).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Returns the groups of a list of proxies: `one|other;DIRECT`.
fn proxies(list: &str) -> Result<Vec<Vec<Option<String>>>> {
    let proxy = |name: String| match name.as_str() {
        "DIRECT" => Ok(None),
        "auto" => Err(Error::Refused("CVMFS_HTTP_PROXY=auto is not understood. Name proxies, or DIRECT.".into())),
        _ => Ok(Some(name)),
    };
    items(list, &[';']).iter().map(|group| items(group, &['|']).into_iter().map(proxy).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let mut config = Config::default();
        config.add(text);
        config
    }

    #[test]
    fn lines_are_assignments_and_later_ones_win() {
        let config =
            config("# CVMFS_A=0\nCVMFS_A=1\n export CVMFS_A=\"2 #\" # two\nCVMFS_B='x'\nCVMFS_C=y # why\nOTHER=1");
        assert_eq!((config.get("CVMFS_A"), config.get("CVMFS_B")), (Some("2 #"), Some("x")));
        assert_eq!((config.get("CVMFS_C"), config.get("OTHER")), (Some("y"), None));
    }

    #[test]
    fn servers_have_the_name_in_their_urls() {
        let config = config("CVMFS_SERVER_URL=\"http://a/cvmfs/@fqrn@;http://b/@org@/\"\nCVMFS_QUOTA_LIMIT=10");
        let settings = config.settings("sw.example.org").unwrap();
        assert_eq!(settings.servers, ["http://a/cvmfs/sw.example.org", "http://b/sw"]);
        assert_eq!((settings.quota, settings.proxies), (10 << 20, vec![vec![None]]));
    }

    #[test]
    fn proxies_come_in_groups() {
        let one = |name: &str| Some(format!("http://{name}:3128"));
        let groups = proxies("http://a:3128|http://b:3128; http://c:3128 ;DIRECT").unwrap();
        assert_eq!(groups, [vec![one("a"), one("b")], vec![one("c")], vec![None]]);
        assert!(proxies("auto;DIRECT").is_err());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let config = config("CVMFS_SERVER_URL=http://a\nCVMFS_QUOTA_LIMIT=much\nCVMFS_REPOSITORIES=' '");
        for fqrn in ["sw", "../sw.example.org", "sw.example.org/..", "sw.example.org"] {
            assert!(config.settings(fqrn).is_err(), "{fqrn}");
        }
        assert!(config.repositories().is_err());
    }
}
