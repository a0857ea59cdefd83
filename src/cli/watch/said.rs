//! What is printed: a line with its time for each change, each round, and what else is to be known.

use std::io::Write;

use jiff::Timestamp;

use super::tally::{Change, Judged, Round, word};
use crate::events::Verdict;
use crate::report::one_line;

/// A line for a change of verdict.
pub fn changed(change: Change, judged: &Judged) -> String {
    let from = change.from.map_or("new", word);
    let reason = judged.reason.as_deref().map(|reason| format!(": {reason}"));
    let evidence = judged
        .evidence
        .as_ref()
        .map(|folder| format!(" (evidence: {})", folder.display()));
    format!(
        "{from} → {}  {}{}{}",
        word(change.to),
        judged.name(),
        reason.unwrap_or_default(),
        evidence.unwrap_or_default()
    )
}

/// What is printed.
pub struct Said {
    pub out: Box<dyn Write + Send>,
    pub quiet: bool,
}

impl Said {
    /// A line with the time. Whoever closed standard output still has the history and the metrics.
    pub fn line(&mut self, text: &str) {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let _closed = writeln!(self.out, "{now}  {}", one_line(text)).and_then(|()| self.out.flush());
    }

    /// A line for a round that is over.
    pub fn of_round(&mut self, number: u64, round: &Round) {
        if self.quiet || round.not_judged.is_some() {
            return;
        }
        let count = |verdict: Verdict| round.rules.iter().filter(|rule| rule.verdict == verdict).count();
        self.line(&format!(
            "round {number}: {} passed, {} failed, {} errors, {} skipped in {:.1} s",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::Error),
            count(Verdict::Skip),
            round.duration_ms / 1e3
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_the_rule_the_reason_and_the_evidence() {
        let judged = Judged {
            reason: Some("attach: expected opens, got status 502".into()),
            evidence: Some("reports/watch/x/evidence/c__g__r__direct".into()),
            ..super::super::tally::tests::judged(Verdict::Fail)
        };
        let change = Change {
            from: Some(Verdict::Pass),
            to: Verdict::Fail,
        };
        insta::assert_snapshot!(
            changed(change, &judged),
            @"pass → fail  c/g/r[direct]: attach: expected opens, got status 502 (evidence: reports/watch/x/evidence/c__g__r__direct)"
        );
    }
}
