//! Flags that are set elsewhere than on the command line: by variables, and in `gauntlet.toml`.
//!
//! What the command line has counts first, then the environment, then the file. What counts is put among the arguments,
//! and from there on it is as if it had been typed.

mod file;
mod flag;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use indexmap::IndexMap;

use super::dispatch::Start;
use crate::cli::exit::UsageError;
use crate::vocabulary::similar::{nearest, suggestion};
use crate::yaml::{Problem, Problems, Source, Span};
use file::{Entry, File, Value};

/// A command that is no user's: what it is started with is all that it goes by.
const PLATFORM: &str = "platform";

/// Where a setting stands.
enum Origin {
    Variable,
    File(Arc<Source>, Span),
}

/// A flag as it is set.
struct Setting<'c> {
    flag: &'c Arg,
    arguments: Vec<String>,
    from: Origin,
}

/// The arguments, with what is set elsewhere behind the command's name.
///
/// # Errors
/// A file or a variable is wrong. What is wrong on the command line is left to whoever reads it.
pub fn completed(arguments: Vec<OsString>, program: &Command, start: &Start) -> Result<Vec<OsString>, UsageError> {
    // Pods of the reference platform start often.
    if arguments.get(1).is_some_and(|first| first == PLATFORM) {
        return Ok(arguments);
    }
    let lenient = program.clone().ignore_errors(true);
    // Help and the version are no matches.
    let Ok(matches) = lenient.try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some((name, given)) = matches.subcommand() else {
        return Ok(arguments);
    };
    let mut built = program.clone();
    built.build();
    let command = built.find_subcommand(name).filter(|command| !command.is_hide_set());
    let (Some(command), Some(at)) = (
        command.filter(|_| name != PLATFORM),
        arguments.iter().skip(1).position(|argument| argument == name),
    ) else {
        return Ok(arguments);
    };
    if given.try_get_one::<bool>("no_config").is_ok_and(|no| no == Some(&true)) {
        return Ok(arguments);
    }
    let named: Option<&PathBuf> = given.try_get_one("config").unwrap_or_default();
    let path = match (named, &start.folder) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(folder)) => file::find(folder),
        (None, None) => None,
    };
    let mut settings = match path {
        Some(path) => of_file(&path, program, &built, command)?,
        None => IndexMap::new(),
    };
    for setting in of_environment(&start.environment, program, &built, command)? {
        // A switch that is turned off stands in nobody's way.
        if !setting.arguments.is_empty() {
            settings.retain(|_, other| !excludes(command, setting.flag, other.flag));
        }
        settings.insert(setting.flag.get_id().as_str(), setting);
    }
    let typed = typed(command, given);
    settings.retain(|_, setting| {
        let is_settled = |flag: &&Arg| flag.get_id() == setting.flag.get_id() || excludes(command, flag, setting.flag);
        !typed.iter().any(is_settled)
    });
    clashing(command, &settings)?;
    let set = settings.into_values().flat_map(|setting| setting.arguments);
    let mut arguments = arguments;
    // Behind the program's own name and the command's.
    let behind = arguments.split_off(at + 2);
    arguments.extend(set.map(OsString::from));
    arguments.extend(behind);
    Ok(arguments)
}

/// The flags on the command line.
fn typed<'c>(command: &'c Command, given: &ArgMatches) -> Vec<&'c Arg> {
    let is_typed = |flag: &&Arg| given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
    flag::settable(command).into_iter().filter(is_typed).collect()
}

/// Whether two flags can't be given together.
fn excludes(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |one: &Arg, other: &Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts.iter().any(|flag| flag.get_id() == other.get_id())
    };
    names(one, other) || names(other, one)
}

