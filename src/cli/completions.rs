//! `gauntlet completions`: what a shell needs to complete commands, flags and their values.

use clap_complete::{Shell, generate};

use super::ShellName;

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
