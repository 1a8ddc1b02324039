//! The two ways that requests take into the mesh.

/// Which way requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Via {
    /// From a client in the mesh, through its sidecar.
    Sidecar,
    /// From outside, through the gateway.
    Gateway,
}

impl Via {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sidecar, Self::Gateway];

    /// The word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Gateway => "gateway",
        }
    }
}
