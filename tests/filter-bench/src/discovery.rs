//! The filter's configuration as istiod sends it, in a file that Envoy watches: a discovery response in protobuf's wire
//! form, so that bytes and the cost of reading them are those of a real proxy.
//!
//! Message and field numbers are those of Envoy 1.40.0 (`api/envoy/service/discovery/v3/discovery.proto`,
//! `config/core/v3/extension.proto`, `config/core/v3/base.proto`, `extensions/wasm/v3/wasm.proto`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::proxy::PLUGIN;

const RESOURCE_TYPE: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
const FILTER_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const STRING_TYPE: &str = "type.googleapis.com/google.protobuf.StringValue";
const RUNTIME: &str = "envoy.wasm.runtime.v8";
/// `FailurePolicy.FAIL_OPEN` in `PluginConfig.failure_policy`.
const FAIL_OPEN: [u8; 2] = [7 << 3, 3];

/// The file with the configuration in force.
#[derive(Debug)]
pub(crate) struct Discovery {
    path: PathBuf,
    module: PathBuf,
    version: u32,
}

impl Discovery {
    /// Writes the first configuration to a file in `folder`.
    pub(crate) fn begin(
        folder: &Path,
        module: &Path,
        configuration: &str,
    ) -> Result<Self, Failure> {
        let mut discovery = Self {
            path: folder.join("filter.pb"),
            module: module.to_path_buf(),
            version: 0,
        };
        discovery.publish(configuration)?;
        Ok(discovery)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts another configuration in place of the last one, in one move.
    pub(crate) fn publish(&mut self, configuration: &str) -> Result<(), Failure> {
        let response = self.response(configuration);
        let beside = self.path.with_extension("new");
        fs::write(&beside, response).map_err(Failure::file(&beside))?;
        fs::rename(&beside, &self.path).map_err(Failure::file(&self.path))
    }

    /// The bytes of the response with `configuration`, which is what istiod sends to a proxy.
    pub(crate) fn response(&mut self, configuration: &str) -> Vec<u8> {
        self.version += 1;
        let code = message(&[(1, &message(&[(1, path_bytes(&self.module))]))]);
        let vm = message(&[(2, RUNTIME.as_bytes()), (3, &code)]);
        let value = any(STRING_TYPE, &message(&[(1, configuration.as_bytes())]));
        let mut plugin = message(&[(1, PLUGIN.as_bytes()), (3, &vm), (4, &value)]);
        plugin.extend(FAIL_OPEN);
        let filter = any(FILTER_TYPE, &message(&[(1, &plugin)]));
        let resource = message(&[(1, PLUGIN.as_bytes()), (2, &filter)]);
        let version = self.version.to_string();
        message(&[(1, version.as_bytes()), (2, &any(RESOURCE_TYPE, &resource))])
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// A `google.protobuf.Any`.
fn any(kind: &str, content: &[u8]) -> Vec<u8> {
    message(&[(1, kind.as_bytes()), (2, content)])
}

/// A message of these fields (numbers up to 15), all of which have a length: strings and messages.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in fields {
        bytes.push(number << 3 | 2);
        let mut length = content.len();
        while length > 0x7f {
            bytes.push(low_bits(length) | 0x80);
            length >>= 7;
        }
        bytes.push(low_bits(length));
        bytes.extend_from_slice(content);
    }
    bytes
}

/// The lowest seven bits.
fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_protobuf_has_them() {
        // The example of the encoding's documentation: field 2, "testing".
        assert_eq!(message(&[(2, b"testing")]), b"\x12\x07testing");
        let long = message(&[(1, &[b'a'; 300])]);
        assert_eq!(long.get(..4), Some(&b"\x0a\xac\x02a"[..]));
        assert_eq!(long.len(), 303);
    }

    #[test]
    fn each_publication_has_a_version_of_its_own_and_replaces_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut discovery = Discovery::begin(folder.path(), Path::new("a.wasm"), "{}").unwrap();
        let first = fs::read(discovery.path()).unwrap();
        discovery.publish("{}").unwrap();
        let second = fs::read(discovery.path()).unwrap();
        assert_eq!(first.get(..3), Some(&b"\x0a\x011"[..]));
        assert_eq!(second.get(..3), Some(&b"\x0a\x012"[..]));
        assert_eq!(first.get(3..), second.get(3..));
    }
}
