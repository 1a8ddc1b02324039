//! The handshake: what go-plugin's client says in the environment, and the line that it waits for (hashicorp/go-plugin
//! v1.7.0 `client.go`, `Start`).

use std::path::PathBuf;

use argo_rollouts::HANDSHAKE;
use thiserror::Error;

/// go-plugin's own version, its `CoreProtocolVersion`.
const CORE_VERSION: &str = "1";
/// A certificate is longer; go-plugin takes shorter ones for what old plugins write there.
const CERTIFICATE_BYTES: usize = 50;

/// Why a line is not one that a plugin begins with, or not one that can be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// Less than four parts.
    #[error("not of the form core|version|network|address|protocol|certificate")]
    Form,
    /// Another go-plugin.
    #[error("go-plugin's version is {found:?} where {CORE_VERSION} is expected")]
    CoreVersion {
        /// What was found.
        found: Box<str>,
    },
    /// Another version of the plugin's protocol.
    #[error("the plugin's protocol version is {found:?} where {expected} is expected")]
    Version {
        /// What was found.
        found: Box<str>,
        /// Argo's.
        expected: u32,
    },
    /// A network other than unix sockets.
    #[error("the network is {found:?} where \"unix\" is expected")]
    Network {
        /// What was found.
        found: Box<str>,
    },
    /// A protocol other than net/rpc.
    #[error("the protocol is {found:?} where \"netrpc\" is expected")]
    Protocol {
        /// What was found.
        found: Box<str>,
    },
    /// The plugin wants TLS, which it was not offered.
    #[error("it brings a certificate for TLS, which it was not offered")]
    Tls,
}

/// What the client sets, besides what it passes on of its own environment.
pub(super) fn environment() -> [(&'static str, String); 4] {
    [
        (HANDSHAKE.cookie_key, HANDSHAKE.cookie_value.to_owned()),
        ("PLUGIN_MIN_PORT", "10000".to_owned()),
        ("PLUGIN_MAX_PORT", "25000".to_owned()),
        (
            "PLUGIN_PROTOCOL_VERSIONS",
            HANDSHAKE.protocol_version.to_string(),
        ),
    ]
}

/// The socket that the line names.
pub(super) fn socket(line: &str) -> Result<PathBuf, LineError> {
    let parts: Vec<&str> = line.trim().split('|').collect();
    let [core, version, network, address, rest @ ..] = parts.as_slice() else {
        return Err(LineError::Form);
    };
    if *core != CORE_VERSION {
        let found = (*core).into();
        return Err(LineError::CoreVersion { found });
    }
    if version.parse() != Ok(HANDSHAKE.protocol_version) {
        return Err(LineError::Version {
            found: (*version).into(),
            expected: HANDSHAKE.protocol_version,
        });
    }
    if *network != "unix" {
        let found = (*network).into();
        return Err(LineError::Network { found });
    }
    // Plugins from before there was a choice leave it out.
    if let Some(protocol) = rest.first().filter(|protocol| **protocol != "netrpc") {
        let found = (*protocol).into();
        return Err(LineError::Protocol { found });
    }
    if rest
        .get(1)
        .is_some_and(|certificate| certificate.len() > CERTIFICATE_BYTES)
    {
        return Err(LineError::Tls);
    }
    Ok(PathBuf::from(*address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_socket() {
        for line in [
            "1|1|unix|/run/x/rpc|netrpc|\n",
            "1|1|unix|/run/x/rpc|netrpc|too short for a certificate",
            "1|1|unix|/run/x/rpc|netrpc",
            "1|1|unix|/run/x/rpc",
        ] {
            assert_eq!(socket(line), Ok(PathBuf::from("/run/x/rpc")), "{line}");
        }
    }

    #[test]
    fn other_lines_are_refused_by_what_is_wrong() {
        let certificate = format!("1|1|unix|/x|netrpc|{}", "A".repeat(51));
        for (line, says) in [
            ("", "not of the form"),
            ("1|1|unix", "not of the form"),
            ("2|1|unix|/x|netrpc|", "go-plugin's version is \"2\""),
            ("1|2|unix|/x|netrpc|", "protocol version is \"2\" where 1"),
            ("1|x|unix|/x|netrpc|", "protocol version is \"x\""),
            ("1|1|tcp|127.0.0.1:1|netrpc|", "network is \"tcp\""),
            ("1|1|unix|/x|grpc|", "protocol is \"grpc\""),
            (&certificate, "TLS"),
        ] {
            let error = socket(line).unwrap_err().to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
