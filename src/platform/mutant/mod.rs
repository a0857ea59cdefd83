//! Mutants: named defects that the reference platform can be started with.
//!
//! Each stands at the place in its component where a person would have made
//! the mistake, behind one call of [`Pod::has`](super::Pod::has).

macro_rules! mutants {
    ($all:ident of $contract:literal: $($constant:ident = $name:literal breaks $row:literal: $defect:literal;)+) => {
        $(
            #[doc = $defect]
            pub const $constant: Mutant =
                Mutant { name: $name, row: concat!($contract, "/", $row), defect: $defect };
        )+

        /// All of the contract, in the order of its rows.
        pub const $all: &[Mutant] = &[$($constant),+];
    };
}

use crate::steps::arguments::Road;

mod agent_service;
mod gateways;
mod harness_token;

pub use agent_service::*;
pub use gateways::*;
pub use harness_token::*;

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

impl Mutant {
    /// The real gateway whose configuration it breaks; none where it is a component of gauntlet's.
    pub fn gateway(&self) -> Option<Road> {
        let has = |all: &[Mutant]| all.iter().any(|mutant| mutant.name == self.name);
        match () {
            () if has(NGINX) => Some(Road::Nginx),
            () if has(ENVOY) => Some(Road::Envoy),
            () => None,
        }
    }
}

/// The mutant of that name.
pub fn by_name(name: &str) -> Option<&'static Mutant> {
    all().find(|mutant| mutant.name == name)
}

/// All mutants, in the order of the contracts' rows.
pub fn all() -> impl Iterator<Item = &'static Mutant> + Clone {
    HARNESS_TOKEN.iter().chain(AGENT_SERVICE).chain(NGINX).chain(ENVOY)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: BTreeSet<_> = all().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), all().count());
        for name in names {
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_row_of_the_contract_has_a_mutant() {
        let rows: BTreeSet<_> = HARNESS_TOKEN
            .iter()
            .filter_map(|mutant| mutant.row.strip_prefix("harness-token/"))
            .collect();
        for row in [
            "token/accept",
            "token/refuse",
            "token/near-misses",
            "token/both",
            "token/flow",
            "bootstrap/first-deploy",
            "bootstrap/idempotent",
            "bootstrap/missing",
            "bootstrap/seeded",
            "warm/stale",
            "warm/claimed",
            "rotate/new",
            "rotate/live",
            "rotate/direct",
            "rotate/open",
            "alb/strip",
            "alb/header",
            "alb/query",
            "alb/both",
            "alb/tls",
            "alb/idle",
            "leak/log",
            "leak/event",
            "leak/error-body",
            "leak/redirect",
            "leak/process-list",
            "hardening/token-values",
            "hardening/duplicates",
            "hardening/encoding",
            "hardening/oversize",
            "hardening/timing",
            "hardening/paths",
            "hardening/plain-http",
            "hardening/origin",
            "hardening/refused-frames",
            "hardening/frames",
            "hardening/subprotocol",
            "hardening/sharing",
            "hardening/half-open",
            "hardening/caching",
        ] {
            assert!(rows.contains(row), "{row}");
        }
    }
}