/// Refuses a file that sets two flags which can't be given together.
fn clashing(command: &Command, settings: &IndexMap<&str, Setting<'_>>) -> Result<(), UsageError> {
    let mut before: Vec<&Setting<'_>> = Vec::new();
    for setting in settings.values().filter(|setting| !setting.arguments.is_empty()) {
        let other = before.iter().find(|other| excludes(command, other.flag, setting.flag));
        if let (Some(other), Origin::File(source, span)) = (other, &setting.from) {
            let (one, other) = (flag::name(setting.flag), flag::name(other.flag));
            let message = format!("`{one}` can't be set together with `{other}`");
            return Err(refused(vec![Problem::new(source, *span, message)]));
        }
        before.push(setting);
    }
    Ok(())
}

fn refused(problems: Vec<Problem>) -> UsageError {
    UsageError(Problems(problems).render())
}

/// What the file sets for a command. Keys are checked for all of them.
fn of_file<'c>(
    path: &Path,
    program: &Command,
    built: &Command,
    command: &'c Command,
) -> Result<IndexMap<&'c str, Setting<'c>>, UsageError> {
    let file = file::read(path).map_err(|problem| refused(vec![problem]))?;
    let mut problems = Vec::new();
    let mut settings = IndexMap::new();
    let flags = flag::settable(command);
    let mut take = |entry: &Entry, problems: &mut Vec<Problem>| {
        let Some(flag) = flags.iter().copied().find(|flag| flag::name(flag) == entry.key) else {
            return;
        };
        match setting(program, command, flag, entry, &file) {
            Ok(setting) => drop(settings.insert(flag.get_id().as_str(), setting)),
            Err(problem) => problems.push(*problem),
        }
    };
    for entry in &file.of_all {
        let of_all: Vec<&str> = flags
            .iter()
            .filter(|flag| flag.is_global_set())
            .map(|flag| flag::name(flag))
            .collect();
        match of_all.contains(&entry.key.as_str()) {
            true => take(entry, &mut problems),
            false => problems.push(unknown_of_all(&file, entry, &of_all, built)),
        }
    }
    for table in &file.tables {
        let Some(of) = commands(built).find(|command| command.get_name() == table.name) else {
            let known: Vec<&str> = commands(built).map(Command::get_name).collect();
            let help = suggestion(&table.name, known.iter().copied(), "commands");
            let message = format!("there is no command `{}` to set flags of", table.name);
            problems.push(Problem::new(&file.source, table.span, message).with_help(help));
            continue;
        };
        let known: Vec<&str> = flag::settable(of).into_iter().map(flag::name).collect();
        for entry in &table.entries {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("`{}` has no flag `{}`", table.name, entry.key);
                let help = suggestion(&entry.key, known.iter().copied(), "flags");
                problems.push(Problem::new(&file.source, entry.at_key, message).with_help(help));
            } else if of.get_name() == command.get_name() {
                take(entry, &mut problems);
            }
        }
    }
    match problems.is_empty() {
        true => Ok(settings),
        false => {
            problems.sort_by_key(|problem| problem.span.start);
            Err(refused(problems))
        }
    }
}

/// A key above all tables that is no flag of all commands.
fn unknown_of_all(file: &File, entry: &Entry, of_all: &[&str], built: &Command) -> Problem {
    let message = format!("`{}` is no flag that all commands have", entry.key);
    let mut owners = commands(built).filter(|command| {
        let flags = flag::settable(command);
        flags.into_iter().any(|flag| flag::name(flag) == entry.key)
    });
    let help = match owners.next() {
        Some(owner) => format!("put it below the name of its command, as `[{}]`", owner.get_name()),
        None => suggestion(&entry.key, of_all.iter().copied(), "flags of all commands"),
    };
    Problem::new(&file.source, entry.at_key, message).with_help(help)
}

/// The commands whose flags can be set.
fn commands(built: &Command) -> impl Iterator<Item = &Command> {
    let own = |command: &&Command| !command.is_hide_set() && ![PLATFORM, "help"].contains(&command.get_name());
    built.get_subcommands().filter(own)
}

