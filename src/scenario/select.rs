//! Selects scenarios: ids, groups of ids, patterns, tags, levels.
//!
//! `harness-token/warm/stale` is one scenario, `harness-token/warm` all below it,
//! `*/*/stale` a pattern, `tag:warm` and `level:core` what they say, and `[proxy]` behind the first
//! three only that case of the matrix; `!` before any of them takes runs out. The order of selectors
//! means nothing: chosen is what some selector names (everything, if all have a `!`) less what a
//! selector with `!` names.

use std::collections::HashSet;

use globset::{Glob, GlobMatcher};
use indexmap::IndexSet;

use crate::vocabulary::Level;
use crate::vocabulary::similar::{nearest, suggestion};

/// What a selector can know of a scenario's run.
#[derive(Clone, Debug, PartialEq)]
pub struct Selectable<'s> {
    pub id: &'s str,
    /// The values of its matrix, empty without one: `proxy`, `proxy,first`.
    pub case: &'s str,
    pub tags: &'s [String],
    pub level: Level,
}

/// Why selectors can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("the selector `{selector}` matches no scenario{}", behind(.hint))]
    Nothing { selector: String, hint: Option<String> },
    #[error("the selector `{selector}` isn't a pattern: {reason}")]
    Pattern { selector: String, reason: String },
    #[error("the selector `{selector}` names nothing")]
    Empty { selector: String },
    #[error("the selectors with `!` take out all that is selected")]
    NoneLeft,
}

fn behind(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
}

/// Chooses among runs: the indexes of the chosen ones, in their own order. Of some, at least one.
pub fn select(all: &[Selectable<'_>], selectors: &[String]) -> Result<Vec<usize>, SelectError> {
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
                hint: matcher.hint(all, if negative { "!" } else { "" }),
            });
        }
        some_wanted |= !negative;
        if negative { &mut unwanted } else { &mut wanted }.extend(matched);
    }
    let chosen: Vec<usize> = (0..all.len())
        .filter(|index| !unwanted.contains(index))
        .filter(|index| !some_wanted || wanted.contains(index))
        .collect();
    match chosen.is_empty() && !all.is_empty() {
        true => Err(SelectError::NoneLeft),
        false => Ok(chosen),
    }
}

