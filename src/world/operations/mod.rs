//! How a platform is operated: through its Kubernetes, by commands of its profile, or not at all.

mod command;
mod prepare;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::access::Ask;
use crate::profile::operations::{self, Operation};
pub use command::OperationError;
use command::Ran;
pub use prepare::{WitnessError, prepare};

/// How a platform is operated.
#[derive(Clone, Copy)]
pub enum Operations<'w> {
    /// Through the Kubernetes API.
    Kubernetes,
    /// By commands of its profile.
    Commands(&'w Commands),
    /// Only its doors are known.
    None,
}

/// Commands that operate a platform without Kubernetes.
#[derive(Clone, Debug)]
pub struct Commands {
    given: operations::Operations,
    /// The folder they run in: their paths are relative to it.
    folder: PathBuf,
}

/// A pod, or what takes the place of one, as listed by `list-pods`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PodTold {
    pub name: String,
    /// Never used twice; the name by default.
    #[serde(default)]
    pub uid: Option<String>,
    /// An address, or a name to resolve.
    #[serde(default)]
    pub ip: Option<String>,
    /// The port of its terminal; `sandbox.port` by default.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub ready: bool,
}

/// What a step needs and the platform lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The profile gives no command for this.
    Command(Operation),
    /// A cluster: no operation does this.
    Way,
}

/// The keys of the token's secret.
pub type Keys = BTreeMap<String, String>;

/// New values of keys; none: the key is removed.
pub type Changed = BTreeMap<String, Option<String>>;

/// The prefix of keys that keep old values until they are put back.
const KEPT: &str = "GAUNTLET_KEPT_";

/// The key that names the run that keeps them.
pub const KEPT_BY: &str = "GAUNTLET_KEPT_BY";

/// The key under which the old value of another one is kept.
pub fn kept_under(key: &str) -> String {
    format!("{KEPT}OLD_{key}")
}

/// Whether a key is one of those that keep old values.
pub fn is_kept(key: &str) -> bool {
    key.starts_with(KEPT)
}

impl Commands {
    /// Those of a profile, run in a folder; none if it has none.
    pub fn new(given: operations::Operations, folder: PathBuf) -> Option<Commands> {
        (!given.is_empty()).then_some(Commands { given, folder })
    }

    /// Whether there is a command for it.
    pub fn has(&self, operation: Operation) -> bool {
        self.given.contains_key(&operation)
    }

    /// The program of an operation and its arguments, for a person to paste.
    pub fn words(&self, operation: Operation) -> Option<&[String]> {
        Some(&self.given.get(&operation)?.run)
    }

    /// What a step of this verb needs and the platform lacks; none if it can be carried out.
    pub fn lack(&self, verb: &str, asks: &[Ask]) -> Option<Lack> {
        // No operation gives a log with times, or a terminal for a command.
        if matches!(verb, "logs" | "login") {
            return Some(Lack::Way);
        }
        asks.iter().find_map(|ask| match operations_for(*ask) {
            None => Some(Lack::Way),
            Some(needed) => {
                let missing = needed.iter().find(|operation| !self.has(**operation));
                missing.map(|operation| Lack::Command(*operation))
            }
        })
    }

