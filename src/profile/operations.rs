//! Commands that operate a platform without Kubernetes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::vocabulary::duration;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// The default time limit of a command.
pub const WITHIN: Duration = Duration::from_secs(60);

/// Something that scenarios do to a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    ReadSecret,
    PatchSecret,
    RestartWeb,
    RestartWorker,
    Seed,
    ListPods,
    DeletePod,
    Exec,
    Logs,
    Events,
    Probe,
    Authorizer,
    Litellm,
    SetClock,
}

impl Operation {
    pub const ALL: [Operation; 14] = [
        Operation::ReadSecret,
        Operation::PatchSecret,
        Operation::RestartWeb,
        Operation::RestartWorker,
        Operation::Seed,
        Operation::ListPods,
        Operation::DeletePod,
        Operation::Exec,
        Operation::Logs,
        Operation::Events,
        Operation::Probe,
        Operation::Authorizer,
        Operation::Litellm,
        Operation::SetClock,
    ];

    /// The operation of that name.
    pub fn named(name: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The name in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Operation::ReadSecret => "read-secret",
            Operation::PatchSecret => "patch-secret",
            Operation::RestartWeb => "restart-web",
            Operation::RestartWorker => "restart-worker",
            Operation::Seed => "seed",
            Operation::ListPods => "list-pods",
            Operation::DeletePod => "delete-pod",
            Operation::Exec => "exec",
            Operation::Logs => "logs",
            Operation::Events => "events",
            Operation::Probe => "probe",
            Operation::Authorizer => "authorizer",
            Operation::Litellm => "litellm",
            Operation::SetClock => "set-clock",
        }
    }

    /// What its command does, for readers of the schema.
    fn meaning(self) -> &'static str {
        match self {
            Operation::ReadSecret => "prints the keys of the token's secret and their values, as a JSON object",
            Operation::PatchSecret => "changes keys: a JSON object on standard input, null removes a key",
            Operation::RestartWeb => "restarts web, and returns when it serves again",
            Operation::RestartWorker => "restarts the worker, and returns when it works again",
            Operation::Seed => "runs the deploy pipeline's seed, and returns when it is done",
            Operation::ListPods => {
                "prints [{name, uid, ip, port, labels, ready}, …] as JSON; GAUNTLET_SELECTOR chooses by labels"
            }
            Operation::DeletePod => "deletes the pod whose name is the last argument, for good",
            Operation::Exec => "runs a command in a pod: the pod's name, `--` and the command are appended",
            Operation::Logs => "prints the whole log of the pod whose name is the last argument",
            Operation::Events => "prints what the platform's scheduler reports about its pods",
            Operation::Probe => {
                "puts a backend behind the balancer, at `probe.path`, that answers with the request it received"
            }
            Operation::Authorizer => "makes access control fail as the last argument says: gone, error, slow, …",
            Operation::Litellm => "removes LiteLLM",
            Operation::SetClock => "sets the clock that JWTs are judged by to the last argument, in seconds since 1970",
        }
    }

    /// Whether it can be undone by a command of its own, and whether that must be given.
    fn undo(self) -> Undo {
        match self {
            // By default the same command gets the old values.
            Operation::PatchSecret => Undo::May,
            Operation::Probe | Operation::Authorizer | Operation::Litellm | Operation::SetClock => Undo::Must,
            _ => Undo::None,
        }
    }
}

/// Whether an operation has an `undo`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    None,
    May,
    Must,
}

/// The command of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Command {
    /// A program and its arguments.
    pub run: Vec<String>,
    /// The command that undoes it, and its arguments.
    pub undo: Option<Vec<String>>,
    /// Its time limit.
    pub within: Duration,
}

/// The commands of a profile.
pub type Operations = BTreeMap<Operation, Command>;

