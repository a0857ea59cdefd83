//! The expected answer to each request, and a record of the actual ones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

use super::{Example, Requests};
use crate::load::metric::{empty, encode};
use crate::load::result::Latency;

/// Examples that are kept: one for each request and each way in which it went wrong.
const MOST_EXAMPLES: usize = 20;

/// A kind of request, with who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    ListAgents,
    ListSessions,
    CreateSession,
    GetSession,
    /// No request: from when a session was asked for until it is ready.
    SessionReady,
    RestartSession,
    DeleteSession,
    AgentsWithoutKey,
    Models,
    ModelsBadJwt,
    ModelsWithoutJwt,
    ModelsInactive,
    AgentList,
    AgentListBadJwt,
    AgentListWithoutJwt,
    AgentListInactive,
}

/// The expected answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Any success: the contract names no status.
    Success,
    Exactly(u16),
    /// The door is shut, and says so with this status.
    Shut(u16),
}

/// The outcome of an answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Right,
    /// A door that has to be shut has opened.
    Opened,
    /// Another status.
    Unexpected,
}

impl Call {
    pub const OF_API: [Call; 8] = [
        Call::ListAgents,
        Call::ListSessions,
        Call::CreateSession,
        Call::GetSession,
        Call::SessionReady,
        Call::RestartSession,
        Call::DeleteSession,
        Call::AgentsWithoutKey,
    ];

    /// With a good JWT, and without one that opens.
    pub const OF_MODELS: [Call; 6] = [
        Call::Models,
        Call::ModelsBadJwt,
        Call::ModelsWithoutJwt,
        Call::AgentList,
        Call::AgentListBadJwt,
        Call::AgentListWithoutJwt,
    ];
    /// Where there is a JWT of role INACTIVE.
    pub const OF_INACTIVE: [Call; 2] = [Call::ModelsInactive, Call::AgentListInactive];

    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            Call::ListAgents => "agents",
            Call::ListSessions => "sessions",
            Call::CreateSession => "session-create",
            Call::GetSession => "session-get",
            Call::SessionReady => "session-ready",
            Call::RestartSession => "session-restart",
            Call::DeleteSession => "session-delete",
            Call::AgentsWithoutKey => "agents-without-key",
            Call::Models => "models",
            Call::ModelsBadJwt => "models-bad-jwt",
            Call::ModelsWithoutJwt => "models-without-jwt",
            Call::ModelsInactive => "models-inactive-jwt",
            Call::AgentList => "agent-list",
            Call::AgentListBadJwt => "agent-list-bad-jwt",
            Call::AgentListWithoutJwt => "agent-list-without-jwt",
            Call::AgentListInactive => "agent-list-inactive-jwt",
        }
    }

    /// Method, and path behind that of the API.
    pub fn place(self) -> (&'static str, &'static str) {
        match self {
            Call::ListAgents | Call::AgentsWithoutKey => ("GET", "/agents"),
            Call::ListSessions => ("GET", "/sessions"),
            Call::CreateSession => ("POST", "/agents/:id/session"),
            Call::GetSession | Call::SessionReady => ("GET", "/sessions/:id"),
            Call::RestartSession => ("POST", "/sessions/:id/restart"),
            Call::DeleteSession => ("DELETE", "/sessions/:id"),
            Call::Models | Call::ModelsBadJwt | Call::ModelsWithoutJwt | Call::ModelsInactive => ("GET", "/models"),
            Call::AgentList | Call::AgentListBadJwt | Call::AgentListWithoutJwt | Call::AgentListInactive => {
                ("GET", "")
            }
        }
    }

    /// What was presented, by name.
    pub fn presented(self) -> &'static str {
        match self {
            Call::AgentsWithoutKey => "no key",
            Call::Models | Call::AgentList => "a good JWT",
            Call::ModelsBadJwt | Call::AgentListBadJwt => "a JWT with a wrong signature",
            Call::ModelsWithoutJwt | Call::AgentListWithoutJwt => "no JWT",
            Call::ModelsInactive | Call::AgentListInactive => "a JWT of role INACTIVE",
            _ => "the key",
        }
    }

    /// Whether the door has to be shut for it.
    pub fn is_shut(self) -> bool {
        matches!(self.expected(), Expected::Shut(_))
    }

    fn expected(self) -> Expected {
        match self {
            Call::Models | Call::AgentList => Expected::Exactly(200),
            Call::AgentsWithoutKey
            | Call::ModelsBadJwt
            | Call::ModelsWithoutJwt
            | Call::AgentListBadJwt
            | Call::AgentListWithoutJwt => Expected::Shut(401),
            Call::ModelsInactive | Call::AgentListInactive => Expected::Shut(403),
            _ => Expected::Success,
        }
    }

    pub fn judge(self, status: u16) -> Judgement {
        let success = (200..300).contains(&status);
        match self.expected() {
            Expected::Success if success => Judgement::Right,
            Expected::Exactly(wanted) | Expected::Shut(wanted) if status == wanted => Judgement::Right,
            // 101 lets more in than any answer does.
            Expected::Shut(_) if success || status == 101 => Judgement::Opened,
            _ => Judgement::Unexpected,
        }
    }
}

