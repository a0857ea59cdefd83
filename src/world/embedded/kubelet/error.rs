//! Why a pod can't be set up yet, in the words of a kubelet.

use std::io;

use crate::world::embedded::error::ApiError;

/// What a container or a volume is made of isn't there, or can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("{}", missing(.0))]
    Missing(#[source] ApiError),
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        key: String,
        kind: &'static str,
        namespace: String,
        name: String,
    },
    #[error("references non-existent config key: {key}")]
    NoFile { key: String },
    #[error("key {key}: {source}")]
    NotBase64 { key: String, source: base64::DecodeError },
    #[error("key {key}: {source}")]
    NotText { key: String, source: std::str::Utf8Error },
    #[error("unsupported valueFrom: {from}")]
    ValueFrom {
        /// As JSON.
        from: String,
    },
    #[error("field label not supported: {path}")]
    Field { path: String },
    #[error("persistentvolumeclaim \"{name}\" is being deleted")]
    ClaimEnds { name: String },
    #[error(
        "the embedded cluster has no volumes of type {kind}, only emptyDir, persistentVolumeClaim, configMap and secret"
    )]
    VolumeType { kind: String },
    /// This machine refuses.
    #[error("{doing}: {source}")]
    Machine { doing: String, source: io::Error },
    #[error("MountVolume.SetUp failed for volume \"{volume}\" : {source}")]
    Volume { volume: String, source: Box<SetUpError> },
}

impl SetUpError {
    /// `doing what: what the machine said`.
    pub fn machine(doing: impl Into<String>, source: io::Error) -> SetUpError {
        SetUpError::Machine {
            doing: doing.into(),
            source,
        }
    }
}

/// The kubelet's text for a missing object: `secret "x" not found`.
fn missing(error: &ApiError) -> String {
    error
        .message
        .replacen("secrets ", "secret ", 1)
        .replacen("configmaps ", "configmap ", 1)
        .replacen("persistentvolumeclaims ", "persistentvolumeclaim ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::embedded::kinds::Kind;

    #[test]
    fn one_object_is_missing_in_a_kubelets_words() {
        let said = |kind| SetUpError::Missing(ApiError::not_found(kind, "x")).to_string();
        assert_eq!(said(Kind::Secret), "secret \"x\" not found");
        assert_eq!(said(Kind::ConfigMap), "configmap \"x\" not found");
        assert_eq!(
            said(Kind::PersistentVolumeClaim),
            "persistentvolumeclaim \"x\" not found"
        );
    }
}
