//! The kubeconfig that `up` writes.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::Kubeconfig;
use tokio::net::TcpStream;

use super::error::UpError;
use crate::cli::exit::UsageError;
use crate::file_input;
use crate::world::kubeconfig;

/// How long a server may take to answer, where a file that is there leads to one.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A path where a kubeconfig can be written without overwriting anything needed.
pub struct KubeconfigFile {
    /// Absolute: another terminal may be in another folder.
    pub path: PathBuf,
    written: String,
}

impl KubeconfigFile {
    /// Looks at the place before anything is started. Another file is left as it is, and so is one that
    /// leads to a platform that still runs. `context` is the name that tells gauntlet's own.
    pub async fn claim(path: &Path, context: &str) -> Result<KubeconfigFile, UsageError> {
        let shown = path.display();
        let path = std::path::absolute(path).map_err(|error| UsageError(format!("{shown}: {error}")))?;
        let in_the_way = |why: &str| {
            UsageError(format!(
                "{shown} already exists, and {why}; `--kubeconfig` names another"
            ))
        };
        let found = match std::fs::symlink_metadata(&path) {
            Err(_) => None,
            Ok(found) if !found.is_file() => return Err(in_the_way("isn't a regular file")),
            Ok(_) => Some(kubeconfig::read(&path)),
        };
        if let Some(found) = found {
            let config = found
                .ok()
                .filter(|config| config.current_context.as_deref() == Some(context));
            let Some(config) = config else {
                return Err(in_the_way("is not one that `gauntlet up` wrote"));
            };
            if context == EMBEDDED && answers(&config).await {
                return Err(in_the_way("leads to a platform that is up"));
            }
        }
        Ok(KubeconfigFile {
            path,
            written: String::new(),
        })
    }

    /// Writes it, whole or not at all. A kubeconfig contains a token, so only its owner may read it.
    pub fn write(&mut self, config: &Kubeconfig) -> Result<(), UpError> {
        let doing = || format!("writing {}", self.path.display());
        let text = serde_saphyr::to_string(config).map_err(|error| UpError::doing(doing(), error))?;
        self.put(&text).map_err(|error| UpError::doing(doing(), error))?;
        self.written = text;
        Ok(())
    }

    fn put(&self, text: &str) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::Builder::new()
            .prefix(".gauntlet-kubeconfig-")
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what was written. What somebody else put there since stays.
    pub fn remove(self) {
        let is_ours = file_input::read_text(&self.path, file_input::SMALL).is_ok_and(|text| text == self.written);
        if is_ours {
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// The context of an embedded platform's kubeconfig.
pub const EMBEDDED: &str = "gauntlet";

/// Whether something listens where a kubeconfig leads to.
async fn answers(config: &Kubeconfig) -> bool {
    let server = config
        .clusters
        .iter()
        .find_map(|named| named.cluster.as_ref()?.server.as_deref());
    let address = server.and_then(|server| server.split("://").nth(1)?.parse::<SocketAddr>().ok());
    let Some(address) = address else { return false };
    let connecting = tokio::time::timeout(ANSWERS_WITHIN, TcpStream::connect(address));
    matches!(connecting.await, Ok(Ok(_)))
}
