//! What an API server says of manifests that it is asked to apply and not to keep.

use std::collections::HashMap;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::discovery::{Scope, pinned_kind};
use serde_json::Value;
use tokio::time::timeout;

use super::document::{Document, text};
use super::finding::{Finding, Rule};
use super::read::Manifests;
use crate::world::kube_error::kube_error;

const ACCEPTED: Rule = Rule {
    id: "manifests/server-dry-run",
    holds: "the API server accepts it",
};

/// Whose fields these would be.
const MANAGER: &str = "gauntlet";

/// Longest time that an answer may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Why an API server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DryRunError {
    #[error("asking the API server about {title}: {}", kube_error(source.as_ref()))]
    Asking { title: String, source: Box<kube::Error> },
    #[error("asking the API server about {title}: no answer within {WITHIN:?}")]
    Late { title: String },
}

/// What a kind is to a cluster.
type Known = Option<(ApiResource, Scope)>;

/// Asks an API server to apply each document, without keeping any. Nothing is changed.
///
/// # Errors
/// If the API server can't be asked.
pub async fn dry_run(
    manifests: &Manifests,
    client: &kube::Client,
    namespace: &str,
) -> Result<Vec<Finding>, DryRunError> {
    let mut kinds: HashMap<(String, String), Known> = HashMap::new();
    let mut findings = Vec::new();
    for document in &manifests.documents {
        let late = |_| DryRunError::Late {
            title: document.title(),
        };
        let kind = (
            text(&document.root, &["apiVersion"]).to_owned(),
            document.kind().to_owned(),
        );
        let known = match kinds.get(&kind) {
            Some(known) => known.clone(),
            None => {
                let asked = timeout(WITHIN, discover(client, document)).await;
                let known = asked.map_err(late)??;
                kinds.insert(kind, known.clone());
                known
            }
        };
        let Some((resource, scope)) = known else {
            findings.push(unknown_kind(document, manifests));
            continue;
        };
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = document.namespace().unwrap_or(namespace);
                Api::namespaced_with(client.clone(), namespace, &resource)
            }
        };
        let asked = timeout(WITHIN, one(document, &api, manifests)).await;
        findings.push(asked.map_err(late)??);
    }
    Ok(findings)
}

/// None if the cluster has no such kind.
async fn discover(client: &kube::Client, document: &Document) -> Result<Known, DryRunError> {
    let types = TypeMeta {
        api_version: text(&document.root, &["apiVersion"]).to_owned(),
        kind: document.kind().to_owned(),
    };
    let Ok(kind) = GroupVersionKind::try_from(&types) else {
        return Ok(None);
    };
    match pinned_kind(client, &kind).await {
        Ok((resource, capabilities)) => Ok(Some((resource, capabilities.scope))),
        Err(kube::Error::Discovery(_)) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(asking(document, error)),
    }
}

fn asking(document: &Document, error: kube::Error) -> DryRunError {
    DryRunError::Asking {
        title: document.title(),
        source: Box::new(error),
    }
}

/// A kind that the cluster doesn't have, or doesn't have yet.
fn unknown_kind(document: &Document, manifests: &Manifests) -> Finding {
    let (kind, version) = (document.kind(), text(&document.root, &["apiVersion"]));
    let span = document.root.get("kind").map_or(document.place(), |kind| kind.span);
    let is_defined = manifests.documents.iter().any(|other| {
        other.kind() == "CustomResourceDefinition"
            && text(&other.root, &["spec", "names", "kind"]) == kind
            && text(&other.root, &["spec", "group"]) == document.group()
    });
    if is_defined {
        let why = format!("the kind {kind} is defined in these manifests, and not in the cluster yet");
        return ACCEPTED.skip(document, document.problem(span, why));
    }
    let message = format!("the cluster has no kind {kind} of {version}");
    let help = "install what defines it first, or take a version that the cluster serves";
    ACCEPTED.fail(document, document.problem(span, message).with_help(help))
}

