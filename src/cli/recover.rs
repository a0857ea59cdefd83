//! `gauntlet recover`: restores what interrupted runs changed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::conclude::tell;
use super::target::installation::{journals, trust};
use super::target::sessions::delete_sessions;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::profile::Profile;
use crate::profile::operations::Operation;
use crate::profile::route_address::AddressError;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::vocabulary::Intrusion;
use crate::vocabulary::Road;
use crate::world::installation::changes::Changes;
use crate::world::installation::journal::{Head, Journal, JournalError};
use crate::world::installation::lease::Held;
use crate::world::installation::{Installation, InstallationError, Place};

#[derive(Clone, Debug, Args)]
pub struct Recover {
    /// Only restore changes made in this context of a kubeconfig
    #[arg(long)]
    pub context: Option<String>,
    /// Where the undo journals are [default: as for `run`]
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
}

/// Longest time that a deployment may take to be as it was.
const ROLLOUTS_WITHIN: Duration = Duration::from_secs(300);

/// Puts back what the journals of a folder hold; returns the exit code: 3 where something could not be.
pub async fn recover(options: Recover, process: Process, mut out: impl Write) -> Result<u8, UsageError> {
    let folder =
        journals(options.journal.as_deref(), &*process.variable).map_err(|error| UsageError(error.to_string()))?;
    let left = match Journal::left(&folder) {
        Ok(left) => left,
        Err(error) => {
            tell(&error.to_string());
            return Ok(3);
        }
    };
    let mut code = 0;
    let (mut recovered, mut others) = (0, 0);
    for path in left {
        match one(&path, options.context.as_deref(), &process).await {
            Ok(Recovered::Nothing) => {}
            Ok(Recovered::OfAnother) => others += 1,
            Ok(Recovered::Run(told)) => {
                recovered += 1;
                // Whoever closed standard output has recovered all the same.
                let _closed = writeln!(out, "{told}");
            }
            Err(error) => {
                tell(&error.to_string());
                code = 3;
            }
        }
    }
    if recovered == 0 && code == 0 {
        let of = match (others, &options.context) {
            (1.., Some(context)) => format!(" of the context {context}; there are {others} of others"),
            _ => String::new(),
        };
        let _closed = writeln!(
            out,
            "nothing to put back: there is no undo journal in {}{of}",
            folder.display()
        );
    }
    Ok(code)
}

/// The outcome for a journal.
enum Recovered {
    /// Put back; in words.
    Run(String),
    /// Its run changed nothing.
    Nothing,
    /// It belongs to another context than the requested one.
    OfAnother,
}

/// Why a journal's changes are not put back.
#[derive(Debug, thiserror::Error)]
enum RecoverError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{run}: {source}")]
    Run {
        run: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the platform of a journal can't be worked on.
#[derive(Debug, thiserror::Error)]
enum HeadError {
    #[error(transparent)]
    Road(#[from] AddressError),
    #[error(transparent)]
    Trust(#[from] UsageError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
}

/// Puts back what one journal holds.
async fn one(path: &Path, context: Option<&str>, process: &Process) -> Result<Recovered, RecoverError> {
    let Some(journal) = Journal::open(path)? else {
        return Ok(Recovered::Nothing);
    };
    let head = journal.head.clone();
    let of = head.cluster.as_ref().and_then(|cluster| cluster.context.as_deref());
    if context.is_some() && of != context {
        return Ok(Recovered::OfAnother);
    }
    let run = head.run.clone();
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| RecoverError::Run {
        run: run.clone(),
        source,
    };
    let mut installation = installation(&head, process)
        .await
        .map_err(|error| failed(error.into()))?;
    let changes = Changes::of(journal, &installation);
    let mut held = None;
    if changes.is_changed() {
        if installation.has_cluster {
            let stop = process.stop.clone();
            let taken = Held::take(changes.leases(), &run, move || stop.cancel()).await;
            held = Some(taken.map_err(|error| failed(error.into()))?);
        }
        let undone = tokio::select! {
            undone = changes.undo(ROLLOUTS_WITHIN) => undone,
            () = process.stop.cancelled() => {
                return Err(failed("interrupted; run `gauntlet recover` again to continue".into()));
            }
        };
        let left = undone.map_err(|error| failed(error.into()))?;
        left.iter().for_each(|left| tell(&format!("{run}: {left}")));
    }
    installation.changes = Some(changes);
    let installation = Arc::new(installation);
    let deleted = delete_sessions(&installation, &head.names).await;
    let Some(changes) = &installation.changes else {
        return Ok(Recovered::Nothing);
    };
    if installation.has_cluster || installation.commands.is_some() {
        changes.sweep().await.map_err(|error| failed(error.into()))?;
    }
    drop(held);
    let sessions = deleted.map_err(|error| failed(error.into()))?;
    changes.journal.remove().map_err(|error| failed(error.into()))?;
    let sessions = match sessions {
        0 => String::new(),
        1 => "; 1 session is deleted".to_owned(),
        n => format!("; {n} sessions are deleted"),
    };
    Ok(Recovered::Run(format!("{run} of {}: put back{sessions}", head.started)))
}

async fn installation(head: &Head, process: &Process) -> Result<Installation, HeadError> {
    let mut profile = Profile {
        names: head.names.clone(),
        ..Profile::default()
    };
    for (road, way) in &head.roads {
        if let Some(road) = Road::named(road) {
            profile.roads.insert(road, way.parse()?);
        }
    }
    for (needed, source) in &head.secrets {
        if let (Some(needed), Some(source)) = (Needed::named(needed), SecretSource::from_text(source)) {
            profile.secrets.insert(needed, source);
        }
    }
    for (operation, command) in &head.operations {
        if let Some(operation) = Operation::named(operation) {
            profile.operations.insert(operation, command.clone());
        }
    }
    let trust = trust(head.ca.as_deref(), head.insecure)?;
    let variable = &*process.variable;
    let found = match &head.cluster {
        None => Installation::by_doors(&profile, head.folder.clone(), trust, Intrusion::Use, variable),
        Some(cluster) => {
            let place = Place {
                kubeconfig: cluster.kubeconfig.clone(),
                context: cluster.context.clone(),
                namespace: Some(cluster.namespace.clone()),
            };
            Installation::on_cluster(&place, &profile, trust, Intrusion::Disrupt, variable).await
        }
    };
    Ok(found?)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn where_journals_are() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/a".to_owned()),
            _ => None,
        };
        let folder = |asked: Option<&str>| journals(asked.map(Path::new), &variable);
        assert_eq!(folder(None), Ok(PathBuf::from("/home/a/.local/state/gauntlet")));
        assert_eq!(folder(Some("x")), Ok(PathBuf::from("x")));
        assert!(journals(None, &|_| None).is_err());
    }
}
