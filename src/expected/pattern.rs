//! Which runs an entry means.

use globset::{Glob, GlobMatcher};

use crate::events::RunOf;
use crate::scenario::Scenario;
use crate::vocabulary::similar::nearest;

/// Which runs of which scenarios: `a/b/c`, `a/b/c[proxy]`, `a/*/c[proxy]`.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the file has it.
    pub text: String,
    id: Id,
    /// The values of the matrix; none for all of them.
    case: Option<String>,
}

#[derive(Clone, Debug)]
enum Id {
    Exact(String),
    Glob(GlobMatcher),
}

/// A text that means no runs.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    #[error("`scenario` is an id, an id with a case as `a/b/c[proxy]`, or a glob")]
    NoId,
    #[error("`{id}` isn't a pattern: {}", .source.kind())]
    Glob { id: String, source: globset::Error },
}

impl Pattern {
    /// Brackets at the end contain a case of the matrix, never a character class.
    ///
    /// # Errors
    /// No id, or an invalid glob.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let (id, case) = match text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
            Some((id, case)) => (id, Some(case.to_owned())),
            None => (text, None),
        };
        if id.is_empty() {
            return Err(PatternError::NoId);
        }
        let matcher = match id.contains(['*', '?', '[', '{']) {
            false => Id::Exact(id.to_owned()),
            true => {
                let glob = Glob::new(id).map_err(|source| PatternError::Glob {
                    id: id.to_owned(),
                    source,
                })?;
                Id::Glob(glob.compile_matcher())
            }
        };
        Ok(Pattern {
            text: text.to_owned(),
            id: matcher,
            case,
        })
    }

    fn is_id(&self, id: &str) -> bool {
        match &self.id {
            Id::Exact(exact) => exact == id,
            Id::Glob(glob) => glob.is_match(id),
        }
    }

    /// Whether a run is meant, in whichever repetition.
    pub fn is_match(&self, run: &RunOf) -> bool {
        self.is_id(&run.id) && self.case.as_ref().is_none_or(|wanted| *wanted == run.values())
    }

    /// What to say, and what to do, where no scenario has such a run.
    pub fn unknown(&self, scenarios: &[Scenario]) -> Option<(String, Option<String>)> {
        let matched: Vec<&Scenario> = scenarios.iter().filter(|scenario| self.is_id(&scenario.id)).collect();
        if matched.is_empty() {
            let ids = || scenarios.iter().map(|scenario| scenario.id.as_str());
            return Some(match &self.id {
                Id::Glob(_) => (format!("`{}` matches no scenario", self.text), None),
                Id::Exact(id) => {
                    let below = format!("{}/", id.trim_end_matches('/'));
                    let help = match ids().any(|known| known.starts_with(&below)) {
                        true => Some(format!("for all below it: `{below}**`")),
                        false => nearest(id, ids()).map(|near| format!("did you mean `{near}`?")),
                    };
                    (format!("there is no scenario `{id}`"), help)
                }
            });
        }
        let case = self.case.as_ref()?;
        let mut cases: Vec<String> = matched.iter().flat_map(|scenario| scenario.cases()).collect();
        if cases.contains(case) {
            return None;
        }
        cases.retain(|case| !case.is_empty());
        cases.sort();
        cases.dedup();
        let message = match matched.as_slice() {
            [scenario] => format!("`{}` has no case `{case}`", scenario.id),
            _ => format!(
                "none of the scenarios that `{}` matches has the case `{case}`",
                self.text
            ),
        };
        let help = match (cases.as_slice(), nearest(case, cases.iter().map(String::as_str))) {
            ([], _) => "it has no matrix: leave the brackets out".to_owned(),
            (_, Some(near)) => format!("did you mean `{near}`?"),
            (known, None) => format!("its cases: {}", known.join(" and ")),
        };
        Some((message, Some(help)))
    }
}
