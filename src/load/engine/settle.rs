//! Accounts for attaches while the platform changes, and for failed handshakes.

use super::Engine;
use super::names::Names;
use crate::load::attach::Credential;
use crate::load::control::Course;
use crate::load::failure::Failure;
use crate::load::recorder::Example;
use crate::load::timers::Due;

impl Engine<'_> {
    /// Does as it was told.
    pub(super) fn go_on(&mut self, course: Course) {
        match course {
            Course::Unsettled => {
                self.unsettled = true;
                for (_, attach) in &mut self.attaches {
                    attach.unsettled = !attach.is_open();
                }
                self.names.iter_mut().for_each(Names::unsettle);
            }
            Course::Settled(doors) => {
                self.unsettled = false;
                if !doors.is_empty() {
                    self.doors = doors;
                }
            }
        }
    }

    /// While the platform changes attaches come as they did, and the schedule waits.
    pub(super) fn start_unsettled(&mut self, intended: u64) {
        self.waits.get_or_insert(intended);
        let counts = &mut self.shared.recorder.counts;
        let door = &self.doors[counts.unsettled as usize % self.doors.len()];
        counts.unsettled += 1;
        let request = door.right.clone();
        self.begin(request, Credential::Unsettled, 0, intended);
        self.timers.add(intended + self.start_every, Due::Start);
    }

    /// A handshake has failed, or was refused.
    pub(super) fn failed(
        &mut self,
        (credential, unsettled): (Credential, bool),
        failure: Failure,
        example: impl FnOnce(String, f64) -> Example,
    ) {
        let at = self.shared.clock.seconds();
        let recorder = &mut self.shared.recorder;
        if credential == Credential::Right {
            self.pending -= 1;
        }
        let refused = failure == Failure::Status(401);
        match credential {
            Credential::Right if !unsettled => {
                match failure {
                    Failure::Status(_) => recorder.counts.refused += 1,
                    _ => recorder.counts.failed += 1,
                }
                recorder.fail(failure, |failure| example(failure, at));
            }
            Credential::Right | Credential::Unsettled => {
                // One that was on its way when the platform began to change counts with those that came then.
                if credential == Credential::Right {
                    recorder.counts.attempted -= 1;
                    recorder.counts.unsettled += 1;
                }
                if refused {
                    recorder.counts.unsettled_refused += 1;
                    return;
                }
                recorder.counts.unsettled_otherwise += 1;
                if failure.is_local() {
                    recorder.fail(failure, |failure| example(failure, at));
                } else {
                    let kind = format!("while the platform changed: {failure}");
                    recorder.keep(&kind, |kind| example(kind, at));
                }
            }
            _ if refused => recorder.counts.probes_refused += 1,
            _ if unsettled && failure.is_of_a_change() => {
                recorder.counts.probes_cut += 1;
                let kind = format!("without the right token, while the platform changed: {failure}");
                recorder.keep(&kind, |kind| example(kind, at));
            }
            _ => {
                recorder.counts.probes_otherwise += 1;
                recorder.fail_probe(failure, |failure| example(failure, at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

    use super::*;
    use crate::load::control::Control;
    use crate::load::engine::run;
    use crate::load::model::Model;
    use crate::load::plan::{Door, Plan, Target};
    use crate::load::resolution::Resolution;
    use crate::load::schedule::Arrivals;

    /// A server that opens for the token of the moment. Without one it hangs up, and counts to whom.
    #[derive(Default)]
    struct Server {
        right: Mutex<Option<&'static str>>,
        hung_up: AtomicU32,
        opened: Mutex<Vec<TcpStream>>,
    }

    impl Server {
        /// Hangs up on all who came in.
        fn cut(&self) {
            for stream in self.opened.lock().expect("those who came").drain(..) {
                // It may be over already.
                let _over = stream.shutdown(Shutdown::Both);
            }
        }

        fn set(&self, right: Option<&'static str>) {
            *self.right.lock().expect("the token") = right;
        }

        fn listen(self: &Arc<Self>) -> SocketAddr {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("its address");
            let server = self.clone();
            std::thread::spawn(move || {
                for mut stream in listener.incoming().map_while(Result::ok) {
                    match *server.right.lock().expect("the token") {
                        Some(right) => {
                            let mut opened = server.opened.lock().expect("those who came");
                            opened.push(stream.try_clone().expect("a descriptor"));
                            std::thread::spawn(move || {
                                answer(&mut stream, right);
                                let _over = stream.shutdown(Shutdown::Both);
                            });
                        }
                        None => {
                            server.hung_up.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                }
            });
            address
        }
    }

    fn answer(stream: &mut TcpStream, right: &str) {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap_or_default();
        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if !head.starts_with(&format!("GET /tty?token={right} ")) {
            let _sent =
                stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        let _sent = write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        // Until the client closes.
        let _closed = stream.read(&mut buffer);
    }

    fn until(holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(30), "it doesn't come to that");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn door(right: &str, old: Option<&str>) -> Door {
        let target = Target {
            path: "/tty",
            parameter: "token",
            right,
            wrong: "wrong",
            old,
        };
        Door::new("door", &target, &[])
    }

    fn plan(server: &Arc<Server>, attaches: u32, hold: Duration) -> Plan {
        Plan {
            addresses: vec![server.listen()],
            resolution: Resolution::Nothing,
            sources: Vec::new(),
            tls: None,
            doors: vec![door("before", None)],
            attaches,
            model: Model::Open,
            arrivals: Arrivals::Constant(200.0),
            hold,
            echo_every: None,
            fan_out: false,
            probe_every: Some(Duration::from_millis(5)),
            deadline: Duration::from_secs(20),
            first_tag: 0,
            seed: 7,
            turn: 0,
            workers: 1,
        }
    }

    /// Who is lost by a change ends no load: those without the right token come until the platform has changed.
    #[test]
    fn a_load_that_has_lost_all_goes_on_until_the_platform_has_changed() {
        let server = Arc::new(Server::default());
        server.set(Some("before"));
        let plan = plan(&server, 5, Duration::from_millis(500));
        let control = Arc::new(Control::default());
        let engine = {
            let control = control.clone();
            std::thread::spawn(move || run(&plan, &control))
        };
        until(|| control.open.load(Ordering::Relaxed) == 5);
        control.turn(Course::Unsettled).blocking_recv().expect("taken");
        server.set(None);
        server.cut();
        until(|| control.open.load(Ordering::Relaxed) == 0);
        let before = server.hung_up.load(Ordering::SeqCst);
        until(|| server.hung_up.load(Ordering::SeqCst) >= before + 200);
        server.set(Some("before"));
        control
            .turn(Course::Settled(Vec::new()))
            .blocking_recv()
            .expect("taken");
        let outcome = engine.join().expect("the engine").expect("an outcome");
        let counts = &outcome.recorder.counts;
        assert_eq!((counts.opened, counts.lost), (5, 5), "{counts:?}");
        assert_eq!((counts.probes_opened, counts.probes_otherwise), (0, 0), "{counts:?}");
    }

    #[test]
    fn what_comes_while_the_platform_changes_is_counted_apart() {
        let server = Arc::new(Server::default());
        server.set(Some("before"));
        let plan = plan(&server, 200, Duration::from_millis(100));
        let control = Arc::new(Control::default());
        let engine = {
            let control = control.clone();
            std::thread::spawn(move || run(&plan, &control))
        };
        until(|| control.open.load(Ordering::Relaxed) >= 10);
        control.turn(Course::Unsettled).blocking_recv().expect("taken");
        server.set(None);
        until(|| server.hung_up.load(Ordering::SeqCst) >= 30);
        server.set(Some("after"));
        let after = door("after", Some("before"));
        control
            .turn(Course::Settled(vec![after]))
            .blocking_recv()
            .expect("taken");
        let outcome = engine.join().expect("the engine").expect("an outcome");
        let counts = &outcome.recorder.counts;
        assert!(outcome.recorder.failures.is_empty(), "{:?}", outcome.recorder.failures);
        assert_eq!((counts.attempted, counts.lost), (counts.opened, 0), "{counts:?}");
        // All but those that were on their way when it began.
        assert!((150..=200).contains(&counts.opened), "{counts:?}");
        let unsettled = counts.unsettled_opened + counts.unsettled_refused + counts.unsettled_otherwise;
        assert_eq!(counts.unsettled, unsettled, "{counts:?}");
        assert!(counts.unsettled_otherwise >= 1 && counts.probes_cut >= 1, "{counts:?}");
        assert_eq!((counts.probes_opened, counts.probes_otherwise), (0, 0), "{counts:?}");
        assert_eq!(counts.probes, counts.probes_refused + counts.probes_cut, "{counts:?}");
        assert!(control.turn(Course::Unsettled).blocking_recv().is_err(), "it is over");
    }
}
