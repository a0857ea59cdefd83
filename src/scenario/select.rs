//! Which scenarios are meant: ids, groups of ids, patterns, tags, levels.
//!
//! `harness-token/warm/stale` is one scenario, `harness-token/warm` all below it,
//! `*/*/stale` a pattern, `tag:warm` and `level:core` what they say; `!` before any of them
//! takes scenarios out. The order of selectors means nothing: chosen is what some selector
//! names (everything, if all have a `!`) less what a selector with `!` names.

use std::collections::HashSet;

use globset::{Glob, GlobMatcher};

use super::model::{Level, Scenario};
use super::problem::nearest;

/// What a selector can know of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Selectable<'s> {
    pub id: &'s str,
    pub tags: &'s [String],
    pub level: Level,
}

impl<'s> From<&'s Scenario> for Selectable<'s> {
    fn from(scenario: &'s Scenario) -> Self {
        Selectable {
            id: &scenario.id,
            tags: &scenario.tags,
            level: scenario.level,
        }
    }
}

/// Why selectors can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("the selector `{selector}` matches no scenario{}", did_you_mean(.nearest))]
    Nothing { selector: String, nearest: Option<String> },
    #[error("the selector `{selector}` is no pattern: {reason}")]
    Pattern { selector: String, reason: String },
    #[error("the selector `{selector}` names nothing")]
    Empty { selector: String },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    match nearest {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

/// Chooses among scenarios: the indexes of the chosen ones, in their own order.
pub fn select<'s, S>(scenarios: &'s [S], selectors: &[String]) -> Result<Vec<usize>, SelectError>
where
    Selectable<'s>: From<&'s S>,
{
    let all: Vec<Selectable<'s>> = scenarios.iter().map(Selectable::from).collect();
    let mut wanted: HashSet<usize> = HashSet::new();
    let mut unwanted: HashSet<usize> = HashSet::new();
    let mut some_wanted = false;
    for selector in selectors {
        let (negative, body) = match selector.strip_prefix('!') {
            Some(body) => (true, body),
            None => (false, selector.as_str()),
        };
        let matcher = Matcher::new(selector, body)?;
        let matched: Vec<usize> = (0..all.len()).filter(|i| matcher.is_match(&all[*i])).collect();
        if matched.is_empty() {
            return Err(SelectError::Nothing {
                selector: selector.clone(),
                nearest: matcher.nearest(&all).map(|near| match negative {
                    true => format!("!{near}"),
                    false => near,
                }),
            });
        }
        some_wanted |= !negative;
        if negative { &mut unwanted } else { &mut wanted }.extend(matched);
    }
    Ok((0..all.len())
        .filter(|index| !unwanted.contains(index))
        .filter(|index| !some_wanted || wanted.contains(index))
        .collect())
}

