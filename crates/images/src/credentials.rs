//! Who pushes: what `docker login` has left in Docker's `config.json` (`$DOCKER_CONFIG`, else `~/.docker`), credential
//! helpers included.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

/// Docker Hub's name in `config.json`.
const HUB: &str = "https://index.docker.io/v1/";

/// Credentials that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Docker's `config.json`.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file or a helper is broken.
    #[error("{}: cannot read the credentials for {registry}: {source}", path.display())]
    Unreadable {
        /// Docker's `config.json`.
        path: PathBuf,
        /// Whom they are for.
        registry: String,
        /// What is wrong.
        source: CredentialRetrievalError,
    },
    /// A kind that only Docker itself can use.
    #[error(
        "{}: found an identity token for {registry}, expected a user name and a password (or an access token in its place)",
        path.display()
    )]
    IdentityToken {
        /// Docker's `config.json`.
        path: PathBuf,
        /// Whom it is for.
        registry: String,
    },
}

/// The credentials for `registry`; anonymous where there are none.
pub fn of(registry: &str) -> Result<RegistryAuth, CredentialError> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    match folder {
        Some(folder) => in_file(&folder.join("config.json"), registry),
        None => Ok(RegistryAuth::Anonymous),
    }
}

/// As [`of`], in the file `path`.
fn in_file(path: &Path, registry: &str) -> Result<RegistryAuth, CredentialError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(source) => {
            return Err(CredentialError::File {
                path: path.to_owned(),
                source,
            });
        }
    };
    let name = match registry {
        "docker.io" | "index.docker.io" => HUB,
        other => other,
    };
    match docker_credential::get_credential_from_reader(file, name) {
        Ok(DockerCredential::UsernamePassword(name, password)) => {
            Ok(RegistryAuth::Basic(name, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => Err(CredentialError::IdentityToken {
            path: path.to_owned(),
            registry: registry.to_owned(),
        }),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // A helper's word for that it has none (docker-credential-helpers `credentials/error.go`).
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(RegistryAuth::Anonymous)
        }
        Err(source) => Err(CredentialError::Unreadable {
            path: path.to_owned(),
            registry: registry.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this text, as `config.json`, says of `registry`.
    fn taken(text: &str, registry: &str) -> Result<RegistryAuth, CredentialError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        in_file(&path, registry)
    }

    #[test]
    fn a_login_is_found_by_the_registrys_name() {
        // robot:secret
        let entry = r#"{"auth": "cm9ib3Q6c2VjcmV0"}"#;
        let text = format!(r#"{{"auths": {{"localhost:5000": {entry}, "{HUB}": {entry}}}}}"#);
        let login = RegistryAuth::Basic("robot".to_owned(), "secret".to_owned());
        for registry in ["localhost:5000", "docker.io"] {
            let found = taken(&text, registry).unwrap();
            assert_eq!(found, login);
            assert!(!format!("{found:?}").contains("secret"));
        }
        let other = taken(&text, "registry.example.com").unwrap();
        assert_eq!(other, RegistryAuth::Anonymous);
    }

    #[test]
    fn no_file_is_anonymous() {
        let folder = tempfile::tempdir().unwrap();
        let found = in_file(&folder.path().join("config.json"), "r").unwrap();
        assert_eq!(found, RegistryAuth::Anonymous);
    }

    #[test]
    fn what_cant_be_used_is_named() {
        for (text, expected) in [
            ("{", "cannot read the credentials for localhost:5000"),
            (
                r#"{"auths": {"localhost:5000": {"auth": "!"}}}"#,
                "cannot read the credentials for localhost:5000",
            ),
            (
                r#"{"auths": {"localhost:5000": {"identitytoken": "t"}}}"#,
                "an identity token for localhost:5000",
            ),
        ] {
            let error = taken(text, "localhost:5000").unwrap_err().to_string();
            assert!(error.contains("config.json: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
