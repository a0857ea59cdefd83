//! The cost of a load to the target platform's pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::load::result::LoadResult;

/// What a load cost the platform's pods, as their kubelets and the API server have counted it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetSide {
    pub namespace: String,
    /// Which pods of it; all, where there is none.
    pub selector: Option<String>,
    pub pods: BTreeMap<String, PodCost>,
    /// What could not be read, and what would allow it.
    pub notes: Vec<String>,
}

/// A pod's share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodCost {
    /// Seconds of processor time.
    pub processor: Option<f64>,
    /// The most bytes of memory, of those that the kubelet saw.
    pub peak_working_set: Option<u64>,
    /// The most processes.
    pub processes: Option<u64>,
    /// The most open descriptors of all its containers; none if the kubelet doesn't tell them.
    pub peak_descriptors: Option<u64>,
    /// Restarts of its containers during the load.
    pub restarts: u32,
}

/// What stands above them.
pub const TITLE: &str = "Pods of the target";

impl TargetSide {
    /// A line for each pod, with its name, and then what could not be read.
    pub fn lines(&self) -> Vec<(&str, String)> {
        let pods = self.pods.iter().map(|(name, cost)| (name.as_str(), cost.text()));
        pods.chain(self.notes.iter().map(|note| ("", note.clone()))).collect()
    }

    /// Which pods, in words.
    pub fn what(&self) -> String {
        match &self.selector {
            Some(selector) => format!("those of namespace {} with {selector}", self.namespace),
            None => format!("those of namespace {}", self.namespace),
        }
    }
}

impl PodCost {
    /// Of pods that had one name, one after the other.
    pub fn and(self, other: PodCost) -> PodCost {
        let sum = |one: Option<f64>, other: Option<f64>| one.map(|one| one + other.unwrap_or_default()).or(other);
        PodCost {
            processor: sum(self.processor, other.processor),
            peak_working_set: self.peak_working_set.max(other.peak_working_set),
            processes: self.processes.max(other.processes),
            peak_descriptors: self.peak_descriptors.max(other.peak_descriptors),
            restarts: self.restarts + other.restarts,
        }
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(seconds) = self.processor {
            parts.push(format!("{seconds:.1} s of processor"));
        }
        if let Some(bytes) = self.peak_working_set {
            parts.push(format!("{:.1} MB at most", bytes as f64 / 1e6));
        }
        match self.processes {
            Some(1) => parts.push("1 process".to_owned()),
            Some(processes) => parts.push(format!("{processes} processes")),
            None => {}
        }
        parts.push(match self.peak_descriptors {
            Some(descriptors) => format!("{descriptors} descriptors at most"),
            None => "descriptors not told".to_owned(),
        });
        parts.push(match self.restarts {
            0 => "no restart".to_owned(),
            1 => "1 RESTART".to_owned(),
            restarts => format!("{restarts} RESTARTS"),
        });
        parts.join(", ")
    }
}

impl LoadResult {
    /// With what it cost the target's pods.
    pub fn with_target_side(mut self, side: Option<TargetSide>) -> LoadResult {
        self.target_side = side;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known() {
        let known = PodCost {
            processor: Some(12.34),
            peak_working_set: Some(51_300_000),
            processes: Some(3),
            peak_descriptors: Some(120),
            restarts: 2,
        };
        assert_eq!(
            known.text(),
            "12.3 s of processor, 51.3 MB at most, 3 processes, 120 descriptors at most, 2 RESTARTS"
        );
        assert_eq!(PodCost::default().text(), "descriptors not told, no restart");
        let both = known.and(PodCost {
            processor: Some(1.0),
            peak_working_set: Some(60_000_000),
            processes: None,
            peak_descriptors: Some(90),
            restarts: 1,
        });
        assert_eq!(
            both.text(),
            "13.3 s of processor, 60.0 MB at most, 3 processes, 120 descriptors at most, 3 RESTARTS"
        );
    }
}
