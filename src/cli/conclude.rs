//! The end of a run: problems with its reports, and the exit code.

use std::io::Write;

use crate::cli::exit::exit_code;
use crate::events::RunResult;
use crate::redact::{Leak, Redactor};
use crate::report::{Finished, Problem, verdict_line};

/// Places of secrets that are told of one output.
const PLACES: usize = 10;

/// Tells what could not be written or must not be passed on, and gives the exit code: that of the
/// verdict, unless something is wrong that the verdict does not tell by a code of its own.
pub fn conclude(finished: &Finished, redactor: &Redactor, result: &RunResult, planned: usize) -> u8 {
    settle(
        finished,
        redactor,
        exit_code(result.verdict),
        &verdict_line(result, planned),
    )
}

/// As [`conclude`], of work that is no run: `said` is the exit code and `verdict` the line that tells why.
pub fn settle(finished: &Finished, redactor: &Redactor, said: u8, verdict: &str) -> u8 {
    let mut wrong = Vec::new();
    for problem in finished.problems.iter().filter(|problem| !problem.is_closed_output()) {
        wrong.push(problem.to_string());
    }
    if !wrong.is_empty() && finished.verdict_untold() {
        tell(verdict);
    }
    // No secret in any of it: the harness must not be the leak that it looks for.
    match finished.audit(redactor) {
        Ok(leaks) if leaks.is_empty() => {}
        Ok(leaks) => {
            wrong.extend(places(&leaks));
            wrong.push("delete what is named above, or keep it private".to_owned());
        }
        Err(error) => wrong.push(error.to_string()),
    }
    if wrong.is_empty() {
        return said;
    }
    wrong.iter().for_each(|message| tell(&redactor.redact(message)));
    match said {
        1 | 3 | 130 => said,
        _ => {
            tell(&format!("exit code 3 instead of {said}, for the reason above"));
            3
        }
    }
}

/// Tells why nothing was run: a report that could not be kept is known before the run.
pub fn refuse(problems: &[Problem]) -> u8 {
    for problem in problems {
        tell(&problem.to_string());
    }
    tell("nothing was run, as there would be no report of it");
    3
}

/// Tells why nothing was run: there was nothing to run on.
pub fn not_run(why: &str) -> u8 {
    tell(why);
    tell("nothing was run");
    3
}

/// A line for each place; of many in one output, the first ones.
fn places(leaks: &[Leak]) -> Vec<String> {
    leaks
        .chunk_by(|one, other| one.file == other.file)
        .flat_map(|of_file| {
            let more = of_file.len().saturating_sub(PLACES);
            let rest = format!("{}: {more} more lines with secrets", of_file[0].file.display());
            let shown = of_file.iter().take(PLACES).map(ToString::to_string);
            shown.chain((more > 0).then_some(rest))
        })
        .collect()
}

/// To standard error; where that is closed as well there is nobody to tell.
pub fn tell(message: &str) {
    let _closed = writeln!(std::io::stderr(), "gauntlet: {message}");
}
