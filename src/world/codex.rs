//! The codex CLI that containers run: a program of this machine, that of their image, or the stand-in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::kind::tool::last_lines;
use super::on_path;
use crate::platform::CODEX_STAND_IN;

/// What its file is called.
const NAME: &str = "codex";

/// What stands before the version where it is asked for that.
const MARK: &str = "codex-cli ";

/// How long it may take to say its version: Node starts first, on a machine that does much else.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a program that may be its first line.
const FIRST_LINE: u64 = 256;

/// Lines of what it said that an error shows.
const SHOWN_LINES: usize = 8;

/// What the containers' manifests say of `PATH`, beside the folder in which they put codex.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Which codex containers run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Codex {
    /// Gauntlet's own.
    #[default]
    StandIn,
    /// The one on the `PATH` of their image, where there is one, else the stand-in.
    OfImage,
    Program(CodexProgram),
}

/// The real one, as a program of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodexProgram {
    pub file: PathBuf,
    /// As it says it: `codex-cli 0.171.0`.
    pub version: String,
    /// Where what runs it is found, where that is another program: Node's folder.
    interpreter: Option<PathBuf>,
}

/// Why a program can't be the codex of a run.
#[derive(Debug, thiserror::Error)]
pub enum CodexError {
    #[error("starting `{file} --version`: {source}; {OTHERWISE}")]
    Start { file: String, source: io::Error },
    #[error("`{file} --version` ended with {status}; {OTHERWISE}:\n{said}")]
    Failed {
        file: String,
        status: ExitStatus,
        said: String,
    },
    #[error("`{file} --version` does not answer within {ANSWERS_WITHIN:?}; {OTHERWISE}")]
    Silent { file: String },
    #[error("`{file} --version` says nothing that is known of codex; {OTHERWISE}:\n{said}")]
    Unknown { file: String, said: String },
}

/// What helps in any case.
const OTHERWISE: &str = "`--codex stand-in` does without it";

impl Codex {
    /// What `CODEX_PROGRAM` is in a container.
    pub fn program(&self) -> String {
        match self {
            Codex::StandIn => CODEX_STAND_IN.to_owned(),
            Codex::OfImage => String::new(),
            Codex::Program(program) => program.file.display().to_string(),
        }
    }

    /// What a container's `PATH` has to end with.
    pub fn path(&self) -> String {
        match self {
            Codex::Program(CodexProgram {
                interpreter: Some(folder),
                ..
            }) => format!(":{}", folder.display()),
            _ => String::new(),
        }
    }

    /// Seconds between its questions whether a person has logged in. The real one reads a whole number.
    pub fn poll_interval(&self) -> &'static str {
        match self {
            Codex::StandIn => "0.1",
            Codex::OfImage | Codex::Program(_) => "1",
        }
    }
}

impl CodexProgram {
    /// The first codex in the folders of `PATH`; none where there is none.
    pub async fn of_path(path: Option<&str>) -> Result<Option<CodexProgram>, CodexError> {
        match on_path::find(NAME, path) {
            Some(file) => CodexProgram::at(&file, path).await.map(Some),
            None => Ok(None),
        }
    }

