//! Which codex CLI logs in and asks, where the platform is gauntlet's own.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::only_for;
use crate::cli::TargetName;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::platform::CODEX_STAND_IN;
use crate::world::codex::{Codex, CodexError, CodexProgram};

/// How one comes by the real one.
const GET: &str = "`tests/codex/install` gets the real one";

/// Which codex.
#[derive(Clone, Debug, Default, Args)]
pub struct CodexOptions {
    /// The codex CLI of codex-auth: auto, which is the codex of PATH (kind: of the image's), where there is one;
    /// stand-in, which is gauntlet's own; embedded: a program [default: auto]
    #[arg(long, value_name = "CODEX")]
    pub codex: Option<CodexName>,
}

/// A codex as the command line has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CodexName {
    /// The one that is found, else the stand-in.
    #[default]
    Auto,
    StandIn,
    Program(PathBuf),
}

impl FromStr for CodexName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<CodexName, Infallible> {
        Ok(match text {
            "auto" => CodexName::Auto,
            CODEX_STAND_IN => CodexName::StandIn,
            program => CodexName::Program(program.into()),
        })
    }
}

impl fmt::Display for CodexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodexName::Auto => f.write_str("auto"),
            CodexName::StandIn => f.write_str(CODEX_STAND_IN),
            CodexName::Program(program) => write!(f, "{}", program.display()),
        }
    }
}

impl CodexOptions {
    /// Refuses what has no meaning for a target.
    pub fn check(&self, target: TargetName) -> Result<(), UsageError> {
        match (&self.codex, target) {
            (Some(_), TargetName::Cluster | TargetName::Url) => Err(only_for("--codex", "embedded", target.name())),
            (Some(CodexName::Program(_)), TargetName::Kind) => Err(UsageError(
                "--codex PROGRAM is of the target embedded: on kind `--base-image IMAGE` brings a codex".into(),
            )),
            _ => Ok(()),
        }
    }

    /// The codex that was asked for. `based`: whether kind's image is made from one that may have a codex.
    ///
    /// # Errors
    /// It is there, and can't be run.
    pub async fn find(&self, target: TargetName, based: bool, process: &Process) -> Result<Codex, CodexError> {
        let path = (process.variable)("PATH");
        match (self.codex.clone().unwrap_or_default(), target) {
            (CodexName::StandIn, _) => Ok(Codex::StandIn),
            (CodexName::Program(file), _) => CodexProgram::at(&file, path.as_deref()).await.map(Codex::Program),
            (CodexName::Auto, TargetName::Embedded) => {
                let found = CodexProgram::of_path(path.as_deref()).await?;
                Ok(found.map_or(Codex::StandIn, Codex::Program))
            }
            (CodexName::Auto, _) if based => Ok(Codex::OfImage),
            (CodexName::Auto, _) => Ok(Codex::StandIn),
        }
    }

    /// What a run has to say of the codex that was found.
    pub fn note(&self, target: TargetName, codex: &Codex) -> String {
        match codex {
            Codex::Program(program) => format!("codex is {} ({})", program.file.display(), program.version),
            Codex::OfImage => {
                "codex is the one on the image's PATH, and gauntlet's stand-in where there is none".to_owned()
            }
            Codex::StandIn if self.codex == Some(CodexName::StandIn) => "codex is gauntlet's stand-in".to_owned(),
            Codex::StandIn if target == TargetName::Kind => {
                "codex is gauntlet's stand-in: `--base-image` names an image with another".to_owned()
            }
            Codex::StandIn => format!("codex is gauntlet's stand-in: no codex on PATH; {GET}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_codex() {
        let named = |text: &str| text.parse::<CodexName>().unwrap_or_default();
        assert_eq!(named("auto"), CodexName::Auto);
        assert_eq!(named("stand-in"), CodexName::StandIn);
        assert_eq!(named("bin/codex"), CodexName::Program("bin/codex".into()));
        for text in ["auto", "stand-in", "bin/codex"] {
            assert_eq!(named(text).to_string(), text);
        }
    }

    #[test]
    fn where_a_codex_can_be_named() {
        let check = |text: &str, target| {
            let codex = text.parse().ok();
            CodexOptions { codex }.check(target).is_ok()
        };
        assert!(check("codex", TargetName::Embedded) && check("stand-in", TargetName::Kind));
        assert!(!check("codex", TargetName::Kind) && !check("auto", TargetName::Cluster));
        assert!(!check("auto", TargetName::Url));
        assert!(CodexOptions::default().check(TargetName::Url).is_ok());
    }
}
