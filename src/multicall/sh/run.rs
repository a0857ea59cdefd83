//! Runs commands.

use std::fs::{File, OpenOptions};
use std::sync::Arc;

use super::syntax::{Command, Redirection, Step, Target, When, Word};
use super::{Shell, Stop, Streams, builtin, expand, job};

impl Shell {
    /// Runs a list. The status of its last command that ran is `$?`.
    pub fn list(&mut self, steps: &[Step], streams: &Streams) -> Result<(), Stop> {
        for step in steps {
            let runs = match step.when {
                When::Always => true,
                When::Succeeded => self.status == 0,
                When::Failed => self.status != 0,
            };
            if runs {
                self.command(&step.command, streams)?;
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, streams: &Streams) -> Result<(), Stop> {
        match command {
            Command::Simple {
                assignments,
                words,
                redirections,
            } => match self.redirected(streams, redirections) {
                Ok(streams) => self.simple(assignments, words, &streams),
                Err(message) => {
                    self.status = streams.complain(message, 1);
                    Ok(())
                }
            },
            Command::For {
                variable,
                words,
                body,
                redirections,
            } => {
                let streams = match self.redirected(streams, redirections) {
                    Ok(streams) => streams,
                    Err(message) => {
                        self.status = streams.complain(message, 1);
                        return Ok(());
                    }
                };
                let values = expand::arguments(self, words);
                self.status = 0;
                for value in values {
                    self.variables.insert(variable.clone(), value);
                    self.list(body, &streams)?;
                }
                Ok(())
            }
        }
    }

    fn simple(&mut self, assignments: &[(String, Word)], words: &[Word], streams: &Streams) -> Result<(), Stop> {
        let words = expand::arguments(self, words);
        let values: Vec<(String, String)> = assignments
            .iter()
            .map(|(name, value)| (name.clone(), expand::text(self, value)))
            .collect();
        let Some((name, arguments)) = words.split_first() else {
            self.variables.extend(values);
            self.status = 0;
            return Ok(());
        };
        if let Some(builtin) = builtin::named(name) {
            self.variables.extend(values);
            self.status = builtin(self, arguments, streams)?;
            return Ok(());
        }
        let mut program = self.program(name, arguments, streams);
        program.envs(values);
        let ended = job::run(&mut program, self.jobs);
        self.status = match ended {
            Ok(job::Ended::Code(code)) => code,
            Ok(job::Ended::Interrupted) => {
                self.status = 130;
                return Err(Stop::Interrupted);
            }
            Err(error) => streams.complain(not_started(name, &error), not_started_code(&error)),
        };
        Ok(())
    }

    /// A program with the session's variables and a command's streams.
    pub fn program(&self, name: &str, arguments: &[String], streams: &Streams) -> std::process::Command {
        let mut program = std::process::Command::new(name);
        program.args(arguments).env_clear();
        for name in &self.exported {
            if let Some(value) = self.variables.get(name) {
                program.env(name, value);
            }
        }
        let [input, output, errors] = &streams.0;
        if let (Ok(input), Ok(output), Ok(errors)) = (input.try_clone(), output.try_clone(), errors.try_clone()) {
            program.stdin(input).stdout(output).stderr(errors);
        }
        program
    }

    fn redirected(&self, streams: &Streams, redirections: &[Redirection]) -> Result<Streams, String> {
        let mut streams = streams.clone();
        for redirection in redirections {
            let mut options = OpenOptions::new();
            let word = match &redirection.to {
                Target::Stream(other) => {
                    streams.0[redirection.stream] = streams.0[*other].clone();
                    continue;
                }
                Target::Read(word) => (options.read(true), word).1,
                Target::Write(word) => (options.write(true).create(true).truncate(true), word).1,
                Target::Append(word) => (options.append(true).create(true), word).1,
            };
            let path = expand::text(self, word);
            let file: File = options.open(&path).map_err(|error| format!("{path}: {error}"))?;
            streams.0[redirection.stream] = Arc::new(file);
        }
        Ok(streams)
    }
}

/// Why a program didn't start, in a shell's words.
pub fn not_started(name: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{name}: not found"),
        _ => format!("{name}: {error}"),
    }
}

/// The exit code of that.
pub fn not_started_code(error: &std::io::Error) -> u8 {
    if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    }
}
