//! Who sends requests: two dozen users, each with a place of its own on the page.

use serde::Serialize;
use testbed::mesh::Via;

/// The header by which a request's user is known, also on a mirrored copy.
pub(crate) const USER_HEADER: &str = "x-demo-user";
/// The header that makes a user a beta user.
pub(crate) const BETA: (&str, &str) = ("x-beta", "1");

const NAMES: [&str; 23] = [
    "Ada",
    "Alan",
    "Barbara",
    "Dennis",
    "Donald",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "Jean",
    "John",
    "Karen",
    "Katherine",
    "Ken",
    "Leslie",
    "Lynn",
    "Margaret",
    "Niklaus",
    "Radia",
    "Rob",
    "Shafi",
    "Tim",
    "Vint",
];
/// Every so many of them is a beta user.
const BETA_EVERY: usize = 6;
/// Every so many of them calls from inside the mesh.
const MESH_EVERY: usize = 3;

/// One user.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    /// Index among all.
    pub(crate) id: usize,
    pub(crate) name: &'static str,
    /// Sends [`BETA`].
    pub(crate) beta: bool,
    /// The one whose headers the page sets.
    pub(crate) you: bool,
    /// The way its requests take.
    #[serde(skip)]
    pub(crate) via: Via,
}

/// All users but "you".
pub(crate) fn others() -> Vec<User> {
    NAMES
        .iter()
        .enumerate()
        .map(|(id, name)| User {
            id,
            name,
            beta: id % BETA_EVERY == 1,
            you: false,
            via: if id % MESH_EVERY == 2 {
                Via::Sidecar
            } else {
                Via::Gateway
            },
        })
        .collect()
}

/// The one whose headers the page sets.
pub(crate) fn you() -> User {
    User {
        id: NAMES.len(),
        name: "you",
        beta: false,
        you: true,
        via: Via::Gateway,
    }
}
