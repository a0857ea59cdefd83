//! The init container: makes the folder of the logins ready, then ends. It waits for nobody: a pod without a
//! login has to boot, or nobody could make one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::super::{ComponentError, Pod, mutant};
use super::account::Account;
use super::folder::Folder;

pub fn run(pod: &Pod) -> Result<(), ComponentError> {
    let folder = Folder::of(pod);
    let path = folder.path();
    let wrong = |error: std::io::Error| ComponentError(format!("making {} ready: {error}", path.display()));
    fs::create_dir_all(path).map_err(wrong)?;
    // A volume's root belongs to the node; where it isn't ours its files are still of mode 0600.
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o700)) {
        let line = format!("codex-auth-seed: the mode of {} stays: {error}", path.display());
        pod.log.line(line);
    }
    if pod.has(&mutant::SEED_CLEARS_LOGINS) {
        for account in Account::ALL {
            folder.remove(&account.file()).map_err(wrong)?;
        }
    }
    let removed = folder.sweep().map_err(wrong)?;
    let logins: Vec<Account> = Account::ALL
        .into_iter()
        .filter(|account| folder.has(&account.file()))
        .collect();
    if logins.is_empty() && pod.has(&mutant::SEED_NEEDS_LOGIN) {
        return Err(ComponentError(format!("there is no login in {}", path.display())));
    }
    pod.log.line(format!(
        "codex-auth-seed: {} is ready, with {} logins; {} left-over files removed",
        path.display(),
        logins.len(),
        removed.len()
    ));
    Ok(())
}
