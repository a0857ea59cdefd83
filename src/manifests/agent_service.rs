//! What contract 3, the JWT gateway before the agent service, says that manifests can break: those of the Gateway API
//! and of Envoy Gateway, and the secrets of the two services.

mod headers;
mod policy;
mod route;

use super::document::{Document, at, deployments, list, text};
use super::finding::{Finding, Rule};
use super::pod::{Pod, Said, no_boolean};
use super::shared_secret::SharedSecret;
use super::{Names, named};
use crate::yaml::Problem;
use crate::yaml::node::Node;
use policy::{Guard, Policies, Policy};
use route::Door;

/// "HTTPRoute and SecurityPolicy report Accepted for this route"; "Both send `/api/agents` through access control".
const ATTACHED: Rule = Rule {
    id: "agent-service/policy/attached",
    holds: "a SecurityPolicy is attached to the agents' route",
};

/// "access-control-service: `/api/auth/<original path>`"; "requires role REGULAR or ADMIN (else 403)".
const ASKS: Rule = Rule {
    id: "agent-service/policy/asks",
    holds: "the policy asks access control",
};

/// "gone, 500 …: nothing arrives upstream".
const DOWN: Rule = Rule {
    id: "agent-service/authz/down",
    holds: "nothing is forwarded when access control can't be asked",
};

/// "`/api/healthcheck` goes to the service without authorization."
const HEALTH: Rule = Rule {
    id: "agent-service/health/open",
    holds: "no policy guards the health check",
};

/// "Verifies HS256 JWTs with the shared secret `AUTH_JWT_SECRET` itself".
const JWT_SECRET: Rule = Rule {
    id: "agent-service/jwt/secret",
    holds: "the JWT signing secret comes from the Secret",
};

/// "agent-service: holds LiteLLM's master key itself (`LITELLM_BASE_URL`, `LITELLM_MASTER_KEY`)".
const LITELLM_KEY: Rule = Rule {
    id: "agent-service/litellm/key",
    holds: "LiteLLM's master key comes from the Secret",
};

/// All of this contract.
pub fn check(documents: &[Document], names: &Names) -> Vec<Finding> {
    let mut findings = gateway(documents, names);
    findings.extend(secrets(documents, names));
    findings
}

fn gateway(documents: &[Document], names: &Names) -> Vec<Finding> {
    let policies = Policies::of(documents);
    let path = named(names, "agents.path");
    let services = services(documents, named(names, "agent-service.selector"));
    let doors = route::doors(documents, path, &services);
    let mut findings: Vec<Finding> = policies
        .all
        .iter()
        .filter(|policy| policy.judges())
        .flat_map(|policy| attachment(policy, &policies))
        .collect();
    if doors.is_empty() {
        findings.push(ATTACHED.without(format!("no HTTPRoute of {path} in these manifests")));
        return findings;
    }
    let mut guards: Vec<&Policy<'_>> = Vec::new();
    for door in &doors {
        match policies.guard(door) {
            Guard::By(policy) => {
                findings.push(ATTACHED.pass(door.route));
                if !guards.iter().any(|known| std::ptr::eq(*known, policy)) {
                    guards.push(policy);
                }
            }
            Guard::None => findings.push(ATTACHED.fail(door.route, unguarded(door, path))),
            Guard::Unknown(why) => {
                findings.push(ATTACHED.skip(door.route, door.route.problem(door.span, why)));
            }
        }
    }
    for policy in guards {
        findings.extend(asks(policy, names));
        findings.extend(headers::passed_on(policy));
    }
    findings.extend(headers::stripped(&doors, documents));
    findings.extend(health(documents, &policies, names, &services));
    findings
}

/// The Services that lead to the agent service.
fn services<'d>(documents: &'d [Document], selector: &str) -> Vec<&'d str> {
    let labels = crate::world::deploy::labels(selector).unwrap_or_default();
    let leads_there = |document: &&Document| {
        let selector = at(&document.root, &["spec", "selector"]).and_then(Node::as_map);
        let is_label = |key: &str, value: &Node| labels.get(key).map(String::as_str) == value.as_text();
        selector.is_some_and(|selector| {
            !selector.is_empty() && selector.iter().all(|(key, value)| is_label(&key.name, value))
        })
    };
    let found = documents.iter().filter(|document| document.kind() == "Service");
    let mut names: Vec<&str> = found.filter(leads_there).map(Document::name).collect();
    names.push("agent-service");
    names
}

/// Whether what a policy names is there.
fn attachment(policy: &Policy<'_>, policies: &Policies<'_>) -> Vec<Finding> {
    let document = policy.document;
    if policy.targets.is_empty() && policy.selectors.is_empty() {
        let problem = document
            .problem(
                document.place(),
                "the policy is attached to nothing: it has no targetRefs",
            )
            .with_help("`targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: … }]`");
        return vec![ATTACHED.fail(document, problem)];
    }
    let mut findings = Vec::new();
    for target in &policy.targets {
        match policies.lacks(policy, target) {
            policy::Lack::Nothing => {}
            policy::Lack::Fault(problem) => findings.push(ATTACHED.fail(document, *problem)),
            policy::Lack::Unknown(why) => findings.push(ATTACHED.skip(document, document.problem(target.span, why))),
        }
    }
    match findings.is_empty() {
        true => vec![ATTACHED.pass(document)],
        false => findings,
    }
}

