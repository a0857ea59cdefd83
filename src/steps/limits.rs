//! Lengths of time: how long the harness waits, and what steps say of time.

use std::time::Duration;

use super::observation::StepError;
use crate::vocabulary::duration;

/// How long the harness waits for an answer before it says that there was none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a TCP connection and TLS.
    pub connect: Duration,
    /// For an HTTP answer, or the answer to an upgrade.
    pub answer: Duration,
    /// For what was typed to be on the screen.
    pub screen: Duration,
    /// For a session, a rollout or a pod to be ready.
    pub ready: Duration,
    /// Between two looks at a session that is being made: at first, and at most.
    pub pause: (Duration, Duration),
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            screen: Duration::from_secs(5),
            ready: Duration::from_secs(30),
            pause: (Duration::from_millis(2), Duration::from_millis(250)),
        }
    }
}

impl Limits {
    /// Where each connection goes through an API server, and pods are containers.
    pub fn of_a_cluster() -> Limits {
        Limits {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(15),
            screen: Duration::from_secs(15),
            ready: Duration::from_secs(180),
            // A pod takes a second or more, and each look has a way of its own through the API server and the node.
            pause: (Duration::from_millis(200), Duration::from_millis(400)),
        }
    }
}

/// A length of time of a step, which must be some.
pub fn length(key: &str, text: Option<&str>, default: Duration) -> Result<Duration, StepError> {
    let length = match text {
        None => default,
        Some(text) => duration::parse(text).ok_or_else(|| {
            StepError::Arguments(format!("{key}: {text:?} is not a length of time: {}", duration::FORM))
        })?,
    };
    match length.is_zero() {
        true => Err(StepError::Arguments(format!("{key}: it must be more than nothing"))),
        false => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MOST: Duration = Duration::from_secs(20);

    #[test]
    fn lengths() {
        assert_eq!(length("at-most", None, AT_MOST).expect("default"), AT_MOST);
        assert_eq!(
            length("at-most", Some("2s"), AT_MOST).expect("good"),
            Duration::from_secs(2)
        );
        assert!(length("at-most", Some("soon"), AT_MOST).is_err());
        assert!(length("smallest-effect", Some("0us"), AT_MOST).is_err());
    }
}
