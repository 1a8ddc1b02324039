//! Pushes an image: its blobs, then its manifests, then what names them, so that a reader never finds half an image.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use oci_spec::OciSpecError;
use oci_spec::image::Descriptor;

use crate::credentials::{self, CredentialError};
use crate::layout::Layout;

/// A registry that takes longer to answer is down.
const CONNECT: Duration = Duration::from_secs(10);
/// A registry that is silent for longer in the middle of an answer is down.
const READ: Duration = Duration::from_mins(1);

/// An image that has not been pushed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The command line's registry, or its tag.
    #[error(
        "{name}: {source}; expected a registry as registry.example.com/team or localhost:5000, and a tag"
    )]
    Name {
        /// What was made of it.
        name: String,
        /// What is wrong.
        source: oci_client::ParseError,
    },
    /// The tag that no manifest should name.
    #[error(
        "the tag latest is not pushed: Istio's agents ask the registry for it again at every step of a canary, and pass \
         requests without the filter while it is down"
    )]
    Latest,
    /// Credentials that can't be used.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The image's file has a fault.
    #[error("cannot read the image's manifests: {0}")]
    Image(#[from] OciSpecError),
    /// There is another image under this name.
    #[error(
        "{name} is there already: found {found}, expected {expected}; who has pinned it would get another image under the \
         same name (--overwrite pushes it all the same)"
    )]
    Taken {
        /// The image and its tag.
        name: String,
        /// The digest that it has there.
        found: String,
        /// The digest that is to be pushed.
        expected: String,
    },
    /// The registry refused or is not there.
    #[error("cannot push {what} to {name}: {}", chain(source))]
    Registry {
        /// A blob or a manifest.
        what: String,
        /// The image and its tag.
        name: String,
        /// Why.
        source: OciDistributionError,
    },
}

/// An error with its causes, those left out that the one before has named.
fn chain(error: &OciDistributionError) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        let said = found.to_string();
        if !line.contains(&said) {
            line.push_str(": ");
            line.push_str(&said);
        }
        cause = found.source();
    }
    line
}

/// How to talk to a registry.
#[derive(Debug, Clone, Copy, Default)]
pub struct Access {
    /// By http.
    pub plain_http: bool,
    /// With any certificate.
    pub insecure: bool,
    /// A tag may name another image than before.
    pub overwrite: bool,
}

/// A registry, or a folder in one, that takes images.
pub struct Registry {
    client: Client,
    place: String,
    access: Access,
}

impl Registry {
    /// Of `place`, such as `registry.example.com/team`.
    pub fn new(place: &str, access: Access) -> Self {
        // A second call finds the first one's.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variable = |name: &str| {
            [name.to_uppercase(), name.to_owned()]
                .iter()
                .find_map(|name| std::env::var(name).ok())
                .filter(|value| !value.is_empty())
        };
        let client = Client::new(ClientConfig {
            protocol: if access.plain_http {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            accept_invalid_certificates: access.insecure,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(READ),
            https_proxy: variable("https_proxy"),
            http_proxy: variable("http_proxy"),
            no_proxy: variable("no_proxy"),
            user_agent: concat!("serin-images/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        Self {
            client,
            place: place.trim_end_matches('/').to_owned(),
            access,
        }
    }

    /// Pushes `image` as `name:tag` and returns `place/name:tag@digest`, as a manifest pins it. `progress` gets a line for
    /// each part.
    ///
    /// The image of each kind of machine gets a tag of its own, `tag-amd64`: registries remove what no tag names.
    pub async fn push(
        &self,
        name: &str,
        tag: &str,
        image: &Layout,
        mut progress: impl FnMut(&str),
    ) -> Result<String, PushError> {
        let reference = self.reference(name, tag)?;
        let auth = credentials::of(reference.registry())?;
        self.client
            .auth(&reference, &auth, RegistryOperation::Push)
            .await
            .map_err(failed("anything", &reference))?;
        self.check_free(&reference, &auth, image.top()).await?;
        let manifests = image.manifests()?;
        for (_, manifest) in &manifests {
            for part in manifest.layers().iter().chain([manifest.config()]) {
                self.blob(&reference, image, part, &mut progress).await?;
            }
        }
        for (descriptor, _) in &manifests {
            if let Some(platform) = descriptor.platform() {
                let tag = format!("{tag}-{}", platform.architecture());
                let own = self.reference(name, &tag)?;
                self.manifest(&own, image, descriptor).await?;
                progress(&format!("{own} {}", descriptor.digest()));
            }
        }
        self.manifest(&reference, image, image.top()).await?;
        Ok(format!("{reference}@{}", image.top().digest()))
    }

    fn reference(&self, name: &str, tag: &str) -> Result<Reference, PushError> {
        if tag == "latest" {
            return Err(PushError::Latest);
        }
        let name = format!("{}/{name}:{tag}", self.place);
        Reference::try_from(name.as_str()).map_err(|source| PushError::Name { name, source })
    }

    /// An error if the tag names another image. A registry that doesn't say is asked no further: some answer 403 for a
    /// repository that isn't there yet.
    async fn check_free(
        &self,
        reference: &Reference,
        auth: &RegistryAuth,
        top: &Descriptor,
    ) -> Result<(), PushError> {
        let found = self.client.fetch_manifest_digest(reference, auth).await;
        match found {
            Ok(found) if found != top.digest().as_ref() && !self.access.overwrite => {
                Err(PushError::Taken {
                    name: reference.to_string(),
                    found,
                    expected: top.digest().to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    async fn blob(
        &self,
        reference: &Reference,
        image: &Layout,
        part: &Descriptor,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), PushError> {
        let digest = part.digest();
        let what = format!("{} ({} bytes)", digest, part.size());
        let there = self.client.blob_exists(reference, digest.as_ref()).await;
        if there.map_err(failed(&what, reference))? {
            progress(&format!("{what} is there already"));
            return Ok(());
        }
        progress(&what);
        let content = Bytes::copy_from_slice(image.blob(digest).unwrap_or_default());
        self.client
            .push_blob(reference, content, digest.as_ref())
            .await
            .map_err(failed(&what, reference))?;
        Ok(())
    }

    async fn manifest(
        &self,
        reference: &Reference,
        image: &Layout,
        descriptor: &Descriptor,
    ) -> Result<(), PushError> {
        let content = image.blob(descriptor.digest()).unwrap_or_default().to_vec();
        let media_type = descriptor.media_type().to_string();
        let header = HeaderValue::try_from(media_type.as_str())
            .map_err(|error| OciDistributionError::GenericError(Some(error.to_string())))
            .map_err(failed(&media_type, reference))?;
        self.client
            .push_manifest_raw(reference, content, header)
            .await
            .map_err(failed("the manifest", reference))?;
        Ok(())
    }
}

fn failed(what: &str, reference: &Reference) -> impl FnOnce(OciDistributionError) -> PushError {
    let (what, name) = (what.to_owned(), reference.to_string());
    move |source| PushError::Registry { what, name, source }
}

#[cfg(test)]
mod tests;
