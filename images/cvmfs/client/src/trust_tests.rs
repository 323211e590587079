//! A small signer, and what is believed of what it and strangers sign.

use super::*;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::EncodePublicKey;
use rsa::rand_core::OsRng;
use std::sync::LazyLock;

const FQRN: &str = "sw.example.org";

/// Who may sign: a master key, and a key with a certificate.
struct Signer {
    master: RsaPrivateKey,
    key: RsaPrivateKey,
    certificate: Vec<u8>,
}

/// Keys take a while to make: ours, and a stranger's.
static SIGNERS: LazyLock<[Signer; 2]> = LazyLock::new(|| [Signer::new(), Signer::new()]);

impl Signer {
    fn new() -> Self {
        let make = || RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        let (master, key) = (make(), make());
        let certificate = certificate(&key);
        Self { master, key, certificate }
    }

    fn keys(&self) -> Vec<RsaPublicKey> {
        vec![self.master.to_public_key()]
    }

    fn whitelist(&self, fqrn: &str, expires: &str, certificate: &[u8]) -> Vec<u8> {
        let body = format!("20200101000000\nE{expires}\nN{fqrn}\n{}\n", fingerprint(certificate));
        letter(&body, |digest| self.master.sign(Pkcs1v15Sign::new_unprefixed(), digest).unwrap())
    }

    fn manifest(&self, fqrn: &str, revision: u32) -> Vec<u8> {
        let body = format!("C{0}\nB4096\nR{0}\nD60\nS{revision}\nGno\nAno\nN{fqrn}\nX{0}\nT1\n", "00".repeat(20));
        letter(&body, |digest| self.key.sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(digest)).unwrap())
    }
}

fn letter(body: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let digest = hex::encode(Sha1::digest(body));
    [body.as_bytes(), b"--\n", digest.as_bytes(), b"\n", &sign(digest.as_bytes())].concat()
}

/// Wraps content as ASN.1's DER does: tag, length, content.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..128 => vec![tag, length as u8],
        128..256 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, content.to_vec()].concat()
}

/// Returns a self-signed certificate (X.509, version 1) in DER.
fn certificate(key: &RsaPrivateKey) -> Vec<u8> {
    let sequence = |parts: &[&[u8]]| der(0x30, &parts.concat());
    let rsa_with_sha1 = sequence(&[&der(6, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"), &der(5, b"")]);
    let common_name = sequence(&[&der(6, b"\x55\x04\x03"), &der(0x0c, b"test")]);
    let name = sequence(&[&der(0x31, &common_name)]);
    let validity = sequence(&[&der(0x17, b"200101000000Z"), &der(0x17, b"400101000000Z")]);
    let public = key.to_public_key().to_public_key_der().unwrap();
    let body = sequence(&[&der(2, b"\x01"), &rsa_with_sha1, &name, &validity, &name, public.as_bytes()]);
    let signature = key.sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(&body)).unwrap();
    sequence(&[&body, &rsa_with_sha1, &der(3, &[&[0], &signature[..]].concat())])
}

/// Checks a whole chain with our master key.
fn chain(whitelist_text: &[u8], manifest_text: &[u8], certificate: &[u8]) -> Result<u32> {
    let list = whitelist(whitelist_text, FQRN, &SIGNERS[0].keys())?;
    let letter = manifest(manifest_text, FQRN)?;
    signed_by(&letter, certificate, &list).map(|()| letter.revision)
}

#[test]
fn a_whole_chain_is_believed() {
    let us = &SIGNERS[0];
    let list = us.whitelist(FQRN, "20990101000000", &us.certificate);
    assert_eq!(chain(&list, &us.manifest(FQRN, 7), &us.certificate), Ok(7));
}

#[test]
fn whitelists_that_are_not_ours_not_valid_or_not_whole_are_refused() {
    let [us, stranger] = &*SIGNERS;
    let good = us.whitelist(FQRN, "20990101000000", &us.certificate);
    let edited = [good[..20].to_vec(), b"5".to_vec(), good[21..].to_vec()].concat();
    let cut = good[..good.len() - 1].to_vec();
    let unsigned = good.split(|byte| *byte == b'-').next().unwrap().to_vec();
    for (text, told) in [
        (stranger.whitelist(FQRN, "20990101000000", &us.certificate), "no trusted master key"),
        (us.whitelist(FQRN, "20200101000000", &us.certificate), "it expired at 2020"),
        (us.whitelist("other.example.org", "20990101000000", &us.certificate), "it is for other.example.org"),
        (edited, "checksum is wrong"),
        (cut, "no trusted master key"),
        (unsigned, "not signed"),
        (Vec::new(), "not signed"),
    ] {
        let error = chain(&text, &us.manifest(FQRN, 7), &us.certificate).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn manifests_that_are_not_ours_or_not_whole_are_refused() {
    let [us, stranger] = &*SIGNERS;
    let list = us.whitelist(FQRN, "20990101000000", &us.certificate);
    let good = us.manifest(FQRN, 7);
    let replaced = |from: &str, to: &str| {
        let position = good.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        [&good[..position], to.as_bytes(), &good[position + from.len()..]].concat()
    };
    let resealed = letter("C\nS9\nNsw.example.org\n", |_| good[good.len() - 256..].to_vec());
    for (text, certificate, told) in [
        (replaced("S7", "S8"), &us.certificate, "checksum is wrong"),
        (resealed, &us.certificate, "signature is wrong"),
        (stranger.manifest(FQRN, 7), &us.certificate, "signature is wrong"),
        (stranger.manifest(FQRN, 7), &stranger.certificate, "is not in the whitelist"),
        (us.manifest("other.example.org", 7), &us.certificate, "it is for other.example.org"),
        (good[..good.len() - 1].to_vec(), &us.certificate, "signature is wrong"),
        (letter("\u{fc}\n", |_| vec![0]), &us.certificate, "beyond ASCII"),
        (good.clone(), &b"nonsense".to_vec(), "cannot be read"),
    ] {
        let error = chain(&list, &text, certificate).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_file_that_is_no_key_is_named() {
    let path = std::env::temp_dir().join(format!("cvmfs-key-{}.pub", std::process::id()));
    std::fs::write(&path, "no key").unwrap();
    assert!(keys(std::slice::from_ref(&path)).unwrap_err().contains("is not a public RSA key"));
    std::fs::remove_file(&path).unwrap();
    assert!(keys(&[path]).unwrap_err().contains("cannot be read"));
}
