use super::super::finding::{Verdict, found_in, verdicts};
use super::*;

const GOOD: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: agents }
spec: { gatewayClassName: eg, listeners: [{ name: http, protocol: HTTP, port: 8000 }] }
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: { name: clients }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: agents }]
  headers: { earlyRequestHeaders: { removeOnMatch: [{ type: Prefix, value: X-User- }] } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: agents }
spec:
  parentRefs: [{ name: agents }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /api/agents } }]
      backendRefs: [{ name: agent-service, port: 3001 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: health }
spec:
  parentRefs: [{ name: agents }]
  rules:
    - matches: [{ path: { type: Exact, value: /api/healthcheck } }]
      backendRefs: [{ name: agent-service, port: 3001 }]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: { name: access }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: agents }]
  extAuth:
    http:
      path: /api/auth
      backendRefs: [{ name: access-control, port: 9096 }]
      headersToBackend: [x-user-id, x-user-name, x-user-email]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: agent-service }
spec:
  template:
    metadata: { labels: { app: agent-service } }
    spec:
      containers:
        - name: s
          env:
            - { name: AUTH_JWT_SECRET, valueFrom: { secretKeyRef: { name: agent-service-env, key: AUTH_JWT_SECRET } } }
            - { name: LITELLM_MASTER_KEY, valueFrom: { secretKeyRef: { name: agent-service-env, key: LITELLM_MASTER_KEY } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: access-control }
spec:
  template:
    metadata: { labels: { app: access-control } }
    spec:
      containers:
        - name: a
          env: [{ name: AUTH_JWT_SECRET, valueFrom: { secretKeyRef: { name: agent-service-env, key: AUTH_JWT_SECRET } } }]
"#;

const TARGETS: &str = "targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: agents }]";

fn found(text: &str) -> Vec<Finding> {
    found_in(text, check)
}

/// What is not as it should be in the good manifests with one thing changed.
#[track_caller]
fn changed(from: &str, to: &str) -> Vec<(&'static str, Verdict, String)> {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    let found = found(&GOOD.replace(from, to)).into_iter();
    found
        .filter(|finding| finding.verdict != Verdict::Pass)
        .map(|finding| (finding.rule, finding.verdict, finding.problem.message))
        .collect()
}

/// Among what is wrong then is this.
#[track_caller]
fn breaks(rule: Rule, from: &str, to: &str, says: &str) {
    let changed = changed(from, to);
    let is_it = |(broken, verdict, message): &(&str, Verdict, String)| {
        *broken == rule.id && *verdict == Verdict::Fail && message.contains(says)
    };
    assert!(changed.iter().any(is_it), "{changed:?}");
}

#[test]
fn good_manifests() {
    for finding in found(GOOD) {
        assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.problem);
    }
    assert_eq!(verdicts(&found(GOOD), ATTACHED), [Verdict::Pass; 2]);
    assert_eq!(verdicts(&found(GOOD), JWT_SECRET), [Verdict::Pass; 2]);
}

#[test]
fn policies_that_are_attached_to_nothing() {
    breaks(ATTACHED, TARGETS, "targetRefs: []", "it has no targetRefs");
    let target = |target: &str| format!("targetRefs: [{{ group: gateway.networking.k8s.io, {target} }}]");
    let of = |what: &str, says: &str| breaks(ATTACHED, TARGETS, &target(what), says);
    of("kind: HTTPRoute, name: agnets", "there is no HTTPRoute agnets");
    of("kind: HttpRoute, name: agents", "there is no HttpRoute agents");
    let grpc = |name: &str| {
        format!(
            "{GOOD}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {{ name: {name} }}\n"
        )
        .replace(TARGETS, &target("kind: GRPCRoute, name: agents"))
    };
    // The policy, and the route that none guards.
    let unguarded = |policy| [policy, Verdict::Fail];
    assert_eq!(verdicts(&found(&grpc("others")), ATTACHED), unguarded(Verdict::Fail));
    assert_eq!(verdicts(&found(&grpc("agents")), ATTACHED), unguarded(Verdict::Pass));
    of("kind: Gateway, name: other", "there is no Gateway other");
    of(
        "kind: HTTPRoute, name: agents, sectionName: x",
        "HTTPRoute agents has no rule called x",
    );
    of(
        "kind: Gateway, name: agents, sectionName: https",
        "Gateway agents has no listener called https",
    );
    let no_group = "targetRefs: [{ kind: HTTPRoute, name: agents }]";
    breaks(ATTACHED, TARGETS, no_group, "its target's group is ``");
    let spaces = GOOD
        .replace(
            "kind: SecurityPolicy\nmetadata: { ",
            "kind: SecurityPolicy\nmetadata: { namespace: a, ",
        )
        .replace(
            "kind: HTTPRoute\nmetadata: { name: agents",
            "kind: HTTPRoute\nmetadata: { namespace: b, name: agents",
        );
    let found = found(&spaces);
    assert!(found.iter().any(|finding| {
        finding
            .problem
            .message
            .contains("HTTPRoute agents is in namespace b, and the policy in a")
    }),);
}

