//! A pod's status.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// Whether a pod serves: it is ready and not terminating.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// A sandbox is a pod that a Sandbox object owns.
pub fn is_sandbox(pod: &Pod) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.kind == "Sandbox")
}

/// The names of a pod's containers, init containers first.
pub fn containers(pod: &Pod) -> impl Iterator<Item = &str> {
    let spec = pod.spec.as_ref();
    let inits = spec.and_then(|spec| spec.init_containers.as_ref());
    let containers = spec.map(|spec| &spec.containers);
    let all = inits.into_iter().chain(containers).flatten();
    all.map(|container| container.name.as_str())
}

/// Whether any container, init or not, has restarted.
pub fn has_restarted(pod: &Pod, container: &str) -> bool {
    status_of(pod, container).is_some_and(|status| status.restart_count > 0)
}

fn status_of<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses);
    all.flatten().find(|status| status.name == container)
}

/// Whether a container, init or not, runs or ran.
pub fn has_started(pod: &Pod, container: &str) -> bool {
    status_of(pod, container).is_some_and(|status| {
        let states = [&status.state, &status.last_state];
        let mut states = states.into_iter().flatten();
        states.any(|state| state.running.is_some() || state.terminated.is_some())
    })
}

/// Why a pod does not run, where it says so.
pub fn waits_for(pod: &Pod) -> Option<String> {
    let name = pod.metadata.name.as_deref()?;
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some((waiting.reason.as_deref()?, waiting.message.as_deref()))
    });
    let unscheduled = status.conditions.iter().flatten().find_map(|condition| {
        let is_it = condition.type_ == "PodScheduled" && condition.status != "True";
        is_it.then_some((condition.reason.as_deref()?, condition.message.as_deref()))
    });
    let (reason, message) = waiting.or(unscheduled)?;
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    Some(format!("{name}: {reason}{message}"))
}