    /// The keys of the token's secret, those that keep old values among them.
    pub async fn all_keys(&self) -> Result<Keys, OperationError> {
        let operation = Operation::ReadSecret;
        let ran = self.run(operation, &[], None, &[]).await?;
        // The output is secret, so no message may contain it.
        let keys: Option<Keys> = serde_json::from_str(&ran.stdout).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            OperationError::unreadable(
                operation,
                format!("no JSON object of texts (line {line}, column {column})"),
            )
        })?;
        Ok(keys.unwrap_or_default())
    }

    /// The platform's own keys of the token's secret.
    pub async fn keys(&self) -> Result<Keys, OperationError> {
        let mut keys = self.all_keys().await?;
        keys.retain(|key, _| !is_kept(key));
        Ok(keys)
    }

    /// Changes keys of the token's secret.
    pub async fn patch(&self, changed: &Changed) -> Result<(), OperationError> {
        let operation = Operation::PatchSecret;
        let text = told(changed, operation)?;
        self.run(operation, &[], Some(&text), &[]).await.map(drop)
    }

    /// Puts old values back.
    pub async fn patch_back(&self, changed: &Changed) -> Result<(), OperationError> {
        let operation = Operation::PatchSecret;
        let text = told(changed, operation)?;
        self.undo(operation, Some(&text)).await
    }

    /// Restarts `web` or `worker`.
    pub async fn restart(&self, role: &str) -> Result<(), OperationError> {
        let operation = match role {
            "web" => Operation::RestartWeb,
            "worker" => Operation::RestartWorker,
            role => return Err(OperationError::NoRole(role.to_owned())),
        };
        self.run(operation, &[], None, &[]).await.map(drop)
    }

    /// Runs the seed, and returns its output.
    pub async fn seed(&self) -> Result<String, OperationError> {
        Ok(self.run(Operation::Seed, &[], None, &[]).await?.stdout)
    }

    /// The pods with these labels; all pods if the selector is empty.
    pub async fn pods(&self, selector: &str) -> Result<Vec<PodTold>, OperationError> {
        let operation = Operation::ListPods;
        let ran = self
            .run(operation, &[], None, &[("GAUNTLET_SELECTOR", selector)])
            .await?;
        serde_json::from_str(&ran.stdout).map_err(|error| {
            let why = format!("no list of pods: {error}");
            OperationError::unreadable(operation, why)
        })
    }

    /// Deletes a pod.
    pub async fn delete_pod(&self, name: &str) -> Result<(), OperationError> {
        self.run(Operation::DeletePod, &[name], None, &[]).await.map(drop)
    }

    /// Runs a command in a pod: its exit code and its two outputs.
    pub async fn exec(
        &self,
        pod: &str,
        argv: &[String],
        stdin: Option<&str>,
    ) -> Result<(i32, String, String), OperationError> {
        let mut words = vec![pod, "--"];
        words.extend(argv.iter().map(String::as_str));
        let ran = self.run(Operation::Exec, &words, stdin, &[]).await?;
        Ok((ran.code, ran.stdout, ran.stderr))
    }

    /// The whole log of a pod.
    pub async fn logs(&self, pod: &str) -> Result<String, OperationError> {
        Ok(self.run(Operation::Logs, &[pod], None, &[]).await?.stdout)
    }

    /// The scheduler's events.
    pub async fn events(&self) -> Result<String, OperationError> {
        Ok(self.run(Operation::Events, &[], None, &[]).await?.stdout)
    }

    /// Changes a part of the platform, until it is [turned back](Commands::turn_back).
    pub async fn turn(&self, operation: Operation, to: Option<&str>) -> Result<(), OperationError> {
        let words: Vec<&str> = to.into_iter().collect();
        self.run(operation, &words, None, &[]).await.map(drop)
    }

    /// Undoes that change.
    pub async fn turn_back(&self, operation: Operation) -> Result<(), OperationError> {
        self.undo(operation, None).await
    }

    async fn run(
        &self,
        operation: Operation,
        words: &[&str],
        stdin: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Ran, OperationError> {
        let given = self.given.get(&operation).ok_or(OperationError::NotGiven(operation))?;
        command::run(
            operation,
            &given.run,
            given.within,
            &self.folder,
            words,
            stdin,
            variables,
        )
        .await
    }

    async fn undo(&self, operation: Operation, stdin: Option<&str>) -> Result<(), OperationError> {
        let given = self.given.get(&operation).ok_or(OperationError::NotGiven(operation))?;
        let argv = given.undo.as_ref().unwrap_or(&given.run);
        let ran = command::run(operation, argv, given.within, &self.folder, &[], stdin, &[]).await;
        ran.map(drop)
    }
}