/// What another chart may have is not judged.
#[test]
fn policies_of_what_is_not_here() {
    let target = |target: &str| format!("targetRefs: [{{ group: gateway.networking.k8s.io, {target} }}]");
    let grpc = GOOD.replace(TARGETS, &target("kind: GRPCRoute, name: agents"));
    assert_eq!(verdicts(&found(&grpc), ATTACHED), [Verdict::Skip, Verdict::Fail]);
    let policy = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: { name: a }\n\
                  spec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: elsewhere }], extAuth: {} }\n";
    let alone = found(policy);
    assert!(alone.iter().all(|finding| finding.verdict == Verdict::Skip));
    let unknown = "no HTTPRoute in these manifests, so it is unknown whether HTTPRoute elsewhere is there";
    assert!(alone.iter().any(|finding| finding.problem.message == unknown));
}

#[test]
fn routes_of_the_agents_without_a_policy() {
    let unguarded = "no SecurityPolicy is attached to this route";
    breaks(
        ATTACHED,
        TARGETS,
        &TARGETS.replace("name: agents", "name: health"),
        unguarded,
    );
    // A second road to the same agents.
    let react = "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: react }\n\
                 spec: { rules: [{ matches: [{ path: { type: RegularExpression, value: '/api/agents/[^/]+/react' } }] }] }\n";
    let found = found(&format!("{GOOD}{react}"));
    assert_eq!(
        verdicts(&found, ATTACHED),
        [Verdict::Pass, Verdict::Pass, Verdict::Fail]
    );
}

/// From http to https, say.
#[test]
fn a_route_that_redirects_needs_no_policy() {
    let route = |rest: &str| {
        format!(
            "{GOOD}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: to-https }}\n\
             spec: {{ rules: [{{ matches: [{{ path: {{ type: PathPrefix, value: /api/agents }} }}], {rest} }}] }}\n"
        )
    };
    let filter = "filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }]";
    let redirect = route(filter);
    assert_eq!(verdicts(&found(&redirect), ATTACHED), [Verdict::Pass; 2]);
    let with_backend = route(&format!(
        "{filter}, backendRefs: [{{ name: agent-service, port: 3001 }}]"
    ));
    let other_filter = route("filters: [{ type: URLRewrite, urlRewrite: { hostname: x } }]");
    for unguarded in [with_backend, other_filter] {
        assert_eq!(
            verdicts(&found(&unguarded), ATTACHED),
            [Verdict::Pass, Verdict::Pass, Verdict::Fail]
        );
    }
}

/// One that is for all paths, and leads to the service.
#[test]
fn a_route_of_more_than_the_agents() {
    let all = GOOD
        .replace("value: /api/agents }", "value: /api }")
        .replace(TARGETS, &TARGETS.replace("name: agents", "name: health"));
    let failed = found(&all);
    let failed: Vec<&str> = failed
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail && finding.rule == ATTACHED.id)
        .map(|finding| finding.problem.message.as_str())
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(
        failed[0].contains("the agents' path /api/agents goes through it"),
        "{failed:?}"
    );
    let elsewhere = all.replace(
        "value: /api } }]\n      backendRefs: [{ name: agent-service",
        "value: /api } }]\n      backendRefs: [{ name: frontend",
    );
    assert_eq!(verdicts(&found(&elsewhere), ATTACHED), [Verdict::Pass, Verdict::Skip]);
}

#[test]
fn a_policy_of_the_gateway() {
    let gateway = TARGETS.replace("HTTPRoute", "Gateway");
    let of_gateway = changed(TARGETS, &gateway);
    // The agents are guarded, and so is what is to be open.
    let [(rule, Verdict::Fail, message)] = of_gateway.as_slice() else {
        panic!("{of_gateway:?}");
    };
    assert_eq!(*rule, HEALTH.id);
    assert!(message.contains("goes through SecurityPolicy access"), "{message}");
    // One of the route that asks nobody stands in its place.
    let route = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: { name: cors }\n\
                 spec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: agents }], cors: {} }\n";
    let text = format!("{}{route}", GOOD.replace(TARGETS, &gateway));
    assert_eq!(verdicts(&found(&text), ATTACHED), [Verdict::Pass, Verdict::Fail]);
    let listener = GOOD.replace(
        TARGETS,
        &gateway.replace("name: agents", "name: agents, sectionName: http"),
    );
    assert_eq!(verdicts(&found(&listener), ATTACHED), [Verdict::Pass; 2]);
}

