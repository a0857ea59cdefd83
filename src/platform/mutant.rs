//! Mutants: named defects that the reference platform can be started with.

/// A named defect: what a person could have shipped by mistake.
///
/// A component learns its mutants from the environment variable
/// `GAUNTLET_MUTANTS` (names, comma separated), which every component's
/// manifest carries and the worker and web hand on to sandbox pods.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Stable name, kebab-case.
    pub name: &'static str,
    /// The row of the contract that it breaks: `harness-token/token/refuse`.
    pub row: &'static str,
    /// What is broken, in one sentence.
    pub defect: &'static str,
}

/// All mutants, in the order of the contract's rows.
pub const MUTANTS: &[Mutant] = &[];
