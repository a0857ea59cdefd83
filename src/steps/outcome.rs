//! What comes of a step: what it saw, or why it could not be carried out.

use serde_json::Value;

use crate::world::exhausted::Exhausted;
use crate::world::kube_error::kube_error;

/// Why a step could not be carried out: the harness could not tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StepError(pub String);

impl StepError {
    /// `asking what: what the cluster said`.
    pub fn asking(what: impl std::fmt::Display, error: impl std::error::Error + 'static) -> StepError {
        Exhausted::note(&error);
        StepError(format!("{what}: {}", kube_error(&error)))
    }

    /// Whether an error is for the step to observe, as one of the other side's doing is.
    ///
    /// # Errors
    /// This machine ran out of something, which says nothing of the platform.
    pub fn unless_exhausted(
        doing: impl std::fmt::Display,
        error: &(dyn std::error::Error + 'static),
    ) -> Result<(), StepError> {
        match Exhausted::note(error) {
            Some(_) => Err(StepError(format!("{doing}: {}", kube_error(error)))),
            None => Ok(()),
        }
    }

    /// `doing what: what came back`.
    pub fn doing(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> StepError {
        StepError(format!("{doing}: {error}"))
    }
}

/// What a step did and what it saw.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What it did, in words: `attach session 4f2a through the proxy`.
    pub what: String,
    /// The fields that predicates and templates name.
    pub value: Value,
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_this_machine_lacks_is_no_observation() {
        let broken =
            |errno: Errno| StepError::unless_exhausted("GET / at 127.0.0.1:3000", &std::io::Error::from(errno));
        assert!(broken(Errno::CONNRESET).is_ok() && broken(Errno::CONNREFUSED).is_ok());
        let error = broken(Errno::ADDRNOTAVAIL).expect_err("no port is left");
        insta::assert_snapshot!(error, @"GET / at 127.0.0.1:3000: Cannot assign requested address (os error 99): this machine has no port left to connect from (EADDRNOTAVAIL): widen `sysctl net.ipv4.ip_local_port_range`, or run fewer scenarios at once with `--jobs`");
    }
}