/// All that was asked, by kind.
pub struct Record {
    began: Instant,
    calls: BTreeMap<Call, Counted>,
    examples: Vec<Example>,
}

struct Counted {
    /// Method and path, for examples.
    place: String,
    requests: Requests,
    histogram: Histogram<u64>,
}

impl Record {
    /// Of these kinds, each with its API's path. What is never asked for stands in it with nought.
    ///
    /// # Errors
    /// None: the bounds of histograms are constants that the library takes.
    pub fn new<'a>(planned: impl IntoIterator<Item = (Call, &'a str)>) -> Result<Record, CreationError> {
        let mut calls = BTreeMap::new();
        for (call, path) in planned {
            let (method, rest) = call.place();
            let counted = Counted {
                place: format!("{method} {path}{rest}"),
                requests: Requests {
                    shut: call.is_shut(),
                    ..Requests::default()
                },
                histogram: empty()?,
            };
            calls.insert(call, counted);
        }
        Ok(Record {
            began: Instant::now(),
            calls,
            examples: Vec::new(),
        })
    }

    /// An answer with its status, and how long it took.
    pub fn answered(&mut self, call: Call, status: u16, took: Duration) -> Judgement {
        let judgement = call.judge(status);
        let Some(counted) = self.calls.get_mut(&call) else {
            return judgement;
        };
        let requests = &mut counted.requests;
        requests.count += 1;
        *requests.statuses.entry(status.to_string()).or_default() += 1;
        record(&mut counted.histogram, took);
        match judgement {
            Judgement::Right => requests.right += 1,
            Judgement::Opened => {
                requests.opened += 1;
                self.example(call, Some(status), "a shut door opened");
            }
            Judgement::Unexpected => {
                requests.unexpected += 1;
                self.example(call, Some(status), &format!("status {status}"));
            }
        }
        judgement
    }

    /// What isn't a request came to its end after so long.
    pub fn reached(&mut self, call: Call, took: Duration) {
        if let Some(counted) = self.calls.get_mut(&call) {
            counted.requests.count += 1;
            counted.requests.right += 1;
            record(&mut counted.histogram, took);
        }
    }

    /// No answer, or an unusable one; the status where there was one.
    pub fn failed(&mut self, call: Call, status: Option<u16>, why: &str) {
        let Some(counted) = self.calls.get_mut(&call) else {
            return;
        };
        let requests = &mut counted.requests;
        requests.count += 1;
        requests.failed += 1;
        if let Some(status) = status {
            *requests.statuses.entry(status.to_string()).or_default() += 1;
        }
        *requests.failures.entry(why.to_owned()).or_default() += 1;
        self.example(call, status, why);
    }

    fn example(&mut self, call: Call, status: Option<u16>, what: &str) {
        let Some(counted) = self.calls.get(&call) else {
            return;
        };
        let known = |example: &Example| example.request == call.name() && example.what == what;
        // A door that opened is shown however much else went wrong before.
        let room = self.examples.len() < MOST_EXAMPLES || call.is_shut();
        if !room || self.examples.iter().any(known) {
            return;
        }
        self.examples.push(Example {
            request: call.name().into(),
            at: self.began.elapsed().as_secs_f64(),
            status,
            place: counted.place.clone(),
            presented: call.presented().into(),
            what: what.into(),
        });
    }

    /// All of it, and how many seconds it was of.
    pub fn end(&self) -> (BTreeMap<String, Requests>, Vec<Example>, f64) {
        let requests = self.calls.iter().map(|(call, counted)| {
            let requests = Requests {
                latency: Latency::of(&counted.histogram),
                histogram: encode(&counted.histogram).unwrap_or_default(),
                ..counted.requests.clone()
            };
            (call.name().to_owned(), requests)
        });
        let seconds = self.began.elapsed().as_secs_f64();
        (requests.collect(), self.examples.clone(), seconds)
    }
}

