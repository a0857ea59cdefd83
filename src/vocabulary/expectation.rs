//! What follows where an expectation doesn't hold.

use serde::Serialize;

/// What it means when an expectation doesn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectationKind {
    /// Judges the platform: `fail`.
    Check,
    /// Set-up: `error`.
    Given,
    /// What the scenario can only run with: `skip`, with the step's `reason`.
    Needs,
    /// Reported without a verdict.
    Fact,
}
