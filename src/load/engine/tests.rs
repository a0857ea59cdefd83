//! The closed model, and names that each attach resolves: against a door that watches how many come at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::run;
use crate::load::control::Control;
use crate::load::echo;
use crate::load::failure::Failure;
use crate::load::metric::Metric;
use crate::load::model::Model;
use crate::load::outcome::Outcome;
use crate::load::plan::{Door, Plan, Target};
use crate::load::resolution::{Named, Resolution};
use crate::load::schedule::Arrivals;

/// Bytes of a nonce's frame from a client: head, mask, the rubbed out line and the nonce.
const TYPED: usize = 2 + 4 + 1 + echo::LENGTH;

/// A door that opens to everybody and sends back what is typed.
struct Watched {
    /// It opens only to so many together.
    together: Barrier,
    /// What an echo takes.
    takes: Duration,
    /// Each terminal's first echo never comes back.
    swallows_first: bool,
    accepted: AtomicU32,
    waiting: AtomicU32,
    most_waiting: AtomicU32,
    /// Keys that were typed before the last was answered.
    early: AtomicU32,
}

impl Watched {
    fn new(together: usize, takes: Duration, swallows_first: bool) -> Arc<Watched> {
        Arc::new(Watched {
            together: Barrier::new(together),
            takes,
            swallows_first,
            accepted: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            most_waiting: AtomicU32::new(0),
            early: AtomicU32::new(0),
        })
    }

    fn listen(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let door = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let door = door.clone();
                door.accepted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || door.serve(stream));
            }
        });
        address
    }

    /// None as soon as the client is gone.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).ok()?;
        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_waiting.fetch_max(waiting, Ordering::SeqCst);
        self.together.wait();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let accept = derive_accept_key(key.as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .ok()?;
        let mut swallows = self.swallows_first;
        loop {
            let mut frame = [0; TYPED];
            stream.read_exact(&mut frame[..2]).ok()?;
            if frame[0] & 0x0f == 8 {
                stream.write_all(&[0x88, 0]).ok()?;
                return None;
            }
            stream.read_exact(&mut frame[2..]).ok()?;
            if std::mem::take(&mut swallows) {
                continue;
            }
            // What an echo takes, in which nothing else may be typed.
            std::thread::sleep(self.takes);
            stream.set_nonblocking(true).ok()?;
            match stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => {
                    self.early.fetch_add(1, Ordering::SeqCst);
                }
            }
            stream.set_nonblocking(false).ok()?;
            let (mask, payload) = frame[2..].split_at(4);
            let mut answer = vec![0x82, (TYPED - 6) as u8];
            answer.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            stream.write_all(&answer).ok()?;
        }
    }
}

fn plan(address: SocketAddr, attaches: u32, model: Model) -> Plan {
    let target = Target {
        parameter: crate::load::plan::PARAMETER,
        path: "/tty",
        right: "right",
        wrong: "wrong",
        old: None,
    };
    Plan {
        addresses: vec![address],
        resolution: Resolution::Nothing,
        sources: Vec::new(),
        tls: None,
        doors: vec![Door::new("door", &target, &[])],
        attaches,
        model,
        arrivals: Arrivals::Constant(100_000.0),
        hold: Duration::from_millis(700),
        echo_every: Some(Duration::from_millis(5)),
        fan_out: false,
        probe_every: None,
        deadline: Duration::from_secs(20),
        first_tag: 0,
        seed: 7,
        turn: 0,
        workers: 1,
    }
}

fn ran(plan: &Plan) -> Outcome {
    let outcome = run(plan, &Control::default()).expect("an outcome");
    let counts = &outcome.recorder.counts;
    assert_eq!(counts.attempted, counts.opened + counts.refused + counts.failed);
    assert_eq!(counts.echoes_sent, counts.echoes_answered + counts.echoes_unanswered);
    outcome
}

/// The door opens to three at a time: with fewer at once nobody would come in, and more would be seen.
#[test]
fn as_many_are_being_opened_at_once_as_may_be() {
    let door = Watched::new(3, Duration::ZERO, false);
    let outcome = ran(&plan(door.listen(), 12, Model::Closed(3)));
    assert_eq!(outcome.recorder.counts.opened, 12);
    assert_eq!(door.most_waiting.load(Ordering::SeqCst), 3);
    assert_eq!(outcome.most_open, 12);
}

