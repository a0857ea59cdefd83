//! Rendered Kubernetes manifests, judged before anything is deployed: what `helm template` prints, held against
//! the contracts as far as it can be told without running.
//!
//! A stream becomes [`Document`]s, each contract's rules look at them, and what they say is [`Finding`]s. Secrets
//! that stand in manifests are masked in all that is shown (`mask`).

mod agent_service;
mod codex_auth;
mod document;
mod dry_run;
mod finding;
mod harness_token;
mod mask;
mod pod;
mod read;
mod shared_secret;

use std::collections::BTreeMap;

pub use document::Document;
pub use dry_run::{DryRunError, dry_run};
pub use finding::{Finding, Verdict};
pub use read::{Manifests, STANDARD_INPUT, read, read_texts};

/// What an installation calls things: `secret.name` → `litellm-env`.
pub type Names = BTreeMap<String, String>;

/// What one thing is called; empty is nothing that gauntlet has a name for.
fn named<'n>(names: &'n Names, name: &str) -> &'n str {
    names.get(name).map_or("", String::as_str)
}

/// All that the contracts say of these manifests.
pub fn check(manifests: &Manifests, names: &Names) -> Vec<Finding> {
    let documents = &manifests.documents;
    [
        manifests.repeated_keys(),
        harness_token::check(documents, names),
        codex_auth::check(documents, names),
        agent_service::check(documents, names),
    ]
    .concat()
}
