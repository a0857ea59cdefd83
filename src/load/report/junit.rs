//! JUnit XML, as CI servers read it: a case for each objective, one for the door, and one for the load as a whole, so
//! that nothing is green where the exit code isn't 0.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{plan, what};
use crate::load::http::HttpResult;
use crate::load::objective::{Judged, Kept};
use crate::load::result::{LoadResult, Verdict};
use crate::load::summary::{summary, times};
use crate::report::{one_line, printable};

const SUITE: &str = "gauntlet load";

/// # Errors
/// None that is known; the library's own.
pub fn render(result: &LoadResult) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(SUITE);
    let time = Duration::try_from_secs_f64(result.ended).unwrap_or_default();
    suite.set_time(time);
    for (name, value) in plan(result) {
        // The flag is for people.
        let name = name.split(" (").next().unwrap_or(name);
        suite.add_property(Property::new(name, printable(&value)));
    }
    for judged in &result.objectives {
        suite.add_test_case(case(&judged.objective, objective(judged, result)));
    }
    suite.add_test_case(case("no door opened without the right token", door(result)));
    if let Some(side) = &result.http {
        let name = "no door of the HTTP side opened that has to be shut";
        suite.add_test_case(case(name, http(side)));
    }
    let mut whole = case(&format!("the load: {}", what(result)), whole(result));
    whole.set_time(time);
    whole.set_system_out(printable(&summary(result)));
    suite.add_test_case(whole);
    let mut report = Report::new("gauntlet");
    report.timestamp = result.started.parse().ok();
    suite.timestamp = report.timestamp;
    report.set_time(time);
    report.add_test_suite(suite);
    report.to_string()
}

fn case(name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(one_line(name), status);
    case.set_classname(SUITE);
    case
}

fn bad(kind: NonSuccessKind, name: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(one_line(message));
    status
}

fn objective(judged: &Judged, result: &LoadResult) -> TestCaseStatus {
    let message = format!("{}: {}", judged.objective, judged.found);
    let here = result.lacked_here() > 0;
    match (judged.kept, result.verdict) {
        (Kept::CouldNotTell, _) => bad(NonSuccessKind::Error, "could-not-tell", &message),
        // Half a load keeps and breaks what a whole one doesn't.
        (_, Verdict::Interrupted) => bad(NonSuccessKind::Error, "interrupted", &message),
        (Kept::Yes, _) => TestCaseStatus::success(),
        // What this machine lacks is counted with the errors but doesn't count against the platform.
        (Kept::No | Kept::NotEnoughSamples, _) if here => bad(NonSuccessKind::Error, "local", &message),
        (Kept::No, _) => bad(NonSuccessKind::Failure, "broken", &message),
        (Kept::NotEnoughSamples, _) => bad(NonSuccessKind::Failure, "not-enough-samples", &message),
    }
}

fn door(result: &LoadResult) -> TestCaseStatus {
    let counts = &result.counts;
    if counts.probes_opened > 0 {
        let message = format!("the door opened {} of {}", times(counts.probes_opened), counts.probes);
        return bad(NonSuccessKind::Failure, "opened", &message);
    }
    if counts.probes == 0 {
        let mut status = TestCaseStatus::skipped();
        status.set_message("nobody tried without the right token");
        return status;
    }
    if counts.probes_refused == 0 {
        // That nothing opened proves nothing where nothing answered.
        let message = format!("none of {} attaches was refused with 401", counts.probes);
        return bad(NonSuccessKind::Error, "no-answer", &message);
    }
    TestCaseStatus::success()
}

fn http(side: &HttpResult) -> TestCaseStatus {
    if side.opened() > 0 {
        let message = format!("a shut door opened {}", times(side.opened()));
        return bad(NonSuccessKind::Failure, "opened", &message);
    }
    if let Some(why) = &side.lost {
        return bad(NonSuccessKind::Error, "lost", why);
    }
    let mut shut = side.requests.iter().filter(|(_, requests)| requests.shut);
    // That nothing opened proves nothing where nothing answered.
    match shut.find(|(_, requests)| requests.right == 0) {
        Some((name, _)) => {
            let message = format!("none of {name} was refused as it has to be");
            bad(NonSuccessKind::Error, "no-answer", &message)
        }
        None => TestCaseStatus::success(),
    }
}

