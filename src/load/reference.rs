//! The reference platform's terminal in its own processes, so that its cost is separate from the generator's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::cost::Cost;
use crate::platform::{Mutant, mutant};
use crate::redact::Secret;

/// Longest time until a process listens, and until it has ended.
const SOON: Duration = Duration::from_secs(30);

/// Attaches that one process is given, under the limit of descriptors that most machines have.
pub const EACH: u32 = 15_000;

/// The text before the port in the first line of a sandbox's log.
const LISTENS: &str = " on port ";

/// Sandboxes that listen on loopback. Dropped, they are killed.
pub struct Reference {
    sandboxes: Vec<Sandbox>,
}

struct Sandbox {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

/// The reference platform's own counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub opened: u64,
    pub refused: u64,
}

impl Counted {
    /// Of two together.
    pub fn and(self, other: Counted) -> Counted {
        Counted {
            opened: self.opened + other.opened,
            refused: self.refused + other.refused,
        }
    }
}

/// How sandboxes are set up, as processes of this machine or as pods.
pub struct Settings<'a> {
    pub token: &'a Secret,
    /// `shared`, `own` or `loop`.
    pub terminal: &'a str,
    pub mutants: &'a [&'static Mutant],
    /// Variables that limit it.
    pub limits: Vec<(&'static str, String)>,
}

impl Settings<'_> {
    /// The variables of their environment, without the port and the token.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("TERMINAL", self.terminal.to_owned()),
            ("ACCESS_LOG", "off".to_owned()),
            ("GAUNTLET_MUTANTS", mutant::names(self.mutants)),
        ];
        fixed.into_iter().chain(self.limits.iter().cloned()).collect()
    }
}

/// Why the reference platform's sandboxes don't listen.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    #[error("starting {} platform sandbox: {source}", binary.display())]
    Start { binary: PathBuf, source: std::io::Error },
    #[error("a sandbox without standard output")]
    NoOutput,
    #[error("the reference platform's sandbox has ended: {said}")]
    Ended {
        /// Its last line.
        said: String,
    },
    #[error("the reference platform's sandbox doesn't listen within {} s", SOON.as_secs())]
    Late,
}

impl Reference {
    /// Starts so many of the file that this process runs, and waits until all listen.
    ///
    /// # Errors
    /// A process that can't be started, or doesn't listen.
    pub async fn start(binary: &Path, processes: u32, settings: &Settings<'_>) -> Result<Reference, ReferenceError> {
        let mut sandboxes = Vec::new();
        for _ in 0..processes {
            sandboxes.push(Sandbox::start(binary, settings).await?);
        }
        Ok(Reference { sandboxes })
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sandboxes.iter().map(|sandbox| sandbox.address).collect()
    }

    /// What all processes cost together so far.
    pub fn cost(&self) -> Option<Cost> {
        self.sandboxes
            .iter()
            .map(|sandbox| Cost::of(&sandbox.child.id()?.to_string()))
            .reduce(|one, other| Some(one?.and(&other?)))?
    }

    /// Ends them; returns what they have counted, where all could say it.
    pub async fn end(self) -> Option<Counted> {
        let mut all = Some(Counted::default());
        for sandbox in self.sandboxes {
            let counted = tokio::time::timeout(SOON, sandbox.end()).await.ok().flatten();
            all = all.zip(counted).map(|(one, other)| one.and(other));
        }
        all
    }
}

impl Sandbox {
    async fn start(binary: &Path, settings: &Settings<'_>) -> Result<Sandbox, ReferenceError> {
        let mut child = Command::new(binary)
            .args(["platform", "sandbox"])
            .env_clear()
            .env("PORT", "0")
            .env("GAUNTLET_LISTEN", Ipv4Addr::LOCALHOST.to_string())
            .env("HARNESS_AUTH_TOKEN", settings.token.expose())
            .env("PS1", "$ ")
            .envs(settings.variables())
            // Ctrl-C is for the generator, which then ends its platform.
            .process_group(0)
            // Its end, whenever and however this process ends, ends the platform.
            .env("GAUNTLET_HELD", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ReferenceError::Start {
                binary: binary.to_owned(),
                source,
            })?;
        let stdout = child.stdout.take().ok_or(ReferenceError::NoOutput)?;
        let mut log = BufReader::new(stdout).lines();
        let listens = async {
            let mut said = String::new();
            while let Ok(Some(line)) = log.next_line().await {
                if let Some((_, port)) = line.rsplit_once(LISTENS)
                    && let Ok(port) = port.parse::<u16>()
                {
                    return Ok(port);
                }
                said = line;
            }
            Err(ReferenceError::Ended { said })
        };
        let listening = tokio::time::timeout(SOON, listens).await;
        let port = listening.map_err(|_| ReferenceError::Late)??;
        Ok(Sandbox {
            child,
            log,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        })
    }

    async fn end(mut self) -> Option<Counted> {
        let id = i32::try_from(self.child.id()?).ok().and_then(Pid::from_raw)?;
        kill_process(id, Signal::TERM).ok()?;
        let mut counted = None;
        while let Ok(Some(line)) = self.log.next_line().await {
            counted = read(&line).or(counted);
        }
        let _ = self.child.wait().await;
        counted
    }
}

/// `sandbox: 12 attaches opened, 3 refused`.
pub(super) fn read(line: &str) -> Option<Counted> {
    let line = line.strip_prefix("sandbox: ")?.strip_suffix(" refused")?;
    let (opened, refused) = line.split_once(" attaches opened, ")?;
    Some(Counted {
        opened: opened.parse().ok()?,
        refused: refused.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_read() {
        let counted = read("sandbox: 12 attaches opened, 3 refused");
        assert_eq!(counted, Some(Counted { opened: 12, refused: 3 }));
        assert_eq!(read("sandbox: /tty on port 4096"), None);
    }
}
