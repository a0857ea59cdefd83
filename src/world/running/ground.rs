//! What a world runs on.

use std::sync::Arc;
use std::time::Duration;

use crate::world::embedded::Cluster;
use crate::world::installation::Installation;
use crate::world::kind::namespace::Namespace;

/// Longest time that a platform may take to come up, as tasks of this process and as containers.
const START_WITHIN: Duration = Duration::from_secs(30);
const START_IN_CLUSTER_WITHIN: Duration = Duration::from_secs(180);

/// What a world runs on, and is deleted with it.
pub(super) enum Ground {
    Embedded(Box<Cluster>),
    Namespace(Box<Namespace>),
    Installation(Arc<Installation>),
}

impl Ground {
    pub(super) fn client(&self) -> kube::Client {
        match self {
            Ground::Embedded(cluster) => cluster.client(),
            Ground::Namespace(namespace) => namespace.client.clone(),
            Ground::Installation(installation) => installation.client.clone(),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        match self {
            Ground::Embedded(_) => "default",
            Ground::Namespace(namespace) => &namespace.name,
            Ground::Installation(installation) => &installation.namespace,
        }
    }

    /// Whether the cluster already has a Sandbox controller.
    pub(super) fn has_controller(&self) -> bool {
        match self {
            Ground::Embedded(_) => false,
            Ground::Namespace(namespace) => namespace.has_controller,
            Ground::Installation(_) => true,
        }
    }

    pub(super) fn start_within(&self) -> Duration {
        match self {
            Ground::Embedded(_) => START_WITHIN,
            Ground::Namespace(_) | Ground::Installation(_) => START_IN_CLUSTER_WITHIN,
        }
    }

    /// Whether it takes objects of a kind of the manifests. The embedded target has no access control.
    pub(super) fn serves(&self, kind: &str) -> bool {
        match self {
            Ground::Embedded(_) => !is_access(kind),
            Ground::Namespace(_) | Ground::Installation(_) => true,
        }
    }
}

/// Whether a kind is of access control: who may do what.
pub(super) fn is_access(kind: &str) -> bool {
    matches!(kind, "Role" | "RoleBinding" | "ServiceAccount")
}
