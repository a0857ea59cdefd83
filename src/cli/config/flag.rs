//! What a setting is on the command line.

use std::any::TypeId;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use super::file::Value;
use crate::vocabulary::similar::suggestion;

/// Why a setting can't be, and what to do.
pub struct Wrong {
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    fn new(message: String) -> Wrong {
        Wrong { message, help: None }
    }
}

/// The flags of a command that can be set elsewhere than on the command line.
pub fn settable(command: &Command) -> Vec<&Arg> {
    let given_by_hand = ["config", "no_config"];
    command
        .get_arguments()
        .filter(|flag| flag.get_long().is_some() && !flag.is_hide_set())
        .filter(|flag| !given_by_hand.contains(&flag.get_id().as_str()))
        .filter(|flag| {
            matches!(
                flag.get_action(),
                ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::Count
            )
        })
        .collect()
}

/// A flag's name: the key in the file.
pub fn name(flag: &Arg) -> &str {
    flag.get_long().unwrap_or_default()
}

/// A flag with its value, as a user would type them.
pub fn arguments(flag: &Arg, value: &Value) -> Result<Vec<String>, Wrong> {
    let name = name(flag);
    let with = |text: &String| format!("--{name}={text}");
    match (flag.get_action(), value) {
        (ArgAction::SetTrue, Value::Switch(on)) => Ok(on.then(|| format!("--{name}")).into_iter().collect()),
        (ArgAction::SetTrue, _) => Err(Wrong::new(format!("`{name}` is true or false"))),
        (ArgAction::Count, Value::Switch(on)) => Ok(on.then(|| format!("--{name}")).into_iter().collect()),
        (ArgAction::Count, Value::One(text)) => match text.parse::<u8>() {
            Ok(times) => Ok((0..times).map(|_| format!("--{name}")).collect()),
            Err(_) => Err(Wrong::new(format!(
                "`{name}` is how often the flag is given, as 1 or 2"
            ))),
        },
        (ArgAction::Append | ArgAction::Set, Value::One(text)) => Ok(vec![with(text)]),
        (ArgAction::Append, Value::Several(texts)) => Ok(texts.iter().map(with).collect()),
        (ArgAction::Append, _) => Err(Wrong::new(format!("`{name}` is a text, or a list of texts"))),
        _ => Err(Wrong::new(format!("`{name}` is one text or number"))),
    }
}

/// A value of a file, where it names a file: what is relative there is relative to `folder`.
pub fn placed(flag: &Arg, value: Value, folder: &Path) -> Value {
    let is_path = flag.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    let is_report = flag
        .get_value_names()
        .is_some_and(|names| names.iter().any(|name| name.as_str() == "FORMAT[=FILE]"));
    let below = |path: &str| match path {
        "-" => path.to_owned(),
        // The paths and the file they stand in are UTF-8, all but for a folder with another name.
        path => folder.join(path).to_string_lossy().into_owned(),
    };
    let put = |text: String| match text.split_once('=') {
        _ if is_path => below(&text),
        Some((format, file)) if is_report => format!("{format}={}", below(file)),
        _ => text,
    };
    match value {
        Value::One(text) => Value::One(put(text)),
        Value::Several(texts) => Value::Several(texts.into_iter().map(put).collect()),
        other => other,
    }
}

/// Whether the command takes these arguments, as far as their values are concerned.
pub fn check(program: &Command, command: &str, flag: &Arg, arguments: &[String]) -> Result<(), Wrong> {
    let line = ["gauntlet", command].into_iter();
    let line = line.chain(arguments.iter().map(String::as_str));
    let Err(error) = program.clone().try_get_matches_from(line) else {
        return Ok(());
    };
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let (name, value) = (name(flag), text(ContextKind::InvalidValue));
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(known))) => Err(Wrong {
            message: format!("`{name}` has no value `{value}`"),
            help: Some(suggestion(&value, known.iter().map(String::as_str), "values")),
        }),
        (ErrorKind::ValueValidation, _) => {
            let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
            Err(Wrong::new(format!("`{value}` is not right for `{name}`{why}")))
        }
        (ErrorKind::InvalidValue, _) => Err(Wrong::new(format!("`{name}` needs a value"))),
        // What else a command line lacks, the one that was typed may have.
        _ => Ok(()),
    }
}
