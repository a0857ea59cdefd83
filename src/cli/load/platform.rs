//! The reference platform for a load of sessions or of the agent service, in its own process: `gauntlet up`, which ends
//! with this one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::platform::{Mutant, mutant};
use crate::redact::Secret;

/// Longest time until it is up, and until it has ended.
const UP_WITHIN: Duration = Duration::from_secs(90);
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The name of its kubeconfig.
const KUBECONFIG: &str = "kubeconfig";

/// The last line that `up` prints once the platform is up.
const IS_UP: &str = "Ctrl-C ends it.";

/// The address of the platform to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RoadName {
    /// web's own
    #[default]
    Proxy,
    /// The load balancer's, before web
    Balancer,
}

impl RoadName {
    /// As `up` names the address.
    pub fn door(self) -> &'static str {
        match self {
            RoadName::Proxy => "web",
            RoadName::Balancer => "balancer",
        }
    }
}

/// A platform that is up. Dropped, it is killed.
pub struct Platform {
    /// Of the door that was asked for, as `http://HOST:PORT`.
    pub address: String,
    child: Child,
    /// It ends when this is closed, and so with this process too.
    held: ChildStdin,
    /// Open until then: whoever writes to a closed pipe is ended.
    _said: Lines<BufReader<ChildStdout>>,
    /// Of its kubeconfig.
    folder: TempDir,
}

/// Why the reference platform isn't up.
#[derive(Debug, thiserror::Error)]
#[error("starting the reference platform: {0}")]
pub struct PlatformError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Platform {
    /// Starts it, with this key of the session API.
    ///
    /// # Errors
    /// It can't be started, or doesn't come up.
    pub async fn start(
        binary: &Path,
        key: &Secret,
        road: RoadName,
        mutants: &[&Mutant],
    ) -> Result<Platform, PlatformError> {
        Platform::up(binary, &["harness-token"], road.door(), key, mutants).await
    }

    /// Starts that of the agent service behind a gateway, with this secret of its JWTs.
    ///
    /// # Errors
    /// It can't be started, or doesn't come up.
    pub async fn of_agents(
        binary: &Path,
        secret: &Secret,
        gateway: &str,
        mutants: &[&Mutant],
    ) -> Result<Platform, PlatformError> {
        let contract = ["agent-service", "--gateway", gateway];
        Platform::up(binary, &contract, gateway, secret, mutants).await
    }

    /// Starts that of a contract, with what it is told first, and finds the address of a door.
    async fn up(
        binary: &Path,
        contract: &[&str],
        door: &str,
        secret: &Secret,
        mutants: &[&Mutant],
    ) -> Result<Platform, PlatformError> {
        let folder = tempfile::tempdir().map_err(|error| PlatformError(error.into()))?;
        let mut command = Command::new(binary);
        command
            .args(["up", "--no-config", "--held"])
            .args(contract)
            .arg("--kubeconfig")
            .arg(folder.path().join(KUBECONFIG));
        if !mutants.is_empty() {
            command.arg("--mutant").arg(mutant::names(mutants));
        }
        let mut child = command
            // Ctrl-C is for the generator, which then ends its platform.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| PlatformError(error.into()))?;
        let (mut held, stdout) = child
            .stdin
            .take()
            .zip(child.stdout.take())
            .ok_or_else(|| PlatformError("it has no standard input and output".into()))?;
        // Not in its arguments nor its environment, where others could read it.
        let line = format!("{}\n", secret.expose());
        held.write_all(line.as_bytes())
            .await
            .map_err(|error| PlatformError(error.into()))?;
        held.flush().await.map_err(|error| PlatformError(error.into()))?;
        let mut said = BufReader::new(stdout).lines();
        let up = async {
            let mut address = None;
            while let Ok(Some(line)) = said.next_line().await {
                address = at(&line, door).or(address);
                if line == IS_UP {
                    return address.ok_or_else(|| PlatformError(format!("it names no address of {door}").into()));
                }
            }
            Err(PlatformError("it has ended".into()))
        };
        let address = tokio::time::timeout(UP_WITHIN, up)
            .await
            .map_err(|_| PlatformError(format!("it is not up within {} s", UP_WITHIN.as_secs()).into()))??;
        Ok(Platform {
            address,
            child,
            held,
            _said: said,
            folder,
        })
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join(KUBECONFIG)
    }

    /// Ends it, with all that is on it.
    pub async fn end(mut self) {
        drop(self.held);
        // What doesn't end is killed.
        let _ended = tokio::time::timeout(ENDS_WITHIN, self.child.wait()).await;
    }
}

/// The address of a door, where the line tells it: `web       http://127.0.0.1:40000`.
fn at(line: &str, door: &str) -> Option<String> {
    let (name, address) = line.split_once(' ')?;
    let address = address.trim();
    (name == door && address.starts_with("http://")).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let lines = [
            "  export KUBECONFIG=k.yaml",
            "web       http://127.0.0.1:1",
            "balancer  http://127.0.0.1:2",
            "",
        ];
        let found = |door| lines.iter().find_map(|line| at(line, door));
        assert_eq!(found("web").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(found("balancer").as_deref(), Some("http://127.0.0.1:2"));
        assert_eq!(found("nginx"), None);
    }
}
