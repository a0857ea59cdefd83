//! What the HTTP side says for and against a load.

use super::HttpResult;
use crate::load::result::{LoadResult, Verdict};
use crate::load::summary::{several, times};

/// How failures that are this machine's own begin.
const LOCAL: &str = "local: ";

/// Reasons against a load.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Of the platform.
    wrong: Vec<String>,
    /// Why more can't be told.
    unclear: Vec<String>,
}

impl HttpResult {
    fn found(&self) -> Found {
        let mut found = Found::default();
        let opened = self.opened();
        if opened > 0 {
            let shown = self.examples.iter().find(|example| {
                let requests = self.requests.get(&example.request);
                requests.is_some_and(|requests| requests.opened > 0)
                    && example.status.is_some_and(|status| status < 300)
            });
            let example = shown.map(|example| format!(", {}", example.text())).unwrap_or_default();
            found
                .wrong
                .push(format!("HTTP side: a shut door opened {}{example}", times(opened)));
        }
        let unexpected: u64 = self.requests.values().map(|requests| requests.unexpected).sum();
        if unexpected > 0 {
            found.wrong.push(format!(
                "HTTP side: {} had another status than is right",
                several(unexpected, "answer")
            ));
        }
        let failures = || self.requests.values().flat_map(|requests| &requests.failures);
        let of = |local: bool| {
            let counted = failures().filter(|(why, _)| why.starts_with(LOCAL) == local);
            counted.map(|(_, count)| count).sum::<u64>()
        };
        let (failed, local) = (of(false), of(true));
        if failed > 0 {
            found.wrong.push(format!(
                "HTTP side: {} had no answer, or an unusable one",
                several(failed, "request")
            ));
        }
        if local > 0 {
            found.unclear.push(format!(
                "HTTP side: this machine was the limit {}: see its failures that begin with `local`",
                times(local)
            ));
        }
        if let Some(why) = &self.lost {
            found
                .unclear
                .push(format!("HTTP side: {why}; its requests are not accounted for"));
            return found;
        }
        let notes = self.notes.iter().map(|note| format!("HTTP side: {note}"));
        found.unclear.extend(notes);
        if self.unanswered > 0 {
            found.unclear.push(format!(
                "HTTP side: {} still had no answer when it ended",
                several(self.unanswered, "request")
            ));
        }
        if let Some(first) = self.left.first() {
            found.unclear.push(format!(
                "HTTP side: {} sessions that it made could not be deleted, {first} is one",
                self.left.len()
            ));
        }
        // That nobody came proves nothing of a door.
        let mut untried = self.requests.iter().filter(|(_, requests)| requests.count == 0);
        if let Some((first, _)) = untried.find(|(_, requests)| requests.shut) {
            found
                .unclear
                .push(format!("HTTP side: nobody asked for {first}: the load was too short"));
        } else if self.requests.values().all(|requests| requests.count == 0) {
            found
                .unclear
                .push("HTTP side: nobody asked for anything: the load was too short".into());
        }
        found
    }
}

impl LoadResult {
    /// The result with that of its HTTP side, which is judged with it.
    pub fn with_http(mut self, http: HttpResult) -> LoadResult {
        let found = http.found();
        if !found.unclear.is_empty() && self.verdict == Verdict::Pass {
            self.verdict = Verdict::Error;
        }
        // Half a load may break what a whole one keeps, but no moment excuses an open door.
        if !found.wrong.is_empty() && (self.verdict != Verdict::Interrupted || http.opened() > 0) {
            self.verdict = Verdict::Fail;
        }
        self.reasons.splice(0..0, found.wrong);
        self.reasons.extend(found.unclear);
        self.http = Some(http);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Requests;
    use super::*;
    use crate::load::sample;

    fn judged(change: impl FnOnce(&mut HttpResult)) -> (Verdict, Vec<String>) {
        let mut http = sample::http();
        change(&mut http);
        let result = sample::passed().with_http(http);
        (result.verdict, result.reasons)
    }

    fn bad(http: &mut HttpResult) -> &mut Requests {
        http.requests.get_mut("models-bad-jwt").expect("there")
    }

    #[test]
    fn a_side_of_which_all_is_right_changes_nothing() {
        assert_eq!(judged(|_| ()), (Verdict::Pass, Vec::new()));
    }

    #[test]
    fn what_is_wrong_fails_and_what_is_unclear_is_no_pass() {
        let (verdict, reasons) = judged(|http| bad(http).unexpected = 2);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(reasons, ["HTTP side: 2 answers had another status than is right"]);

        let (verdict, reasons) = judged(|http| {
            bad(http).failed = 1;
            bad(http).failures.insert("connection refused".into(), 1);
        });
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(reasons, ["HTTP side: 1 request had no answer, or an unusable one"]);

        let (verdict, reasons) = judged(|http| {
            bad(http).failed = 1;
            bad(http)
                .failures
                .insert("local: no ports left (EADDRNOTAVAIL)".into(), 1);
        });
        assert_eq!(verdict, Verdict::Error);
        assert!(reasons[0].contains("this machine was the limit once"), "{reasons:?}");

        let (verdict, reasons) = judged(|http| http.lost = Some("its worker has ended".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: its worker has ended; its requests are not accounted for"]
        );

        let (verdict, reasons) = judged(|http| http.notes.push("no session was made".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(reasons, ["HTTP side: no session was made"]);

        let (verdict, reasons) = judged(|http| http.left.push("s1".into()));
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: 1 sessions that it made could not be deleted, s1 is one"]
        );
    }

    #[test]
    fn a_door_that_nobody_tried_is_no_proof() {
        let (verdict, reasons) = judged(|http| {
            *bad(http) = Requests {
                shut: true,
                ..Requests::default()
            }
        });
        assert_eq!(verdict, Verdict::Error);
        assert_eq!(
            reasons,
            ["HTTP side: nobody asked for models-bad-jwt: the load was too short"]
        );
    }

    #[test]
    fn an_open_door_fails_a_load_that_was_interrupted_too() {
        let interrupted = |http: HttpResult| {
            let mut result = sample::passed();
            result.verdict = Verdict::Interrupted;
            result.with_http(http)
        };
        let mut http = sample::http();
        bad(&mut http).unexpected = 1;
        assert_eq!(interrupted(http).verdict, Verdict::Interrupted);
        let result = interrupted(sample::opened());
        assert_eq!(result.verdict, Verdict::Fail);
        assert_eq!(
            result.reasons[0],
            "HTTP side: a shut door opened 3 times, at 0.250 s, GET /api/agents/models with a JWT with a wrong \
             signature, answered with 200: a shut door opened"
        );
    }
}
