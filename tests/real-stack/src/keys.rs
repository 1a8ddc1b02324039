//! The API server's key pair for service-account tokens.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use crate::error::Error;

/// What stands before a P-256 public key in its SubjectPublicKeyInfo (RFC 5480): the algorithm and the curve.
const P256_PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Writes a new key pair as PEM files: to `private`, and its public half to `public`.
pub(crate) fn write(private: &Path, public: &Path) -> Result<(), Error> {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| Error::Key)?;
    let pair =
        EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).map_err(|_| Error::Key)?;
    let mut information = P256_PUBLIC_KEY.to_vec();
    information.extend_from_slice(pair.public_key().as_ref());
    for (path, label, bytes) in [
        (private, "PRIVATE KEY", document.as_ref()),
        (public, "PUBLIC KEY", information.as_slice()),
    ] {
        let text = format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            STANDARD.encode(bytes)
        );
        std::fs::write(path, text).map_err(Error::file("write", path))?;
    }
    Ok(())
}
