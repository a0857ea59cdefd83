//! The container `codex-cli`: puts `codex` where exec finds it, then idles. It never ends by itself, which is
//! why it is no init container.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `CODEX_BIN_DIR` | `/chatgpt-auth/.bin` | where `codex` is put; first on the container's `PATH` |
//! | `CODEX_PROGRAM` | | the real CLI, or `stand-in`; else the `codex` of `PATH`, else the stand-in |

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::super::{ComponentError, Pod, mutant};

/// What runs the stand-in. `GAUNTLET` is where the program lies.
const SCRIPT: &str = "#!/bin/sh\nexec \"${GAUNTLET:-gauntlet}\" platform codex \"$@\"\n";

/// What is said in the place of a program that there is to be none.
pub const STAND_IN: &str = "stand-in";

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    if !pod.has(&mutant::CODEX_NOT_INSTALLED) {
        let said = install(&pod, Path::new(pod.var_or("CODEX_BIN_DIR", "/chatgpt-auth/.bin")))?;
        pod.log.line(format!("codex-cli: {said}"));
    }
    pod.stop.cancelled().await;
    Ok(())
}

/// Puts `codex` into a folder; says what it is.
pub fn install(pod: &Pod, folder: &Path) -> Result<String, ComponentError> {
    let wrong = |error: io::Error| ComponentError(format!("putting codex into {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(wrong)?;
    let path = folder.join("codex");
    // Under another name first: exec may come at any time, and finds the whole of it.
    let new = folder.join(".codex-new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let said = match real(pod, folder) {
        Some(program) => {
            symlink(&program, &new).map_err(wrong)?;
            format!("codex is {}", program.display())
        }
        None => {
            fs::write(&new, SCRIPT).map_err(wrong)?;
            fs::set_permissions(&new, Permissions::from_mode(0o755)).map_err(wrong)?;
            match pod.var("CODEX_PROGRAM") {
                Some(STAND_IN) => "codex is the stand-in".to_owned(),
                _ => "codex is the stand-in: no codex is on PATH".to_owned(),
            }
        }
    };
    fs::rename(&new, &path).map_err(wrong)?;
    Ok(said)
}

/// The real CLI.
fn real(pod: &Pod, folder: &Path) -> Option<PathBuf> {
    let named = pod.var("CODEX_PROGRAM").filter(|path| !path.is_empty());
    match named {
        Some(STAND_IN) => return None,
        Some(named) => return Some(PathBuf::from(named)),
        None => {}
    }
    let folders = pod.var_or("PATH", "").split(':').map(Path::new);
    folders
        .filter(|other| other.is_absolute() && *other != folder)
        .map(|other| other.join("codex"))
        .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0))
}

#[cfg(test)]
mod tests {
    use super::super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn the_real_one_is_preferred() {
        let temporary = tempfile::tempdir().expect("a folder");
        let (bin, other) = (temporary.path().join("bin"), temporary.path().join("other"));
        fs::create_dir(&other).expect("made");
        let path = format!("{}:relative:{}", bin.display(), other.display());
        let pod = pod(&[("PATH", &path)]);
        for _ in 0..2 {
            let said = install(&pod, &bin).expect("installed");
            assert!(said.contains("stand-in"), "{said}");
        }
        let script = fs::read_to_string(bin.join("codex")).expect("a script");
        assert_eq!(script, SCRIPT);
        fs::write(other.join("codex"), "").expect("written");
        assert!(
            install(&pod, &bin).expect("installed").contains("stand-in"),
            "no program"
        );
        fs::set_permissions(other.join("codex"), Permissions::from_mode(0o755)).expect("set");
        install(&pod, &bin).expect("installed");
        assert_eq!(fs::read_link(bin.join("codex")).expect("a link"), other.join("codex"));
        let told = super::super::super::pod::tests::pod(&[("PATH", &path), ("CODEX_PROGRAM", STAND_IN)]);
        assert_eq!(install(&told, &bin).expect("installed"), "codex is the stand-in");
    }
}
