//! The Argo controller's service account as its pod has it: a volume with a bound token, the API server's CA and the
//! namespace. A new token comes into the volume in one move, as by a kubelet, and the one before is withdrawn once the
//! controller has had the time to read it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{
    BoundObjectReference, TokenRequest, TokenRequestSpec, TokenReview, TokenReviewSpec,
};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};

use crate::error::Error;
use crate::stack::ARGO_NAMESPACE;

/// The account that the controller's deployment names.
const ACCOUNT: &str = "argo-rollouts";
/// The link that a kubelet moves from one version of a volume to the next (Kubernetes `pkg/volume/util.AtomicWriter`).
const LATEST: &str = "..data";
const FILES: [&str; 3] = ["token", "ca.crt", "namespace"];
/// The controller reads its token again after so long at the latest, a refused one too (client-go v0.34
/// `transport.NewCachedFileTokenSource`); a kubelet leaves it two minutes.
const READ_WITHIN: Duration = Duration::from_mins(1);
/// How long a token that was withdrawn may be taken for good: the API server remembers what it has found for 10 s.
const WITHDRAWN_WITHIN: Duration = Duration::from_mins(1);

/// The volume, and the token in it.
pub(crate) struct Account {
    client: Client,
    volume: PathBuf,
    ca: String,
    token: Option<Token>,
    /// How many there were.
    number: u32,
}

/// A token, and the Secret that it is bound to: it ends with it.
struct Token {
    secret: String,
    value: String,
}

impl Account {
    /// Makes the volume, a folder in `folder`, with a first token. `ca` is in PEM.
    pub(crate) async fn new(client: Client, folder: &Path, ca: String) -> Result<Self, Error> {
        let volume = folder.join("service-account");
        fs::create_dir_all(&volume).map_err(Error::file("create", &volume))?;
        for file in FILES {
            let link = volume.join(file);
            symlink(Path::new(LATEST).join(file), &link).map_err(Error::file("link", &link))?;
        }
        let mut account = Self {
            client,
            volume,
            ca,
            token: None,
            number: 0,
        };
        account.renew().await?;
        Ok(account)
    }

    /// Where the volume is.
    pub(crate) fn volume(&self) -> &Path {
        &self.volume
    }

    /// Puts a new token in the place of the one before, which the API server refuses when this returns.
    pub(crate) async fn rotate(&mut self) -> Result<(), Error> {
        let old = self.renew().await?;
        let Some(old) = old else {
            return Ok(());
        };
        tokio::time::sleep(READ_WITHIN).await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), ARGO_NAMESPACE);
        secrets
            .delete(&old.secret, &DeleteParams::default())
            .await
            .map_err(Error::api("withdraw a token"))?;
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: old.value,
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let began = Instant::now();
        while is_taken(&reviews, &review).await? {
            if began.elapsed() > WITHDRAWN_WITHIN {
                return Err(Error::Waited {
                    what: "the API server to refuse the old token".to_owned(),
                    limit: WITHDRAWN_WITHIN,
                    seen: "it is taken for good".to_owned(),
                });
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Asks for a token and puts it into the volume; returns the one before.
    async fn renew(&mut self) -> Result<Option<Token>, Error> {
        self.number += 1;
        let token = self.request().await?;
        self.write(&token.value)?;
        Ok(self.token.replace(token))
    }

    async fn request(&self) -> Result<Token, Error> {
        let failed = || Error::api("make a token");
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), ARGO_NAMESPACE);
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(format!("token-{}", self.number)),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        };
        let made = secrets.create(&PostParams::default(), &secret).await;
        let ObjectMeta { name, uid, .. } = made.map_err(failed())?.metadata;
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Secret".to_owned()),
                    name: name.clone(),
                    uid,
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), ARGO_NAMESPACE);
        let answer = accounts
            .create_token_request(ACCOUNT, &PostParams::default(), &request)
            .await
            .map_err(failed())?;
        Ok(Token {
            secret: name.unwrap_or_default(),
            value: answer
                .status
                .and_then(|status| status.token)
                .unwrap_or_default(),
        })
    }

    /// A new version of all files beside the old one, and then the link to it.
    fn write(&self, token: &str) -> Result<(), Error> {
        let version = format!("..{}", self.number);
        let folder = self.volume.join(&version);
        fs::create_dir(&folder).map_err(Error::file("create", &folder))?;
        for (file, content) in FILES.iter().zip([token, &self.ca, ARGO_NAMESPACE]) {
            let path = folder.join(file);
            fs::write(&path, content).map_err(Error::file("write", &path))?;
        }
        let (beside, latest) = (self.volume.join("..data_tmp"), self.volume.join(LATEST));
        symlink(&version, &beside).map_err(Error::file("link", &beside))?;
        fs::rename(&beside, &latest).map_err(Error::file("move into place", &latest))
    }
}

/// True if the API server takes the token for good.
async fn is_taken(reviews: &Api<TokenReview>, review: &TokenReview) -> Result<bool, Error> {
    let answer = reviews
        .create(&PostParams::default(), review)
        .await
        .map_err(Error::api("ask for a token's review"))?;
    let authenticated = answer.status.and_then(|status| status.authenticated);
    Ok(authenticated == Some(true))
}
