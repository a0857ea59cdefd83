//! What comes of a step: what it saw, or why it could not be carried out.

use std::error::Error;
use std::fmt::Display;

use serde_json::Value;

use crate::world::exhausted::Exhausted;
use crate::world::installation::InstallationError;
use crate::world::kube_error::kube_error;
use crate::world::rollout::RolloutError;

/// Any error that a step can meet.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a step could not be carried out: the harness could not tell.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// What the scenario asks for can't be done: its file has to be put right.
    #[error("{0}")]
    Arguments(String),
    /// What the step itself sees to be wrong with the platform or its surroundings; no other error stands behind it.
    #[error("{0}")]
    Because(String),
    #[error("{doing}: {source}")]
    Doing { doing: String, source: Cause },
    /// It asked a cluster, or connected to something.
    #[error("{doing}: {}", kube_error(&**source))]
    Asking { doing: String, source: Cause },
    #[error("the header {name}: {source}; a `raw` step can send what is not a header")]
    Header { name: String, source: ::http::Error },
    #[error(transparent)]
    Lacking(#[from] Lacking),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(transparent)]
    Rollout(#[from] RolloutError),
}

/// What this machine ran out of, and in the middle of what: that says nothing of the platform.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing}: {said}")]
pub struct Lacking {
    doing: String,
    /// The error that says it, in words.
    said: String,
    #[source]
    exhausted: Exhausted,
}

impl StepError {
    /// `asking what: what the cluster said`.
    pub fn asking(what: impl Display, error: impl Error + Send + Sync + 'static) -> StepError {
        Exhausted::note(&error);
        StepError::Asking {
            doing: what.to_string(),
            source: Box::new(error),
        }
    }

    /// Whether an error is for the step to observe, as one of the other side's doing is.
    ///
    /// # Errors
    /// This machine ran out of something, which says nothing of the platform.
    pub fn unless_exhausted(doing: impl Display, error: &(dyn Error + 'static)) -> Result<(), Lacking> {
        match Exhausted::note(error) {
            Some(exhausted) => Err(Lacking {
                doing: doing.to_string(),
                said: kube_error(error),
                exhausted,
            }),
            None => Ok(()),
        }
    }

    /// `doing what: what came back`.
    pub fn doing(doing: impl Display, error: impl Into<Cause>) -> StepError {
        StepError::Doing {
            doing: doing.to_string(),
            source: error.into(),
        }
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
        assert_eq!(error.exhausted, Exhausted::Ports);
        insta::assert_snapshot!(error, @"GET / at 127.0.0.1:3000: Cannot assign requested address (os error 99): this machine has no port left to connect from (EADDRNOTAVAIL): widen `sysctl net.ipv4.ip_local_port_range`, or run fewer scenarios at once with `--jobs`");
    }

    #[test]
    fn what_came_back_stays_what_it_was() {
        let io = || std::io::Error::from(Errno::CONNRESET);
        for error in [StepError::doing("look", io()), StepError::asking("look", io())] {
            assert_eq!(error.to_string(), "look: Connection reset by peer (os error 104)");
            let source = error
                .source()
                .and_then(|source| source.downcast_ref::<std::io::Error>());
            assert_eq!(source.and_then(Errno::from_io_error), Some(Errno::CONNRESET));
        }
        assert_eq!(
            StepError::doing("look", "nothing there").to_string(),
            "look: nothing there"
        );
    }
}
