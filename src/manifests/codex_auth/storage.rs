//! Where logins are kept, and how the Deployment is replaced because of it.

use super::VOLUME;
use crate::manifests::document::{Document, at, list, text};
use crate::manifests::finding::{Finding, Rule};
use crate::manifests::pod::Pod;
use crate::yaml::Problem;
use crate::yaml::node::Node;

/// "`persistence.enabled`: the volume is PVC `litellm-chatgpt-auth` (RWO) … off (the default): `emptyDir`".
pub const CLAIM: Rule = Rule {
    id: "codex-auth/persist/pvc",
    holds: "the claim that keeps the logins is ReadWriteOnce",
};

/// "… and the Deployment's strategy is `Recreate`; off (the default): `emptyDir` and rolling update."
pub const STRATEGY: Rule = Rule {
    id: "codex-auth/strategy/recreate",
    holds: "the strategy fits the volume",
};

/// All about the volume.
pub fn check(pod: &Pod<'_>, documents: &[Document]) -> Vec<Finding> {
    // That there is none was told with the mounts.
    let Some(volume) = pod.volume(VOLUME) else {
        return Vec::new();
    };
    let claim = at(volume, &["persistentVolumeClaim", "claimName"]);
    if let Some(claim) = claim {
        let mut findings = persistent(pod, claim, documents);
        findings.extend(STRATEGY.judge(pod.document, recreate(pod, claim).into_iter().collect()));
        return findings;
    }
    if volume.get("emptyDir").is_some() {
        return STRATEGY.judge(pod.document, rolling(pod, volume).into_iter().collect());
    }
    let problem = pod
        .problem(
            volume.span,
            format!("the volume {VOLUME} is neither a PersistentVolumeClaim nor an emptyDir"),
        )
        .with_help("use a claim to keep logins, or else an emptyDir");
    CLAIM.judge(pod.document, vec![problem])
}

fn persistent(pod: &Pod<'_>, claim: &Node, documents: &[Document]) -> Vec<Finding> {
    let name = claim.as_text().unwrap_or_default();
    let found = documents.iter().find(|document| {
        document.kind() == "PersistentVolumeClaim" && document.name() == name && document.may_be_beside(pod.document)
    });
    let Some(found) = found else {
        let why = format!(
            "no PersistentVolumeClaim {name} in these manifests: unless the cluster has it, the pod stays Pending"
        );
        return vec![CLAIM.skip(pod.document, pod.problem(claim.span, why))];
    };
    let modes = list(&found.root, &["spec", "accessModes"]);
    let is_once = |mode: &Node| mode.as_text() == Some("ReadWriteOnce");
    let problems = match modes {
        [only] if is_once(only) => Vec::new(),
        [] => vec![
            found
                .problem(found.place(), "the claim has no accessModes")
                .with_help(MODES),
        ],
        [first, ..] => vec![
            found
                .problem(first.span, "the claim is not ReadWriteOnce alone")
                .with_help(MODES),
        ],
    };
    CLAIM.judge(found, problems)
}

const MODES: &str = "`accessModes: [ReadWriteOnce]`";

fn recreate(pod: &Pod<'_>, claim: &Node) -> Option<Problem> {
    let document = pod.document;
    let help = "`strategy: { type: Recreate }`: a new pod beside the old one would wait for a volume that one node \
                holds, or rotate the same logins";
    let related = |problem: Problem| problem.with_related(&document.source, claim.span, "the logins are in this claim");
    let strategy = at(&document.root, &["spec", "strategy"]);
    match strategy.map(|strategy| (strategy, text(strategy, &["type"]))) {
        Some((strategy, "Recreate")) => {
            // A chart that merges values leaves it there, and an upgrade from a rolling one does as well.
            let rolling = strategy.get("rollingUpdate")?;
            rolling.as_map().is_some().then(|| {
                document
                    .problem(rolling.span, "`rollingUpdate` beside the type Recreate")
                    .with_help("the API server refuses it: leave it out, or set it to null")
            })
        }
        Some((strategy, _)) => {
            let span = strategy.get("type").map_or(strategy.span, |kind| kind.span);
            Some(related(
                document.problem(span, "the strategy is not Recreate").with_help(help),
            ))
        }
        None => Some(related(
            document
                .problem(
                    document.place(),
                    "no strategy, which is RollingUpdate, and not Recreate",
                )
                .with_help(help),
        )),
    }
}

fn rolling(pod: &Pod<'_>, volume: &Node) -> Option<Problem> {
    let document = pod.document;
    let kind = at(&document.root, &["spec", "strategy", "type"])?;
    (kind.as_text() == Some("Recreate")).then(|| {
        document
            .problem(kind.span, "Recreate, and nothing is kept that only one pod may have")
            .with_related(&document.source, volume.span, "the logins are in this emptyDir")
            .with_help("leave `strategy` out: without a claim updates roll, and LiteLLM is not gone meanwhile")
    })
}
