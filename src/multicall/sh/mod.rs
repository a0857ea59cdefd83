//! A small shell: what scenarios run in a pod, and what visitors of a terminal type.
//!
//! It has lists (`;`, line feeds, `&&`, `||`), quotes, variables and
//! positional parameters, names of files by pattern, `for`, redirections and
//! programs on `PATH`. What it doesn't have is told and never misread: a text
//! with such a thing in it doesn't run at all.

mod builtin;
mod expand;
mod input;
mod job;
mod run;
mod syntax;
#[cfg(test)]
mod tests;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use input::{Input, Read};
use syntax::SyntaxError;

use super::{Call, complain};

/// Exit code of a text that can't be run.
const SYNTAX: u8 = 2;

/// A session's state.
struct Shell {
    name: String,
    /// `$1`, `$2` …
    arguments: Vec<String>,
    variables: BTreeMap<String, String>,
    /// The variables that programs get.
    exported: BTreeSet<String>,
    /// `$?`
    status: u8,
    /// Whether it has a terminal on which each program is a job of its own.
    jobs: bool,
}

/// Standard input, output and error of a command.
#[derive(Clone)]
struct Streams([Arc<File>; 3]);

/// Why nothing more of a list runs.
enum Stop {
    Exit(u8),
    /// A program ended by Ctrl-C.
    Interrupted,
}

/// `sh`, `sh -c TEXT [NAME [ARGUMENT]…]`, `sh FILE [ARGUMENT]…`
pub fn main(call: Call) -> u8 {
    let streams = match Streams::standard() {
        Ok(streams) => streams,
        Err(error) => return complain("sh", format!("taking over the standard streams: {error}"), SYNTAX),
    };
    let mut args = call.args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let mut shell = Shell::new(&call.env);
    match args.next().as_deref() {
        None => interact(shell, streams),
        Some("-c") => {
            let Some(text) = args.next() else {
                return complain("sh", "-c: which text?", SYNTAX);
            };
            shell.name = args.next().unwrap_or(shell.name);
            shell.arguments = args.collect();
            shell.whole(&text, &streams)
        }
        Some(option) if option.starts_with(['-', '+']) => {
            complain("sh", format!("{option} is not supported (there is only -c)"), SYNTAX)
        }
        Some(file) => {
            shell.name = file.to_owned();
            shell.arguments = args.collect();
            match std::fs::read_to_string(file) {
                Ok(text) => shell.whole(&text, &streams),
                Err(error) => complain("sh", format!("{file}: {error}"), 127),
            }
        }
    }
}

/// Runs what is typed, or comes from a file or pipe at standard input, command by command.
fn interact(mut shell: Shell, streams: Streams) -> u8 {
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut input = match terminal {
        true => Input::terminal(),
        false => Ok(Input::script()),
    };
    let input = match &mut input {
        Ok(input) => input,
        Err(error) => return complain("sh", format!("taking over the terminal: {error}"), SYNTAX),
    };
    shell.jobs = terminal;
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() {
            shell.variables.get("PS1").map_or("$ ", String::as_str)
        } else {
            "> "
        };
        match input.line(prompt, &mut text) {
            Ok(Read::Line) => {}
            Ok(Read::Interrupted) => {
                shell.status = 130;
                text.clear();
                continue;
            }
            Ok(Read::End) => return shell.end(&text, terminal),
            Err(error) => return complain("sh", format!("standard input: {error}"), SYNTAX),
        }
        let steps = match syntax::parse(&text) {
            Err(SyntaxError::Incomplete(_)) => continue,
            parsed => parsed,
        };
        text.clear();
        match steps {
            Ok(steps) => match shell.list(&steps, &streams) {
                Ok(()) => {}
                Err(Stop::Exit(code)) => return code,
                Err(Stop::Interrupted) => {
                    let _closed = writeln!(io::stderr());
                }
            },
            Err(wrong) => {
                shell.status = complain("sh", wrong, SYNTAX);
                if !terminal {
                    return SYNTAX;
                }
            }
        }
    }
}

impl Shell {
    fn new(env: &[(OsString, OsString)]) -> Shell {
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        let variables: BTreeMap<_, _> = env.iter().map(|(name, value)| (text(name), text(value))).collect();
        Shell {
            name: "sh".into(),
            arguments: Vec::new(),
            exported: variables.keys().cloned().collect(),
            variables,
            status: 0,
            jobs: false,
        }
    }

    /// Runs a text that is there as a whole; gives the exit code.
    fn whole(&mut self, text: &str, streams: &Streams) -> u8 {
        let steps = match syntax::parse(text) {
            Ok(steps) => steps,
            Err(wrong) => return complain(&self.name, wrong, SYNTAX),
        };
        match self.list(&steps, streams) {
            Ok(()) => self.status,
            Err(Stop::Exit(code)) => code,
            Err(Stop::Interrupted) => 130,
        }
    }

    /// The input has ended, perhaps within a command.
    fn end(&self, rest: &str, terminal: bool) -> u8 {
        if terminal {
            let _closed = writeln!(io::stderr());
        }
        match syntax::parse(rest) {
            Err(wrong) => complain("sh", wrong, SYNTAX),
            Ok(_) => self.status,
        }
    }

    /// What a variable or parameter stands for; empty where it isn't set.
    fn value(&self, name: &str) -> String {
        match name {
            "?" => self.status.to_string(),
            "#" => self.arguments.len().to_string(),
            "$" => std::process::id().to_string(),
            "@" | "*" => self.arguments.join(" "),
            "0" => self.name.clone(),
            _ => match name.parse::<usize>() {
                Ok(number) => self.arguments.get(number.wrapping_sub(1)).cloned().unwrap_or_default(),
                Err(_) => self.variables.get(name).cloned().unwrap_or_default(),
            },
        }
    }
}

impl Streams {
    /// Those of the process.
    fn standard() -> io::Result<Streams> {
        let own = |stream: &dyn AsFd| Ok::<_, io::Error>(Arc::new(File::from(stream.as_fd().try_clone_to_owned()?)));
        Ok(Streams([own(&io::stdin())?, own(&io::stdout())?, own(&io::stderr())?]))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.0[1]).write_all(bytes)
    }

    /// Says on standard error what went wrong, and gives the exit code.
    fn complain(&self, message: impl std::fmt::Display, code: u8) -> u8 {
        let _closed = (&*self.0[2]).write_all(format!("sh: {message}\n").as_bytes());
        code
    }
}
