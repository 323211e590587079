//! The chain of trust: a master key signs the whitelist, which names certificates, one of which signs the manifest,
//! which names the root catalog by its hash. Every other object is named by a hash in something checked before.

use crate::Result;
use cvmfs::certificate::Certificate;
use cvmfs::manifest::Manifest;
use cvmfs::root_file::RootFile;
use cvmfs::whitelist::Whitelist;
use rsa::RsaPublicKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::DecodePublicKey;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::FromRawFd;
use std::path::PathBuf;

/// A signed text: body, `--`, the SHA-1 of the body in hexadecimal, and a signature of that.
struct Letter<'a> {
    body: &'a [u8],
    digest: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Letter<'a> {
    fn parse(text: &'a [u8]) -> Result<Self> {
        let end = text.windows(4).position(|four| four == b"\n--\n").ok_or("it is not signed")?;
        let (body, rest) = (&text[..=end], &text[end + 4..]);
        // the parsers of the formats take bytes apart between characters
        if !body.is_ascii() {
            return Err("it has characters beyond ASCII".into());
        }
        let (digest, signature) = match rest.split_at_checked(41) {
            Some((digest, signature)) if digest[40] == b'\n' => (&digest[..40], signature),
            _ => return Err("it is not signed".into()),
        };
        if hex::encode(Sha1::digest(body)).as_bytes() != digest {
            return Err("its checksum is wrong".into());
        }
        Ok(Self { body, digest, signature })
    }
}

/// Reads master keys.
///
/// # Errors
/// A file cannot be read, or is not a public RSA key in PEM.
pub fn keys(files: &[PathBuf]) -> Result<Vec<RsaPublicKey>> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("the key {} cannot be read: {error}", path.display()))?;
        RsaPublicKey::from_public_key_pem(&text).map_err(|error| {
            format!(
                "{} is not a public RSA key in PEM: {error}. Remedy: the repository's master key, *.pub",
                path.display()
            )
        })
    };
    files.iter().map(read).collect()
}

/// Checks a whitelist.
///
/// # Errors
/// None of the keys signed it, it is for another repository, or it has expired.
pub fn whitelist(text: &[u8], fqrn: &str, keys: &[RsaPublicKey]) -> Result<Whitelist> {
    let letter = Letter::parse(text).map_err(|what| format!("the whitelist is refused: {what}"))?;
    // a PKCS#1 signature of the digest as it is written, without the algorithm's name
    if !keys.iter().any(|key| key.verify(Pkcs1v15Sign::new_unprefixed(), letter.digest, letter.signature).is_ok()) {
        return Err("the whitelist is refused: no trusted master key signed it".into());
    }
    let whitelist =
        Whitelist::parse(letter.body).map_err(|error| format!("the whitelist cannot be read: {error:?}"))?;
    if !whitelist.matches_repository(fqrn) {
        return Err(format!("the whitelist is refused: it is for {}", whitelist.repository_name));
    }
    still_valid(&whitelist)?;
    Ok(whitelist)
}

/// Checks that a whitelist has not expired.
///
/// # Errors
/// It has.
pub fn still_valid(whitelist: &Whitelist) -> Result<()> {
    if whitelist.is_expired() {
        return Err(format!(
            "the whitelist is refused: it expired at {}. Remedy: whoever keeps the repository signs a new one",
            whitelist.expires
        ));
    }
    Ok(())
}

/// Reads a manifest. It is not to be believed before `signed_by` was asked.
///
/// # Errors
/// It is not whole, or is for another repository.
pub fn manifest(text: &[u8], fqrn: &str) -> Result<Manifest> {
    let refused = |what: String| format!("the manifest is refused: {what}");
    Letter::parse(text).map_err(refused)?;
    let file = memory(text).map_err(|error| format!("no memory for the manifest: {error}"))?;
    let manifest = RootFile::new(&file).and_then(Manifest::new).map_err(|error| refused(format!("{error:?}")))?;
    if manifest.repository_name != fqrn {
        return Err(refused(format!("it is for {}", manifest.repository_name)));
    }
    Ok(manifest)
}

/// Checks that a manifest is signed by a certificate that the whitelist names.
///
/// # Arguments
/// * `certificate` - the certificate that the manifest names, in PEM.
///
/// # Errors
/// It is not.
pub fn signed_by(manifest: &Manifest, certificate: &[u8], whitelist: &Whitelist) -> Result<()> {
    let refused = |what: &str| format!("revision {} is refused: {what}", manifest.revision);
    let certificate = Certificate::try_from(certificate).map_err(|_| refused("its certificate cannot be read"))?;
    let form = certificate.openssl_certificate.encode_der().map_err(|_| refused("its certificate cannot be read"))?;
    let print = fingerprint(&form);
    if !whitelist.fingerprints.contains(&print) {
        return Err(refused(&format!("its certificate {print} is not in the whitelist")));
    }
    let (digest, signature) = (manifest.root_file.checksum(), manifest.root_file.signature());
    let (Some(digest), Some(signature)) = (digest, signature) else { return Err(refused("it is not signed")) };
    match certificate.verify(signature, digest.as_bytes()) {
        Ok(true) => Ok(()),
        _ => Err(refused("the manifest's signature is wrong")),
    }
}

fn fingerprint(certificate: &[u8]) -> String {
    let bytes: Vec<String> = Sha1::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

/// Returns a file in memory: what the parser of manifests reads from.
fn memory(text: &[u8]) -> std::io::Result<File> {
    // SAFETY: the name is a C string; the result is a new file descriptor, which nobody else owns, or negative
    let mut file = unsafe {
        match libc::memfd_create(c"letter".as_ptr(), libc::MFD_CLOEXEC) {
            number if number < 0 => return Err(std::io::Error::last_os_error()),
            number => File::from_raw_fd(number),
        }
    };
    file.write_all(text)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
