//! Workers as processes of this machine, and this process as one.

use std::path::Path;
use std::process::Stdio;

use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::drive::DriveError;
use crate::cli::conclude::tell;
use crate::cli::process::Process;
use crate::load::abort::AbortOn;
use crate::load::cluster::{LeftError, WorkerSettings, Workers, WorkersError, longest};
use crate::load::worker::{self, Assignment, IfLost, Member, PlanError, TeamError};
use crate::load::{Outcome, Second};

/// The internal command of a worker's process.
pub const WORKER: &str = "load-worker";

/// How many workers there are, and what to do if one is lost.
pub struct Crew {
    pub workers: u32,
    pub if_lost: IfLost,
    /// What ends the load early.
    pub abort_on: Vec<AbortOn>,
    /// Where they are pods.
    pub pods: Option<WorkerSettings>,
}

/// Why no load was made.
#[derive(Debug, thiserror::Error)]
pub enum CrewError {
    /// Why it isn't known which file this process runs.
    #[error("{0}")]
    Binary(String),
    #[error(transparent)]
    Pods(#[from] WorkersError),
    #[error("starting worker {turn}: {source}")]
    Start { turn: u32, source: StartError },
    #[error(transparent)]
    Team(#[from] TeamError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// And what of the workers could not be taken away.
    #[error("{source}\n{left}")]
    Left { source: Box<CrewError>, left: LeftError },
}

/// Why a process of a load's is not there.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Spawn(#[from] std::io::Error),
    #[error("it has no standard input and output")]
    NoStreams,
}

impl Crew {
    /// Starts the workers, has them make the load, and ends them; returns what of them could not be taken away as well.
    pub async fn run(
        &self,
        assignment: &Assignment,
        process: &Process,
        stop: &CancellationToken,
        tell: impl FnMut(&Second),
    ) -> Result<(Outcome, Vec<String>), CrewError> {
        if let Some(pods) = &self.pods {
            return self.run_in_pods(pods, assignment, stop, tell).await;
        }
        let binary = process.binary.as_ref();
        let binary = binary.map_err(|why| CrewError::Binary(why.clone()))?;
        let mut members = Vec::new();
        // Dropped, they are killed.
        let mut children: Vec<Child> = Vec::new();
        for turn in 1..=self.workers {
            let (child, orders, words) = start(binary, WORKER).map_err(|source| CrewError::Start { turn, source })?;
            members.push(Member {
                name: format!("worker {turn} (process {})", child.id().unwrap_or_default()),
                words: Box::new(words),
                orders: Box::new(orders),
            });
            children.push(child);
        }
        let outcome = worker::run(members, assignment, self.if_lost, stop, tell).await?;
        Ok((outcome, Vec::new()))
    }

    /// The same with workers in pods, of which none stays.
    async fn run_in_pods(
        &self,
        pods: &WorkerSettings,
        assignment: &Assignment,
        stop: &CancellationToken,
        tell: impl FnMut(&Second),
    ) -> Result<(Outcome, Vec<String>), CrewError> {
        let mut workers = Workers::new(pods.clone());
        let run = async {
            let started = workers.start(longest(assignment), stop).await;
            let members = started.map_err(CrewError::Pods)?;
            let outcome = worker::run(members, assignment, self.if_lost, stop, tell).await;
            outcome.map_err(CrewError::Team)
        };
        let outcome = run.await;
        let left = workers.end().await.err();
        match (outcome, left) {
            (Ok(outcome), left) => Ok((outcome, left.iter().map(ToString::to_string).collect())),
            (Err(error), None) => Err(error),
            (Err(error), Some(left)) => Err(CrewError::Left {
                source: Box::new(error),
                left,
            }),
        }
    }
}

/// Starts a process of the load's, which is told and heard over its standard input and output. Dropped, it is killed.
///
/// # Errors
/// It can't be started.
pub fn start(binary: &Path, command: &str) -> Result<(Child, ChildStdin, ChildStdout), StartError> {
    let mut child = Command::new(binary)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        // Ctrl-C is for the coordinator, which then stops its workers.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (orders, words) = child
        .stdin
        .take()
        .zip(child.stdout.take())
        .ok_or(StartError::NoStreams)?;
    Ok((child, orders, words))
}

/// Is a worker; returns the exit code.
pub async fn work() -> u8 {
    let orders = BufReader::new(tokio::io::stdin());
    match worker::serve(orders, tokio::io::stdout()).await {
        Ok(()) => 0,
        Err(why) => {
            tell(&format!("a worker of a load: {why}"));
            3
        }
    }
}
