//! What is wrong with it when a defect is switched on, and the scenario that has to see it.

use serde_json::Value;

use super::{Bench, bad};

/// Defects of its terminals, and the scenario that has to see each.
const OF_TERMINALS: [(&str, &str); 52] = [
    ("subprotocol-opens", "harness-token/hardening/subprotocol/token[direct]"),
    ("cookie-opens", "harness-token/token/refuse/own-cookie[direct]"),
    ("forwarded-opens", "harness-token/token/refuse/elsewhere[direct]"),
    ("auth-token-opens", "harness-token/token/refuse/elsewhere[direct]"),
    ("token-prefix", "harness-token/token/near-misses"),
    ("ttyfoo-opens", "harness-token/hardening/paths/longer[direct]"),
    ("ttyfoo-opens-with-token", "harness-token/hardening/paths/with-token"),
    ("slash-opens", "harness-token/hardening/paths[direct]"),
    ("plain-opens", "harness-token/hardening/plain-http[proxy,GET]"),
    ("deleted-still-opens", "harness-token/hardening/sharing/deleted[proxy]"),
    ("session-before-token", "harness-token/hardening/sharing/deleted[proxy]"),
    ("forbidden-for-unauthorized", "harness-token/token/refuse[proxy]"),
    ("health-leaks-env", "harness-token/leak/error-body/open-doors[direct]"),
    ("env-is-shown", "harness-token/leak/error-body/open-doors[direct]"),
    ("token-in-log", "harness-token/leak/log"),
    ("logs-refused-query", "harness-token/leak/log/refused"),
    ("logs-plain-query", "harness-token/leak/log/refused"),
    ("access-log-query", "harness-token/leak/log/refused"),
    ("stale-replica", "harness-token/rotate/new/replicas"),
    ("strips-lower-case", "harness-token/alb/header/spelling"),
    ("strips-capitalised", "harness-token/alb/header"),
    ("keeps-authorization", "harness-token/alb/strip"),
    ("session-stores", "harness-token/hardening/endpoints"),
    ("second-value", "harness-token/token/near-misses/other-values"),
    ("health-denies-token", "harness-token/token/refuse/health"),
    ("first-32", "harness-token/token/near-misses"),
    ("quoted-token", "harness-token/token/near-misses/other-values[direct]"),
    (
        "unicode-normalised",
        "harness-token/token/near-misses/other-values[direct]",
    ),
    ("both-open", "harness-token/token/both[direct]"),
    ("old-http-opens", "harness-token/hardening/places[direct,alone]"),
    ("other-version-opens", "harness-token/hardening/places[direct,alone]"),
    ("connection-opens", "harness-token/hardening/places[direct,alone]"),
    ("remote-user-opens", "harness-token/token/refuse/elsewhere[direct]"),
    ("absolute-form-opens", "harness-token/hardening/paths[direct]"),
    ("rewrite-url-opens", "harness-token/hardening/paths[direct]"),
    ("dots-open", "harness-token/hardening/paths[direct]"),
    ("encoded-slash-opens", "harness-token/hardening/paths[direct]"),
    ("health-in-query-opens", "harness-token/hardening/paths[direct]"),
    ("options-tell", "harness-token/hardening/api-key[proxy,wrong]"),
    ("head-tells", "harness-token/hardening/api-key[proxy,wrong]"),
    ("key-prefix", "harness-token/hardening/api-key[proxy,its first half]"),
    ("api-slash-tells", "harness-token/hardening/api-key[proxy,wrong]"),
    ("old-opens-restarted", "harness-token/rotate/direct"),
    ("redirect-carries-token", "harness-token/leak/error-body[direct]"),
    ("refusal-hints", "harness-token/leak/error-body/open-doors[direct]"),
    ("environ-is-served", "harness-token/leak/error-body/open-doors[direct]"),
    ("actuator-is-open", "harness-token/leak/error-body/open-doors[direct]"),
    ("probe-opens", "harness-token/token/refuse/elsewhere[direct]"),
    ("local-origin-opens", "harness-token/token/refuse/elsewhere[direct]"),
    ("operator-opens", "harness-token/hardening/duplicates[direct]"),
    ("pattern-opens", "harness-token/token/near-misses/other-values[direct]"),
    ("post-opens", "harness-token/hardening/places[direct,alone]"),
];

