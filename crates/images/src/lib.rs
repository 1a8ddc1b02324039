//! The container images of what is shipped: written as OCI layouts without a container engine, byte for byte the same for
//! the same files, and pushed to a registry.
//!
//! [`archive`] makes tars and gzips, [`layout`] the file of an image, [`image`] what is in ours, [`push`] talks to a
//! registry.

pub mod archive;
pub mod credentials;
pub mod image;
pub mod layout;
pub mod push;
