//! The split by key of all requests that no rule has sent anywhere.

use crate::config::Sticky;
use crate::error::{Fault, PolicyError};
use crate::key::{Keys, Surroundings};
use crate::lane::Lane;
use crate::request::{Headers, Request};

/// The longest salt. A pod hash has ten characters, a name of Kubernetes at most this many.
const MAX_SALT: usize = 253;

/// A [`Sticky`], compiled.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) keys: Keys,
    salt: Box<[u8]>,
    canary: u32,
    of: u32,
}

impl Split {
    pub(crate) fn compile(rollout: &str, sticky: &Sticky) -> Result<Self, PolicyError> {
        let error =
            |name: &str, fault| PolicyError::new(rollout, format_args!("sticky.{name}"), fault);
        if sticky.keys.is_empty() {
            return Err(error("keys", Fault::NoKeys));
        }
        let keys = Keys::compile(rollout, format_args!("sticky.keys"), &sticky.keys)?;
        let salt = &sticky.salt;
        // A NUL would let two salts and keys run into one.
        if salt.is_empty() || salt.len() > MAX_SALT || salt.contains(char::is_control) {
            let value = salt.clone();
            return Err(error("salt", Fault::Salt { value }));
        }
        if sticky.of == 0 {
            return Err(error("of", Fault::OfNothing));
        }
        if sticky.canary > sticky.of {
            let (value, of) = (sticky.canary, sticky.of);
            return Err(error("canary", Fault::Share { value, of }));
        }
        Ok(Self {
            keys,
            salt: salt.as_bytes().into(),
            canary: sticky.canary,
            of: sticky.of,
        })
    }

    /// True if there are buckets of that lane.
    pub(crate) fn leads_to(&self, lane: Lane) -> bool {
        match lane {
            Lane::Canary => self.canary > 0,
            Lane::Stable => self.canary < self.of,
            Lane::Mirror | Lane::StableMirror => false,
        }
    }

    /// Canary or stable; `None` for a request without a key.
    pub(crate) fn lane<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        surroundings: &mut impl Surroundings,
    ) -> Option<Lane> {
        let bucket = self
            .keys
            .bucket(request, surroundings, &self.salt, self.of)?;
        Some(if bucket < self.canary {
            Lane::Canary
        } else {
            Lane::Stable
        })
    }
}