fn record(histogram: &mut Histogram<u64>, took: Duration) {
    let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    histogram.saturating_record(nanoseconds.div_ceil(1000).max(1));
}

#[cfg(test)]
mod tests {
    use super::super::with_bad_signature;
    use super::*;
    use crate::load::metric::decode;

    #[test]
    fn a_shut_door_says_so_and_never_opens() {
        for call in [
            Call::AgentsWithoutKey,
            Call::ModelsBadJwt,
            Call::ModelsWithoutJwt,
            Call::AgentListBadJwt,
            Call::AgentListWithoutJwt,
        ] {
            assert_eq!(call.judge(401), Judgement::Right, "{call:?}");
            for open in [101, 200, 201, 204, 299] {
                assert_eq!(call.judge(open), Judgement::Opened, "{call:?} {open}");
            }
            for wrong in [302, 400, 403, 404, 429, 500, 502, 503] {
                assert_eq!(call.judge(wrong), Judgement::Unexpected, "{call:?} {wrong}");
            }
        }
        for call in Call::OF_INACTIVE {
            assert_eq!(call.judge(403), Judgement::Right, "{call:?}");
            assert_eq!(call.judge(401), Judgement::Unexpected, "{call:?}");
            assert_eq!(call.judge(200), Judgement::Opened, "{call:?}");
        }
    }

    #[test]
    fn an_open_door_answers_as_the_contract_has_it() {
        assert_eq!(Call::Models.judge(200), Judgement::Right);
        assert_eq!(Call::AgentList.judge(200), Judgement::Right);
        assert_eq!(Call::Models.judge(204), Judgement::Unexpected);
        assert_eq!(Call::Models.judge(401), Judgement::Unexpected);
        assert_eq!(Call::CreateSession.judge(201), Judgement::Right);
        assert_eq!(Call::ListAgents.judge(503), Judgement::Unexpected);
    }

    #[test]
    fn a_bad_jwt_differs_in_its_signature_alone() {
        let good = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let bad = with_bad_signature(good).expect("a JWT");
        assert_eq!(bad.len(), good.len());
        assert_eq!(&bad[..good.len() - 4], &good[..good.len() - 4]);
        let differ = good.chars().zip(bad.chars()).filter(|(one, other)| one != other);
        assert_eq!(differ.count(), 4);
        assert!(with_bad_signature("a.b.AAAAAAAA").is_some_and(|bad| bad == "a.b.AAAAQQQQ"));
        for none in [
            "",
            "a",
            "a.b",
            "a.b.",
            "a.b.c",
            "a..AAAAAAAA",
            "a.b.c.AAAAAAAA",
            "a.b.ääääääää",
        ] {
            assert_eq!(with_bad_signature(none), None, "{none}");
        }
    }

    #[test]
    fn all_is_counted_and_each_way_to_go_wrong_has_an_example() {
        let mut record =
            Record::new([(Call::ModelsBadJwt, "/api/agents"), (Call::Models, "/api/agents")]).expect("made");
        for (status, judgement) in [
            (401, Judgement::Right),
            (200, Judgement::Opened),
            (200, Judgement::Opened),
            (503, Judgement::Unexpected),
        ] {
            let found = record.answered(Call::ModelsBadJwt, status, Duration::from_millis(2));
            assert_eq!(found, judgement);
        }
        record.failed(Call::ModelsBadJwt, None, "connection refused");
        let (requests, examples, _) = record.end();
        let bad = &requests["models-bad-jwt"];
        assert_eq!((bad.count, bad.right, bad.opened), (5, 1, 2));
        assert_eq!((bad.unexpected, bad.failed), (1, 1));
        assert_eq!(bad.statuses["200"], 2);
        assert_eq!(bad.failures["connection refused"], 1);
        // A request without an answer has no latency.
        assert_eq!(bad.latency.count, 4);
        assert_eq!(decode(&bad.histogram).expect("a histogram").len(), 4);
        assert_eq!((requests["models"].count, requests["models"].shut), (0, false));
        assert_eq!(examples.len(), 3);
        let opened = &examples[0];
        assert_eq!((opened.status, opened.what.as_str()), (Some(200), "a shut door opened"));
        assert_eq!(opened.place, "GET /api/agents/models");
        assert_eq!(opened.presented, "a JWT with a wrong signature");
    }
}
