//! What a door's flags ask for: combinations that mean something, tokens, and limits.

use std::path::PathBuf;
use std::time::Duration;

use super::{DoorOptions, Every, TerminalName};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::file_input::{self, Refusal};
use crate::load::objective::Objective;
use crate::load::{EACH, Needs, Place, is_secret};
use crate::platform::{Mutant, mutant};
use crate::redact::{Redactor, Secret};
use crate::vocabulary::Contract;

/// Probes a second at least, by default.
const PROBES: f64 = 2.0;

/// The share of additional attaches without the right token.
const PROBE_SHARE: f64 = 0.02;

/// The right token, and those that must be refused.
pub(in crate::cli::load) struct Tokens {
    pub(in crate::cli::load) right: Secret,
    pub(super) wrong: Secret,
    pub(super) old: Option<Secret>,
}

/// The command line names a file of certificate authorities that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("--ca {}: {}", file.display(), refusal.in_a_line())]
pub struct CaError {
    file: PathBuf,
    refusal: Refusal,
}

impl DoorOptions {
    /// Rejects meaningless combinations of flags.
    pub(super) fn check(&self) -> Result<(), UsageError> {
        let wrong = |why: &str| Err(UsageError(why.to_owned()));
        if self.url.is_some() {
            if self.token_env.is_none() {
                return wrong("--url requires --token-env: the name of the variable that holds the token");
            }
            if !self.mutant.is_empty() {
                return wrong("--mutant breaks the reference platform, and the target is one that isn't ours");
            }
            let limited = self.most_attaches.is_some() || self.most_handshakes.is_some() || self.echo_time.is_some();
            if limited {
                return wrong(
                    "--most-attaches, --most-handshakes and --echo-time limit the reference platform, and the target is \
                     one that isn't ours",
                );
            }
            return Ok(());
        }
        let of_url = [
            ("--token-env", self.token_env.is_some()),
            ("--old-token-env", self.old_token_env.is_some()),
            ("--ca", self.ca.is_some()),
            ("--insecure", self.insecure),
            ("--resolve each", self.resolve.each()),
        ];
        if let Some((flag, _)) = of_url.into_iter().find(|(_, given)| *given) {
            return Err(UsageError(format!("{flag} requires --url")));
        }
        match self.mutant.iter().find(|name| mutant::by_name(name).is_none()) {
            Some(mutant) => Err(UsageError(format!("--mutant: there is no mutant {mutant}"))),
            None => Ok(()),
        }
    }

    /// The defects that the reference platform is started with; unknown names are refused elsewhere.
    pub(in crate::cli::load) fn mutants(&self) -> Vec<&'static Mutant> {
        self.mutant.iter().filter_map(|name| mutant::by_name(name)).collect()
    }

    /// Refuses defects that the load would never meet: of the terminal's contract it meets all, and of the agent service's
    /// those of one that is started for it.
    pub fn check_mutants(&self, with_agents: bool) -> Result<(), UsageError> {
        // Of another's door there are none, which is said elsewhere.
        if self.url.is_some() {
            return Ok(());
        }
        for mutant in self.mutants() {
            let contract = Contract::named(mutant.row.split('/').next().unwrap_or_default());
            let hint = match contract {
                Contract::HarnessToken => continue,
                Contract::AgentService if with_agents => continue,
                Contract::AgentService => "; --http-users and --http-gateway start the agent service",
                Contract::CodexAuth => "",
            };
            return Err(UsageError(format!(
                "--mutant: {} breaks {}, and nothing in this load is of {}{hint}",
                mutant.name,
                mutant.row,
                contract.name()
            )));
        }
        Ok(())
    }

    /// Refuses terminals on which nobody sees what others type.
    pub fn check_fan_out(&self, attaches: u32) -> Result<(), UsageError> {
        let wrong = |why: String| Err(UsageError(format!("--fan-out: {why}")));
        if self.echo_every.0.is_none() {
            return wrong("with `--echo-every never` nobody types".into());
        }
        if self.url.is_some() {
            return Ok(());
        }
        if self.terminal != TerminalName::Shared {
            return wrong("all attaches have to be at one terminal: --terminal shared".into());
        }
        match attaches > EACH {
            true => wrong(format!("{EACH} attaches are the most that share one terminal here")),
            false => Ok(()),
        }
    }

    pub(super) fn tokens(&self, process: &Process, redactor: &Redactor) -> Result<Tokens, UsageError> {
        let read = |name: &String| {
            let value = (process.variable)(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| UsageError(format!("{name} is not set: it has to hold the token")))?;
            redactor
                .add(name, &value)
                .map_err(|error| UsageError(error.to_string()))
        };
        Ok(Tokens {
            right: match &self.token_env {
                Some(name) => read(name)?,
                None => redactor.plant("TOKEN"),
            },
            wrong: redactor.plant("WRONG_TOKEN"),
            old: self.old_token_env.as_ref().map(read).transpose()?,
        })
    }

    /// Additional certificate authorities, PEM.
    pub(in crate::cli::load) fn authorities(&self) -> Result<Option<String>, CaError> {
        let read = |file: &PathBuf| {
            file_input::read_text(file, file_input::SMALL).map_err(|refusal| CaError {
                file: file.clone(),
                refusal,
            })
        };
        self.ca.as_ref().map(read).transpose()
    }

    pub(super) fn probes(&self, rate: f64) -> Option<Duration> {
        match self.probe_every {
            Some(Every(every)) => every,
            None => Some(Duration::from_secs_f64(1.0 / (rate * PROBE_SHARE).max(PROBES))),
        }
    }

    /// Registers possible secrets in the given headers and query with the redactor.
    pub(super) fn keep_secret(&self, place: &Place, redactor: &Redactor) {
        let headers = self.header.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in headers.filter(|(name, _)| is_secret(name)).chain(place.secrets()) {
            // `Bearer` and its like are none; what is too short to be taken out is too short for a secret.
            for part in value.split_whitespace() {
                let _taken_out = redactor.add(name, part);
            }
        }
    }

    /// Variables that limit the reference platform.
    pub(in crate::cli::load) fn limits(&self) -> Vec<(&'static str, String)> {
        let number = |limit: Option<u32>| limit.map(|limit| limit.to_string());
        let time = |time: Duration| format!("{}ms", time.as_millis());
        let limits = [
            ("MOST_ATTACHES", number(self.most_attaches)),
            ("MOST_HANDSHAKES", number(self.most_handshakes)),
            ("ECHO_TIME", self.echo_time.map(time)),
        ];
        let given = limits.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.collect()
    }

    /// What loads that hold all attaches for so long have to be, so that the objectives can be judged.
    pub fn needs(&self, hold: Duration) -> Needs {
        Needs::new(&self.objectives(), self.echo_every.0, hold)
    }

    pub fn objectives(&self) -> Vec<Objective> {
        match self.objective.as_slice() {
            [] => vec![Objective::no_errors()],
            given => given.to_vec(),
        }
    }
}
