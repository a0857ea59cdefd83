//! Words common to all reports.

use crate::events::{At, CheckResult, Flaky, RunResult, RunVerdict, ScenarioResult, Summary, Verdict};

/// A scenario run's verdict, with what was expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    Fail,
    Error,
    /// Stopped on its way, as the whole run was.
    Interrupted,
    Skip,
    /// It failed, and the file of expected failures says so.
    ExpectedFailure,
    /// It passed, though the file of expected failures says otherwise.
    UnexpectedPass,
    /// It passed only when it was tried again.
    Flaky,
    /// The same, where the run may pass with it.
    ToleratedFlaky,
}

impl Outcome {
    /// All, those first that somebody has to look at.
    pub(super) const ALL: [Outcome; 9] = [
        Outcome::Fail,
        Outcome::UnexpectedPass,
        Outcome::Flaky,
        Outcome::Error,
        Outcome::Interrupted,
        Outcome::ExpectedFailure,
        Outcome::ToleratedFlaky,
        Outcome::Skip,
        Outcome::Pass,
    ];

    pub(super) fn of(result: &ScenarioResult) -> Outcome {
        let expected = result.expected_failure.is_some();
        Outcome::from(result.verdict, expected, result.interrupted, result.flaky)
    }

    /// Of a verdict, with whether a failure was expected, whether the run was stopped on its way, and whether it passed
    /// when it was tried again.
    pub(super) fn from(verdict: Verdict, expected: bool, interrupted: bool, flaky: Option<Flaky>) -> Outcome {
        match (verdict, expected) {
            _ if flaky.is_some_and(|flaky| flaky.tolerated) => Outcome::ToleratedFlaky,
            _ if flaky.is_some() => Outcome::Flaky,
            (Verdict::Fail, true) => Outcome::ExpectedFailure,
            (Verdict::Pass, true) => Outcome::UnexpectedPass,
            (Verdict::Pass, false) => Outcome::Pass,
            (Verdict::Fail, false) => Outcome::Fail,
            (Verdict::Error, _) if interrupted => Outcome::Interrupted,
            (Verdict::Error, _) => Outcome::Error,
            (Verdict::Skip, _) => Outcome::Skip,
        }
    }

    /// As it stands before a scenario's name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "PASS",
            Outcome::Fail => "FAIL",
            Outcome::Error => "ERROR",
            Outcome::Interrupted => "INTR",
            Outcome::Skip => "SKIP",
            Outcome::ExpectedFailure => "XFAIL",
            Outcome::UnexpectedPass => "XPASS",
            Outcome::Flaky | Outcome::ToleratedFlaky => "FLAKY",
        }
    }

    /// Whether somebody has to look at it.
    pub(super) fn is_bad(self) -> bool {
        matches!(
            self,
            Outcome::Fail | Outcome::Error | Outcome::UnexpectedPass | Outcome::Flaky
        )
    }
}

/// Why a scenario run has its verdict, where that is known in words.
pub(super) fn reason(result: &ScenarioResult) -> Option<String> {
    match (Outcome::of(result), &result.expected_failure) {
        (Outcome::ExpectedFailure, Some(why)) => Some(format!("expected: {why}")),
        (Outcome::UnexpectedPass, Some(why)) => Some(format!(
            "it passed, but is listed as an expected failure ({why}); \
             take it off the list"
        )),
        _ => match (&result.reason, &result.expired_expectation) {
            (Some(reason), Some(expired)) => Some(format!("{reason}; {expired}")),
            (reason, expired) => reason.as_ref().or(expired.as_ref()).cloned(),
        },
    }
}

/// The explanation of a bad result: a reason, without what only repeats the one
/// check that failed, and the checks.
pub(super) fn story(result: &ScenarioResult) -> (Option<String>, Vec<&CheckResult>) {
    let bad: Vec<&CheckResult> = result
        .checks
        .iter()
        .filter(|c| matches!(c.verdict, Verdict::Fail | Verdict::Error))
        .collect();
    let told = |check: &CheckResult| result.reason == Some(check.why());
    match bad.as_slice() {
        [only] if Outcome::of(result) == Outcome::Fail && told(only) => (result.expired_expectation.clone(), bad),
        _ => (reason(result), bad),
    }
}

/// The place in a scenario file that a verdict rests on: of the first bad check, else of the scenario.
pub(super) fn place(result: &ScenarioResult) -> Option<&At> {
    let mut checks = result.checks.iter();
    let bad = checks.find(|c| matches!(c.verdict, Verdict::Fail | Verdict::Error));
    bad.map(|check| &check.at).or(result.at.as_ref())
}