/// The operations that do without a cluster what an ask does with one; none if nothing does.
fn operations_for(ask: Ask) -> Option<&'static [Operation]> {
    match ask {
        Ask::FindPods => Some(&[Operation::ListPods]),
        Ask::ReadSecret => Some(&[Operation::ReadSecret]),
        // The old value has to be read first, to put it back.
        Ask::ChangeSecret => Some(&[Operation::PatchSecret, Operation::ReadSecret]),
        Ask::RestartDeployments => Some(&[Operation::RestartWeb, Operation::RestartWorker]),
        Ask::DeleteSandboxes => Some(&[Operation::DeletePod]),
        Ask::Exec => Some(&[Operation::Exec]),
        Ask::ReadLogs => Some(&[Operation::Logs]),
        Ask::ReadEvents => Some(&[Operation::Events]),
        Ask::RunSeed => Some(&[Operation::Seed]),
        Ask::Forward
        | Ask::ReadJwtSecret
        | Ask::ReadConfig
        | Ask::DeletePods
        | Ask::UpgradeCodex
        | Ask::ReadRoutes
        | Ask::PutBack
        | Ask::LoadFromPods => None,
    }
}

/// The values as a command gets them on standard input.
fn told(changed: &Changed, operation: Operation) -> Result<String, OperationError> {
    serde_json::to_string(changed).map_err(|error| OperationError::unreadable(operation, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::operations::Command;

    /// Commands that a shell runs, by operation.
    fn commands(given: &[(Operation, &str)]) -> Commands {
        let command = |script: &str| Command {
            run: ["sh", "-c", script, "sh"].map(str::to_owned).to_vec(),
            undo: None,
            within: std::time::Duration::from_secs(20),
        };
        let given = given.iter().map(|(operation, script)| (*operation, command(script)));
        Commands::new(given.collect(), std::env::temp_dir()).expect("some are given")
    }

    #[tokio::test]
    async fn pods_are_told_by_labels() {
        let script = r#"echo '[{"name":"'"$GAUNTLET_SELECTOR"'","ip":"127.0.0.1","port":81,"ready":true}]'"#;
        let pods = commands(&[(Operation::ListPods, script)]).pods("pool=warm").await;
        let pods = pods.expect("a list");
        assert_eq!(
            (pods[0].name.as_str(), pods[0].port, pods[0].ready),
            ("pool=warm", Some(81), true)
        );
    }

    #[tokio::test]
    async fn what_is_kept_is_none_of_the_platforms_keys() {
        let script = r#"echo '{"TOKEN":"abc","GAUNTLET_KEPT_BY":"run-1","GAUNTLET_KEPT_OLD_TOKEN":"def"}'"#;
        let commands = commands(&[(Operation::ReadSecret, script)]);
        let keys = commands.keys().await.expect("keys");
        assert_eq!(
            keys.into_iter().collect::<Vec<_>>(),
            [("TOKEN".to_owned(), "abc".to_owned())]
        );
        assert_eq!(commands.all_keys().await.expect("keys")[&kept_under("TOKEN")], "def");
    }

    #[tokio::test]
    async fn secrets_go_by_standard_input_alone() {
        let script = r#"test "$(cat)" = '{"OLD":null,"TOKEN":"abc"}' && test $# = 0"#;
        let commands = commands(&[(Operation::PatchSecret, script)]);
        let changed = Changed::from([("TOKEN".to_owned(), Some("abc".to_owned())), ("OLD".to_owned(), None)]);
        commands.patch(&changed).await.expect("exit code 0");
    }

    #[tokio::test]
    async fn a_secret_that_can_not_be_read_is_not_repeated() {
        let commands = commands(&[(Operation::ReadSecret, "echo 'TOKEN=hunter2'")]);
        let error = commands.keys().await.expect_err("no JSON").to_string();
        assert!(error.contains("read-secret") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_a_step_lacks() {
        let commands = commands(&[(Operation::PatchSecret, "true")]);
        let lack = commands.lack("patch-secret", &[Ask::ChangeSecret]);
        assert_eq!(lack, Some(Lack::Command(Operation::ReadSecret)));
        assert_eq!(commands.lack("gateway", &[Ask::ReadRoutes]), Some(Lack::Way));
        assert_eq!(commands.lack("attach", &[]), None);
    }
}
