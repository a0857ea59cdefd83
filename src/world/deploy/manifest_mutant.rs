//! Defects of the manifest itself: what a chart could get wrong before any component runs.

/// codex-cli stands among the init containers, of which each has to end: the pod never leaves Init.
pub const CODEX_CLI_IS_INIT: &str = "codex-cli-is-init";
/// With persistence the volume is an emptyDir all the same.
pub const PERSISTENCE_IGNORED: &str = "persistence-ignored";
/// With a claim the Deployment rolls: two pods want one volume.
pub const ROLLS_WITH_CLAIM: &str = "rolls-with-claim";