#[test]
fn how_access_control_is_asked() {
    breaks(ASKS, "      path: /api/auth\n", "", "without the path /api/auth");
    breaks(ASKS, "path: /api/auth", "path: /other", "asked at /other");
    let backend = "      backendRefs: [{ name: access-control, port: 9096 }]\n";
    breaks(ASKS, backend, "", "nobody is asked");
    breaks(DOWN, "  extAuth:\n", "  extAuth:\n    failOpen: true\n", "failOpen");
    let open = |said: &str, says: &str| {
        breaks(
            DOWN,
            "  extAuth:\n",
            &format!("  extAuth:\n    failOpen: {said}\n"),
            says,
        )
    };
    open("yes", "requests reach the service");
    open("On", "requests reach the service");
    open("\"true\"", "neither true nor false");
    open("1", "neither true nor false");
    for closed in ["false", "no", "off", "null"] {
        let closed = format!("  extAuth:\n    failOpen: {closed}\n");
        assert!(changed("  extAuth:\n", &closed).is_empty(), "{closed}");
    }
    let asked = "  extAuth:\n    http:\n      path: /api/auth\n      backendRefs: [{ name: access-control, port: 9096 }]\n      \
                 headersToBackend: [x-user-id, x-user-name, x-user-email]\n";
    breaks(ASKS, asked, "  jwt: { providers: [] }\n", "asks nobody");
}

#[test]
fn whose_headers_arrive() {
    let passed = "headersToBackend: [x-user-id, x-user-name, x-user-email]";
    breaks(
        headers::TRUSTED,
        passed,
        "headersToBackend: [X-User-Id]",
        "x-user-name, x-user-email of access control",
    );
    let removed = "removeOnMatch: [{ type: Prefix, value: X-User- }]";
    breaks(
        headers::TRUSTED,
        removed,
        "remove: [x-user-id]",
        "a client's x-user-name, x-user-email",
    );
    for three in [
        "remove: [x-user-id, X-User-Name, x-user-email]",
        "remove: [x-user-id, X-User-Name, x-user-email, x-user-role]",
        "removeOnMatch: [{ type: Suffix, value: -id }, { type: Suffix, value: -name }, { type: Suffix, value: -email }]",
    ] {
        breaks(headers::TRUSTED, removed, three, "any other one would reach");
    }
    for all in [
        "removeOnMatch: [{ type: Prefix, value: x-u }]",
        "removeOnMatch: [{ type: RegularExpression, value: 'x-user-.*' }]",
        "remove: [x-user-id], removeOnMatch: [{ type: Prefix, value: x-user- }]",
    ] {
        assert!(changed(removed, all).is_empty(), "{all}");
    }
    breaks(
        headers::TRUSTED,
        "kind: Gateway, name: agents",
        "kind: Gateway, name: others",
        "a client's x-user-id",
    );
}

/// A policy of one listener counts at that one, in the place of the gateway's.
#[test]
fn headers_at_a_listener() {
    let both = GOOD.replace(
        "listeners: [{ name: http, protocol: HTTP, port: 8000 }]",
        "listeners: [{ name: http, protocol: HTTP, port: 8000 }, { name: https, protocol: HTTPS, port: 8443 }, \
         { name: raw, protocol: TCP, port: 9 }]",
    );
    let clients = "kind: Gateway, name: agents }]\n  headers";
    let of_http = both.replace(clients, "kind: Gateway, name: agents, sectionName: http }]\n  headers");
    let on = |text: &str, listener: &str| {
        text.replace(
            "parentRefs: [{ name: agents }]",
            &format!("parentRefs: [{{ name: agents, sectionName: {listener} }}]"),
        )
    };
    // That of the SecurityPolicy, and that of the listener.
    let (good, bad) = ([Verdict::Pass; 2], [Verdict::Pass, Verdict::Fail]);
    let judged = |text: &str| verdicts(&found(text), headers::TRUSTED);
    assert_eq!(judged(&both), good);
    assert_eq!(judged(&on(&both, "https")), good);
    assert_eq!(judged(&on(&of_http, "http")), good);
    assert_eq!(judged(&on(&of_http, "https")), bad);
    // A route of all listeners.
    assert_eq!(judged(&of_http), bad);
    let another = "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: { name: tls }\n\
                   spec: { targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: agents, sectionName: https }] }\n";
    let replaced = format!("{both}{another}");
    assert_eq!(judged(&on(&replaced, "http")), good);
    assert_eq!(judged(&on(&replaced, "https")), bad);
}

#[test]
fn the_health_check() {
    let both = "targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: agents }, \
                { group: gateway.networking.k8s.io, kind: HTTPRoute, name: health }]";
    breaks(HEALTH, TARGETS, both, "goes through SecurityPolicy access");
}

#[test]
fn secrets_of_the_services() {
    let key = "valueFrom: { secretKeyRef: { name: agent-service-env, key: LITELLM_MASTER_KEY } }";
    breaks(LITELLM_KEY, key, "value: sk-hunter2", "is in the manifest");
    let shared = "env: [{ name: AUTH_JWT_SECRET, valueFrom: { secretKeyRef: { name: agent-service-env, key: AUTH_JWT_SECRET } } }]";
    breaks(
        JWT_SECRET,
        shared,
        &shared.replace("agent-service-env", "other"),
        "of Secret other",
    );
    breaks(
        JWT_SECRET,
        shared,
        "env: []",
        "no container of Deployment access-control",
    );
}

#[test]
fn nothing_of_it() {
    let found = found("apiVersion: v1\nkind: Pod\nmetadata: { name: x }\n");
    assert!(found.iter().all(|finding| finding.verdict == Verdict::Skip));
}