/// Reads the commands of a profile, whose shape was checked.
pub(super) fn read(root: &Node, checker: &mut Checker) -> Operations {
    let entries = root.get("operations").and_then(Node::as_map).unwrap_or_default();
    let mut operations = Operations::new();
    for (key, value) in entries {
        // What is unknown was reported with the shape.
        let Some(operation) = Operation::named(&key.name) else {
            continue;
        };
        let (run, undo) = match &value.kind {
            Kind::List(_) => (words(value), None),
            _ => (
                value.get("run").map(words).unwrap_or_default(),
                value.get("undo").map(words),
            ),
        };
        if run.first().is_none_or(String::is_empty) {
            // One that is missing or of another type was reported with the shape.
            continue;
        }
        if operation.undo() == Undo::Must && undo.is_none() {
            // As above.
            continue;
        }
        let within = match value.get("within").and_then(Node::as_text) {
            None => WITHIN,
            Some(text) => match duration::parse(text).filter(|within| !within.is_zero()) {
                Some(within) => within,
                None => {
                    let message = format!("`within` is {}, not `{text}`", duration::FORM);
                    checker.report(value.span, message);
                    continue;
                }
            },
        };
        operations.insert(operation, Command { run, undo, within });
    }
    operations
}

/// The texts of a list, numbers as written.
fn words(node: &Node) -> Vec<String> {
    let Kind::List(items) = &node.kind else {
        return Vec::new();
    };
    let word = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        _ => None,
    };
    items.iter().filter_map(word).collect()
}

/// The commands' part of a profile's digest.
pub(super) fn canonical(operations: &Operations) -> Value {
    let of = |(operation, command): (&Operation, &Command)| {
        let told = json!({ "run": command.run, "undo": command.undo, "within": duration::show(command.within) });
        (operation.name().to_owned(), told)
    };
    Value::Object(operations.iter().map(of).collect())
}

/// The schema of the commands, by operation.
pub(super) fn properties() -> Map<String, Value> {
    let words = || json!({ "type": "array", "minItems": 1, "items": { "type": ["string", "integer"] } });
    let of = |operation: Operation| {
        let mut map = json!({
            "type": "object",
            "required": ["run"],
            "properties": { "run": words(), "within": { "type": "string" } },
            "additionalProperties": false,
        });
        if operation.undo() != Undo::None {
            map["properties"]["undo"] = words();
        }
        if operation.undo() == Undo::Must {
            map["required"] = json!(["run", "undo"]);
        }
        let mut forms = vec![words(), map];
        if operation.undo() == Undo::Must {
            forms.remove(0);
        }
        let schema = json!({ "description": operation.meaning(), "anyOf": forms });
        (operation.name().to_owned(), schema)
    };
    Operation::ALL.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;
    use crate::yaml::Source;

    fn parse(operations: &str) -> Result<Operations, String> {
        let text = format!("apiVersion: gauntlet/v1\nkind: Profile\noperations:\n{operations}");
        match Profile::parse(&Source::new("p.yaml", &text)) {
            Ok(profile) => Ok(profile.operations),
            Err(problems) => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
        }
    }

    #[test]
    fn a_command_or_a_map() {
        let operations = parse(
            "  list-pods: [./ops, pods]\n  \
               patch-secret: { run: [./ops, set], within: 5s }\n  \
               litellm: { run: [./ops, litellm, gone], undo: [./ops, litellm, works] }\n",
        )
        .expect("good");
        let listed = &operations[&Operation::ListPods];
        assert_eq!((listed.run.join(" ").as_str(), listed.within), ("./ops pods", WITHIN));
        assert_eq!(operations[&Operation::PatchSecret].within, Duration::from_secs(5));
        let undo = operations[&Operation::Litellm].undo.as_ref().expect("an undo");
        assert_eq!(undo.join(" "), "./ops litellm works");
    }

    #[test]
    fn what_can_not_be_put_back_is_refused() {
        for (wrong, told) in [
            ("  litellm: { run: [./ops, litellm, gone] }\n", "lacks the key `undo`"),
            (
                "  list-pods: { run: [./ops, pods], undo: [./ops] }\n",
                "has no key `undo`",
            ),
            ("  list-pod: [./ops, pods]\n", "did you mean `list-pods`?"),
            ("  list-pods: []\n", "must not be empty"),
            ("  list-pods: { run: [./ops], within: soon }\n", "not `soon`"),
        ] {
            let problems = parse(wrong).expect_err(wrong);
            assert!(problems.contains(told), "{wrong}: {problems}");
        }
    }

    #[test]
    fn names_are_found_again() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
        }
    }
}
