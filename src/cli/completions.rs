//! `gauntlet completions`: what a shell needs to complete commands, flags and their values.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub shell: ShellName,
}

/// A shell that completes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    Bash,
    Zsh,
    Fish,
}

impl From<ShellName> for Shell {
    fn from(name: ShellName) -> Shell {
        match name {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        }
    }
}

/// The script for a shell.
pub fn completions(shell: ShellName, mut command: clap::Command) -> Vec<u8> {
    let mut script = Vec::new();
    generate(Shell::from(shell), &mut command, "gauntlet", &mut script);
    script
}
