//! What this machine has to make clusters with.

use super::cluster::KindError;
use super::tool::{DOCKER, KIND, ToolError};

/// The oldest `kind` that starts a node of a current Kubernetes: its nodes have a containerd configuration of version 3.
pub(super) const OLDEST: [u64; 3] = [0, 27, 0];

/// Versions of what makes clusters here.
#[derive(Clone, Debug)]
pub struct Machine {
    pub kind: String,
    pub engine: String,
}

/// The programs that are needed are there, new enough, and answer.
pub async fn check_machine() -> Result<Machine, KindError> {
    let version = KIND.ask(["version", "--quiet"]).await.map_err(KindError::Machine)?;
    let found = version.trim().trim_start_matches('v');
    if numbers(found) < OLDEST {
        return Err(KindError::Old {
            found: found.to_owned(),
        });
    }
    match DOCKER.ask(["version", "--format", "{{.Server.Version}}"]).await {
        Ok(engine) => Ok(Machine {
            kind: found.to_owned(),
            engine: engine.trim().to_owned(),
        }),
        Err(missing @ ToolError::Missing { .. }) => Err(KindError::Machine(missing)),
        Err(error) => Err(KindError::NoEngine(error)),
    }
}

/// The first three numbers of a version; what is none counts as 0.
fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = [0; 3];
    let parts = version.split(|c: char| !c.is_ascii_digit());
    for (number, part) in numbers.iter_mut().zip(parts) {
        *number = part.parse().unwrap_or(0);
    }
    numbers
}

pub(super) fn dotted(version: &[u64]) -> String {
    let parts: Vec<String> = version.iter().map(u64::to_string).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.33.0") > OLDEST);
        assert!(numbers("0.27.0") == OLDEST);
        assert!(numbers("0.9.1") < OLDEST);
        assert!(numbers("1.0.0-alpha+abc") > OLDEST);
        assert!(numbers("") < OLDEST);
    }
}