async fn one(document: &Document, api: &Api<DynamicObject>, manifests: &Manifests) -> Result<Finding, DryRunError> {
    let name = document.name();
    if name.is_empty() {
        let why = "it has no name, so it can't be applied";
        return Ok(ACCEPTED.skip(document, document.problem(document.place(), why)));
    }
    // Who has which field is not the question: whoever deploys it has them.
    let params = PatchParams::apply(MANAGER).force().dry_run().validation_strict();
    let patch: Patch<Value> = Patch::Apply(document.root.to_value());
    let error = match api.patch(name, &params, &patch).await {
        Ok(_) => return Ok(ACCEPTED.pass(document)),
        Err(error) => error,
    };
    let code = match &error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    };
    let Some(code) = code else {
        return Err(asking(document, error));
    };
    // It may repeat what it refuses.
    let message = manifests.mask(&kube_error(&error));
    let problem = |message: String| document.problem(document.place(), message);
    let is_to_come = manifests
        .documents
        .iter()
        .any(|other| other.kind() == "Namespace" && Some(other.name()) == document.namespace());
    Ok(match code {
        401 | 403 => ACCEPTED.skip(document, problem(format!("this may not be tried: {message}"))),
        404 if is_to_come => {
            let why = "its namespace is in these manifests, and not in the cluster yet";
            ACCEPTED.skip(document, problem(why.to_owned()))
        }
        400 if message.contains("does not support dry run") => {
            ACCEPTED.skip(document, problem(format!("this can't be tried: {message}")))
        }
        429 | 500.. => ACCEPTED.skip(document, problem(format!("the API server could not tell: {message}"))),
        _ => ACCEPTED.fail(document, problem(format!("the API server refuses it: {message}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Verdict, verdicts};
    use super::super::read_texts;
    use super::*;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    /// An API server that has Secrets and no other kinds, and answers every application with this.
    fn server(code: u16, answer: Value) -> kube::Client {
        let answers = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (code, body) = match path.as_str() {
                "/api/v1" => (
                    200,
                    json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [
                        { "name": "secrets", "singularName": "secret", "namespaced": true, "kind": "Secret",
                          "verbs": ["get", "patch"] } ] }),
                ),
                "/api/v1/namespaces/n/secrets/s" if query.contains("dryRun=All") => (code, answer.clone()),
                _ => (
                    404,
                    json!({ "kind": "Status", "status": "Failure", "code": 404, "message": "nothing there" }),
                ),
            };
            let response = Response::builder()
                .status(code)
                .body(Body::from(body.to_string().into_bytes()));
            async move { response }
        });
        kube::Client::new(answers, "default")
    }

    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter22hunter22}\n";

    async fn asked(client: &kube::Client, text: &str) -> Vec<Finding> {
        let manifests = read_texts(vec![("t.yaml".into(), text.into())]).expect("manifests");
        dry_run(&manifests, client, "n").await.expect("answers")
    }

    #[tokio::test]
    async fn what_is_taken_and_what_is_refused() {
        let taken = server(
            200,
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" } }),
        );
        assert_eq!(verdicts(&asked(&taken, SECRET).await, ACCEPTED), [Verdict::Pass]);
        let status = |code: u16, message: &str| {
            json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
                    "reason": "Invalid" })
        };
        let refuses = server(422, status(422, "a: Invalid value: \"hunter22hunter22\""));
        let found = asked(&refuses, SECRET).await;
        assert_eq!(verdicts(&found, ACCEPTED), [Verdict::Fail]);
        let message = &found[0].problem.message;
        assert!(
            message.contains("Invalid value: \"[masked]\"") && !message.contains("hunter"),
            "{message}"
        );
        let forbids = server(403, status(403, "forbidden"));
        assert_eq!(verdicts(&asked(&forbids, SECRET).await, ACCEPTED), [Verdict::Skip]);
    }

    #[tokio::test]
    async fn kinds_that_are_not_there() {
        let server = server(200, Value::Null);
        let sandbox = "apiVersion: agents.x-k8s.io/v1alpha1\nkind: Sandbox\nmetadata: {name: a}\n";
        assert_eq!(verdicts(&asked(&server, sandbox).await, ACCEPTED), [Verdict::Fail]);
        let defined = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n\
                       spec: {group: agents.x-k8s.io, names: {kind: Sandbox}}\n";
        let found = asked(&server, &format!("{sandbox}{defined}")).await;
        // The definition's own kind isn't served either.
        assert_eq!(verdicts(&found, ACCEPTED), [Verdict::Skip, Verdict::Fail]);
    }
}
