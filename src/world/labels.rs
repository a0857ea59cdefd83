//! The labels of everything that gauntlet creates.

use std::collections::BTreeMap;

use kube::api::ObjectMeta;

/// The label of everything it creates.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "gauntlet");

/// The label of everything a run creates: the run's name.
pub const RUN: &str = "gauntlet-run";

/// Labels of what a run makes.
pub fn labels(run: &str) -> BTreeMap<String, String> {
    [(MANAGED_BY.0, MANAGED_BY.1), (RUN, run)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// The run that an object was made by.
pub fn run_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(RUN).map(String::as_str)
}