/// Those of its agent service.
const OF_AGENTS: [(&str, &str); 42] = [
    ("user-role-passes", "agent-service/headers/trusted/others[builtin]"),
    ("underscores-pass", "agent-service/headers/omitted[builtin]"),
    ("expired-models", "agent-service/jwt/expired/routes[service]"),
    ("other-host-unguarded", "agent-service/policy/attached/host[builtin]"),
    ("react-unguarded", "agent-service/ws/refused[builtin]"),
    ("authorizer-forbids", "agent-service/jwt/none[access-control]"),
    ("cookie-jwt", "agent-service/jwt/none/elsewhere[service]"),
    ("basic-jwt", "agent-service/jwt/none/elsewhere[builtin]"),
    (
        "restricted-passes",
        "agent-service/role/inactive/others[access-control]",
    ),
    ("inactive-deletes", "agent-service/role/inactive[access-control]"),
    ("health-leaks-key", "agent-service/leak/error-body/health[service]"),
    ("jwt-in-log", "agent-service/leak/log[builtin]"),
    ("open-on-error", "agent-service/authz/down/error[builtin]"),
    ("down-is-empty", "agent-service/models/upstream-down[service]"),
    (
        "usage-unguarded",
        "agent-service/hardening/every-route/further[builtin]",
    ),
    (
        "usage-unverified",
        "agent-service/hardening/every-route/further-service",
    ),
    ("cuts-conversations", "agent-service/hardening/quiet[builtin]"),
    ("alg-any-case", "agent-service/jwt/alg[service]"),
    ("alg-missing", "agent-service/jwt/alg[service]"),
    ("capital-none", "agent-service/jwt/alg[service]"),
    ("kid-names-file", "agent-service/hardening/kid[service]"),
    ("true-is-a-user", "agent-service/hardening/claim-types[service]"),
    ("aud-list-passes", "agent-service/hardening/registered[service]"),
    ("nbf-text-passes", "agent-service/hardening/registered[service]"),
    ("exp-text-passes", "agent-service/hardening/expiry[service]"),
    (
        "second-role-passes",
        "agent-service/hardening/role-types[access-control]",
    ),
    (
        "connection-is-trusted",
        "agent-service/hardening/every-route[builtin,GET]",
    ),
    (
        "models-slash-unguarded",
        "agent-service/hardening/paths/inactive[builtin]",
    ),
    ("upgrade-unguarded", "agent-service/hardening/every-route[builtin,GET]"),
    (
        "health-in-query-passes",
        "agent-service/hardening/paths/inactive[builtin]",
    ),
    ("override-passes", "agent-service/hardening/rewrites[builtin]"),
    ("forwarded-user-passes", "agent-service/jwt/none/elsewhere[service]"),
    ("deleted-agent-talks", "agent-service/ws/accepted/unknown[service]"),
    ("redirect-carries-jwt", "agent-service/leak/error-body[service]"),
    (
        "refusal-names-secret",
        "agent-service/hardening/refusals[access-control]",
    ),
    ("key-in-502", "agent-service/leak/error-body[service]"),
    (
        "probe-passes",
        "agent-service/hardening/client-address[builtin,loopback]",
    ),
    ("preflight-passes", "agent-service/hardening/methods/no-token[builtin]"),
    (
        "react-in-query-passes",
        "agent-service/hardening/paths/inactive[builtin]",
    ),
    ("role-header-passes", "agent-service/hardening/role-types[builtin]"),
    ("react-slash-passes", "agent-service/hardening/every-route[builtin,GET]"),
    ("rewrite-url-passes", "agent-service/hardening/paths/inactive[builtin]"),
];

/// One of its terminals and one of its agent service at a time: they have no part in common.
#[test]
fn each_of_its_defects_is_seen() {
    let bench = Bench::up();
    for at in 0..OF_TERMINALS.len().max(OF_AGENTS.len()) {
        let now: Vec<(&str, &str)> = [OF_TERMINALS.get(at), OF_AGENTS.get(at)]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let defects = now.iter().map(|(defect, _)| *defect);
        bench.ops(&["defects"].into_iter().chain(defects).collect::<Vec<_>>());
        let scenarios = now.iter().map(|(_, scenario)| *scenario);
        let of = ["--allow", "attack", "--level", "all"].into_iter().chain(scenarios);
        let ran = bench.run(&of.collect::<Vec<_>>());
        let report = bench.report();
        let results = report["scenarios"].as_array().expect("scenarios");
        for (defect, scenario) in &now {
            let id = scenario.split('[').next().unwrap_or_default();
            let seen = |result: &Value| result["id"] == id && result["verdict"] == "fail";
            assert!(
                results.iter().any(seen),
                "{defect}: {:#?}\n{}",
                bad(results),
                ran.stderr
            );
        }
        assert_eq!(ran.code, Some(1), "{now:?}: {:#?}\n{}", bad(results), ran.stderr);
    }
}