fn unguarded(door: &Door<'_>, path: &str) -> Problem {
    let message = format!("no SecurityPolicy is attached to this route, and the agents' path {path} goes through it");
    door.route.problem(door.span, message).with_help(format!(
        "a SecurityPolicy with `extAuth` and `targetRefs: [{{ group: gateway.networking.k8s.io, kind: HTTPRoute, \
         name: {} }}]`, in the same namespace",
        door.route.name()
    ))
}

/// How a policy that guards the agents asks access control.
fn asks(policy: &Policy<'_>, names: &Names) -> Vec<Finding> {
    let document = policy.document;
    let Some(asked) = policy.asked() else {
        let span = at(&document.root, &["spec", "jwt"]).map_or(document.place(), |jwt| jwt.span);
        if at(&document.root, &["spec", "authorization"]).is_some() {
            let why =
                "the policy judges by rules of its own: whether roles are judged as access control does can't be told";
            return vec![ASKS.skip(document, document.problem(span, why))];
        }
        let problem = document
            .problem(span, "the policy asks nobody: roles are not looked at")
            .with_help("`extAuth`, with access control behind it");
        return vec![ASKS.fail(document, problem)];
    };
    let mut findings = vec![asked_path(document, asked, named(names, "access-control.path"))];
    let open = asked.get("failOpen");
    let message = match Said::of(open) {
        Said::No => None,
        Said::Yes => Some("failOpen: requests reach the service when access control can't be asked".to_owned()),
        Said::Neither => Some(no_boolean("failOpen")),
    };
    findings.push(match (open, message) {
        (Some(open), Some(message)) => {
            let help = "leave it out, or set it to false";
            DOWN.fail(document, document.problem(open.span, message).with_help(help))
        }
        _ => DOWN.pass(document),
    });
    findings
}

fn asked_path(document: &Document, asked: &Node, path: &str) -> Finding {
    let Some(http) = asked.get("http") else {
        let why = "access control is not asked over HTTP, so its path is unknown";
        return ASKS.skip(document, document.problem(asked.span, why));
    };
    let has_backend = http.get("backendRef").is_some() || !list(http, &["backendRefs"]).is_empty();
    if !has_backend {
        let problem = document.problem(http.span, "`extAuth` has no backendRefs: nobody is asked");
        return ASKS.fail(
            document,
            problem.with_help("`backendRefs: [{ name: access-control, port: 9096 }]`"),
        );
    }
    let theirs = text(http, &["path"]);
    if theirs.trim_end_matches('/') == path.trim_end_matches('/') {
        return ASKS.pass(document);
    }
    let span = http.get("path").map_or(http.span, |path| path.span);
    let message = match theirs {
        "" => format!("access control is asked without the path {path} before the request's own"),
        _ => format!("access control is asked at {theirs}, not at {path}"),
    };
    let help = format!("`path: {path}`: it answers 403 at all others; or `--set access-control.path=…`");
    ASKS.fail(document, document.problem(span, message).with_help(help))
}

/// Whether the health check stays open.
fn health(documents: &[Document], policies: &Policies<'_>, names: &Names, services: &[&str]) -> Vec<Finding> {
    let path = named(names, "agents.health-path");
    let doors = route::doors(documents, path, services);
    if doors.is_empty() {
        return vec![HEALTH.without(format!("no HTTPRoute of {path} in these manifests"))];
    }
    let found = doors.iter().map(|door| match policies.guard(door) {
        Guard::None => HEALTH.pass(door.route),
        Guard::Unknown(why) => HEALTH.skip(door.route, door.route.problem(door.span, why)),
        Guard::By(policy) => {
            let message = format!("the health check {path} goes through {}", policy.document.title());
            let problem = door
                .route
                .problem(door.span, message)
                .with_related(&policy.document.source, policy.document.place(), "this policy")
                .with_help(
                    "a route of its own that no policy is attached to, or a `sectionName` in the policy's target",
                );
            HEALTH.fail(door.route, problem)
        }
    });
    found.collect()
}

fn secrets(documents: &[Document], names: &Names) -> Vec<Finding> {
    let of = |selector: &str| -> Vec<Pod<'_>> {
        let found = deployments(documents, "", named(names, selector));
        found.into_iter().map(Pod::of).collect()
    };
    let (service, access_control) = (of("agent-service.selector"), of("access-control.selector"));
    let secret = (named(names, "jwt.secret-name"), "jwt.secret-name");
    let jwt = SharedSecret {
        what: "the JWT signing secret",
        variable: "AUTH_JWT_SECRET",
        secret,
        key: (named(names, "jwt.secret-key"), "jwt.secret-key"),
    };
    let litellm = SharedSecret {
        what: "LiteLLM's master key",
        variable: "LITELLM_MASTER_KEY",
        secret,
        key: (named(names, "litellm.secret-key"), "litellm.secret-key"),
    };
    if service.is_empty() && access_control.is_empty() {
        let selectors = [
            named(names, "agent-service.selector"),
            named(names, "access-control.selector"),
        ];
        let why = format!(
            "no Deployment with pods of {} in these manifests",
            selectors.join(" or ")
        );
        return vec![JWT_SECRET.without(why)];
    }
    let both: Vec<Pod<'_>> = service.iter().chain(&access_control).cloned().collect();
    let mut findings = jwt.judge(JWT_SECRET, &both);
    findings.extend(litellm.judge(LITELLM_KEY, &service));
    findings
}

#[cfg(test)]
mod tests;
