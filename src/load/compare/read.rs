//! Reads results from files.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::Value;

use super::Named;
use crate::file_input::{self, Refusal};
use crate::load::metric::Metric;
use crate::load::metric::decode;
use crate::load::result::LoadResult;

const API_VERSION: &str = "gauntlet/v1";
const KIND: &str = "LoadResult";

/// More samples or attaches than any load has: such a file would only keep a comparison busy.
const MOST: u64 = 1 << 40;

/// A result with its histograms.
pub struct Saved {
    /// Of the file, as the user gave it.
    pub name: String,
    pub result: LoadResult,
    whole: Named,
    steady: Named,
}

/// Why a file is no result to compare.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("cannot read {name}: {}", source.in_a_line())]
    Unread { name: String, source: Refusal },
    #[error("{name} isn't a result of `gauntlet load`: {source}; give a file that `gauntlet load --out` wrote")]
    NoResult { name: String, source: ResultError },
}

/// Why a text is no result of a load.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("it is empty")]
    Empty,
    #[error("it looks like HTML or XML, as a report does")]
    Markup,
    #[error("it is not JSON: {0}")]
    NoJson(#[source] serde_json::Error),
    #[error("its kind is {0:?}, not {KIND}")]
    Kind(String),
    #[error("it is of {0:?}, this gauntlet reads {API_VERSION}")]
    Version(String),
    #[error("it has no `apiVersion: {API_VERSION}`")]
    NoVersion,
    #[error(transparent)]
    Fields(#[from] serde_json::Error),
    #[error("no load has as many attaches")]
    TooMany,
    #[error("there is no latency {0:?}")]
    NoLatency(String),
    #[error("its histogram of {0} can't be read")]
    Histogram(String),
}

impl Saved {
    /// The result that `gauntlet load --out` wrote.
    ///
    /// # Errors
    /// It can't be read, or is something else.
    pub fn read(path: &Path) -> Result<Saved, SavedError> {
        let name = path.display().to_string();
        let text = match file_input::read_text(path, file_input::OWN) {
            Ok(text) => text,
            Err(source) => return Err(SavedError::Unread { name, source }),
        };
        Saved::parse(&name, &text).map_err(|source| SavedError::NoResult { name, source })
    }

    fn parse(name: &str, text: &str) -> Result<Saved, ResultError> {
        let value: Value = serde_json::from_str(text).map_err(|error| match text.trim_start() {
            "" => ResultError::Empty,
            other if other.starts_with('<') => ResultError::Markup,
            _ => ResultError::NoJson(error),
        })?;
        let field = |name: &str| value.get(name).and_then(Value::as_str);
        match (field("apiVersion"), field("kind")) {
            (Some(API_VERSION), Some(KIND)) => {}
            (Some(API_VERSION), Some(kind)) => return Err(ResultError::Kind(kind.to_owned())),
            (Some(other), _) if other.starts_with("gauntlet/") => {
                return Err(ResultError::Version(other.to_owned()));
            }
            _ => return Err(ResultError::NoVersion),
        }
        // From the text again, for the line in the message.
        let result = serde_json::from_str(text)?;
        Saved::new(name, result)
    }

    /// # Errors
    /// A histogram can't be read.
    pub fn new(name: &str, result: LoadResult) -> Result<Saved, ResultError> {
        let counts = serde_json::to_value(&result.counts)?;
        let sane = |count: &Value| count.as_u64().is_some_and(|count| count <= MOST);
        let mut failures = result.failures.values().chain(result.probe_failures.values());
        let known = counts.as_object().is_some_and(|counts| counts.values().all(sane));
        if !known || failures.any(|count| *count > MOST) {
            return Err(ResultError::TooMany);
        }
        Ok(Saved {
            name: name.to_owned(),
            whole: histograms(&result.histograms)?,
            steady: histograms(&result.steady_histograms)?,
            result,
        })
    }

    /// Where it has samples.
    pub fn histogram(&self, steady: bool, metric: Metric) -> Option<&Histogram<u64>> {
        let all = if steady { &self.steady } else { &self.whole };
        all.get(metric.name()).filter(|histogram| !histogram.is_empty())
    }
}

fn histograms(encoded: &BTreeMap<String, String>) -> Result<Named, ResultError> {
    let named = |(name, text): (&String, &String)| -> Result<(&'static str, Histogram<u64>), ResultError> {
        let metric = Metric::from_name(name).ok_or_else(|| ResultError::NoLatency(name.clone()))?;
        let histogram = decode(text).filter(|histogram| histogram.len() <= MOST);
        let histogram = histogram.ok_or_else(|| ResultError::Histogram(name.clone()))?;
        Ok((metric.name(), histogram))
    };
    encoded.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sample;

    fn refused(text: &str) -> String {
        match Saved::parse("a.json", text) {
            Ok(_) => String::new(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn a_result_is_read_and_anything_else_is_refused() {
        let mut result = sample::passed();
        let text = serde_json::to_string(&result).expect("JSON");
        assert_eq!(refused(&text), "");
        assert_eq!(refused(" "), "it is empty");
        assert_eq!(refused("<html>"), "it looks like HTML or XML, as a report does");
        assert!(refused("{").starts_with("it is not JSON: "));
        assert_eq!(refused("[]"), "it has no `apiVersion: gauntlet/v1`");
        let of = |kind: &str| format!(r#"{{"apiVersion": "gauntlet/v1", "kind": "{kind}"}}"#);
        assert_eq!(
            refused(&of("CapacityResult")),
            "its kind is \"CapacityResult\", not LoadResult"
        );
        assert!(refused(&of("LoadResult")).starts_with("missing field "));
        assert_eq!(
            refused(&text.replace("gauntlet/v1", "gauntlet/v9")),
            "it is of \"gauntlet/v9\", this gauntlet reads gauntlet/v1"
        );
        result.histograms.insert("echo".into(), "AAAA".into());
        let text = serde_json::to_string(&result).expect("JSON");
        assert_eq!(refused(&text), "its histogram of echo can't be read");
        let mut result = sample::passed();
        result.counts.attempted = u64::MAX;
        let text = serde_json::to_string(&result).expect("JSON");
        assert_eq!(refused(&text), "no load has as many attaches");
    }

    #[test]
    fn a_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        let said = |path: &Path| {
            Saved::read(path)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(
            said(&path),
            format!("cannot read {}: there is no such file or folder", path.display())
        );
        std::fs::write(&path, "").expect("written");
        assert_eq!(
            said(&path),
            format!(
                "{} isn't a result of `gauntlet load`: it is empty; give a file that `gauntlet load --out` wrote",
                path.display()
            )
        );
    }
}
