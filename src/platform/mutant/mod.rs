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

use crate::vocabulary::Road;

mod agent_service;
mod capacity;
mod codex_auth;
mod gateways;
mod harness_token;

pub use agent_service::*;
pub use capacity::*;
pub use codex_auth::*;
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

/// Open terminals above which the mutants of load go wrong: more than a few people have open, fewer than a load.
pub const MANY: u64 = 64;

impl Mutant {
    /// The real gateway whose configuration it breaks; none if it is a component of gauntlet's.
    pub fn gateway(&self) -> Option<Road> {
        let has = |all: &[Mutant]| all.iter().any(|mutant| mutant.name == self.name);
        match () {
            () if has(NGINX) => Some(Road::Nginx),
            () if has(ENVOY) => Some(Road::Envoy),
            () => None,
        }
    }
}

/// Their names, comma separated: as `GAUNTLET_MUTANTS` and `--mutant` have them.
pub fn names(mutants: &[&Mutant]) -> String {
    let names: Vec<&str> = mutants.iter().map(|mutant| mutant.name).collect();
    names.join(",")
}

/// The mutant of that name.
pub fn by_name(name: &str) -> Option<&'static Mutant> {
    all().find(|mutant| mutant.name == name)
}

/// All mutants, in the order of the contracts' rows.
pub fn all() -> impl Iterator<Item = &'static Mutant> + Clone {
    HARNESS_TOKEN
        .iter()
        .chain(CAPACITY)
        .chain(CODEX_AUTH)
        .chain(AGENT_SERVICE)
        .chain(NGINX)
        .chain(ENVOY)
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
    fn names_stand_between_commas() {
        assert_eq!(names(&[]), "");
        let two = [&NGINX_BODY_LIMIT, &ENVOY_BODY_LIMIT];
        assert_eq!(names(&two), "nginx-body-limit,envoy-body-limit");
        let found: Vec<_> = names(&two).split(',').filter_map(by_name).collect();
        assert_eq!(found, two);
    }

    #[test]
    fn every_row_of_a_contract_has_a_mutant() {
        let rows: BTreeSet<_> = all().map(|mutant| mutant.row).collect();
        for row in [
            "harness-token/token/accept",
            "harness-token/token/refuse",
            "harness-token/token/near-misses",
            "harness-token/token/both",
            "harness-token/token/flow",
            "harness-token/bootstrap/first-deploy",
            "harness-token/bootstrap/idempotent",
            "harness-token/bootstrap/missing",
            "harness-token/bootstrap/seeded",
            "harness-token/warm/stale",
            "harness-token/warm/claimed",
            "harness-token/rotate/new",
            "harness-token/rotate/live",
            "harness-token/rotate/direct",
            "harness-token/rotate/open",
            "harness-token/alb/strip",
            "harness-token/alb/header",
            "harness-token/alb/query",
            "harness-token/alb/both",
            "harness-token/alb/tls",
            "harness-token/alb/idle",
            "harness-token/leak/log",
            "harness-token/leak/event",
            "harness-token/leak/error-body",
            "harness-token/leak/redirect",
            "harness-token/leak/process-list",
            "harness-token/hardening/token-values",
            "harness-token/hardening/duplicates",
            "harness-token/hardening/encoding",
            "harness-token/hardening/oversize",
            "harness-token/hardening/timing",
            "harness-token/hardening/paths",
            "harness-token/hardening/plain-http",
            "harness-token/hardening/origin",
            "harness-token/hardening/refused-frames",
            "harness-token/hardening/frames",
            "harness-token/hardening/subprotocol",
            "harness-token/hardening/sharing",
            "harness-token/hardening/half-open",
            "harness-token/hardening/caching",
            "harness-token/hardening/places",
            "harness-token/hardening/host",
            "harness-token/hardening/handshakes",
            "harness-token/hardening/api-key",
            "harness-token/hardening/endpoints",
            "harness-token/load/holds",
            "harness-token/load/refuses",
            "harness-token/load/returns",
            "capacity/terminal/attaches",
            "capacity/terminal/ramp",
            "capacity/terminal/fan-out",
            "codex-auth/pod/shape",
            "codex-auth/pod/codex-installed",
            "codex-auth/pod/no-login-boots",
            "codex-auth/login/writes",
            "codex-auth/login/mode",
            "codex-auth/login/fails",
            "codex-auth/login/bound",
            "codex-auth/rotate/first",
            "codex-auth/rotate/prefers-files",
            "codex-auth/rotate/cycle",
            "codex-auth/rotate/atomic",
            "codex-auth/rotate/shapes",
            "codex-auth/signal/fresh",
            "codex-auth/signal/stale",
            "codex-auth/signal/garbage",
            "codex-auth/signal/other-model",
            "codex-auth/signal/kinds",
            "codex-auth/signal/parks-the-right-one",
            "codex-auth/signal/all-parked",
            "codex-auth/refresh/once",
            "codex-auth/refresh/revoked",
            "codex-auth/refresh/provider",
            "codex-auth/restart/state",
            "codex-auth/persist/pvc",
            "codex-auth/persist/emptydir",
            "codex-auth/strategy/recreate",
            "codex-auth/model/reply",
            "codex-auth/agent/config",
            "codex-auth/agent/no-key",
            "codex-auth/agent/token",
            "codex-auth/agent/key",
            "codex-auth/agent/no-auth-json",
            "codex-auth/agent/route",
            "codex-auth/agent/forbidden",
            "codex-auth/leak/log",
            "codex-auth/leak/state",
            "codex-auth/leak/config",
            "agent-service/jwt/none",
            "agent-service/jwt/bad",
            "agent-service/jwt/expired",
            "agent-service/jwt/leeway",
            "agent-service/jwt/alg",
            "agent-service/jwt/alg-family",
            "agent-service/jwt/claims",
            "agent-service/role/inactive",
            "agent-service/role/allowed",
            "agent-service/models/list",
            "agent-service/models/old",
            "agent-service/models/upstream-down",
            "agent-service/methods/usual",
            "agent-service/health/open",
            "agent-service/ws/refused",
            "agent-service/ws/accepted",
            "agent-service/ws/open",
            "agent-service/ws/header-only",
            "agent-service/rest/query-only",
            "agent-service/headers/trusted",
            "agent-service/headers/omitted",
            "agent-service/authz/down",
            "agent-service/policy/attached",
            "agent-service/policy/removed",
            "agent-service/leak/log",
            "agent-service/leak/error-body",
            "agent-service/hardening/spellings",
            "agent-service/hardening/kid",
            "agent-service/hardening/embedded-keys",
            "agent-service/hardening/registered",
            "agent-service/hardening/declared",
            "agent-service/hardening/expiry",
            "agent-service/hardening/claim-types",
            "agent-service/hardening/role-types",
            "agent-service/hardening/claim-texts",
            "agent-service/hardening/weak-secrets",
            "agent-service/hardening/caching",
            "agent-service/hardening/rewrites",
            "agent-service/hardening/two-tokens",
            "agent-service/hardening/refusals",
            "agent-service/hardening/paths",
            "agent-service/hardening/methods",
            "agent-service/hardening/hop-by-hop",
            "agent-service/hardening/smuggling",
            "agent-service/hardening/oversize",
            "agent-service/hardening/client-address",
            "agent-service/hardening/places",
            "agent-service/hardening/every-route",
            "agent-service/hardening/handshakes",
            "agent-service/hardening/open-doors",
            "agent-service/hardening/quiet",
            "agent-service/hardening/bodies",
        ] {
            assert!(rows.contains(row), "{row}");
        }
    }
}
