//! Two runs side by side, by their JSON reports: what fails now, what doesn't any more, what came and went.

use std::path::Path;

use indexmap::IndexMap;

use super::document::{ReadError, Report, Scenario};
use super::text::{one_line, without_commands};
use super::words::{self, Outcome};
use crate::events::{RunOf, RunVerdict, Summary};

/// Two reports, and their difference.
pub struct ReportComparison {
    a: Named,
    b: Named,
    changes: Vec<Change>,
}

/// A report with the name of its file.
struct Named {
    name: String,
    report: Report,
}

/// What became of a case: of its repetitions the worst.
#[derive(Clone, Debug)]
struct State {
    outcome: Outcome,
    reason: Option<String>,
}

/// A case that is not as it was.
#[derive(Debug)]
struct Change {
    kind: Kind,
    case: String,
    before: Option<Outcome>,
    after: Option<Outcome>,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    NewFailure,
    /// It could be told before.
    NewError,
    Fixed,
    Flipped,
    Added,
    Gone,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::NewFailure,
        Kind::NewError,
        Kind::Fixed,
        Kind::Flipped,
        Kind::Added,
        Kind::Gone,
    ];

    fn title(self) -> &'static str {
        match self {
            Kind::NewFailure => "new failures",
            Kind::NewError => "can't be told any more",
            Kind::Fixed => "fixed",
            Kind::Flipped => "flipped",
            Kind::Added => "added",
            Kind::Gone => "gone",
        }
    }

    /// None where nothing is to be said.
    fn of(before: Option<Outcome>, after: Option<Outcome>) -> Option<Kind> {
        let fails = |outcome| matches!(outcome, Outcome::Fail | Outcome::UnexpectedPass | Outcome::Flaky);
        let untold = |outcome| matches!(outcome, Outcome::Error | Outcome::Interrupted);
        match (before, after) {
            (None, None) => None,
            (Some(before), Some(after)) if before == after => None,
            (Some(before), Some(after)) if fails(after) && !fails(before) => Some(Kind::NewFailure),
            (None, Some(after)) if fails(after) => Some(Kind::NewFailure),
            (Some(before), Some(after)) if untold(after) && !untold(before) => Some(Kind::NewError),
            (None, Some(after)) if untold(after) => Some(Kind::NewError),
            (Some(before), Some(Outcome::Pass)) if before != Outcome::Skip => Some(Kind::Fixed),
            (Some(_), Some(_)) => Some(Kind::Flipped),
            (None, Some(_)) => Some(Kind::Added),
            (Some(_), None) => Some(Kind::Gone),
        }
    }
}

impl ReportComparison {
    /// Of two files.
    ///
    /// # Errors
    /// One can't be read, or is no report.
    pub fn read(a: &Path, b: &Path) -> Result<ReportComparison, ReadError> {
        let named = |path: &Path| -> Result<Named, ReadError> {
            Ok(Named {
                name: path.display().to_string(),
                report: Report::read(path)?,
            })
        };
        Ok(ReportComparison::new(named(a)?, named(b)?))
    }

    fn new(a: Named, b: Named) -> ReportComparison {
        let (before, after) = (states(&a.report), states(&b.report));
        let cases = before
            .keys()
            .chain(after.keys().filter(|case| !before.contains_key(*case)));
        let mut changes: Vec<Change> = cases
            .filter_map(|case| {
                let (old, new) = (before.get(case), after.get(case));
                let (old_outcome, new_outcome) = (old.map(|s| s.outcome), new.map(|s| s.outcome));
                Some(Change {
                    kind: Kind::of(old_outcome, new_outcome)?,
                    case: case.clone(),
                    before: old_outcome,
                    after: new_outcome,
                    reason: new.and_then(|state| state.reason.clone()),
                })
            })
            .collect();
        changes.sort_by(|one, other| one.case.cmp(&other.case));
        ReportComparison { a, b, changes }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (letter, Named { name, report }) in [("A", &self.a), ("B", &self.b)] {
            let totals = &report.summary;
            let summary = Summary {
                pass: totals.pass,
                fail: totals.fail,
                error: totals.error,
                interrupted: totals.interrupted,
                not_started: totals.not_started,
                skip: totals.skip,
                expected: totals.expected,
                flaky: totals.flaky,
            };
            let (name, verdict) = (one_line(name), words::verdict(totals.verdict));
            text += &format!("{letter}  {name}: {verdict}, {}\n", words::counts(&summary));
        }
        for warning in self.warnings() {
            text += &format!("warning: {}\n", one_line(&warning));
        }
        for kind in Kind::ALL {
            let changes: Vec<&Change> = self.changes.iter().filter(|change| change.kind == kind).collect();
            if changes.is_empty() {
                continue;
            }
            text += &format!("\n{} ({})\n", kind.title(), changes.len());
            for change in changes {
                text += &line(change);
            }
        }
        text += &format!("\n{}\n", self.verdict());
        without_commands(&text).into_owned()
    }

