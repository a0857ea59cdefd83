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
use crate::world::codex::{Codex, CodexError, CodexProgram, native};

/// How one comes by the real one.
const GET: &str = "`tests/codex/install` gets the real one";

/// Which codex.
#[derive(Clone, Debug, Default, Args)]
pub struct CodexOptions {
    /// The codex CLI of codex-auth: auto, which is the codex of PATH (kind: of the image's), where there is one;
    /// stand-in, which is gauntlet's own; or a program, which on kind goes into gauntlet's image [default: auto]
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
    /// Refuses what has no meaning for a target. `based`: whether kind's image is made from one that may have a codex.
    pub fn check(&self, target: TargetName, based: bool) -> Result<(), UsageError> {
        match (&self.codex, target) {
            (Some(_), TargetName::Cluster | TargetName::Url) => Err(only_for("--codex", "embedded", target.name())),
            (Some(CodexName::Program(_)), TargetName::Kind) if based => Err(UsageError(
                "--codex PROGRAM goes into gauntlet's own image: the one of --base-image brings a codex or none".into(),
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
            (CodexName::Program(file), TargetName::Kind) => {
                let found = CodexProgram::at(&file, path.as_deref()).await;
                found.map(|_| Codex::OfImage)
            }
            (CodexName::Program(file), _) => CodexProgram::at(&file, path.as_deref()).await.map(Codex::Program),
            (CodexName::Auto, TargetName::Embedded) => {
                let found = CodexProgram::of_path(path.as_deref()).await?;
                Ok(found.map_or(Codex::StandIn, Codex::Program))
            }
            (CodexName::Auto, _) if based => Ok(Codex::OfImage),
            (CodexName::Auto, _) => Ok(Codex::StandIn),
        }
    }

    /// The program that kind's image gets.
    pub fn for_image(&self) -> Option<PathBuf> {
        match &self.codex {
            Some(CodexName::Program(file)) => Some(native(file)),
            _ => None,
        }
    }

    /// What a run has to say of the codex that was found.
    pub fn note(&self, target: TargetName, codex: &Codex) -> String {
        match codex {
            Codex::Program(program) => format!("codex is {} ({})", program.file.display(), program.version),
            Codex::OfImage => match self.for_image() {
                Some(program) => format!("codex is {}, in the image", program.display()),
                None => "codex is the one on the image's PATH, and gauntlet's stand-in where there is none".to_owned(),
            },
            Codex::StandIn if self.codex == Some(CodexName::StandIn) => "codex is gauntlet's stand-in".to_owned(),
            Codex::StandIn if target == TargetName::Kind => {
                "codex is gauntlet's stand-in: `--codex PROGRAM` puts another into the image".to_owned()
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
            CodexOptions { codex }.check(target, false).is_ok()
        };
        assert!(check("codex", TargetName::Embedded) && check("stand-in", TargetName::Kind));
        assert!(check("codex", TargetName::Kind) && !check("auto", TargetName::Cluster));
        assert!(!check("auto", TargetName::Url));
        assert!(CodexOptions::default().check(TargetName::Url, false).is_ok());
        let program = CodexOptions {
            codex: Some(CodexName::Program("codex".into())),
        };
        assert!(program.check(TargetName::Kind, true).is_err());
        assert_eq!(program.for_image(), Some("codex".into()));
    }
}
