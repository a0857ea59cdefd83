//! The small programs that `gauntlet` is under other names.
//!
//! The image of the reference platform holds this one binary. What scenarios
//! and visitors of a terminal find beside it (`sh`, `cat`, `printenv` …) are
//! symbolic links to it: started under such a name, it is that program.

mod files;
mod sh;
mod small;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;

/// What a program was started with.
pub struct Call {
    /// The arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// The environment of the process.
    pub env: Vec<(OsString, OsString)>,
}

/// One of the programs. Gives the exit code.
pub type Applet = fn(Call) -> u8;

/// The programs by name, sorted.
pub const APPLETS: [(&str, Applet); 10] = [
    ("cat", files::cat),
    ("echo", small::echo),
    ("env", small::env),
    ("false", |_| 1),
    ("printenv", small::printenv),
    ("sh", sh::main),
    ("sleep", small::sleep),
    ("stty", small::stty),
    ("tr", files::tr),
    ("true", |_| 0),
];

/// The program that is started by this name, a path or with the `-` of a login shell;
/// none where it is `gauntlet` itself.
pub fn named(program: &OsStr) -> Option<Applet> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_prefix('-').unwrap_or(name);
    APPLETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, applet)| *applet)
}

/// Says what went wrong and gives the exit code.
fn complain(program: &str, message: impl Display, code: u8) -> u8 {
    let _closed = writeln!(std::io::stderr(), "{program}: {message}");
    code
}

/// The exit code of what was written. A reader who went away is told nothing.
fn written(program: &str, result: std::io::Result<()>) -> u8 {
    match result.and_then(|()| std::io::stdout().flush()) {
        Ok(()) => 0,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 1,
        Err(error) => complain(program, format!("writing to standard output: {error}"), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_path_and_as_login_shell() {
        let found = |name: &str| named(OsStr::new(name)).is_some();
        assert!(found("sh") && found("/bin/sh") && found("-sh") && found("../printenv"));
        assert!(!found("gauntlet") && !found("/usr/bin/gauntlet") && !found("") && !found("bash"));
        assert!(APPLETS.is_sorted_by_key(|(name, _)| *name));
    }
}