/// `12 passed, 1 failed, 0 errors, 2 skipped`.
pub(super) fn counts(summary: &Summary) -> String {
    let Summary {
        pass,
        fail,
        error,
        interrupted,
        not_started: _,
        skip,
        expected,
        flaky,
    } = summary;
    let errors = if *error == 1 { "error" } else { "errors" };
    let mut text = format!("{pass} passed, {fail} failed, {error} {errors}, {skip} skipped");
    match expected {
        0 => {}
        1 => text += ", 1 expected failure",
        n => text += &format!(", {n} expected failures"),
    }
    if *flaky > 0 {
        text += &format!(", {flaky} flaky");
    }
    if *interrupted > 0 {
        text += &format!(", {interrupted} interrupted");
    }
    text
}

/// The verdict on a run in one word or two.
pub(super) fn verdict(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Passed => "PASSED",
        RunVerdict::Failed => "FAILED",
        RunVerdict::Error => "COULD NOT TELL",
        RunVerdict::NothingRan => "NOTHING RAN",
        RunVerdict::Partial => "PARTIAL",
        RunVerdict::Interrupted => "INTERRUPTED",
    }
}

/// What that verdict means for the reader, with the exit code.
pub(super) fn meaning(result: &RunResult, planned: usize) -> String {
    let Summary {
        pass,
        fail,
        error,
        interrupted,
        not_started,
        skip,
        expected,
        flaky,
    } = result.summary;
    match result.verdict {
        RunVerdict::Passed if flaky > 0 => format!(
            "{} passed only when tried again, which --flaky pass allows; nothing else failed (exit code 0)",
            scenarios(flaky)
        ),
        RunVerdict::Failed if fail == 0 && flaky > 0 => format!(
            "{} failed, and passed only when tried again{} (exit code 1; 0 with --flaky pass)",
            scenarios(flaky),
            match error {
                0 => String::new(),
                n => format!("; {} could not be judged", scenarios(n)),
            }
        ),
        RunVerdict::Error if error == 0 && flaky > 0 => format!(
            "{} could not be judged at first, and passed only when tried again (exit code 3; 0 with --flaky pass)",
            scenarios(flaky)
        ),
        RunVerdict::Passed if expected > 0 => format!(
            "every scenario held but {}, as is known{} (exit code 0)",
            match expected {
                1 => "1 that was expected to fail".to_owned(),
                n => format!("{n} that were expected to fail"),
            },
            match skip {
                0 => String::new(),
                n => format!("; the {n} skipped {} not judged", were(n)),
            }
        ),
        RunVerdict::Passed if skip > 0 => format!(
            "every scenario that ran held; the {skip} skipped {} not judged (exit code 0)",
            were(skip)
        ),
        RunVerdict::Passed => "every scenario held (exit code 0)".to_owned(),
        RunVerdict::Failed => format!(
            "in {} the platform did not do what was expected{} (exit code 1)",
            scenarios(fail),
            match error {
                0 => String::new(),
                n => format!("; {} could not be judged", scenarios(n)),
            }
        ),
        RunVerdict::Error => format!(
            "no check failed, but {} could not be judged: the platform may be right or wrong \
             (exit code 3)",
            scenarios(error)
        ),
        RunVerdict::NothingRan => "no scenario was run, so nothing is shown: look at the selection, the level and \
             the reasons for skipping (exit code 4)"
            .to_owned(),
        RunVerdict::Partial => "nothing failed, but core scenarios of the selected contracts were skipped, so this \
             run does not show that the contracts hold (exit code 5; 0 with --allow-partial)"
            .to_owned(),
        RunVerdict::Interrupted => format!(
            "{}stopped before the end and cleaned up; of {}, {} finished, {interrupted} {} interrupted on the way and \
             {not_started} never started (exit code 130)",
            match fail {
                0 => String::new(),
                n => format!("in {} the platform did not do what was expected; ", scenarios(n)),
            },
            scenarios(planned),
            pass + fail + error + skip + expected + flaky,
            were(interrupted),
        ),
    }
}

/// The verdict on a run in a line: `PASSED: every scenario held (exit code 0)`.
pub fn verdict_line(result: &RunResult, planned: usize) -> String {
    format!("{}: {}", verdict(result.verdict), meaning(result, planned))
}

/// `1 scenario`, `2 scenarios`.
pub(super) fn scenarios(n: usize) -> String {
    match n {
        1 => "1 scenario".to_owned(),
        n => format!("{n} scenarios"),
    }
}

fn were(n: usize) -> &'static str {
    if n == 1 { "was" } else { "were" }
}