    /// The exit code where failures that are new are not allowed: 3 where they can't be ruled out.
    pub fn exit_code(&self) -> u8 {
        match (self.count(Kind::NewFailure), self.count(Kind::NewError)) {
            (0, 0) => 0,
            (0, _) => 3,
            _ => 1,
        }
    }

    fn verdict(&self) -> String {
        match (self.count(Kind::NewFailure), self.count(Kind::NewError)) {
            (0, 0) if self.changes.is_empty() => "NO DIFFERENCE".to_owned(),
            (0, 0) => "NO NEW FAILURE".to_owned(),
            (0, 1) => "COULD NOT TELL: 1 case can't be told any more".to_owned(),
            (0, errors) => format!("COULD NOT TELL: {errors} cases can't be told any more"),
            (1, _) => "1 NEW FAILURE".to_owned(),
            (failures, _) => format!("{failures} NEW FAILURES"),
        }
    }

    fn count(&self, kind: Kind) -> usize {
        self.changes.iter().filter(|change| change.kind == kind).count()
    }

    /// What makes the comparison a weak one.
    fn warnings(&self) -> Vec<String> {
        let (a, b) = (&self.a.report, &self.b.report);
        let digest = |report: &Report| report.profile_digest.clone().unwrap_or_else(|| "none".to_owned());
        let mutants = |report: &Report| match report.mutants.is_empty() {
            true => "none".to_owned(),
            false => report.mutants.join(" "),
        };
        let settings = [
            ("target", a.target.clone(), b.target.clone()),
            ("level", a.level.clone(), b.level.clone()),
            ("selection", a.selection.join(" "), b.selection.join(" ")),
            ("profile", digest(a), digest(b)),
            ("mutants", mutants(a), mutants(b)),
        ];
        let different: Vec<String> = settings
            .into_iter()
            .filter(|(_, one, other)| one != other)
            .map(|(name, one, other)| format!("{name} `{one}` and `{other}`"))
            .collect();
        let mut warnings = Vec::new();
        if !different.is_empty() {
            warnings.push(format!("these are different runs: {}", different.join(", ")));
        }
        for Named { name, report } in [&self.a, &self.b] {
            if report.summary.verdict == RunVerdict::Interrupted {
                warnings.push(format!("{name} was interrupted: it is a part of its run"));
            }
        }
        warnings
    }
}

fn line(change: &Change) -> String {
    let word = |outcome: Option<Outcome>| outcome.map_or("–", Outcome::word);
    let (before, after) = (word(change.before), word(change.after));
    let mut text = format!("  {before:>5} → {after:5}  {}\n", one_line(&change.case));
    if let Some(reason) = &change.reason {
        text += &format!("                  {}\n", one_line(reason));
    }
    text
}

/// The cases of a report: repetitions are one.
fn states(report: &Report) -> IndexMap<String, State> {
    let mut states: IndexMap<String, State> = IndexMap::new();
    for scenario in &report.scenarios {
        let state = state(scenario);
        let case = case(scenario);
        match states.get_mut(&case) {
            Some(known) if badness(known.outcome) >= badness(state.outcome) => {}
            Some(known) => *known = state,
            None => {
                states.insert(case, state);
            }
        }
    }
    states
}

fn state(scenario: &Scenario) -> State {
    State {
        outcome: Outcome::from(
            scenario.verdict,
            scenario.expected_failure.is_some(),
            scenario.interrupted,
            scenario.flaky,
        ),
        reason: scenario.reason.clone(),
    }
}

