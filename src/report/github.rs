//! Commands that GitHub Actions makes annotations of.
//!
//! Only these lines are commands: all that the platform has said stands within one, escaped as GitHub's documents say.

use std::io;
use std::path::Path;

use super::collect::Run;
use super::text::{one_line, printable, without_commands};
use super::words::{self, Outcome};
use crate::events::{RunVerdict, ScenarioResult};

/// Annotations of a kind that GitHub shows of one step; it leaves out the rest without a word.
const SHOWN: usize = 10;

/// The report of a run as text.
pub(super) fn render(run: &Run, _evidence: &Path) -> io::Result<String> {
    let annotations: Vec<String> = run.scenarios.iter().filter_map(|result| annotation(result)).collect();
    let verdict = words::verdict_line(&run.result, run.info.scenarios);
    let kind = match run.result.verdict {
        RunVerdict::Passed => "notice",
        RunVerdict::Partial | RunVerdict::Interrupted | RunVerdict::NothingRan => "warning",
        RunVerdict::Failed | RunVerdict::Error => "error",
    };
    let bad = run.scenarios.iter().filter(|result| Outcome::of(result).is_bad());
    let errors = bad.count();
    let rest = match errors.saturating_sub(SHOWN - 1) {
        0 => String::new(),
        _ => format!("; GitHub shows the first {SHOWN} errors of a step only, the log has all {errors}"),
    };
    // First, for it to be among those that are shown.
    let head = command(kind, &[("title", "gauntlet".to_owned())], &format!("{verdict}{rest}"));
    Ok(head + &annotations.concat())
}

fn annotation(result: &ScenarioResult) -> Option<String> {
    let outcome = Outcome::of(result);
    let kind = match outcome {
        Outcome::Fail | Outcome::UnexpectedPass | Outcome::Error | Outcome::Flaky => "error",
        Outcome::Interrupted | Outcome::ToleratedFlaky => "warning",
        Outcome::Pass | Outcome::Skip | Outcome::ExpectedFailure => return None,
    };
    let (reason, bad) = words::story(result);
    let mut lines = vec![result.title.clone()];
    lines.extend(reason);
    for check in bad {
        lines.push(check.what.clone());
        lines.push(format!("expected {}", check.expected));
        lines.push(format!("got {}", check.got));
    }
    let title = format!("{} {}", outcome.word(), result.run);
    let mut properties: Vec<(&str, String)> = Vec::new();
    if let Some(at) = words::place(result) {
        properties.push(("file", at.file.clone()));
        properties.push(("line", at.line.to_string()));
        properties.push(("col", at.column.to_string()));
    }
    properties.push(("title", title));
    Some(command(kind, &properties, &lines.join("\n")))
}

/// A line that is a command, whatever the values are.
fn command(name: &str, properties: &[(&str, String)], message: &str) -> String {
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, value)| format!("{name}={}", property(value)))
        .collect();
    let message = without_commands(&printable(message)).into_owned();
    format!("::{name} {}::{}\n", properties.join(","), data(&message))
}

/// A message: its lines are one.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value: nothing in it ends it.
fn property(text: &str) -> String {
    let text = without_commands(&one_line(text)).into_owned();
    data(&text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::events::Event;
    use crate::report::file::written;
    use crate::report::sample;

    #[test]
    fn each_bad_end_is_an_annotation_at_its_place() {
        let text = written(render, &sample::one_failure());
        insta::assert_snapshot!(text, @r"
        ::error title=gauntlet::FAILED: in 1 scenario the platform did not do what was expected (exit code 1)
        ::error file=scenarios/harness-token/warm/stale.yaml,line=14,col=5,title=FAIL harness-token/warm/stale::Warm pods older than the token refuse it until they are deleted%0Aattach old (warm-7xk2p) with the token of the secret%0Aexpected refused 401%0Agot opened: 101 Switching Protocols, and what was typed came back on the screen
        ");
        assert_eq!(
            written(render, &sample::passing()),
            "::notice title=gauntlet::PASSED: every scenario held (exit code 0)\n"
        );
    }

    #[test]
    fn what_a_platform_says_is_no_command() {
        for hostile in [
            "x\n::set-env name=PATH::/tmp\r\n::stop-commands::t",
            "a,line=1::b%0A::error::c ##[add-path]/tmp ##vso[task.setvariable]",
        ] {
            let mut events = sample::with_text(hostile);
            for event in &mut events {
                if let Event::ScenarioFinished(result) = event {
                    let result = Arc::make_mut(result);
                    result.run.id = hostile.to_owned();
                    result.checks[0].at.file = hostile.to_owned();
                }
            }
            let text = written(render, &events);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}");
            assert!(lines.iter().all(|line| line.starts_with("::error ")), "{text}");
            assert!(
                !text.contains('\r') && !text.contains("##[") && !text.contains("##vso["),
                "{text}"
            );
            // The properties end where ours do, and there is no other.
            let (properties, _) = lines[1]["::error ".len()..].split_once("::").unwrap();
            let names: Vec<&str> = properties.split(',').map(|p| p.split('=').next().unwrap()).collect();
            assert_eq!(names, ["file", "line", "col", "title"], "{text}");
        }
        assert_eq!(data("100%\n"), "100%25%0A");
    }

    #[test]
    fn what_github_leaves_out_is_said() {
        let mut events = sample::one_failure();
        let failed = events
            .iter()
            .find(|event| matches!(event, Event::ScenarioFinished(result) if Outcome::of(result).is_bad()))
            .unwrap()
            .clone();
        for _ in 0..10 {
            events.insert(1, failed.clone());
        }
        let text = written(render, &events);
        assert!(text.contains("the log has all 11\n"), "{text}");
    }
}
