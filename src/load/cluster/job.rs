//! The Job whose pods are the workers of a load.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use crate::load::worker::Assignment;
use crate::world::labels;

/// The container of a pod.
pub const CONTAINER: &str = "worker";

/// What its program is started with.
const COMMAND: &str = "load-worker";

/// Where a pod's number in its Job stands.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// How long a Job is kept that nobody could delete.
const KEPT: Duration = Duration::from_secs(300);

/// Phases of an attach that may take as long as the deadline each: connect, TLS, upgrade, first output, echo, close.
const PHASES: u32 = 6;

/// For starting, merging and whatever else no option names.
const SLACK: Duration = Duration::from_secs(300);

/// The longest hold of pods.
const DAYS: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long workers can be at a load: pods that are there for longer have nobody who would end them.
pub fn longest(assignment: &Assignment) -> Duration {
    let ramp = assignment.arrivals.length(assignment.attaches);
    // Users who come by chance may take longer than on average.
    let ramp = Duration::try_from_secs_f64(ramp * 2.0).unwrap_or(DAYS);
    let all = [ramp, assignment.hold, assignment.deadline.saturating_mul(PHASES), SLACK];
    let all = all.into_iter().fold(Duration::ZERO, Duration::saturating_add);
    all.min(DAYS)
}

/// A Job of so many pods that all run at once, each of them once.
///
/// Nothing in it is secret: what a worker needs to know it is told over its standard input. Who made it may go away:
/// its pods end by themselves then, and it is deleted by the cluster.
///
/// # Errors
/// It isn't a Job.
pub fn job(name: &str, run: &str, image: &str, workers: u32, longest: Duration) -> Result<Job, serde_json::Error> {
    let labels = labels::labels(run);
    let container = json!({
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [COMMAND],
        // Its orders come over it; once its coordinator is gone it ends.
        "stdin": true,
        "stdinOnce": true,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
    });
    let pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 2,
        // As the strictest of the pod security standards wants it.
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        // Each on a machine of its own, where there are so many.
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": labels },
        }],
        "containers": [container],
    });
    let manifest = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "completionMode": "Indexed",
            "completions": workers,
            "parallelism": workers,
            // Of each pod, and not of the Job: with the latter the first that fails would end all others, and whether
            // they go on is the load's to say.
            "backoffLimitPerIndex": 0,
            "activeDeadlineSeconds": longest.as_secs(),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": { "metadata": { "labels": labels }, "spec": pod },
        },
    });
    serde_json::from_value(manifest)
}

/// What selects the pods of a run.
pub fn selector(run: &str) -> String {
    format!("{}={run}", labels::RUN)
}

/// A pod's number in its Job, from 0.
pub fn index(pod: &k8s_openapi::api::core::v1::Pod) -> Option<u32> {
    pod.metadata.annotations.as_ref()?.get(INDEX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::model::Model;
    use crate::load::resolution::Resolution;
    use crate::load::worker::{Named, Terminal};

    fn assignment() -> Assignment {
        Assignment {
            addresses: Vec::new(),
            named: Some(Named {
                host: "web".into(),
                port: 80,
                owned: true,
            }),
            resolution: Resolution::Nothing,
            sources: Vec::new(),
            tls: None,
            authority: "web".into(),
            headers: vec![("Cookie".into(), "a-cookie".into())],
            terminals: vec![Terminal {
                path: "/tty".into(),
                right: "right-token".into(),
            }],
            wrong: "wrong-token".into(),
            old: Some("old-token".into()),
            attaches: 1000,
            model: Model::Open,
            arrivals: "100/s".parse().expect("arrivals"),
            hold: Duration::from_secs(60),
            echo_every: None,
            probe_every: None,
            deadline: Duration::from_secs(30),
            first_tag: 0,
            seed: 1,
            turn: 0,
            workers: 1,
        }
    }

    #[test]
    fn its_pods_run_once_and_all_at_once() {
        let job = job("load-1", "run-1", "img:1", 3, Duration::from_secs(90)).expect("a Job");
        let value = serde_json::to_value(&job).expect("JSON");
        let at = |pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
        for (pointer, wanted) in [
            ("/metadata/name", json!("load-1")),
            ("/metadata/labels/gauntlet-run", json!("run-1")),
            ("/spec/completionMode", json!("Indexed")),
            ("/spec/completions", json!(3)),
            ("/spec/parallelism", json!(3)),
            ("/spec/backoffLimitPerIndex", json!(0)),
            ("/spec/activeDeadlineSeconds", json!(90)),
            ("/spec/ttlSecondsAfterFinished", json!(300)),
            ("/spec/template/metadata/labels/gauntlet-run", json!("run-1")),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            ("/spec/template/spec/automountServiceAccountToken", json!(false)),
            ("/spec/template/spec/containers/0/image", json!("img:1")),
            ("/spec/template/spec/containers/0/args", json!(["load-worker"])),
            ("/spec/template/spec/containers/0/stdin", json!(true)),
            ("/spec/template/spec/containers/0/stdinOnce", json!(true)),
        ] {
            assert_eq!(at(pointer), wanted, "{pointer}");
        }
        // A field of which a Job knows nothing would have been dropped on the way.
        assert!(at("/spec/template/spec/topologySpreadConstraints/0/labelSelector").is_object());
        assert!(at("/metadata/ownerReferences").is_null());
    }

    /// An assignment gives its Job nothing but a time.
    #[test]
    fn nothing_in_it_is_secret() {
        let assignment = assignment();
        let job = job("load-1", "run-1", "img:1", 3, longest(&assignment)).expect("a Job");
        let text = serde_json::to_string(&job).expect("JSON");
        for secret in ["token", "a-cookie", "/tty"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(!text.contains("\"env\""), "{text}");
    }

    #[test]
    fn the_longest_time_is_that_of_the_plan() {
        let mut assignment = assignment();
        // Twice 10 s of ramp, 60 s of hold, six times 30 s, and the slack.
        assert_eq!(longest(&assignment), Duration::from_secs(20 + 60 + 180 + 300));
        assignment.hold = Duration::MAX;
        assert_eq!(longest(&assignment), DAYS);
    }
}
