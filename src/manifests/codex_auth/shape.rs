//! The pod's shape: which containers there are, in which list, and what each of them mounts.

use super::{CLI, CONTAINERS, INIT_CONTAINERS, VOLUME, mount_path};
use crate::manifests::document::{at, text};
use crate::manifests::finding::Rule;
use crate::manifests::pod::{Container, Pod, Said, no_boolean};
use crate::vocabulary::similar::nearest;
use crate::yaml::{Problem, Span};

/// "containers: `litellm`, `codex-auth-rotator`, `codex-cli`. init container: `codex-auth-seed` only. … it is a
/// container, not an init container: it never ends, so as an init container the pod would stay at `Init:1/2`; and no
/// name stands in both lists."
pub const SHAPE: Rule = Rule {
    id: "codex-auth/pod/shape",
    holds: "exactly the contract's containers and init container, no name twice",
};

/// "all mount volume `chatgpt-auth` at `/chatgpt-auth`."
pub const MOUNTS: Rule = Rule {
    id: "codex-auth/pod/mounts",
    holds: "all containers mount the volume chatgpt-auth at /chatgpt-auth",
};

const MOUNT_PATH: &str = "/chatgpt-auth";

/// What is wrong with the containers.
pub fn judge(pod: &Pod<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(sidecar(pod));
    problems.extend(twice(pod));
    problems.extend(missing(
        pod,
        &pod.containers,
        &CONTAINERS,
        "container",
        "initContainers",
    ));
    problems.extend(missing(
        pod,
        &pod.init,
        &INIT_CONTAINERS,
        "init container",
        "containers",
    ));
    // One of the contract's in the wrong list was told of already.
    let is_extra = |container: &&Container<'_>| {
        !CONTAINERS.contains(&container.name) && !INIT_CONTAINERS.contains(&container.name)
    };
    problems.extend(
        pod.containers
            .iter()
            .filter(is_extra)
            .map(|it| extra(pod, it, "container")),
    );
    problems.extend(
        pod.init
            .iter()
            .filter(is_extra)
            .map(|it| extra(pod, it, "init container")),
    );
    problems
}

fn in_both(pod: &Pod<'_>, name: &str) -> bool {
    let has = |containers: &[Container<'_>]| containers.iter().any(|container| container.name == name);
    has(&pod.containers) && has(&pod.init)
}

/// codex-cli among the init containers.
fn sidecar(pod: &Pod<'_>) -> Option<Problem> {
    let index = pod.init.iter().position(|container| container.name == CLI)?;
    let init = &pod.init[index];
    let of = pod.init.len();
    // One that is restarted always is a sidecar to Kubernetes, which goes on beside it.
    let goes_on = text(init.node, &["restartPolicy"]) == "Always";
    let stays = match goes_on {
        true => "with `restartPolicy: Always` it would not hold the pod up, but the contract has it in `containers`"
            .to_owned(),
        false => format!("it never ends, so the pod would stay at Init:{index}/{of}"),
    };
    let as_container = pod.containers.iter().find(|container| container.name == CLI);
    let source = &pod.document.source;
    Some(match as_container {
        Some(container) => pod
            .problem(
                init.span,
                format!("{CLI} is among the containers and among the init containers"),
            )
            .with_related(source, container.span, "the same name among the containers")
            .with_help(format!(
                "take it out of `initContainers`: the API server refuses one name in both lists; and as an init \
                 container {stays}"
            )),
        None => pod
            .problem(init.span, format!("{CLI} is an init container: {stays}"))
            .with_help("move it from `initContainers` to `containers`"),
    })
}

/// Names that stand twice, in one list or over both.
fn twice(pod: &Pod<'_>) -> Vec<Problem> {
    let mut known: Vec<Container<'_>> = Vec::new();
    let mut problems = Vec::new();
    for container in pod.all() {
        match known.iter().find(|first| first.name == container.name) {
            // Told of with more words.
            Some(_) if container.name == CLI && in_both(pod, CLI) => {}
            Some(first) => problems.push(
                pod.problem(
                    container.span,
                    format!("a second container is called {}", container.name),
                )
                .with_related(&pod.document.source, first.span, "first here")
                .with_help("the API server takes each name once, over containers and init containers"),
            ),
            None => known.push(container),
        }
    }
    problems
}

fn missing(pod: &Pod<'_>, there: &[Container<'_>], wanted: &[&str], what: &str, other_list: &str) -> Vec<Problem> {
    let absent = |name: &&&str| !there.iter().any(|container| container.name == **name);
    let problem = |name: &&str| {
        let name = *name;
        let elsewhere = pod.all().find(|container| container.name == name);
        if name == CLI && elsewhere.is_some() {
            // Told of with more words.
            return None;
        }
        if let Some(container) = elsewhere {
            let message = format!("{name} is in the wrong list: it is {}", with_article(what));
            let help = format!("take it out of `{other_list}`");
            return Some(pod.problem(container.span, message).with_help(help));
        }
        let problem = pod.problem(place_of(pod, there), format!("there is no {what} {name}"));
        let unknown = there.iter().map(|container| container.name);
        let unknown = unknown.filter(|name| !CONTAINERS.contains(name) && !INIT_CONTAINERS.contains(name));
        Some(match nearest(name, unknown) {
            Some(near) => problem.with_help(format!("is that `{near}`?")),
            None => problem,
        })
    };
    wanted.iter().filter(absent).filter_map(problem).collect()
}