/// An echo takes 30 ms, and each user thinks for 5: on schedule six would be typed meanwhile.
#[test]
fn an_echo_follows_the_answer_to_the_last() {
    let takes = Duration::from_millis(30);
    let door = Watched::new(1, takes, false);
    let outcome = ran(&plan(door.listen(), 2, Model::Closed(2)));
    assert_eq!(door.early.load(Ordering::SeqCst), 0);
    let echo = outcome.recorder.whole.of(Metric::Echo);
    assert!(echo.min() >= 30_000, "{} µs", echo.min());
    // Each of the two has time for twenty in the hold, and the first comes before it.
    assert!((2..=60).contains(&echo.len()), "{}", echo.len());
    assert!(outcome.recorder.whole.of(Metric::Lag).is_empty());
    let open = Watched::new(1, takes, false);
    let outcome = ran(&plan(open.listen(), 2, Model::Open));
    assert!(open.early.load(Ordering::SeqCst) > 0);
    assert!(!outcome.recorder.whole.of(Metric::Lag).is_empty());
}

#[test]
fn a_user_whose_echo_never_comes_goes_on_after_the_deadline() {
    let door = Watched::new(1, Duration::ZERO, true);
    let mut plan = plan(door.listen(), 2, Model::Closed(2));
    plan.deadline = Duration::from_millis(500);
    plan.hold = Duration::from_millis(1500);
    let outcome = ran(&plan);
    let counts = &outcome.recorder.counts;
    assert_eq!(counts.echoes_unanswered, 2, "{counts:?}");
    assert!(counts.echoes_answered > 2, "{counts:?}");
    let failures = &outcome.recorder.failures;
    assert_eq!(failures.get(&Failure::TimedOut(Metric::Echo)), Some(&2), "{failures:?}");
}

/// No socket of IPv4 has an address of IPv6: each attach fails as soon as it begins.
#[test]
fn attaches_that_fail_at_once_leave_time_to_stop() {
    let mut plan = plan(([127, 0, 0, 1], 1).into(), 1000, Model::Closed(3));
    plan.sources = vec![Ipv6Addr::LOCALHOST.into()];
    assert_eq!(ran(&plan).recorder.counts.failed, 1000);
    let control = Control::default();
    control.stop.store(true, Ordering::Relaxed);
    let counts = run(&plan, &control).expect("an outcome").recorder.counts;
    assert_eq!((counts.attempted, counts.failed), (256, 256));
}

/// Resolved before, the name led to another port, at which nobody listens.
#[test]
fn each_attach_goes_where_the_name_leads_it() {
    let door = Watched::new(1, Duration::ZERO, false);
    let port = door.listen().port();
    for model in [Model::Open, Model::Closed(2)] {
        let mut plan = plan(([127, 0, 0, 1], 1).into(), 20, model);
        plan.resolution = Resolution::Each(Named {
            host: "127.1".into(),
            port,
            owned: false,
        });
        let outcome = ran(&plan);
        assert_eq!(outcome.recorder.counts.opened, 20, "{:?}", outcome.recorder.failures);
        let whole = &outcome.recorder.whole;
        assert_eq!(
            (whole.of(Metric::Resolve).len(), whole.of(Metric::Connect).len()),
            (20, 20)
        );
    }
}

#[test]
fn a_name_that_leads_nowhere_is_a_failure_of_its_own() {
    let door = Watched::new(1, Duration::ZERO, false);
    let mut plan = plan(door.listen(), 5, Model::Open);
    plan.resolution = Resolution::Each(Named {
        // TEST-NET-1 (RFC 5737): nothing is sent there.
        host: "192.0.2.1".into(),
        port: 80,
        owned: false,
    });
    let outcome = ran(&plan);
    assert_eq!(outcome.recorder.counts.failed, 5);
    let failures: Vec<String> = outcome.recorder.failures.keys().map(ToString::to_string).collect();
    assert_eq!(failures, ["resolve: on a public network (192.0.2.1)"]);
    assert_eq!(door.accepted.load(Ordering::SeqCst), 0);
    assert!(outcome.recorder.whole.of(Metric::Resolve).is_empty());
}

#[test]
fn a_name_that_was_resolved_once_has_one_figure() {
    let door = Watched::new(1, Duration::ZERO, false);
    let mut plan = plan(door.listen(), 5, Model::Open);
    plan.resolution = Resolution::Once(Duration::from_millis(3));
    let outcome = ran(&plan);
    let resolve = outcome.recorder.whole.of(Metric::Resolve);
    assert_eq!((resolve.len(), resolve.max() / 10), (1, 300));
}