fn setting<'c>(
    program: &Command,
    command: &Command,
    flag: &'c Arg,
    entry: &Entry,
    file: &File,
) -> Result<Setting<'c>, Box<Problem>> {
    let value = flag::placed(flag, entry.value.clone(), &file.folder);
    let arguments = flag::arguments(flag, &value).and_then(|arguments| {
        flag::check(program, command.get_name(), flag, &arguments)?;
        Ok(arguments)
    });
    match arguments {
        Ok(arguments) => Ok(Setting {
            flag,
            arguments,
            from: Origin::File(file.source.clone(), entry.at_key),
        }),
        Err(wrong) => {
            let problem = Problem::new(&file.source, entry.at_value, wrong.message);
            Err(Box::new(match wrong.help {
                Some(help) => problem.with_help(help),
                None => problem,
            }))
        }
    }
}

/// The beginning of the variables of a command: `GAUNTLET_RUN_`.
fn prefix(command: &Command) -> String {
    format!("GAUNTLET_{}_", upper(command.get_name()))
}

fn upper(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

/// What variables set for a command: `GAUNTLET_RUN_LEVEL`, and `GAUNTLET_COLOR` for all.
fn of_environment<'c>(
    environment: &BTreeMap<String, String>,
    program: &Command,
    built: &Command,
    command: &'c Command,
) -> Result<Vec<Setting<'c>>, UsageError> {
    let prefix_of_it = prefix(command);
    // `GAUNTLET_CHECK_MANIFESTS_…` is of check-manifests, not of check.
    let is_of_another = |variable: &str| {
        let mut longer = commands(built)
            .map(prefix)
            .filter(|prefix| prefix.len() > prefix_of_it.len());
        longer.any(|prefix| variable.starts_with(&prefix))
    };
    let flags = flag::settable(command);
    let mut settings = Vec::new();
    for (variable, text) in environment.iter().filter(|(_, text)| !text.is_empty()) {
        let of_all = |flag: &&Arg| flag.is_global_set() && *variable == format!("GAUNTLET_{}", upper(flag::name(flag)));
        let named = match variable.strip_prefix(&prefix_of_it) {
            Some(rest) if !is_of_another(variable) => {
                let known = flags.iter().find(|flag| upper(flag::name(flag)) == rest);
                Some(known.ok_or_else(|| {
                    let names: Vec<String> = flags.iter().map(|flag| upper(flag::name(flag))).collect();
                    let near = nearest(rest, names.iter().map(String::as_str));
                    let hint = near.map(|near| format!("; did you mean {prefix_of_it}{near}?"));
                    let name = command.get_name();
                    UsageError(format!(
                        "{variable}: `{name}` has no such flag{}",
                        hint.unwrap_or_default()
                    ))
                })?)
            }
            _ => flags.iter().find(|flag| of_all(flag)),
        };
        let Some(flag) = named.copied() else { continue };
        let arguments = flag::arguments(flag, &value(flag, text)).and_then(|arguments| {
            flag::check(program, command.get_name(), flag, &arguments)?;
            Ok(arguments)
        });
        let arguments = arguments.map_err(|wrong| {
            let help = wrong.help.map(|help| format!("; {help}")).unwrap_or_default();
            UsageError(format!("{variable}: {}{help}", wrong.message))
        })?;
        settings.push(Setting {
            flag,
            arguments,
            from: Origin::Variable,
        });
    }
    Ok(settings)
}

/// A variable's text as a value of the flag; of several values each has a line.
fn value(flag: &Arg, text: &str) -> Value {
    match (flag.get_action(), text) {
        (ArgAction::SetTrue | ArgAction::Count, "true") => Value::Switch(true),
        (ArgAction::SetTrue | ArgAction::Count, "false") => Value::Switch(false),
        (ArgAction::SetTrue, "1") => Value::Switch(true),
        (ArgAction::SetTrue, "0") => Value::Switch(false),
        (ArgAction::Append, text) => Value::Several(text.lines().map(str::to_owned).collect()),
        (_, text) => Value::One(text.to_owned()),
    }
}
