//! Kubeconfigs that a user names.

use std::path::{MAIN_SEPARATOR, Path};

use kube::config::{Kubeconfig, KubeconfigError};

use crate::file_input::{self, Refusal};
use crate::world::kube_error::kube_error;

/// Why a file is no kubeconfig: without the path.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", .0.in_a_line())]
    File(#[from] Refusal),
    #[error("{}", kube_error(.0))]
    Kubeconfig(#[from] KubeconfigError),
}

/// Reads a kubeconfig. What it names by a relative path lies beside it, as for kubectl.
///
/// # Errors
/// The file can't be read, or isn't a kubeconfig.
pub fn read(path: &Path) -> Result<Kubeconfig, ReadError> {
    let text = file_input::read_text(path, file_input::SMALL)?;
    let mut config = Kubeconfig::from_yaml(&text)?;
    let Some(folder) = path.parent() else {
        return Ok(config);
    };
    let beside = |named: &mut Option<String>| {
        if let Some(relative) = named.as_deref().filter(|file| Path::new(file).is_relative())
            && let Some(file) = folder.join(relative).to_str()
        {
            *named = Some(file.to_owned());
        }
    };
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        beside(&mut cluster.certificate_authority);
    }
    for user in config
        .auth_infos
        .iter_mut()
        .filter_map(|named| named.auth_info.as_mut())
    {
        beside(&mut user.client_certificate);
        beside(&mut user.client_key);
        beside(&mut user.token_file);
        if let Some(exec) = &mut user.exec
            // A bare name is looked for in PATH.
            && exec.command.as_deref().is_some_and(|command| command.contains(MAIN_SEPARATOR))
        {
            beside(&mut exec.command);
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_of_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("k.yaml");
        let text = "clusters: [{ name: a, cluster: { server: 'https://a', certificate-authority: ca.pem } }]\n\
                    users:\n\
                    - { name: a, user: { client-certificate: c.pem, client-key: /k.pem, exec: { command: bin/x } } }\n\
                    - { name: b, user: { tokenFile: t, exec: { command: x } } }\n";
        std::fs::write(&path, text).expect("written");
        let ours = read(&path).expect("read");
        let theirs = Kubeconfig::read_from(&path).expect("read");
        let shown = |config: &Kubeconfig| serde_saphyr::to_string(config).expect("YAML");
        assert_eq!(shown(&ours), shown(&theirs));
        assert!(shown(&ours).contains(&folder.path().join("ca.pem").display().to_string()));
    }
}