enum Matcher<'a> {
    Prefix(&'a str),
    Glob(&'a str, GlobMatcher),
    Tag(&'a str),
    Level(&'a str),
}

impl<'a> Matcher<'a> {
    fn new(selector: &str, body: &'a str) -> Result<Matcher<'a>, SelectError> {
        if let Some(tag) = body.strip_prefix("tag:") {
            return Ok(Matcher::Tag(tag));
        }
        if let Some(level) = body.strip_prefix("level:") {
            return Ok(Matcher::Level(level));
        }
        if body.contains(['*', '?', '[', '{']) {
            let glob = Glob::new(body).map_err(|error| SelectError::Pattern {
                selector: selector.to_owned(),
                reason: error.kind().to_string(),
            })?;
            return Ok(Matcher::Glob(body, glob.compile_matcher()));
        }
        match body.trim_end_matches('/') {
            "" => Err(SelectError::Empty {
                selector: selector.to_owned(),
            }),
            prefix => Ok(Matcher::Prefix(prefix)),
        }
    }

    fn is_match(&self, scenario: &Selectable<'_>) -> bool {
        match self {
            Matcher::Prefix(prefix) => match scenario.id.strip_prefix(prefix) {
                Some(rest) => rest.is_empty() || rest.starts_with('/'),
                None => false,
            },
            Matcher::Glob(_, glob) => glob.is_match(scenario.id),
            Matcher::Tag(tag) => scenario.tags.iter().any(|known| known == tag),
            Matcher::Level(level) => level_name(scenario.level) == *level,
        }
    }

    /// A selector of the same kind that is near this one and matches something.
    fn nearest(&self, all: &[Selectable<'_>]) -> Option<String> {
        match self {
            Matcher::Prefix(text) | Matcher::Glob(text, _) => {
                // Ids and all that stands before a `/` in one.
                let known: Vec<&str> = all
                    .iter()
                    .flat_map(|s| {
                        let starts = s.id.match_indices('/').map(|(at, _)| &s.id[..at]);
                        starts.chain(std::iter::once(s.id))
                    })
                    .collect();
                // A name alone, for one that remembers the end of an id.
                let ending = || {
                    let ending = format!("/{text}");
                    known.iter().copied().find(|id| id.ends_with(&ending))
                };
                nearest(text, known.iter().copied()).or_else(ending).map(str::to_owned)
            }
            Matcher::Tag(tag) => {
                let tags = all.iter().flat_map(|s| s.tags.iter().map(String::as_str));
                nearest(tag, tags).map(|near| format!("tag:{near}"))
            }
            Matcher::Level(level) => {
                let levels = [Level::Core, Level::Extended].map(level_name);
                nearest(level, levels).map(|near| format!("level:{near}"))
            }
        }
    }
}

/// The name of a level, as in files and selectors.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Core => "core",
        Level::Extended => "extended",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Fake(&'static str, Vec<String>, Level);

    impl<'s> From<&'s Fake> for Selectable<'s> {
        fn from(fake: &'s Fake) -> Self {
            Selectable {
                id: fake.0,
                tags: &fake.1,
                level: fake.2,
            }
        }
    }

    fn fakes() -> Vec<Fake> {
        let tags = |tags: &[&str]| tags.iter().map(|t| (*t).to_owned()).collect();
        vec![
            Fake("harness-token/token/accept", tags(&[]), Level::Core),
            Fake("harness-token/token/refuse", tags(&["slow"]), Level::Core),
            Fake("harness-token/warm/stale", tags(&["warm"]), Level::Core),
            Fake("codex-auth/seed/refuse", tags(&["slow"]), Level::Extended),
        ]
    }

    fn chosen(selectors: &[&str]) -> Result<Vec<usize>, SelectError> {
        let selectors: Vec<String> = selectors.iter().map(|s| (*s).to_owned()).collect();
        select(fakes().leak(), &selectors)
    }

    #[test]
    fn kinds_of_selectors() {
        assert_eq!(chosen(&[]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(chosen(&["harness-token/warm/stale"]), Ok(vec![2]));
        assert_eq!(chosen(&["harness-token/token"]), Ok(vec![0, 1]));
        assert_eq!(chosen(&["harness-token/token/"]), Ok(vec![0, 1]));
        assert_eq!(chosen(&["*/*/refuse"]), Ok(vec![1, 3]));
        assert_eq!(chosen(&["tag:slow", "!level:extended"]), Ok(vec![1]));
        assert_eq!(chosen(&["!harness-token"]), Ok(vec![3]));
        assert_eq!(chosen(&["harness-token", "!harness-token"]), Ok(vec![]));
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        assert!(chosen(&["harness-tok"]).is_err());
    }

    #[test]
    fn what_matches_nothing_is_an_error_with_the_nearest() {
        let message = |selector: &str| chosen(&[selector]).expect_err("nothing").to_string();
        assert_eq!(
            message("harness-token/warm/stael"),
            "the selector `harness-token/warm/stael` matches no scenario; \
             did you mean `harness-token/warm/stale`?"
        );
        assert_eq!(
            message("!tag:slwo"),
            "the selector `!tag:slwo` matches no scenario; did you mean `!tag:slow`?"
        );
        assert!(message("stale").ends_with("did you mean `harness-token/warm/stale`?"));
        assert!(message("level:cor").ends_with("did you mean `level:core`?"));
        assert!(message("[").contains("is no pattern"));
        assert!(message("!").contains("names nothing"));
    }

    proptest! {
        #[test]
        fn order_means_nothing(
            picks in prop::collection::vec(prop::sample::select(vec![
                "harness-token", "!harness-token/warm", "tag:slow", "!tag:slow", "level:core",
                "*/*/refuse", "!codex-auth", "harness-token/token/accept",
            ]), 0..6).prop_shuffle()
        ) {
            let mut sorted = picks.clone();
            sorted.sort_unstable();
            prop_assert_eq!(chosen(&picks), chosen(&sorted));
        }

        #[test]
        fn a_negative_only_takes_away(extra in prop::sample::select(vec!["tag:slow", "codex-auth", "level:core"])) {
            let with = chosen(&["harness-token", "codex-auth", &format!("!{extra}")]).expect("good");
            let without = chosen(&["harness-token", "codex-auth"]).expect("good");
            prop_assert!(with.iter().all(|index| without.contains(index)));
        }

        #[test]
        fn never_panics(selector in "\\PC{0,20}") {
            let _ = chosen(&[&selector]);
        }
    }
}