enum Matcher<'a> {
    /// One case of what another selector names.
    Case(Box<Matcher<'a>>, &'a str),
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
        // What stands in brackets at the end is a case, never a class of characters.
        if let Some((of, case)) = body.strip_suffix(']').and_then(|body| body.rsplit_once('[')) {
            return Ok(Matcher::Case(Box::new(Matcher::new(selector, of)?), case));
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
            Matcher::Case(of, case) => scenario.case == *case && of.is_match(scenario),
            Matcher::Prefix(prefix) => match scenario.id.strip_prefix(prefix) {
                Some(rest) => rest.is_empty() || rest.starts_with('/'),
                None => false,
            },
            Matcher::Glob(_, glob) => glob.is_match(scenario.id),
            Matcher::Tag(tag) => scenario.tags.iter().any(|known| known == tag),
            Matcher::Level(level) => level_name(scenario.level) == *level,
        }
    }

    /// The selector without its `!`.
    fn text(&self) -> String {
        match self {
            Matcher::Case(of, case) => format!("{}[{case}]", of.text()),
            Matcher::Prefix(text) | Matcher::Glob(text, _) => (*text).to_owned(),
            Matcher::Tag(tag) => format!("tag:{tag}"),
            Matcher::Level(level) => format!("level:{level}"),
        }
    }

    /// What to say where it matches nothing: a selector of the same kind, with `not` before it, that does.
    fn hint(&self, all: &[Selectable<'_>], not: &str) -> Option<String> {
        let meant = |selector: String| format!("did you mean `{not}{selector}`?");
        match self {
            Matcher::Case(of, case) => {
                let cases: IndexSet<&str> = all.iter().filter(|run| of.is_match(run)).map(|run| run.case).collect();
                let named = || cases.iter().copied().filter(|case| !case.is_empty());
                match (cases.is_empty(), named().next(), nearest(case, named())) {
                    (true, ..) => of.hint(all, not),
                    (_, None, _) => Some(format!("`{}` has no matrix: leave the brackets out", of.text())),
                    (_, _, Some(near)) => Some(meant(format!("{}[{near}]", of.text()))),
                    (_, _, None) => Some(suggestion(case, named().collect::<Vec<_>>(), "cases of it")),
                }
            }
            Matcher::Prefix(text) | Matcher::Glob(text, _) => {
                // Ids and all that stands before a `/` in one.
                let known: IndexSet<&str> = all
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
                let near = nearest(text, known.iter().copied()).or_else(ending);
                near.map(|near| meant(near.to_owned()))
            }
            Matcher::Tag(tag) => {
                let tags: IndexSet<&str> = all.iter().flat_map(|s| s.tags.iter().map(String::as_str)).collect();
                Some(match nearest(tag, tags.iter().copied()) {
                    Some(near) => meant(format!("tag:{near}")),
                    None => suggestion(tag, tags, "tags"),
                })
            }
            Matcher::Level(level) => {
                let levels = [Level::Core, Level::Extended].map(level_name);
                Some(match nearest(level, levels) {
                    Some(near) => meant(format!("level:{near}")),
                    None => suggestion(level, levels, "levels"),
                })
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

    fn all() -> Vec<Selectable<'static>> {
        let run = |id, case, tags: &[&str], level| Selectable {
            id,
            case,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>().leak(),
            level,
        };
        vec![
            run("harness-token/token/accept", "", &[], Level::Core),
            run("harness-token/token/refuse", "direct", &["slow"], Level::Core),
            run("harness-token/token/refuse", "proxy", &["slow"], Level::Core),
            run("harness-token/warm/stale", "", &["warm"], Level::Core),
            run("codex-auth/seed/refuse", "proxy", &["slow"], Level::Extended),
        ]
    }

    fn chosen(selectors: &[&str]) -> Result<Vec<usize>, SelectError> {
        let selectors: Vec<String> = selectors.iter().map(|s| (*s).to_owned()).collect();
        select(&all(), &selectors)
    }

    #[test]
    fn kinds_of_selectors() {
        assert_eq!(chosen(&[]), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(chosen(&["harness-token/warm/stale"]), Ok(vec![3]));
        assert_eq!(chosen(&["harness-token/token"]), Ok(vec![0, 1, 2]));
        assert_eq!(chosen(&["harness-token/token/"]), Ok(vec![0, 1, 2]));
        assert_eq!(chosen(&["*/*/refuse"]), Ok(vec![1, 2, 4]));
        assert_eq!(chosen(&["tag:slow", "!level:extended"]), Ok(vec![1, 2]));
        assert_eq!(chosen(&["!harness-token"]), Ok(vec![4]));
    }

    #[test]
    fn one_case_of_a_matrix() {
        assert_eq!(chosen(&["harness-token/token/refuse[proxy]"]), Ok(vec![2]));
        assert_eq!(chosen(&["harness-token[proxy]"]), Ok(vec![2]));
        assert_eq!(chosen(&["*/*/refuse[proxy]"]), Ok(vec![2, 4]));
        assert_eq!(chosen(&["*/*/[a-z]efuse[proxy]"]), Ok(vec![2, 4]));
        assert_eq!(
            chosen(&["harness-token/token", "!harness-token/token/refuse[proxy]"]),
            Ok(vec![0, 1])
        );
    }

    #[test]
    fn selectors_that_leave_nothing() {
        for selectors in [["harness-token", "!harness-token"], ["!harness-token", "!codex-auth"]] {
            assert_eq!(chosen(&selectors), Err(SelectError::NoneLeft));
        }
        assert_eq!(select(&[], &[]), Ok(vec![]));
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
        assert!(message("level:all").ends_with("; known levels: core, extended"));
        assert!(message("tag:nope").ends_with("; known tags: slow, warm"));
        assert!(message("harness-token/token/refuse[prxoy]").ends_with("mean `harness-token/token/refuse[proxy]`?"));
        assert!(message("!harness-token/token/refuse[x]").ends_with("; known cases of it: direct, proxy"));
        assert!(message("harness-token/token/accept[x]").ends_with("has no matrix: leave the brackets out"));
        assert!(message("[").contains("isn't a pattern"));
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
            let with = chosen(&["harness-token", "codex-auth", &format!("!{extra}")]).expect("some are left");
            let without = chosen(&["harness-token", "codex-auth"]).expect("good");
            prop_assert!(with.iter().all(|index| without.contains(index)));
        }

        #[test]
        fn never_panics(selector in "\\PC{0,20}") {
            let _ = chosen(&[&selector]);
        }
    }
}
