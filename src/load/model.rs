//! The model of a load: what lets the next attach and the next echo begin.

use serde::{Deserialize, Serialize};

/// What lets the next one begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Model {
    /// The schedule, whatever the platform does. Latencies are from the intended moment.
    #[default]
    Open,
    /// An answer: at most so many attaches are being opened at once, and each has at most one echo that isn't answered.
    /// Latencies are from the actual start, since nothing is intended before it.
    Closed(u32),
}

/// As results name the models.
const OPEN: &str = "open";
const CLOSED: &str = "closed";

impl Model {
    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            Model::Open => OPEN,
            Model::Closed(_) => CLOSED,
        }
    }

    /// The attaches that one of several workers may be opening at once; none if the schedule decides.
    pub fn at_once(self, turn: u32, workers: u32) -> Option<u32> {
        match self {
            Model::Open => None,
            Model::Closed(all) => Some(all / workers + u32::from(turn < all % workers)),
        }
    }
}

/// Whether a result's model is the closed one.
pub fn is_closed(model: &str) -> bool {
    model == CLOSED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_what_may_be_opened_at_once() {
        for (all, workers) in [(10, 3), (3, 3), (64, 1), (7, 5)] {
            let shares = (0..workers).map(|turn| Model::Closed(all).at_once(turn, workers));
            let shares: Vec<u32> = shares.map(|share| share.expect("closed")).collect();
            assert_eq!(shares.iter().sum::<u32>(), all, "{shares:?}");
            assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        }
        assert_eq!(Model::Open.at_once(0, 1), None);
    }

    #[test]
    fn a_model_comes_back() {
        for model in [Model::Open, Model::Closed(10)] {
            let text = serde_json::to_string(&model).expect("JSON");
            assert_eq!(serde_json::from_str::<Model>(&text).expect(&text), model);
            assert_eq!(is_closed(model.name()), model != Model::Open);
        }
    }
}
