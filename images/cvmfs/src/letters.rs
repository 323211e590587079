//! The two signed letters of a repository: the manifest, which names its revision, and the whitelist.

use std::time::Duration;

use sha1::{Digest, Sha1};
use x509_cert::der::DateTime;

use crate::objects::{Kind, Object, hex};

/// A letter, whose checksum is that of its body.
pub struct Letter<'a> {
    body: &'a str,
    /// The checksum, as it was signed.
    pub checksum: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> Letter<'a> {
    /// Takes a letter apart.
    pub fn open(content: &'a [u8]) -> Result<Self, String> {
        let cut = content.windows(4).position(|window| window == b"\n--\n").ok_or("it is not signed")?;
        let (body, rest) = (&content[..cut + 1], &content[cut + 4..]);
        let (checksum, signature) = rest.split_at_checked(41).ok_or("it is not signed")?;
        let checksum = &checksum[..40];
        if hex(&Sha1::digest(body)).as_bytes() != checksum {
            return Err("its text is not what its checksum says".into());
        }
        Ok(Self { body: std::str::from_utf8(body).map_err(|error| error.to_string())?, checksum, signature })
    }

    /// Returns what follows a letter at the start of a line.
    fn field(&self, name: char) -> Result<&'a str, String> {
        self.body.lines().find_map(|line| line.strip_prefix(name)).ok_or(format!("it has no line {name}"))
    }
}

/// What a manifest says.
#[derive(Debug)]
pub struct Manifest {
    /// The name of the repository.
    pub fqrn: String,
    /// The number of the revision.
    pub revision: u64,
    /// For how long nobody need ask again.
    pub ttl: Duration,
    /// The root catalog.
    pub catalog: Object,
    /// The certificate whose key has signed.
    pub certificate: Object,
}

impl Manifest {
    /// Reads a letter.
    pub fn read(letter: &Letter) -> Result<Self, String> {
        let number = |name| letter.field(name)?.parse().map_err(|error| format!("its line {name}: {error}"));
        let object = |name, kind| Object::named(letter.field(name)?, kind);
        Ok(Self {
            fqrn: letter.field('N')?.to_owned(),
            revision: number('S')?,
            ttl: Duration::from_secs(number('D')?.max(1)),
            catalog: object('C', Kind::Catalog)?,
            certificate: object('X', Kind::Certificate)?,
        })
    }
}

/// What a whitelist says.
#[derive(Debug)]
pub struct Whitelist {
    /// The name of the repository.
    pub fqrn: String,
    /// When it ends, since 1970.
    pub expiry: Duration,
    /// The fingerprints of certificates, by SHA-1.
    pub fingerprints: Vec<String>,
}

impl Whitelist {
    /// Reads a letter.
    pub fn read(letter: &Letter) -> Result<Self, String> {
        let fingerprints = letter.body.lines().skip(1).map(|line| line.split(' ').next().unwrap_or_default());
        Ok(Self {
            fqrn: letter.field('N')?.to_owned(),
            expiry: time(letter.field('E')?).ok_or("its line E is no time")?,
            fingerprints: fingerprints.filter(|line| line.contains(':')).map(str::to_owned).collect(),
        })
    }
}

/// Reads a time as YYYYMMDDhhmmss.
fn time(text: &str) -> Option<Duration> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(..4)?.parse().ok()?;
    let time = DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?).ok()?;
    Some(time.unix_duration())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(body: &str) -> Vec<u8> {
        [body.as_bytes(), b"--\n", hex(&Sha1::digest(body)).as_bytes(), b"\nsignature"].concat()
    }

    #[test]
    fn a_manifest_is_read() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let letter = signed(&format!("C{hash}\nB1\nD60\nS7\nNsw.example.org\nX{hash}\n"));
        let letter = Letter::open(&letter).unwrap();
        let manifest = Manifest::read(&letter).unwrap();
        assert_eq!(
            (manifest.revision, manifest.ttl.as_secs(), manifest.catalog.path()),
            (7, 60, format!("data/01/{}C", &hash[2..]))
        );
        assert_eq!(letter.signature, b"signature");
    }

    #[test]
    fn a_whitelist_is_read() {
        let letter = signed("20260101000000\nE20260131000001\nNsw.example.org\nAA:BB # of somebody\nCC:DD\n");
        let whitelist = Whitelist::read(&Letter::open(&letter).unwrap()).unwrap();
        assert_eq!(
            (whitelist.expiry.as_secs(), whitelist.fingerprints),
            (1769817601, vec!["AA:BB".into(), "CC:DD".into()])
        );
    }

    #[test]
    fn what_is_no_letter_is_refused() {
        let mut edited = signed("C1\nS1\n");
        edited[4] = b'9';
        for content in [&b""[..], b"C1\n--\n", &edited] {
            assert!(Letter::open(content).is_err());
        }
        assert!(Manifest::read(&Letter::open(&signed("S1\nD1\nNx\nCzz\nX\n")).unwrap()).is_err());
        assert!(Whitelist::read(&Letter::open(&signed("1\nE2026\nNx\n")).unwrap()).is_err());
    }
}
