//! Teams of scripted workers.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::load::model::Model;
use crate::load::resolution::Resolution;
use crate::load::worker::{Named, Terminal, serve};

/// What a worker does once it is ready.
enum Part {
    /// It never is.
    Slow,
    /// It settles, has Ctrl-C pressed once all hold, and ends when it is told to stop.
    Loyal { ctrl_c: CancellationToken },
    /// It says what it has, and is gone.
    Dies { open: Vec<u64> },
}

fn assignment() -> Assignment {
    Assignment {
        addresses: Vec::new(),
        named: None,
        resolution: Resolution::Nothing,
        sources: Vec::new(),
        tls: None,
        authority: "a".into(),
        headers: Vec::new(),
        terminals: vec![Terminal {
            path: "/tty".into(),
            right: "right".into(),
        }],
        wrong: "wrong".into(),
        old: None,
        attaches: 40,
        model: Model::Open,
        arrivals: "500/s".parse().expect("arrivals"),
        hold: Duration::from_secs(1),
        echo_every: None,
        probe_every: None,
        deadline: Duration::from_secs(1),
        first_tag: 0,
        seed: 1,
        turn: 0,
        workers: 1,
    }
}

fn done() -> Word {
    let outcome = Outcome {
        recorder: Recorder::new().expect("histograms"),
        ending: Ending::Stopped,
        most_open: 20,
        ramped: 0.0,
        steady: None,
        ended: 1.0,
        costs: Costs::default(),
        processes: 1,
        lost_workers: Vec::new(),
        aborted: None,
    };
    Word::Done {
        share: Box::new(Share::from(outcome)),
    }
}

async fn play(part: Part, orders: DuplexStream, mut words: DuplexStream) {
    let mut orders = BufReader::new(orders).lines();
    while let Ok(Some(line)) = orders.next_line().await {
        let order: Order = serde_json::from_str(&line).expect("an order");
        let said = match (&part, order) {
            (Part::Slow, _) => continue,
            (_, Order::Prepare { .. }) => vec![Word::Ready { protocol: PROTOCOL }],
            (Part::Loyal { .. }, Order::Start) => vec![Word::Settled { open: 20 }],
            (Part::Loyal { ctrl_c }, Order::Hold) => {
                ctrl_c.cancel();
                continue;
            }
            (Part::Loyal { .. }, Order::Stop) => vec![done()],
            (Part::Dies { open }, _) => {
                let second = |open: &u64| Word::Second {
                    second: Box::new(Second {
                        open: *open,
                        ..Second::default()
                    }),
                };
                open.iter().map(second).collect()
            }
        };
        let is_over = matches!(part, Part::Dies { .. }) && !matches!(said[..], [Word::Ready { .. }]);
        for word in &said {
            say(&mut words, word).await.expect("said");
        }
        if is_over || matches!(said[..], [Word::Done { .. }]) {
            return;
        }
    }
}

async fn team(parts: Vec<Part>, if_lost: IfLost, stop: &CancellationToken) -> Result<Outcome, String> {
    let mut members = Vec::new();
    for (number, part) in parts.into_iter().enumerate() {
        let ((words, theirs), (orders, to_them)) = (duplex(1 << 16), duplex(1 << 16));
        tokio::spawn(play(part, to_them, theirs));
        members.push(Member {
            name: format!("worker {number}"),
            words: Box::new(words),
            orders: Box::new(orders),
        });
    }
    let outcome = run(members, &assignment(), if_lost, stop, |_| {}).await;
    outcome.map_err(|error| error.to_string())
}

fn dies(open: &[u64]) -> Part {
    Part::Dies { open: open.to_vec() }
}

#[tokio::test]
async fn one_can_stop_while_workers_start() {
    let stop = CancellationToken::new();
    stop.cancel();
    let said = team(vec![Part::Slow], IfLost::Stop, &stop).await.err();
    assert_eq!(said.as_deref(), Some("interrupted before the load began"));
}

