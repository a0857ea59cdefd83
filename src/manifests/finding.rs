//! What is found out about manifests: a rule, how it is judged, and where.

use std::sync::Arc;

use super::document::Document;
use crate::yaml::{Problem, Source};

/// How a rule is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The manifests break it.
    Fail,
    /// The manifests can't tell.
    Skip,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        }
    }
}

/// A rule that manifests can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// That of the scenario which proves the same on a running platform, if any.
    pub id: &'static str,
    /// What holds where it is kept.
    pub holds: &'static str,
}

/// One rule, judged for one object.
#[derive(Clone, Debug)]
pub struct Finding {
    pub rule: &'static str,
    pub verdict: Verdict,
    /// The object that was judged: `Deployment litellm`; none if there is none.
    pub subject: Option<String>,
    /// Message, place and what to do.
    pub problem: Problem,
}

impl Rule {
    /// What is wrong, or that nothing is.
    pub fn judge(self, subject: &Document, problems: Vec<Problem>) -> Vec<Finding> {
        if problems.is_empty() {
            return vec![self.pass(subject)];
        }
        let failed = problems.into_iter().map(|problem| self.fail(subject, problem));
        failed.collect()
    }

    /// It is kept.
    pub fn pass(self, subject: &Document) -> Finding {
        Finding {
            rule: self.id,
            verdict: Verdict::Pass,
            subject: Some(subject.title()),
            problem: subject.problem(subject.place(), self.holds),
        }
    }

    /// It is broken.
    pub fn fail(self, subject: &Document, problem: Problem) -> Finding {
        Finding {
            rule: self.id,
            verdict: Verdict::Fail,
            subject: Some(subject.title()),
            problem,
        }
    }

    /// An object can't tell, for the reason that is the problem's message.
    pub fn skip(self, subject: &Document, problem: Problem) -> Finding {
        Finding {
            rule: self.id,
            verdict: Verdict::Skip,
            subject: Some(subject.title()),
            problem,
        }
    }

    /// There is nothing to judge.
    pub fn without(self, why: impl Into<String>) -> Finding {
        Finding {
            rule: self.id,
            verdict: Verdict::Skip,
            subject: None,
            problem: nowhere(why),
        }
    }
}

/// A message about what isn't there.
fn nowhere(message: impl Into<String>) -> Problem {
    let nothing: Arc<Source> = Source::new("these manifests", "");
    Problem::of_file(&nothing, message)
}

/// How a rule was judged, each time.
#[cfg(test)]
pub fn verdicts(found: &[Finding], rule: Rule) -> Vec<Verdict> {
    let of_rule = found.iter().filter(|finding| finding.rule == rule.id);
    of_rule.map(|finding| finding.verdict).collect()
}

/// What a contract says of these manifests, where everything has its names.
#[cfg(test)]
pub fn found_in(text: &str, check: fn(&[Document], &super::Names) -> Vec<Finding>) -> Vec<Finding> {
    let manifests = super::read_texts(vec![("t.yaml".into(), text.into())]).expect("manifests");
    check(&manifests.documents, &crate::vocabulary::names::contract())
}
