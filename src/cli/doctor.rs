//! `gauntlet doctor`: what this machine can run, what is missing, and how to get it.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::target::TargetOptions;
use super::{LevelName, Selection, TargetName};
use crate::cli::exit::UsageError;
use crate::cli::process::{IN_RUNS, Process};
use crate::world::codex::CodexProgram;
use crate::world::gateways::{ENVOY, NGINX, Program};
use crate::world::kind::cluster;
use crate::world::on_path;

#[derive(Clone, Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub target: TargetOptions,
    /// Which levels
    #[arg(long, value_enum, default_value_t)]
    pub level: LevelName,
    /// Show what a run with this profile could and could not judge, on the target cluster unless --target url is given;
    /// nothing is changed. Without --allow, any intrusion is taken to be allowed
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name or policy on top of the profile: secret.name=my-env, token.precedence=reject
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

impl Doctor {
    /// Whether it is this machine that is looked at.
    pub fn is_of_machine(&self) -> bool {
        let ours = matches!(self.target.target, TargetName::Embedded | TargetName::Kind);
        ours && self.profile.is_none() && self.set.is_empty()
    }

    /// Refuses what has no meaning for this machine.
    pub fn check(&self) -> Result<(), UsageError> {
        match self.is_of_machine() && !self.selection.selectors.is_empty() {
            true => Err(UsageError(
                "what can be judged depends on the platform: --profile FILE names one".into(),
            )),
            false => Ok(()),
        }
    }
}

/// What is found out of a target, or of what one can use.
struct Finding {
    name: &'static str,
    /// What it has, or why it can't run.
    found: Result<String, String>,
}

/// Descriptors below which scenarios run one after another.
const FEW_DESCRIPTORS: u64 = 1024;

/// Looks at each target; returns the exit code: 0 where at least the embedded one can run.
pub async fn doctor(process: &Process, out: &mut impl Write) -> io::Result<u8> {
    let findings = [
        embedded(process),
        kind().await,
        gateway(NGINX, process).await,
        gateway(ENVOY, process).await,
        codex(process).await,
        k6(process),
    ];
    for Finding { name, found } in &findings {
        let (state, told) = match found {
            Ok(told) => ("ready", told),
            Err(why) => ("missing", why),
        };
        writeln!(
            out,
            "{name:9} {state:8} {}",
            told.replace('\n', "\n                   ")
        )?;
    }
    Ok(if findings[0].found.is_ok() { 0 } else { 3 })
}

fn embedded(process: &Process) -> Finding {
    let descriptors = match process.descriptors {
        Some(few) if few < FEW_DESCRIPTORS => {
            format!("{few} open files at most, so that few scenarios run at once; `ulimit -n 20000` raises that")
        }
        Some(most) => format!("{most} open files at most"),
        None => "any number of open files".to_owned(),
    };
    let terminal = std::fs::File::open("/dev/ptmx").map(drop);
    Finding {
        name: "embedded",
        found: match (terminal, process.jobs(None, IN_RUNS)) {
            (Ok(()), Ok(jobs)) => Ok(format!(
                "{} processors, {descriptors}; {jobs} scenarios at once",
                process.processors,
            )),
            (Ok(()), Err(few)) => Err(few.to_string()),
            (Err(error), _) => Err(format!(
                "pseudo-terminals, of which each sandbox has one: /dev/ptmx: {error}; mount devpts at /dev/pts"
            )),
        },
    }
}

async fn kind() -> Finding {
    let found = cluster::check_machine().await.map_err(|error| error.to_string());
    Finding {
        name: "kind",
        found: found.map(|machine| {
            format!(
                "kind {}, container engine {}; the node's image is pulled, or given by `--image`",
                machine.kind, machine.engine
            )
        }),
    }
}

/// A real gateway before the agent service, on the embedded target.
async fn gateway(program: Program, process: &Process) -> Finding {
    let path = (process.variable)("PATH");
    let found = match program.find(path.as_deref()) {
        Ok(file) => program.version(&file).await.map(|version| {
            let name = program.name;
            format!("{name} {version}, {}; `--gateway {name}` tests it", file.display())
        }),
        Err(error) => Err(error),
    };
    Finding {
        name: program.name,
        found: found.map_err(|error| error.to_string()),
    }
}

/// k6, which figures of loads are compared with. No run needs it.
fn k6(process: &Process) -> Finding {
    let path = (process.variable)("PATH");
    let found = on_path::find("k6", path.as_deref());
    Finding {
        name: "k6",
        found: found
            .map(|file| format!("{}; `make bench-load` compares with it", file.display()))
            .ok_or_else(|| "no k6 on PATH: only `make bench-load` uses it; `benches/load/install` gets it".to_owned()),
    }
}

/// The codex CLI: without it there is gauntlet's own.
async fn codex(process: &Process) -> Finding {
    let path = (process.variable)("PATH");
    let found = match CodexProgram::of_path(path.as_deref()).await {
        Ok(Some(program)) => Ok(format!("{}, {}", program.version, program.file.display())),
        Ok(None) => {
            Err("no codex on PATH: gauntlet's stand-in is used; `tests/codex/install` gets the real one".into())
        }
        Err(error) => Err(error.to_string()),
    };
    Finding { name: "codex", found }
}
