//! The platform's image on top of a user's base image, whose files and programs it uses.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::image::{PROGRAM, REPOSITORY};
use super::tool::{DOCKER, ToolError};

/// Why there is no image on top of another.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    #[error("the base image {base} is not on this machine, and pulling it failed: {source}")]
    NotHere { base: String, source: ToolError },
    #[error("reading {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("putting gauntlet onto the base image {base}: {source}")]
    Make { base: String, source: ToolError },
    #[error(
        "gauntlet does not run on the base image {base}, which needs the C library and the libgcc that it was built with: {source}"
    )]
    DoesNotRun { base: String, source: ToolError },
}

/// An image on top of a base, not made yet.
pub struct OnBase<'b> {
    base: &'b str,
    binary: &'b Path,
    /// Names what it is made of: a cluster that has the name has the image.
    pub name: String,
}

impl<'b> OnBase<'b> {
    /// Finds the base, or has the engine pull it.
    pub async fn find(base: &'b str, binary: &'b Path) -> Result<OnBase<'b>, BaseError> {
        let inspect = || DOCKER.run(["image", "inspect", "--format", "{{.Id}}", base]);
        let id = match inspect().await {
            Ok(id) => id,
            Err(_) => {
                let not_here = |source| BaseError::NotHere {
                    base: base.to_owned(),
                    source,
                };
                DOCKER.run(["pull", "--quiet", base]).await.map_err(not_here)?;
                inspect().await.map_err(not_here)?
            }
        };
        let program = tokio::fs::read(binary).await.map_err(|source| BaseError::Read {
            path: binary.display().to_string(),
            source,
        })?;
        let digest = Sha256::new().chain_update(id.trim()).chain_update(program).finalize();
        let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(OnBase {
            base,
            binary,
            name: format!("{REPOSITORY}:on-{short}"),
        })
    }

    /// Makes it in the engine, and looks whether it runs.
    pub async fn make(&self) -> Result<(), BaseError> {
        let failed = |source| BaseError::Make {
            base: self.base.to_owned(),
            source,
        };
        let made = DOCKER.run(["create", self.base, PROGRAM]).await.map_err(failed)?;
        let container = made.trim();
        let committed = self.commit(container).await;
        let removed = DOCKER.run(["rm", "--force", container]).await;
        committed.and(removed.map(drop)).map_err(failed)?;
        let runs = DOCKER
            .run(["run", "--rm", "--network", "none", &self.name, "--version"])
            .await;
        if let Err(source) = runs {
            self.remove().await;
            let base = self.base.to_owned();
            return Err(BaseError::DoesNotRun { base, source });
        }
        Ok(())
    }

    /// Takes it from the engine: the node has it by now.
    pub async fn remove(&self) {
        // One that stays does no harm but for its room.
        let _left = DOCKER.run(["image", "rm", "--force", &self.name]).await;
    }

    async fn commit(&self, container: &str) -> Result<(), ToolError> {
        let binary = self.binary.display().to_string();
        let place = format!("{container}:{PROGRAM}");
        DOCKER.run(["cp", "--follow-link", &binary, &place]).await?;
        let entrypoint = format!("ENTRYPOINT [\"{PROGRAM}\"]");
        let changes = ["--change", &entrypoint, "--change", "CMD []", "--change", "WORKDIR /"];
        let commit = ["commit"].into_iter().chain(changes).chain([container, &self.name]);
        DOCKER.run(commit).await.map(drop)
    }
}
