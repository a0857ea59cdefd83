//! The kinds of objects that the cluster serves.

/// A kind of object. What isn't here is 404 to every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Namespace,
    Secret,
    ConfigMap,
    ServiceAccount,
    Service,
    PersistentVolumeClaim,
    Pod,
    Event,
    Deployment,
    ReplicaSet,
    Sandbox,
    Lease,
}

/// What Kubernetes says about a kind in discovery.
#[derive(Clone, Copy)]
pub struct Facts {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    /// Short names for kubectl.
    pub short: &'static [&'static str],
    pub namespaced: bool,
    /// Whether `status` is a subresource, so that the object's own endpoint leaves it alone.
    pub status: bool,
    /// Whether the kind has a `spec`, and with it `metadata.generation`.
    pub generation: bool,
    /// Whether the kind comes from a CustomResourceDefinition: no strategic merge patch.
    pub custom: bool,
}

const PLAIN: Facts = Facts {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short: &[],
    namespaced: true,
    status: false,
    generation: false,
    custom: false,
};

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Namespace,
        Kind::Secret,
        Kind::ConfigMap,
        Kind::ServiceAccount,
        Kind::Service,
        Kind::PersistentVolumeClaim,
        Kind::Pod,
        Kind::Event,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::Sandbox,
        Kind::Lease,
    ];

    pub fn facts(self) -> Facts {
        match self {
            Kind::Namespace => Facts {
                kind: "Namespace",
                plural: "namespaces",
                singular: "namespace",
                short: &["ns"],
                namespaced: false,
                status: true,
                ..PLAIN
            },
            Kind::Secret => Facts {
                kind: "Secret",
                plural: "secrets",
                singular: "secret",
                ..PLAIN
            },
            Kind::ConfigMap => Facts {
                kind: "ConfigMap",
                plural: "configmaps",
                singular: "configmap",
                short: &["cm"],
                ..PLAIN
            },
            Kind::ServiceAccount => Facts {
                kind: "ServiceAccount",
                plural: "serviceaccounts",
                singular: "serviceaccount",
                short: &["sa"],
                ..PLAIN
            },
            Kind::Service => Facts {
                kind: "Service",
                plural: "services",
                singular: "service",
                short: &["svc"],
                status: true,
                ..PLAIN
            },
            Kind::PersistentVolumeClaim => Facts {
                kind: "PersistentVolumeClaim",
                plural: "persistentvolumeclaims",
                singular: "persistentvolumeclaim",
                short: &["pvc"],
                status: true,
                ..PLAIN
            },
            Kind::Pod => Facts {
                kind: "Pod",
                plural: "pods",
                singular: "pod",
                short: &["po"],
                status: true,
                generation: true,
                ..PLAIN
            },
            Kind::Event => Facts {
                kind: "Event",
                plural: "events",
                singular: "event",
                short: &["ev"],
                ..PLAIN
            },
            Kind::Deployment => Facts {
                group: "apps",
                kind: "Deployment",
                plural: "deployments",
                singular: "deployment",
                short: &["deploy"],
                status: true,
                generation: true,
                ..PLAIN
            },
            Kind::ReplicaSet => Facts {
                group: "apps",
                kind: "ReplicaSet",
                plural: "replicasets",
                singular: "replicaset",
                short: &["rs"],
                status: true,
                generation: true,
                ..PLAIN
            },
            Kind::Sandbox => Facts {
                group: "agents.x-k8s.io",
                version: "v1alpha1",
                kind: "Sandbox",
                plural: "sandboxes",
                singular: "sandbox",
                status: true,
                generation: true,
                custom: true,
                ..PLAIN
            },
            Kind::Lease => Facts {
                group: "coordination.k8s.io",
                kind: "Lease",
                plural: "leases",
                singular: "lease",
                ..PLAIN
            },
        }
    }

    /// `v1`, `apps/v1` …
    pub fn api_version(self) -> String {
        let facts = self.facts();
        if facts.group.is_empty() {
            facts.version.to_string()
        } else {
            format!("{}/{}", facts.group, facts.version)
        }
    }

    /// The name in error messages: `pods`, `deployments.apps`.
    pub fn resource(self) -> String {
        let facts = self.facts();
        if facts.group.is_empty() {
            facts.plural.to_string()
        } else {
            format!("{}.{}", facts.plural, facts.group)
        }
    }

    /// The kind behind a path's group, version and resource.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| {
            let facts = kind.facts();
            facts.group == group && facts.version == version && facts.plural == plural
        })
    }
}
