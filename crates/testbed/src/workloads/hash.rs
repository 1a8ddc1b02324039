//! Names a pod template by its content, for ReplicaSets of Deployments and of Rollouts.

use serde_json::Value;

/// Without vowels and look-alikes, as `SafeEncodeString` of k8s.io/apimachinery has it.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How long a hash is: 27^10 values fit into 48 bits.
const LENGTH: usize = 10;

/// The hash of a template: ten letters and digits that make no words. Equal content gives equal hashes, whatever the
/// order of its keys; it isn't the value that Argo or Kubernetes would compute.
pub(crate) fn template_hash(template: &Value) -> String {
    let mut rest = fnv1a(canonical(template).to_string().as_bytes());
    let base = ALPHABET.len() as u64;
    (0..LENGTH)
        .filter_map(|_| {
            let digit = usize::try_from(rest % base).ok()?;
            rest /= base;
            ALPHABET.get(digit).copied().map(char::from)
        })
        .collect()
}

/// Without nulls, which stand for nothing, and with sorted keys.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            entries
                .into_iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        scalar => scalar.clone(),
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_decides() {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "a"}]}});
        let hash = template_hash(&template);
        assert_eq!(hash.len(), LENGTH);
        assert!(hash.bytes().all(|letter| ALPHABET.contains(&letter)));
        let with_null = json!({
            "spec": {"containers": [{"image": "a"}]},
            "metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
        });
        assert_eq!(template_hash(&with_null), hash);
        let other = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "b"}]}});
        assert_ne!(template_hash(&other), hash);
    }
}