fn with_article(what: &str) -> String {
    match what.starts_with('i') {
        true => format!("an {what}"),
        false => format!("a {what}"),
    }
}

/// Where a list of containers is, or else the pod.
fn place_of(pod: &Pod<'_>, there: &[Container<'_>]) -> Span {
    there.first().map_or(pod.place(), |container| container.span)
}

fn extra(pod: &Pod<'_>, container: &Container<'_>, what: &str) -> Problem {
    let message = format!("{} {} isn't in the contract", with_article(what), container.name);
    pod.problem(container.span, message).with_help(
        "the contract has exactly litellm, codex-auth-rotator and codex-cli, and codex-auth-seed before them",
    )
}

/// What is wrong with the mounts.
pub fn mounts(pod: &Pod<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if pod.volume(VOLUME).is_none() {
        let volumes = at(&pod.document.root, &["spec", "template", "spec", "volumes"]);
        let span = volumes.map_or(pod.place(), |volumes| volumes.span);
        problems.push(
            pod.problem(span, format!("the pod declares no volume {VOLUME}"))
                .with_help("a PersistentVolumeClaim, or an `emptyDir` where logins may be lost with the pod"),
        );
    }
    let wanted = pod
        .all()
        .filter(|container| CONTAINERS.contains(&container.name) || INIT_CONTAINERS.contains(&container.name));
    for container in wanted {
        problems.extend(mount(pod, container));
    }
    problems
}

/// What is wrong with a container's mount.
fn mount(pod: &Pod<'_>, container: Container<'_>) -> Option<Problem> {
    let name = container.name;
    let help = format!("`volumeMounts: [{{ name: {VOLUME}, mountPath: {MOUNT_PATH} }}]`");
    let mounts = container.mounts();
    let mut ours = mounts.iter().filter(|mount| text(mount, &["name"]) == VOLUME);
    let in_place = ours.clone().find(|mount| mount_path(mount) == MOUNT_PATH);
    let Some(mount) = in_place else {
        let another = mounts.iter().find(|mount| mount_path(mount) == MOUNT_PATH);
        let (span, message) = match (ours.next(), another) {
            (Some(mount), _) => (
                mount.get("mountPath").map_or(mount.span, |path| path.span),
                format!("{name} mounts {VOLUME} at another path than {MOUNT_PATH}"),
            ),
            (None, Some(mount)) => (
                mount.get("name").map_or(mount.span, |name| name.span),
                format!("{name} mounts another volume than {VOLUME} at {MOUNT_PATH}"),
            ),
            (None, None) => (container.span, format!("{name} does not mount the volume {VOLUME}")),
        };
        return Some(pod.problem(span, message).with_help(help));
    };
    if let Some(sub) = mount.get("subPath").or_else(|| mount.get("subPathExpr"))
        && sub.as_text().is_some_and(|path| !path.is_empty())
    {
        let message = format!("{name} mounts a part of {VOLUME} by subPath");
        return Some(pod.problem(sub.span, message).with_help(
            "mount all of it: a file that is replaced, as each rotation does, stays the old one behind a subPath",
        ));
    }
    // The seed may be done before anything is to be written.
    let read_only = mount.get("readOnly");
    if let (Some(read_only), Said::Neither) = (read_only, Said::of(read_only)) {
        let message = no_boolean(&format!("`readOnly` of {name}'s mount of {VOLUME}"));
        return Some(pod.problem(read_only.span, message).with_help("leave it out"));
    }
    if let (Some(read_only), Said::Yes) = (read_only, Said::of(read_only))
        && CONTAINERS.contains(&name)
    {
        let message = format!("{name} mounts {VOLUME} read-only, and writes there");
        let help = "LiteLLM writes rotate-now, the rotator auth.json, the login auth-N.json";
        return Some(pod.problem(read_only.span, message).with_help(help));
    }
    None
}
