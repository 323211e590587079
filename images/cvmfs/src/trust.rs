//! The chain of trust: master key, whitelist, certificate, manifest. Objects follow from the manifest by their hashes.

use std::path::Path;
use std::time::SystemTime;

use rsa::RsaPublicKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::DecodePublicKey;
use sha1::{Digest, Sha1};
use x509_cert::Certificate;
use x509_cert::der::{DecodePem, Encode};

use crate::error::{Context, Error, Result};
use crate::letters::{Letter, Manifest, Whitelist};
use crate::objects::hex;

/// Reads the public master key of a repository.
pub fn master_key(path: &Path) -> Result<RsaPublicKey> {
    let what = format!("The master key {}", path.display());
    let text = std::fs::read_to_string(path).context(&what)?;
    RsaPublicKey::from_public_key_pem(&text).context(&format!("{what} is no public key of RSA as PEM"))
}

/// Returns the whitelist, if the master key has signed it for this repository and it has not ended.
pub fn whitelist(content: &[u8], fqrn: &str, master: &RsaPublicKey) -> Result<Whitelist> {
    let letter = Letter::open(content).context("whitelist")?;
    // The block is around the checksum itself: what OpenSSL calls a private encryption.
    let signature = master.verify(Pkcs1v15Sign::new_unprefixed(), letter.checksum, letter.signature);
    signature.context("whitelist: not signed by the master key")?;
    let whitelist = Whitelist::read(&letter).context("whitelist")?;
    if whitelist.fqrn != fqrn {
        return Err(Error::Refused(format!("whitelist: it is for {}", whitelist.fqrn)));
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().context("The clock is before 1970")?;
    if whitelist.expiry <= now {
        let hours = (now - whitelist.expiry).as_secs() / 3600;
        return Err(Error::Refused(format!("whitelist: expired {hours} hours ago; its publisher must renew it")));
    }
    Ok(whitelist)
}

/// Returns the manifest, if a certificate of the whitelist has signed it for this repository.
pub fn manifest(
    content: &[u8],
    whitelist: &Whitelist,
    certificate: impl FnOnce(&Manifest) -> Result<Vec<u8>>,
) -> Result<Manifest> {
    let letter = Letter::open(content).context("manifest")?;
    let manifest = Manifest::read(&letter).context("manifest")?;
    if manifest.fqrn != whitelist.fqrn {
        return Err(Error::Refused(format!("manifest: it is for {}", manifest.fqrn)));
    }
    let certificate = Certificate::from_pem(certificate(&manifest)?).context("certificate")?;
    let fingerprint = fingerprint(&certificate.to_der().context("certificate")?);
    if !whitelist.fingerprints.contains(&fingerprint) {
        return Err(Error::Refused(format!("certificate {fingerprint} is not in the whitelist")));
    }
    let key = certificate.tbs_certificate.subject_public_key_info.to_der().context("certificate")?;
    let key = RsaPublicKey::from_public_key_der(&key).context("certificate: it has no key of RSA")?;
    let signature = key.verify(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(letter.checksum), letter.signature);
    signature.context("manifest: not signed by its certificate")?;
    Ok(manifest)
}

/// Returns the fingerprint of a certificate, as whitelists name it.
fn fingerprint(der: &[u8]) -> String {
    let digits = hex(&Sha1::digest(der)).to_uppercase();
    let bytes: Vec<_> = (0..digits.len()).step_by(2).map(|start| &digits[start..start + 2]).collect();
    bytes.join(":")
}