fn whole(result: &LoadResult) -> TestCaseStatus {
    let (kind, name) = match result.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => (NonSuccessKind::Failure, "fail"),
        Verdict::Error => (NonSuccessKind::Error, "could-not-tell"),
        Verdict::Interrupted => (NonSuccessKind::Error, "interrupted"),
    };
    let interrupted = (result.verdict == Verdict::Interrupted).then(|| {
        format!(
            "interrupted after {:.1} s: what follows is of a part of it",
            result.ended
        )
    });
    let reasons: Vec<&str> = interrupted.iter().chain(&result.reasons).map(String::as_str).collect();
    let mut status = bad(kind, name, reasons.first().unwrap_or(&result.verdict.word()));
    status.set_description(printable(&reasons.join("\n")));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sample;

    /// Tests, failures, errors and skips.
    fn counted(result: &LoadResult) -> (usize, usize, usize, usize) {
        let text = render(result).expect("a report");
        let read = Report::deserialize_from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (read.tests, read.failures, read.errors, read.skipped)
    }

    #[test]
    fn a_case_for_each_objective_and_two_more() {
        assert_eq!(counted(&sample::passed()), (3, 0, 0, 0));
        assert_eq!(counted(&sample::failed()), (5, 4, 0, 0));
    }

    #[test]
    fn what_was_found_is_the_message() {
        let text = render(&sample::failed()).expect("a report");
        for part in [
            "<testcase name=\"errors == 0\" classname=\"gauntlet load\">",
            "message=\"errors == 0: 3\" type=\"broken\"",
            "message=\"attach.p99.9 &lt; 1s: 1000 samples, and it needs 10000\" type=\"not-enough-samples\"",
            "message=\"the door opened 2 times of 20\" type=\"opened\"",
            "message=\"the door opened 2 times without the right token\" type=\"fail\"",
            "<property name=\"arrivals\" value=\"500/s\"/>",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn what_could_not_be_told_is_an_error_and_never_green() {
        let mut result = sample::passed();
        result.verdict = Verdict::Error;
        result.objectives = vec![sample::judged("attach.p50 < 1s", Kept::CouldNotTell, "5 ms")];
        assert_eq!(counted(&result), (3, 0, 2, 0));
        result.objectives = vec![sample::judged("errors == 0", Kept::No, "5")];
        result.failures.insert("local: no ports left (EADDRNOTAVAIL)".into(), 5);
        assert_eq!(counted(&result), (3, 0, 2, 0));
        result.verdict = Verdict::Interrupted;
        assert_eq!(counted(&result), (3, 0, 2, 0));
        let text = render(&result).expect("a report");
        let message = "message=\"interrupted after 12.5 s: what follows is of a part of it\" type=\"interrupted\"";
        assert!(text.contains(message), "{text}");
    }

    #[test]
    fn the_http_side_has_a_case_of_its_own() {
        let with = |http| counted(&sample::passed().with_http(http));
        assert_eq!(with(sample::http()), (4, 0, 0, 0));
        assert_eq!(with(sample::opened()), (4, 2, 0, 0));
        let mut lost = sample::http();
        lost.lost = Some("its worker has ended".into());
        assert_eq!(with(lost), (4, 0, 2, 0));
    }

    #[test]
    fn a_door_that_nobody_tried_is_no_proof() {
        let mut result = sample::passed();
        result.counts.probes_refused = 0;
        result.counts.probes_otherwise = 20;
        assert_eq!(counted(&result), (3, 0, 1, 0));
        result.counts.probes = 0;
        assert_eq!(counted(&result), (3, 0, 0, 1));
    }

    #[test]
    fn any_text_makes_well_formed_xml() {
        use proptest::prelude::*;
        proptest!(ProptestConfig::with_cases(64), |(text in any::<String>())| {
            let mut result = sample::failed();
            result.load.target = text.clone();
            result.reasons.push(text.clone());
            result.objectives[0].objective = text.clone();
            result.examples[0].said = Some(text);
            let read = Report::deserialize_from_str(&render(&result).expect("a report"));
            prop_assert!(read.is_ok(), "{:?}", read);
        });
    }
}
