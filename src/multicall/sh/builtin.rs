//! Commands that are the shell's own.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use super::run::{not_started, not_started_code};
use super::word::name_length;
use super::{Shell, Stop, Streams};
use crate::multicall::small::echoed;

/// A command of the shell: arguments and streams, and the exit status.
pub type Builtin = fn(&mut Shell, &[String], &Streams) -> Result<u8, Stop>;

/// The shell's own command of this name. Those that other shells have and a program can't be are told.
pub fn named(name: &str) -> Option<Builtin> {
    Some(match name {
        ":" | "true" => |_, _, _| Ok(0),
        "false" => |_, _, _| Ok(1),
        "cd" => cd,
        "echo" => echo,
        "exec" => exec,
        "exit" => exit,
        "export" => export,
        "printf" => printf,
        "pwd" => pwd,
        "shift" => shift,
        "unset" => unset,
        "." => |_, _, streams| Ok(streams.complain(". is not supported", 2)),
        "alias" => |_, _, streams| Ok(streams.complain("alias is not supported", 2)),
        "bg" | "fg" | "jobs" | "wait" => |_, _, streams| Ok(streams.complain("jobs are not supported", 2)),
        "break" | "continue" | "return" | "local" => {
            |_, _, streams| Ok(streams.complain("break, continue, return and local are not supported", 2))
        }
        "eval" => |_, _, streams| Ok(streams.complain("eval is not supported", 2)),
        "read" => |_, _, streams| Ok(streams.complain("read is not supported", 2)),
        "readonly" => |_, _, streams| Ok(streams.complain("readonly is not supported", 2)),
        "set" => |_, _, streams| Ok(streams.complain("set is not supported", 2)),
        "source" => |_, _, streams| Ok(streams.complain("source is not supported", 2)),
        "trap" => |_, _, streams| Ok(streams.complain("trap is not supported", 2)),
        "umask" | "ulimit" => |_, _, streams| Ok(streams.complain("umask and ulimit are not supported", 2)),
        _ => return None,
    })
}

fn written(streams: &Streams, what: &str, bytes: &[u8]) -> u8 {
    match streams.write(bytes) {
        Ok(()) => 0,
        Err(error) => streams.complain(format!("{what}: {error}"), 1),
    }
}

fn echo(_: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
    Ok(written(streams, "echo", &echoed(&arguments)))
}

fn pwd(_: &mut Shell, _: &[String], streams: &Streams) -> Result<u8, Stop> {
    Ok(match std::env::current_dir() {
        Ok(folder) => written(streams, "pwd", format!("{}\n", folder.display()).as_bytes()),
        Err(error) => streams.complain(format!("pwd: {error}"), 1),
    })
}

fn cd(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let folder = match arguments {
        [] => shell.value("HOME"),
        [folder] if folder != "-" => folder.clone(),
        _ => return Ok(streams.complain("cd: only `cd` and `cd FOLDER` are supported", 2)),
    };
    let folder = if folder.is_empty() {
        PathBuf::from("/")
    } else {
        PathBuf::from(folder)
    };
    // The process has nothing but this shell in it: its working directory is the shell's.
    Ok(match std::env::set_current_dir(&folder) {
        Ok(()) => 0,
        Err(error) => streams.complain(format!("cd: {}: {error}", folder.display()), 1),
    })
}

fn exit(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    match arguments {
        [] => Err(Stop::Exit(shell.status)),
        [code] => match code.parse() {
            Ok(code) => Err(Stop::Exit(code)),
            Err(_) => Ok(streams.complain(format!("exit: {code} is no number from 0 to 255"), 2)),
        },
        _ => Ok(streams.complain("exit: one number", 2)),
    }
}

fn exec(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let Some((name, arguments)) = arguments.split_first() else {
        return Ok(streams.complain("exec: without a program it is not supported", 2));
    };
    // On success this process is the program from here on.
    let error = shell.program(name, arguments, streams).exec();
    Err(Stop::Exit(
        streams.complain(not_started(name, &error), not_started_code(&error)),
    ))
}

fn export(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let mut worst = 0;
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        if name.is_empty() || name_length(name) != name.len() {
            worst = streams.complain(format!("export: {name} is no name"), 2);
            continue;
        }
        shell.exported.insert(name.to_owned());
        if let Some(value) = value {
            shell.variables.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(worst)
}

fn unset(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    if let Some(option) = arguments.iter().find(|argument| argument.starts_with('-')) {
        return Ok(streams.complain(format!("unset: {option} is not supported"), 2));
    }
    for name in arguments {
        shell.variables.remove(name);
        shell.exported.remove(name);
    }
    Ok(0)
}

fn shift(shell: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let count = match arguments {
        [] => Some(1),
        [count] => count.parse().ok(),
        _ => None,
    };
    Ok(match count.filter(|count| *count <= shell.arguments.len()) {
        Some(count) => {
            shell.arguments.drain(..count);
            0
        }
        None => streams.complain("shift: there are not so many", 2),
    })
}

fn printf(_: &mut Shell, arguments: &[String], streams: &Streams) -> Result<u8, Stop> {
    let Some((format, arguments)) = arguments.split_first() else {
        return Ok(streams.complain("printf: which format?", 2));
    };
    Ok(match formatted(format, arguments) {
        Ok(text) => written(streams, "printf", text.as_bytes()),
        Err(wrong) => streams.complain(format!("printf: {wrong}"), 2),
    })
}

/// `%s`, `%d`, `%%`, `\n`, `\t`, `\r`, `\e`, `\\`. The format is used again while arguments are left.
pub fn formatted(format: &str, arguments: &[String]) -> Result<String, String> {
    let (mut text, mut rest) = (String::new(), arguments);
    loop {
        let before = rest.len();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            match (character, characters.as_str().chars().next()) {
                ('%' | '\\', Some(next)) => {
                    characters.next();
                    text.push_str(&conversion(character, next, &mut rest)?);
                }
                _ => text.push(character),
            }
        }
        if rest.is_empty() || rest.len() == before {
            return Ok(text);
        }
    }
}

fn conversion(kind: char, letter: char, rest: &mut &[String]) -> Result<String, String> {
    let mut next = || match rest.split_first() {
        Some((first, others)) => {
            *rest = others;
            first.clone()
        }
        None => String::new(),
    };
    Ok(match (kind, letter) {
        ('%', '%') => "%".into(),
        ('%', 's') => next(),
        ('%', 'd') => match next() {
            empty if empty.is_empty() => "0".into(),
            number => number
                .parse::<i64>()
                .map_err(|_| format!("{number} is no number"))?
                .to_string(),
        },
        ('\\', 'n') => "\n".into(),
        ('\\', 't') => "\t".into(),
        ('\\', 'r') => "\r".into(),
        ('\\', 'e') => "\x1b".into(),
        ('\\', '\\') => "\\".into(),
        _ => return Err(format!("{kind}{letter} is not supported")),
    })
}
