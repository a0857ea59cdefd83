//! The types of the store's interface.

use std::sync::Arc;

use crate::world::embedded::object::Object;

/// Namespace (empty if there is none) and name.
pub type Key = (String, String);

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Added,
    Modified,
    Deleted,
}

/// One change, as watchers get it.
#[derive(Clone)]
pub struct Change {
    pub version: u64,
    pub verb: Verb,
    pub object: Arc<Object>,
    /// The version that this change replaced.
    pub before: Option<Arc<Object>>,
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status, where that is a subresource.
    Main,
    /// Only the status.
    Status,
}

/// What `DELETE` was asked to do.
#[derive(Default)]
pub struct DeleteOptions {
    pub grace_seconds: Option<u64>,
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    pub propagation: Propagation,
}

/// What happens to objects owned by a deleted one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// What `DELETE` did.
pub enum Deleted {
    /// It is marked and deleted later, after its pod has ended or its finalizers are removed.
    Marked(Arc<Object>),
    Removed(Arc<Object>),
}
