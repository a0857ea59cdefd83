//! Made-up results of loads, for tests.

use std::collections::BTreeMap;

use super::cluster::{PodCost, TargetSide};
use super::http::{self, HttpResult, Requests};
use super::metric::{Histograms, Metric, empty, encode};
use super::objective::{Judged, Kept};
use super::recorder::{Counts, Example, Second};
use super::result::{Gauntlet, Generator, Latency, Load, LoadResult, Verdict, latencies};

/// A load of which nothing is bad. Its attaches took these microseconds, and its echoes, in the steady part too, those.
pub fn measured(attach: impl IntoIterator<Item = u64>, echo: impl IntoIterator<Item = u64>) -> LoadResult {
    let (mut whole, mut steady) = (histograms(), histograms());
    for micros in attach {
        whole.record(Metric::Attach, micros * 1000);
    }
    for micros in echo {
        whole.record(Metric::Echo, micros * 1000);
        steady.record(Metric::Echo, micros * 1000);
    }
    let (attaches, echoes) = (whole.of(Metric::Attach).len(), whole.of(Metric::Echo).len());
    LoadResult {
        api_version: "gauntlet/v1".into(),
        kind: "LoadResult".into(),
        gauntlet: Gauntlet {
            version: "0.1.0".into(),
            commit: Some("0123456".into()),
        },
        started: "2026-11-29T07:00:00Z".into(),
        load: Load {
            target: "ws://127.0.0.1:4096/tty".into(),
            model: "open".into(),
            attaches: attaches as u32,
            arrivals: "500/s".into(),
            hold: 10_000,
            echo_every: Some(1500),
            deadline: 30_000,
            probe_every: None,
            seed: 7,
            resolve: 0.25,
        },
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        objectives: vec![judged("errors == 0", Kept::Yes, "0")],
        counts: Counts {
            attempted: attaches,
            opened: attaches,
            closed: attaches,
            echoes_sent: echoes,
            echoes_answered: echoes,
            probes: 20,
            probes_refused: 20,
            ..Counts::default()
        },
        failures: BTreeMap::new(),
        probe_failures: BTreeMap::new(),
        examples: Vec::new(),
        latencies: latencies(&whole),
        steady: latencies(&steady),
        most_open: attaches,
        ramped: 2.0,
        steady_part: Some((2.0, 12.0)),
        ended: 12.5,
        seconds: (1..=3).map(second).collect(),
        generator: Generator {
            processes: 1,
            lag_p99: 0.5,
            ..Generator::default()
        },
        fan_out: None,
        platform: None,
        target_side: None,
        http: None,
        histograms: whole.encode(),
        steady_histograms: steady.encode(),
    }
}

/// A thousand attaches, from 10 µs to 10 ms, and as many echoes.
pub fn passed() -> LoadResult {
    measured(rising(), rising())
}

/// The same with a door that didn't hold, whose server says what no browser may obey.
pub fn failed() -> LoadResult {
    let mut result = passed();
    result.verdict = Verdict::Fail;
    result.reasons = vec!["the door opened 2 times without the right token".into()];
    result.objectives = vec![
        judged("errors == 0", Kept::No, "3"),
        judged(
            "attach.p99.9 < 1s",
            Kept::NotEnoughSamples,
            "1000 samples, and it needs 10000",
        ),
        judged("opened >= 900", Kept::Yes, "997"),
    ];
    result.counts.opened -= 3;
    result.counts.closed -= 3;
    result.counts.refused = 3;
    result.counts.probes_refused = 18;
    result.counts.probes_opened = 2;
    result.failures.insert("status 503".into(), 3);
    result.examples = vec![
        Example {
            failure: "status 503".into(),
            at: 0.5,
            attach: "17".into(),
            local: Some("127.0.0.1:40000".into()),
            said: Some("HTTP/1.1 503 Busy\r\n\r\n</pre><script>alert(\"1\")</script>\u{202e}".into()),
        },
        Example {
            failure: "opened without the right token".into(),
            at: 0.75,
            attach: "an empty token".into(),
            local: None,
            said: None,
        },
    ];
    result
}

/// An HTTP side of which all is right.
pub fn http() -> HttpResult {
    let requests = |count: u64, shut: bool, status: &str| {
        let mut histogram = empty().expect("a histogram");
        (1..=count).for_each(|number| histogram.saturating_record(number * 1000));
        Requests {
            count,
            shut,
            right: count,
            statuses: BTreeMap::from([(status.to_owned(), count)]),
            latency: Latency::of(&histogram),
            histogram: encode(&histogram).expect("encoded"),
            ..Requests::default()
        }
    };
    HttpResult {
        model: "closed".into(),
        users: 5,
        api: Some("http://127.0.0.1:4000/api/v1/managed_agents".into()),
        models: Some("http://127.0.0.1:8080/api/agents".into()),
        seconds: 12.5,
        requests: BTreeMap::from([
            ("agents-without-key".into(), requests(10, true, "401")),
            ("models".into(), requests(20, false, "200")),
            ("models-bad-jwt".into(), requests(10, true, "401")),
        ]),
        examples: Vec::new(),
        left: Vec::new(),
        notes: Vec::new(),
        unanswered: 0,
        lost: None,
    }
}

/// Pods of which one was started again, and one is unknown.
pub fn target_side() -> TargetSide {
    let web = PodCost {
        processor: Some(2.5),
        peak_working_set: Some(51_000_000),
        processes: Some(3),
        restarts: 1,
    };
    TargetSide {
        namespace: "agents".into(),
        selector: Some("app in (web, worker)".into()),
        pods: BTreeMap::from([("web-1".into(), web), ("worker-1".into(), PodCost::default())]),
        notes: vec!["node <a> did not answer".into()],
    }
}

/// A load in which a shut door opened.
pub fn opened() -> HttpResult {
    let mut side = http();
    if let Some(requests) = side.requests.get_mut("models-bad-jwt") {
        requests.right -= 3;
        requests.opened = 3;
        requests.statuses = BTreeMap::from([("200".into(), 3), ("401".into(), 7)]);
    }
    side.examples.push(http::Example {
        request: "models-bad-jwt".into(),
        at: 0.25,
        status: Some(200),
        place: "GET /api/agents/models".into(),
        presented: "a JWT with a wrong signature".into(),
        what: "a shut door opened".into(),
    });
    side
}

pub fn rising() -> impl Iterator<Item = u64> {
    (1..=1000).map(|number| number * 10)
}

pub fn judged(objective: &str, kept: Kept, found: &str) -> Judged {
    Judged {
        objective: objective.into(),
        kept,
        found: found.into(),
    }
}

fn histograms() -> Histograms {
    Histograms::new().expect("histograms")
}

fn second(number: u64) -> Second {
    Second {
        at: number as f64,
        open: number * 300,
        attempted: 300,
        opened: 300,
        errors: number % 2,
        echoes: 100,
        attach_p50: Some(5.0),
        attach_p99: (number != 2).then_some(200.0),
        echo_p50: Some(1.0),
        echo_p99: Some(2.0),
        lag_p99: Some(0.01),
        failures: BTreeMap::new(),
        histograms: None,
    }
}