#[tokio::test]
async fn one_who_stops_a_load_after_a_loss_has_stopped_it() {
    let stop = CancellationToken::new();
    let loyal = Part::Loyal { ctrl_c: stop.clone() };
    let outcome = team(vec![loyal, dies(&[])], IfLost::GoOn, &stop)
        .await
        .expect("an outcome");
    assert_eq!((outcome.ending, outcome.lost_workers.len()), (Ending::Stopped, 1));
}

#[tokio::test]
async fn a_load_that_ends_for_a_loss_was_stopped_by_nobody() {
    let stop = CancellationToken::new();
    let loyal = Part::Loyal {
        ctrl_c: CancellationToken::new(),
    };
    let outcome = team(vec![loyal, dies(&[])], IfLost::Stop, &stop)
        .await
        .expect("an outcome");
    assert_eq!((outcome.ending, outcome.lost_workers.len()), (Ending::Complete, 1));
}

#[tokio::test]
async fn where_all_are_lost_it_is_said_what_was_open() {
    let stop = CancellationToken::new();
    let parts = vec![dies(&[5, 20]), dies(&[10])];
    let said = team(parts, IfLost::GoOn, &stop).await.err().unwrap_or_default();
    let begins = "no worker finished, with 30 attaches open at their last report: worker ";
    assert!(said.starts_with(begins), "{said}");
    assert_eq!(said.matches(" was lost after ").count(), 2, "{said}");
}

/// A coordinator and a worker with its engine: whatever stream is between them, as that to a pod.
async fn through_streams(named: Named, attaches: u32) -> Result<Outcome, String> {
    let ((words, theirs), (orders, to_them)) = (duplex(1 << 10), duplex(1 << 10));
    let served = tokio::spawn(serve(BufReader::new(to_them), theirs));
    let member = Member {
        name: "worker 1 (pod w-0)".into(),
        words: Box::new(words),
        orders: Box::new(orders),
    };
    let assignment = Assignment {
        named: Some(named),
        attaches,
        hold: Duration::ZERO,
        ..assignment()
    };
    let outcome = run(
        vec![member],
        &assignment,
        IfLost::Stop,
        &CancellationToken::new(),
        |_| {},
    )
    .await;
    served.await.expect("no panic").expect("it was heard to its end");
    outcome.map_err(|error| error.to_string())
}

/// Answers each connection with 401.
async fn shut_door() -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _head = client.read(&mut request).await;
                let _told = client
                    .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                    .await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_worker_finds_the_door_itself() {
    let port = shut_door().await;
    let named = Named {
        host: "127.0.0.1".into(),
        port,
        owned: false,
    };
    let outcome = through_streams(named, 7).await.expect("an outcome");
    let counts = &outcome.recorder.counts;
    assert_eq!((counts.attempted, counts.refused, counts.opened), (7, 7, 0));
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(outcome.lost_workers, Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_goes_to_no_public_network() {
    // TEST-NET-1 (RFC 5737).
    let named = Named {
        host: "192.0.2.1".into(),
        port: 80,
        owned: false,
    };
    let said = through_streams(named, 7).await.err().unwrap_or_default();
    assert!(
        said.starts_with("worker 1 (pod w-0): 192.0.2.1 is on a public network (192.0.2.1): "),
        "{said}"
    );
}

/// Resolved here it took its time once; in pods each has resolved it.
#[test]
fn a_resolution_is_told_by_those_who_made_it() {
    let mut assignment = assignment();
    assignment.resolution = Resolution::Once(Duration::from_millis(3));
    let tell = |assignment: &Assignment| {
        let parts = (0..3).map(|turn| assignment.part(turn, 3).resolution);
        parts.map(|part| part != Resolution::Nothing).collect::<Vec<bool>>()
    };
    assert_eq!(tell(&assignment), [true, false, false]);
    assignment.named = Some(Named {
        host: "web".into(),
        port: 80,
        owned: true,
    });
    assert_eq!(tell(&assignment), [true; 3]);
}
