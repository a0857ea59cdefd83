//! `echo`, `env`, `printenv`, `sleep`, `stty`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::{Call, complain, written};

/// Writes its arguments as they are; `-n` leaves the line feed away.
pub fn echo(call: Call) -> u8 {
    let args: Vec<&[u8]> = call.args.iter().map(|arg| arg.as_bytes()).collect();
    written("echo", std::io::stdout().write_all(&echoed(&args)))
}

/// What `echo` writes for these arguments.
pub fn echoed(args: &[&[u8]]) -> Vec<u8> {
    match args {
        [b"-n", rest @ ..] => rest.join(&b' '),
        all => [&all.join(&b' ')[..], b"\n"].concat(),
    }
}

/// `env [-i] [NAME=VALUE]… [PROGRAM [ARGUMENT]…]`: runs a program, or shows the environment.
pub fn env(call: Call) -> u8 {
    let mut args = call.args.as_slice();
    let mut env = call.env;
    if let [first, rest @ ..] = args
        && (first == "-i" || first == "-")
    {
        (env, args) = (Vec::new(), rest);
    }
    while let [first, rest @ ..] = args
        && let Some((name, value)) = assignment(first)
    {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value.to_owned()));
        args = rest;
    }
    let Some((program, args)) = args.split_first() else {
        return show(&env);
    };
    if program.as_bytes().starts_with(b"-") {
        return complain("env", format!("{} is not supported", program.display()), 125);
    }
    // On success this process is the program from here on.
    let error = Command::new(program).args(args).env_clear().envs(env).exec();
    let code = if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    complain("env", format!("{}: {error}", program.display()), code)
}

fn assignment(arg: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = arg.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
}

fn show(env: &[(OsString, OsString)]) -> u8 {
    let mut text = Vec::new();
    for (name, value) in env {
        text.extend_from_slice(&[name.as_bytes(), b"=", value.as_bytes(), b"\n"].concat());
    }
    written("env", std::io::stdout().write_all(&text))
}

/// Shows values of the environment, or all of it. A name that isn't there makes the exit code 1.
pub fn printenv(call: Call) -> u8 {
    if call.args.is_empty() {
        return show(&call.env);
    }
    let value = |name: &OsString| call.env.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let mut text = Vec::new();
    for value in call.args.iter().filter_map(value) {
        text.extend_from_slice(&[value.as_bytes(), b"\n"].concat());
    }
    let missing = call.args.iter().any(|name| value(name).is_none());
    written("printenv", std::io::stdout().write_all(&text)).max(missing.into())
}

/// Waits for as long as all arguments together say: `2`, `0.5`, `3m`, `infinity`.
pub fn sleep(call: Call) -> u8 {
    if call.args.is_empty() {
        return complain("sleep", "how long? (as 2, 0.5s, 3m, 1h)", 1);
    }
    let mut total = Duration::ZERO;
    for arg in &call.args {
        let Some(part) = arg.to_str().and_then(duration) else {
            return complain(
                "sleep",
                format!("{} is no duration like 2, 0.5s, 3m or 1h", arg.display()),
                1,
            );
        };
        total = total.saturating_add(part);
    }
    std::thread::sleep(total);
    0
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    match number {
        "infinity" | "inf" => Some(Duration::MAX),
        _ => Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok(),
    }
}

/// `stty size`: rows and columns of the terminal at standard input.
pub fn stty(call: Call) -> u8 {
    if call.args != ["size"] {
        return complain("stty", "only `stty size` is supported", 1);
    }
    match rustix::termios::tcgetwinsize(std::io::stdin()) {
        Ok(size) => written("stty", writeln!(std::io::stdout(), "{} {}", size.ws_row, size.ws_col)),
        Err(error) => complain("stty", format!("standard input: {error}"), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("2"), Some(Duration::from_secs(2)));
        assert_eq!(duration("0.5s"), Some(Duration::from_millis(500)));
        assert_eq!(duration("3m"), Some(Duration::from_secs(180)));
        assert_eq!(duration("infinity"), Some(Duration::MAX));
        for wrong in ["", "s", "-1", "x", "1d", "nan"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn echo_writes_arguments_as_they_are() {
        assert_eq!(echoed(&[b"a", b"-n", br"\n"]), b"a -n \\n\n");
        assert_eq!(echoed(&[b"-n", b"a"]), b"a");
        assert_eq!(echoed(&[]), b"\n");
    }
}