fn case(scenario: &Scenario) -> String {
    let run = RunOf {
        id: scenario.id.clone(),
        parameters: scenario.parameters.clone().into_iter().collect(),
        repetition: None,
    };
    run.case()
}

/// Of repetitions with different ends, the one that counts.
fn badness(outcome: Outcome) -> usize {
    Outcome::ALL
        .iter()
        .rev()
        .position(|other| *other == outcome)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Verdict;
    use crate::report::file::written;
    use crate::report::{json, sample};

    fn report() -> Report {
        serde_json::from_str(&written(json::render, &sample::failing())).unwrap()
    }

    fn compared(a: Report, b: Report) -> ReportComparison {
        let named = |name: &str, report| Named {
            name: name.to_owned(),
            report,
        };
        ReportComparison::new(named("a.json", a), named("b.json", b))
    }

    fn scenario<'r>(report: &'r mut Report, id: &str) -> &'r mut Scenario {
        report.scenarios.iter_mut().find(|scenario| scenario.id == id).unwrap()
    }

    #[test]
    fn the_same_run_is_no_difference() {
        let same = compared(report(), report());
        assert!(same.text().ends_with("\n\nNO DIFFERENCE\n"), "{}", same.text());
        assert_eq!(same.exit_code(), 0);
    }

    #[test]
    fn every_change_has_its_place() {
        let (a, mut b) = (report(), report());
        let accept = scenario(&mut b, "harness-token/token/accept");
        accept.verdict = Verdict::Fail;
        accept.reason = Some("attach: expected opens,\n::error::got 401".to_owned());
        scenario(&mut b, "harness-token/warm/stale").verdict = Verdict::Pass;
        scenario(&mut b, "agent-service/jwt/rotate").verdict = Verdict::Pass;
        scenario(&mut b, "codex-auth/login/first").id = "codex-auth/login/second".to_owned();
        scenario(&mut b, "harness-token/token/both").verdict = Verdict::Error;
        b.target = "kind".to_owned();
        let changed = compared(a, b);
        insta::assert_snapshot!(changed.text(), @r"
        A  a.json: FAILED, 3 passed, 3 failed, 1 error, 1 skipped, 1 expected failure
        B  b.json: FAILED, 3 passed, 3 failed, 1 error, 1 skipped, 1 expected failure
        warning: these are different runs: target `embedded` and `kind`

        new failures (1)
           PASS → FAIL   harness-token/token/accept[direct]
                          attach: expected opens, ::error::got 401

        can't be told any more (2)
              – → ERROR  codex-auth/login/second
                          the deployment codex-login had no ready pod within 30s
           PASS → ERROR  harness-token/token/both[direct]

        fixed (1)
           FAIL → PASS   harness-token/warm/stale
                          attach old (warm-7xk2p) with the token of the secret: expected refused 401, got opened: 101 Switching Protocols, and what was typed came back on the screen

        flipped (1)
           SKIP → PASS   agent-service/jwt/rotate
                          policy jwt.unknown-kid not declared

        gone (1)
          ERROR → –      codex-auth/login/first

        1 NEW FAILURE
        ");
        assert_eq!(changed.exit_code(), 1);
    }

    #[test]
    fn what_cannot_be_told_any_more_may_be_a_failure() {
        let (a, mut b) = (report(), report());
        scenario(&mut b, "harness-token/token/accept").verdict = Verdict::Error;
        let changed = compared(a, b);
        assert_eq!(changed.exit_code(), 3);
        assert!(
            changed
                .text()
                .ends_with("\nCOULD NOT TELL: 1 case can't be told any more\n")
        );
    }

    #[test]
    fn of_repetitions_the_worst_counts() {
        let (a, mut b) = (report(), report());
        for verdict in [Verdict::Fail, Verdict::Pass] {
            let mut again = scenario(&mut b, "harness-token/token/accept").clone();
            again.verdict = verdict;
            again.repetition = Some(2);
            b.scenarios.push(again);
        }
        assert_eq!(compared(a.clone(), b).exit_code(), 1);
        // What is not there any more fails no more; it is said.
        let mut less = a.clone();
        less.scenarios.clear();
        let gone = compared(a, less);
        assert_eq!(gone.exit_code(), 0);
        assert!(gone.text().contains("\ngone (9)\n"), "{}", gone.text());
    }
}
