//! `exec`: a command in a pod.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::by_command;
use super::context::StepContext;
use super::definition::{Reach, Verb, phrases, verb};
use super::observation::{Observation, StepError};
use super::pods::{self, Pods};
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::world::operations::Operations;

/// The verb `exec`.
pub const VERB: Verb = Verb {
    phrases: phrases!["exits <status>", "the command ends with this code", {"exit_code": {"one-of": "<status>"}};],
    default_given: Some("exits 0"),
    fields: &["exit_code", "stdout", "stderr"],
    takes_objects: &["in"],
    each: Some("in"),
    reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]),
    intrusion: |_| Intrusion::Use,
    ..verb!("exec", Exec, run)
};

/// Runs a command in a pod.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Exec {
    /// The program and its arguments.
    pub exec: Vec<String>,
    /// A session or a pod; a list of pods: in each.
    pub r#in: Value,
    pub container: Option<String>,
    pub stdin: Option<String>,
    pub tty: Option<bool>,
}

/// Bytes of each of a command's outputs that are read.
const OUTPUT_READ: u64 = 1 << 20;

/// The annotation of a pod that says which of its containers is meant where none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Runs a command: `exit_code`, `stdout`, `stderr`.
pub async fn run(arguments: Exec, context: &StepContext) -> Result<Observation, StepError> {
    let pod = pod_name(&arguments.r#in, context).await?;
    let what = format!("exec {} in {pod}", arguments.exec.join(" "));
    if let Operations::Commands(commands) = context.world.operations() {
        let value = by_command::exec(commands, &pod, &arguments, &what).await?;
        return Ok(Observation { what, value });
    }
    let tty = arguments.tty.unwrap_or(false);
    let api: Api<Pod> = Api::namespaced(context.world.kubernetes.clone(), &context.world.namespace);
    let container = match arguments.container {
        Some(container) => Some(container),
        None => {
            let pod = api.get(&pod).await.map_err(|error| StepError::asking(&what, error))?;
            default_container(&pod)
        }
    };
    let params = AttachParams {
        container,
        stdin: arguments.stdin.is_some(),
        stdout: true,
        stderr: !tty,
        tty,
        ..AttachParams::default()
    };
    let process = api
        .exec(&pod, &arguments.exec, &params)
        .await
        .map_err(|error| StepError::asking(&what, error))?;
    // A program may have more to do than a pod that starts.
    let limit = context.limits.ready * 2;
    let value = timeout(limit, finish(process, arguments.stdin))
        .await
        .map_err(|_| StepError::doing(&what, format!("it had not ended after {limit:?}")))?
        .map_err(|error| StepError::doing(&what, error))?;
    Ok(Observation { what, value })
}

/// The container that kubectl takes where none is named: that of the annotation, or the first. The API
/// itself refuses to choose among several.
fn default_container(pod: &Pod) -> Option<String> {
    let containers = &pod.spec.as_ref()?.containers;
    let annotated = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(DEFAULT_CONTAINER));
    containers
        .iter()
        .find(|container| Some(&container.name) == annotated)
        .or(containers.first())
        .map(|container| container.name.clone())
}

/// The pod that a session or pod names.
pub async fn pod_name(subject: &Value, context: &StepContext) -> Result<String, StepError> {
    if subject["kind"] == "pod" {
        return Ok(subject["name"].as_str().unwrap_or_default().to_owned());
    }
    let found = pods::list(Pods { pods: subject.clone() }, context).await?;
    found.value["names"][0]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| StepError::Because(format!("{}: there is none", found.what)))
}

async fn finish(mut process: AttachedProcess, stdin: Option<String>) -> Result<Value, StepError> {
    let status = process.take_status();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let writer = process.stdin();
    let write = async {
        if let (Some(mut writer), Some(text)) = (writer, stdin) {
            // A command that ends without reading its input is no failure of the harness.
            let _ended = writer.write_all(text.as_bytes()).await;
            let _ended = writer.shutdown().await;
        }
    };
    let (stdout, stderr, ()) = tokio::join!(read(stdout), read(stderr), write);
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let status =
        status.ok_or_else(|| StepError::Because("the connection ended without the command's status".into()))?;
    match exit_code(&status) {
        Some(code) => Ok(json!({ "exit_code": code, "stdout": stdout, "stderr": stderr })),
        None => Err(StepError::Because(
            status.message.unwrap_or_else(|| "it ended without an exit code".into()),
        )),
    }
}

/// The exit code that a status of a command tells of.
pub fn exit_code(status: &Status) -> Option<i64> {
    if status.status.as_deref() == Some("Success") {
        return Some(0);
    }
    let mut causes = status
        .details
        .iter()
        .flat_map(|details| details.causes.iter().flatten());
    let cause = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.as_deref()?.parse().ok()
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What was read before a connection broke is still shown; the status tells that it broke.
        let _broken = stream.take(OUTPUT_READ).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_container_is_the_annotated_one_or_the_first() {
        let chosen = |annotation: &str| {
            let pod = serde_json::from_value(json!({
                "metadata": { "annotations": { DEFAULT_CONTAINER: annotation } },
                "spec": { "containers": [{ "name": "proxy" }, { "name": "cli" }] },
            }));
            default_container(&pod.expect("a pod"))
        };
        assert_eq!(chosen("cli").as_deref(), Some("cli"));
        assert_eq!(chosen("nobody").as_deref(), Some("proxy"));
        let pod = json!({ "spec": { "containers": [{ "name": "proxy" }, { "name": "cli" }] } });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        assert_eq!(default_container(&pod).as_deref(), Some("proxy"));
    }
}
