//! The deploy pipeline's step: creates the secret and its keys if they are absent.
//!
//! Rows bootstrap/first-deploy and bootstrap/idempotent. A value that is there
//! is never touched, an empty one neither. Several seeds may run at once: one
//! creates, the others see a conflict and look again.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::objects::has_code;
use super::{ComponentError, Pod, mutant};

/// Conflicts after which it gives up: each means that another seed got on.
const TRIES: usize = 10;

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let client = pod.kubernetes()?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &pod.namespace(&client));
    let name = pod.var_or("SECRET_NAME", "litellm-env");
    let keys = [
        pod.var_or("TOKEN_KEY", "HARNESS_AUTH_TOKEN"),
        pod.var_or("MASTER_KEY_KEY", "MASTER_KEY"),
    ];
    for _ in 0..TRIES {
        match fill(&pod, &secrets, name, &keys).await {
            Ok(filled) => {
                pod.log.line(format!("seed: secret {name}: filled {filled:?}"));
                return Ok(());
            }
            Err(error) if has_code(&error, 409) => {}
            Err(error) => return Err(ComponentError(format!("secret {name}: {error}"))),
        }
    }
    Err(ComponentError(format!(
        "secret {name} changed {TRIES} times under the seed's hands"
    )))
}

/// One try; returns the keys that it filled. A 409 means that someone else was there first.
async fn fill<'k>(pod: &Pod, secrets: &Api<Secret>, name: &str, keys: &[&'k str]) -> Result<Vec<&'k str>, kube::Error> {
    let Some(secret) = secrets.get_opt(name).await? else {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(values(pod, keys)),
            ..Secret::default()
        };
        secrets.create(&PostParams::default(), &secret).await?;
        return Ok(keys.to_vec());
    };
    if pod.has(&mutant::SEED_ONLY_WHOLE_SECRET) {
        return Ok(Vec::new());
    }
    let there = secret.data.unwrap_or_default();
    let absent: Vec<_> = keys
        .iter()
        .copied()
        .filter(|key| !there.contains_key(*key) || pod.has(&mutant::SEED_OVERWRITES))
        .collect();
    if !absent.is_empty() {
        // The version makes it a test-and-set: whoever wrote meanwhile wins (409).
        let patch = json!({
            "metadata": { "resourceVersion": secret.metadata.resource_version },
            "data": values(pod, &absent),
        });
        secrets
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
    }
    Ok(absent)
}

fn values(pod: &Pod, keys: &[&str]) -> BTreeMap<String, ByteString> {
    keys.iter()
        .map(|key| ((*key).to_owned(), ByteString(value(pod).into_bytes())))
        .collect()
}

/// 32 random bytes as 64 hex digits, no newline.
fn value(pod: &Pod) -> String {
    let bytes: [u8; 32] = rand::random();
    let length = if pod.has(&mutant::SEED_SHORT_TOKEN) { 16 } else { 32 };
    let mut digits: String = bytes[..length].iter().map(|byte| format!("{byte:02x}")).collect();
    if pod.has(&mutant::SEED_WITH_NEWLINE) {
        digits.push('\n');
    }
    digits
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt;
    use kube::client::Body;
    use serde_json::Value;

    use super::super::pod::tests::pod;
    use super::*;

    /// Runs the seed against an API that gives these answers, one by one; returns the requests that it made.
    async fn seeded(answers: &[(u16, Value)]) -> (Result<(), ComponentError>, Vec<(String, Value)>) {
        let left: Arc<Mutex<Vec<(u16, Value)>>> = Arc::new(Mutex::new(answers.iter().rev().cloned().collect()));
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (answers, requests) = (left.clone(), asked.clone());
        let api = tower::service_fn(move |request: Request<Body>| {
            let (answers, requests) = (answers.clone(), requests.clone());
            async move {
                let method = request.method().to_string();
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                requests.lock().expect("not poisoned").push((method, body));
                let (status, answer) = answers.lock().expect("not poisoned").pop().expect("an answer");
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(Response::builder().status(status).body(answer).expect("an answer"))
            }
        });
        let seed = Pod {
            kubernetes: Some(kube::Client::new(api, "default")),
            ..pod(&[])
        };
        let done = run(seed).await;
        assert!(left.lock().expect("not poisoned").is_empty(), "answers are left");
        let asked = asked.lock().expect("not poisoned").clone();
        (done, asked)
    }

    fn refused(code: u16, reason: &str) -> (u16, Value) {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": format!("the API says {reason}"), "reason": reason, "code": code,
        });
        (code, status)
    }

    #[tokio::test]
    async fn whoever_wrote_first_wins() {
        let there = json!({
            "metadata": { "name": "litellm-env", "resourceVersion": "7" },
            "data": { "HARNESS_AUTH_TOKEN": "eA==", "MASTER_KEY": "eQ==" },
        });
        let answers = [refused(404, "NotFound"), refused(409, "AlreadyExists"), (200, there)];
        let (done, asked) = seeded(&answers).await;
        done.expect("the other one's values stay");
        let methods: Vec<&str> = asked.iter().map(|(method, _)| method.as_str()).collect();
        assert_eq!(methods, ["GET", "POST", "GET"]);
        let sent = asked[1].1["data"].as_object().expect("data");
        assert_eq!(sent.keys().collect::<Vec<_>>(), ["HARNESS_AUTH_TOKEN", "MASTER_KEY"]);
    }

    #[tokio::test]
    async fn what_the_api_refuses_is_told() {
        let (done, _) = seeded(&[refused(403, "Forbidden")]).await;
        let error = done.expect_err("refused").to_string();
        assert!(error.contains("the API says Forbidden"), "{error}");
    }

    #[test]
    fn values_are_64_hex_digits_and_never_the_same() {
        let (one, other) = (value(&pod(&[])), value(&pod(&[])));
        assert!(
            one.len() == 64 && one.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "{one}"
        );
        assert_ne!(one, other);
    }
}