    /// The codex that is this file, run as containers run it. What runs it is looked for in the folders of `PATH`.
    pub async fn at(file: &Path, path: Option<&str>) -> Result<CodexProgram, CodexError> {
        let shown = || file.display().to_string();
        let failed = |source| CodexError::Start { file: shown(), source };
        // Containers have other working directories.
        let file = &std::path::absolute(file).map_err(failed)?;
        let interpreter = interpreter(file).map_err(failed)?;
        let folder = interpreter.and_then(|name| Some(on_path::find(&name, path)?.parent()?.to_owned()));
        let mut program = CodexProgram {
            file: file.clone(),
            version: String::new(),
            interpreter: folder,
        };
        let search = format!("{PATH}{}", Codex::Program(program.clone()).path());
        let mut command = Command::new(file);
        command
            .arg("--version")
            .env("PATH", search)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match timeout(ANSWERS_WITHIN, command.output()).await {
            Ok(output) => output.map_err(failed)?,
            Err(_) => return Err(CodexError::Silent { file: shown() }),
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if !output.status.success() {
            return Err(CodexError::Failed {
                file: shown(),
                status: output.status,
                said: last_lines(&said, SHOWN_LINES),
            });
        }
        match said.lines().map(str::trim).find(|line| line.starts_with(MARK)) {
            Some(version) => program.version = version.to_owned(),
            None => {
                return Err(CodexError::Unknown {
                    file: shown(),
                    said: last_lines(&said, SHOWN_LINES),
                });
            }
        }
        Ok(program)
    }
}

/// The program behind a codex: what npm installs as one is a script, which starts that of another package.
pub fn native(file: &Path) -> PathBuf {
    of_npm(file).unwrap_or_else(|| file.to_owned())
}

/// `…/@openai/codex-linux-x64/vendor/TARGET/bin/codex` of `…/@openai/codex/bin/codex.js`.
fn of_npm(file: &Path) -> Option<PathBuf> {
    let file = file.canonicalize().ok()?;
    let script = file.extension().filter(|extension| *extension == "js").map(|_| &file)?;
    let packages = std::fs::read_dir(script.ancestors().nth(3)?).ok()?.flatten();
    let vendors = packages.filter_map(|package| std::fs::read_dir(package.path().join("vendor")).ok());
    let mut programs = vendors
        .flatten()
        .flatten()
        .map(|target| target.path().join("bin").join(NAME));
    programs.find(|program| program.is_file())
}

/// The program that a script leaves to `env` to find: `node` of `#!/usr/bin/env node`.
fn interpreter(file: &Path) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    BufReader::new(File::open(file)?.take(FIRST_LINE)).read_until(b'\n', &mut line)?;
    let Ok(line) = String::from_utf8(line) else {
        return Ok(None);
    };
    let Some(words) = line.strip_prefix("#!") else {
        return Ok(None);
    };
    let mut words = words.split_whitespace();
    let is_env = words.next().is_some_and(|program| program.ends_with("/env"));
    let named = words.find(|word| !word.starts_with('-'));
    Ok(named.filter(|_| is_env).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// A program that is this script. Written by another process: what this one has open for writing others may
    /// have inherited, and then it can't be run.
    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let file = folder.join(name);
        let made = Command::new("/bin/sh")
            .args(["-c", "printf '%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\""])
            .arg(&file)
            .arg(text)
            .status();
        assert!(made.expect("a shell").success());
        file
    }

    #[tokio::test]
    async fn a_script_is_run_by_what_is_on_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bin, other) = (folder.path().join("bin"), folder.path().join("other"));
        std::fs::create_dir(&bin).expect("made");
        std::fs::create_dir(&other).expect("made");
        let path = format!("{}:{}", bin.display(), other.display());
        assert_eq!(CodexProgram::of_path(Some(&path)).await.expect("none"), None);
        script(&other, "gauntlet-node", "#!/bin/sh\necho codex-cli 1.2.3");
        let file = script(&bin, "codex", "#!/usr/bin/env gauntlet-node");
        let found = CodexProgram::of_path(Some(&path)).await.expect("one").expect("one");
        assert_eq!((&found.file, found.version.as_str()), (&file, "codex-cli 1.2.3"));
        let codex = Codex::Program(found);
        assert_eq!(codex.path(), format!(":{}", other.display()));
        assert_eq!(codex.program(), file.display().to_string());
        let without = CodexProgram::at(&file, Some(&bin.display().to_string())).await;
        assert!(matches!(without, Err(CodexError::Failed { .. })), "{without:?}");
    }

    #[test]
    fn the_program_behind_a_script_of_npm() {
        let folder = tempfile::tempdir().expect("a folder");
        let packages = folder
            .path()
            .canonicalize()
            .expect("a path")
            .join("node_modules/@openai");
        let script = packages.join("codex/bin/codex.js");
        let program = packages.join("codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex");
        for file in [&script, &program] {
            std::fs::create_dir_all(file.parent().expect("its folder")).expect("made");
        }
        std::fs::write(&script, "").expect("written");
        let link = folder.path().join("codex");
        std::os::unix::fs::symlink(&script, &link).expect("made");
        // Without the other package there is only the script.
        assert_eq!(native(&link), link);
        std::fs::write(&program, "").expect("written");
        assert_eq!(native(&link), program);
        assert_eq!(native(&program), program);
        assert_eq!(native(Path::new("nowhere/codex")), Path::new("nowhere/codex"));
    }

    async fn refused(file: &Path) -> String {
        let found = CodexProgram::at(file, None).await;
        found.expect_err("it is none").to_string()
    }

    #[tokio::test]
    async fn what_is_no_codex() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = refused(&script(folder.path(), "a", "#!/bin/sh\necho something else 7")).await;
        assert!(
            said.contains("nothing that is known of codex") && said.contains("something else 7"),
            "{said}"
        );
        let said = refused(&script(folder.path(), "b", "#!/bin/sh\necho no >&2; exit 3")).await;
        assert!(said.contains("exit status: 3") && said.ends_with("no"), "{said}");
        let file = script(folder.path(), "c", "#!/bin/sh");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(refused(&file).await.contains("ermission denied"));
        assert!(refused(&folder.path().join("d")).await.contains("o such file"));
    }
}
