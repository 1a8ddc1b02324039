//! The handshake: what the host says in the environment, and the line we answer on stdout.
//!
//! Follows hashicorp/go-plugin v1.7.0 `server.go`, `Serve` and `protocolVersion`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// go-plugin's own version, its `CoreProtocolVersion`.
const CORE_PROTOCOL_VERSION: u32 = 1;
/// The versions of the plugin's protocol that the host speaks, joined by commas.
const VERSIONS: &str = "PLUGIN_PROTOCOL_VERSIONS";
/// Set when the host wants mutual TLS (its `AutoMTLS`).
const CLIENT_CERT: &str = "PLUGIN_CLIENT_CERT";
/// Where the host wants the socket; set only by hosts with a runner of their own.
const SOCKET_DIR: &str = "PLUGIN_UNIX_SOCKET_DIR";
/// Set when a host that runs as another user wants the socket given to a group.
const SOCKET_GROUP: &str = "PLUGIN_UNIX_SOCKET_GROUP";

/// What host and plugin agreed on beforehand. Go's `HandshakeConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The environment variable that tells a host from a person. Go's `MagicCookieKey`.
    pub cookie_key: &'static str,
    /// Its value. Go's `MagicCookieValue`.
    pub cookie_value: &'static str,
    /// The version of the plugin's protocol.
    pub protocol_version: u32,
}

/// Why a host's offer can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// No host started the program.
    #[error(
        "this program is a plugin: a host starts it and says so in {key}, which is not set as it \
         would; it is not meant to be run by hand"
    )]
    NotStartedByHost {
        /// The variable.
        key: &'static str,
    },
    /// The host speaks other versions only.
    #[error("the host speaks protocol versions {offered:?} and this plugin {spoken}")]
    Version {
        /// What the host set.
        offered: Box<str>,
        /// Ours.
        spoken: u32,
    },
    /// The host insists on mutual TLS.
    #[error("the host wants mutual TLS ({CLIENT_CERT} is set), which this plugin does not speak")]
    Tls,
    /// The host could not reach the socket.
    #[error(
        "the host wants the socket for a group ({SOCKET_GROUP} is set to {group:?}); it is for its own user only"
    )]
    SocketGroup {
        /// The group.
        group: Box<str>,
    },
}

/// What of the host's environment matters afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Where the socket should be, if the host cares.
    pub(crate) socket_dir: Option<PathBuf>,
}

impl Handshake {
    /// Whether a host started this process; a program that is also a command line asks first.
    pub fn is_offered(&self) -> bool {
        self.cookie_matches(&|key| std::env::var_os(key))
    }

    pub(crate) fn accept(&self) -> Result<Accepted, HandshakeError> {
        self.accept_from(&|key| std::env::var_os(key))
    }

    /// The line the host waits for. The last field is the server's certificate: none.
    pub(crate) fn line(&self, socket: &Path) -> String {
        format!(
            "{CORE_PROTOCOL_VERSION}|{}|unix|{}|netrpc|\n",
            self.protocol_version,
            socket.display()
        )
    }

    fn cookie_matches(&self, env: &dyn Fn(&str) -> Option<OsString>) -> bool {
        env(self.cookie_key).is_some_and(|value| value == self.cookie_value)
    }

    fn accept_from(
        &self,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Accepted, HandshakeError> {
        if !self.cookie_matches(env) {
            return Err(HandshakeError::NotStartedByHost {
                key: self.cookie_key,
            });
        }
        // Hosts older than version negotiation don't say; they check our line instead.
        if let Some(offered) = env(VERSIONS).filter(|offered| !offered.is_empty()) {
            let offered = offered.to_string_lossy();
            let ours = |version: &str| version.trim().parse() == Ok(self.protocol_version);
            if !offered.split(',').any(ours) {
                return Err(HandshakeError::Version {
                    offered: offered.into(),
                    spoken: self.protocol_version,
                });
            }
        }
        if env(CLIENT_CERT).is_some_and(|cert| !cert.is_empty()) {
            return Err(HandshakeError::Tls);
        }
        if let Some(group) = env(SOCKET_GROUP).filter(|group| !group.is_empty()) {
            return Err(HandshakeError::SocketGroup {
                group: group.to_string_lossy().into(),
            });
        }
        Ok(Accepted {
            socket_dir: env(SOCKET_DIR)
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKE: Handshake = Handshake {
        cookie_key: "COOKIE",
        cookie_value: "crumbs",
        protocol_version: 3,
    };

    fn accept(vars: &[(&str, &str)]) -> Result<Accepted, HandshakeError> {
        HANDSHAKE.accept_from(&|key| {
            let found = vars.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_host_is_known_by_its_cookie() {
        for vars in [&[][..], &[("COOKIE", "")], &[("COOKIE", "crumb")]] {
            let error = accept(vars).unwrap_err();
            assert!(error.to_string().contains("is a plugin"), "{error}");
            assert!(error.to_string().contains("COOKIE"), "{error}");
        }
        assert!(accept(&[("COOKIE", "crumbs")]).is_ok());
    }

    #[test]
    fn one_common_version_is_enough_and_none_is_refused() {
        let with = |versions| accept(&[("COOKIE", "crumbs"), (VERSIONS, versions)]);
        assert!(with("1,3").is_ok());
        assert!(with("").is_ok());
        assert_eq!(
            with("1,2,x,33").unwrap_err().to_string(),
            r#"the host speaks protocol versions "1,2,x,33" and this plugin 3"#
        );
    }

    #[test]
    fn tls_and_groups_are_refused_and_the_socket_dir_kept() {
        let group = accept(&[("COOKIE", "crumbs"), (SOCKET_GROUP, "staff")]);
        assert!(group.unwrap_err().to_string().contains("\"staff\""));
        let tls = accept(&[("COOKIE", "crumbs"), (CLIENT_CERT, "-----BEGIN")]);
        assert_eq!(tls, Err(HandshakeError::Tls));
        let dir = accept(&[("COOKIE", "crumbs"), (SOCKET_DIR, "/run/x")]).unwrap();
        assert_eq!(dir.socket_dir.as_deref(), Some(Path::new("/run/x")));
    }

    #[test]
    fn the_line_is_as_the_host_reads_it() {
        assert_eq!(
            HANDSHAKE.line(Path::new("/run/x/plugin.sock")),
            "1|3|unix|/run/x/plugin.sock|netrpc|\n"
        );
    }
}
