//! The load engine: one thread, one epoll set, queues of what is due. An attach costs the engine its socket and a
//! few hundred bytes, an echo two system calls.

mod settle;

use std::iter::{Skip, StepBy};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use slab::Slab;
use tokio::sync::oneshot;
use tracing::{debug, info_span};

use super::attach::{Attach, Credential, Progress, READ};
use super::clock::{Clock, nanoseconds};
use super::control::Control;
use super::cost::Cost;
use super::failure::Failure;
use super::fan_out::FanOut;
use super::handshake::Request;
use super::metric::Metric;
use super::outcome::{Costs, Ending, Outcome};
use super::plan::{Door, Plan};
use super::recorder::{Example, Recorder};
use super::schedule::Starts;
use super::shared::{Shared, mix};
use super::timers::{Due, Slot, Timers};

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// The most timers handled before events are.
const DUE_AT_ONCE: usize = 256;

/// How long the engine waits at most before it looks whether to stop, in nanoseconds.
const LOOK: u64 = 100_000_000;

/// Why a load can't go on: this machine doesn't give what the engine is made of.
#[derive(Debug, thiserror::Error)]
#[error("the load engine: {what}: {source}")]
pub struct EngineError {
    what: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Why the engine has no thread of its own.
#[derive(Debug, thiserror::Error)]
#[error("starting the engine's thread: {0}")]
pub struct SpawnError(#[source] std::io::Error);

fn doing<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl FnOnce(E) -> EngineError {
    move |error| EngineError {
        what,
        source: error.into(),
    }
}

/// Which part of a load it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Ramp,
    /// All are settled; other workers' aren't yet.
    Gather,
    Hold,
    /// Echoes that are under way come back.
    Drain,
    Close,
}

struct Engine<'a> {
    plan: &'a Plan,
    control: &'a Control,
    epoll: OwnedFd,
    timers: Timers,
    attaches: Slab<Attach>,
    shared: Shared,
    /// The current targets of attaches, in turn.
    doors: Vec<Door>,
    /// This worker's part of the schedule.
    starts: StepBy<Skip<Starts>>,
    /// The platform changes, and the schedule waits.
    unsettled: bool,
    /// When the start that waits was meant to be.
    waits: Option<u64>,
    /// How long the schedule has waited so far.
    waited: u64,
    /// Between two attaches while it waits.
    start_every: u64,
    part: Part,
    /// Attaches so far, probes included.
    numbers: u32,
    started: u32,
    probes: u32,
    /// Attaches with the right token whose handshake isn't over.
    pending: u32,
    open: u32,
    most_open: u32,
    ramped: u64,
    steady: Option<(u64, u64)>,
    costs: Costs,
    /// Attaches with more to read.
    unread: Vec<Slot>,
    /// Of the slots, up to which all were closed.
    closing: usize,
    close_every: u64,
}

/// Runs a load to its end, on this thread.
///
/// # Errors
/// This machine doesn't give an epoll set or a timer.
pub fn run(plan: &Plan, control: &Control) -> Result<Outcome, EngineError> {
    let _inside = info_span!("load", attaches = plan.attaches).entered();
    let mut engine = Engine::new(plan, control)?;
    debug!(part = ?engine.part, "the load begins");
    let ending = engine.drive();
    control.end();
    Ok(engine.outcome(ending?))
}

/// Runs a load on a thread of its own; returns where its outcome will be.
///
/// # Errors
/// There is no thread to be had.
pub fn spawn(plan: Plan, control: Arc<Control>) -> Result<oneshot::Receiver<Result<Outcome, EngineError>>, SpawnError> {
    let (ended, end) = oneshot::channel();
    std::thread::Builder::new()
        .name("load".into())
        .spawn(move || {
            // Nobody who waits for it goes away before.
            let _told = ended.send(run(&plan, &control));
        })
        .map_err(SpawnError)?;
    Ok(end)
}

impl<'a> Engine<'a> {
    fn new(plan: &'a Plan, control: &'a Control) -> Result<Engine<'a>, EngineError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(doing("making an epoll set"))?;
        let expected = plan.share() as usize;
        let timers = Timers::new(expected);
        // Fifty microseconds of slack, which threads have otherwise, are as much as an echo takes. Where it can't be
        // set the lag shows it.
        let _set = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let recorder = Recorder::new().map_err(doing("making a histogram"))?;
        let attaches = Slab::with_capacity(expected + 16);
        let mean = plan.arrivals.mean(plan.attaches);
        let costs = Costs {
            before: Cost::own().unwrap_or_default(),
            ..Costs::default()
        };
        Ok(Engine {
            plan,
            control,
            epoll,
            timers,
            attaches,
            shared: Shared {
                clock: Clock::start(),
                recorder,
                buffer: vec![0; READ],
                out: Vec::new(),
                steady_since: None,
                secret: mix(plan.seed),
                fan_out: plan.fan_out.then(|| FanOut::new(plan.first_tag)),
                echo_every: plan.echo_every.map_or(u64::MAX, nanoseconds),
                deadline: nanoseconds(plan.deadline),
            },
            doors: plan.doors.clone(),
            unsettled: false,
            waits: None,
            waited: 0,
            start_every: ((1e9 / mean) as u64).max(1_000_000) * u64::from(plan.workers),
            starts: plan
                .arrivals
                .starts(plan.attaches, plan.seed)
                .skip(plan.turn as usize)
                .step_by(plan.workers as usize),
            part: Part::Ramp,
            numbers: 0,
            started: 0,
            probes: 0,
            pending: 0,
            open: 0,
            most_open: 0,
            ramped: 0,
            steady: None,
            costs,
            unread: Vec::new(),
            closing: 0,
            // No slower than in two seconds: closing is not what is measured.
            close_every: (1e9 / mean).min(2e9 / f64::from(plan.attaches)) as u64 * u64::from(plan.workers),
        })
    }

    fn drive(&mut self) -> Result<Ending, EngineError> {
        let mut events = Vec::with_capacity(EVENTS);
        self.next_start();
        if let Some(every) = self.plan.probe_every {
            let first =
                nanoseconds(every) / 2 + nanoseconds(every) * u64::from(self.plan.turn) / u64::from(self.plan.workers);
            self.timers.add(first, Due::Probe);
        }
        self.timers.add(1_000_000_000, Due::Second);
        loop {
            if self.control.stop.load(Ordering::Relaxed) {
                return Ok(Ending::Stopped);
            }
            for (course, taken) in self.control.turns() {
                self.go_on(course);
                // Whoever told it may have gone away.
                let _told = taken.send(());
            }
            let ahead = self.work_off();
            if self.part == Part::Close && self.attaches.is_empty() {
                return Ok(Ending::Complete);
            }
            events.clear();
            let ahead = if self.unread.is_empty() { ahead } else { 0 };
            // By the nanosecond (epoll_pwait2): a millisecond would be most of what an echo takes.
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: ahead as _,
            };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::NOSYS) => return Err(doing("waiting for events")("the kernel is older than Linux 5.11")),
                Err(error) => return Err(doing("waiting for events")(error)),
            }
            for slot in std::mem::take(&mut self.unread) {
                self.ready(slot, false);
            }
            let over = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            for Event { flags, data } in events.drain(..) {
                self.ready(Slot::from_event(data.u64()), flags.intersects(over));
            }
            self.turn();
        }
    }

    /// Does what is due; gives for how many nanoseconds nothing more is.
    fn work_off(&mut self) -> u64 {
        for _ in 0..DUE_AT_ONCE {
            let now = self.shared.clock.now();
            let Some((at, due)) = self.timers.next(now) else {
                return self.timers.ahead(now).map_or(LOOK, |ahead| ahead.min(LOOK));
            };
            match due {
                Due::Start => self.start(at),
                Due::Probe => self.probe(at),
                Due::Echo(slot) => self.echo(slot, now),
                Due::Key => self.type_key(at, now),
                Due::Deadline(slot) => self.deadline(slot, at),
                Due::Close => self.close(at),
                // It is not over before it is seen what has become of the platform.
                Due::HoldEnds if self.unsettled => self.timers.add(now + LOOK, Due::HoldEnds),
                Due::HoldEnds => self.hold_ends(),
                Due::DrainEnds => self.drained(),
                Due::Second => {
                    let open = u64::from(self.open);
                    let second = self
                        .shared
                        .recorder
                        .end_second(at as f64 / 1e9, open, self.plan.is_shared());
                    self.control.tell(second);
                    self.timers.add(at + 1_000_000_000, Due::Second);
                }
            }
            self.turn();
        }
        0
    }

    /// Goes on to the load's next part where this one is over.
    fn turn(&mut self) {
        let before = self.part;
        self.turn_once();
        if self.part != before {
            self.turn_once();
        }
    }

    fn enter(&mut self, part: Part) {
        self.part = part;
        debug!(?part, started = self.started, open = self.open, "the load goes on");
    }

    fn turn_once(&mut self) {
        match self.part {
            Part::Ramp if self.started == self.plan.share() && self.pending == 0 => {
                self.ramped = self.shared.clock.now();
                self.enter(Part::Gather);
                self.control.settle(self.open.into());
            }
            Part::Gather if !self.plan.is_shared() || self.control.hold.load(Ordering::Relaxed) => {
                let now = self.shared.clock.now();
                self.enter(Part::Hold);
                self.shared.steady_since = Some(now);
                self.steady = Some((now, now));
                self.costs.held = Cost::own();
                self.timers
                    .add(now.saturating_add(nanoseconds(self.plan.hold)), Due::HoldEnds);
                if self.plan.fan_out {
                    self.timers.add(now, Due::Key);
                }
            }
            // Nobody is left to be held, and nobody comes any more.
            Part::Hold if self.open == 0 && !self.unsettled => self.hold_ends(),
            Part::Drain if self.nothing_under_way() => self.drained(),
            _ => {}
        }
    }

    fn nothing_under_way(&self) -> bool {
        let counts = &self.shared.recorder.counts;
        counts.echoes_under_way() == 0 && counts.deliveries_under_way() == 0
    }

    fn hold_ends(&mut self) {
        if self.part != Part::Hold {
            return;
        }
        // However short the load was, each way to come without the right token is tried once.
        while self.plan.probe_every.is_some() && (self.probes as usize) < self.doors[0].shut.len() {
            self.begin_probe(self.shared.clock.now());
        }
        let now = self.shared.clock.now();
        if let Some((_, end)) = &mut self.steady {
            *end = now;
        }
        self.costs.after = Cost::own();
        self.enter(Part::Drain);
        self.timers
            .add(now.saturating_add(self.shared.deadline), Due::DrainEnds);
    }

    /// All answers are there, or no longer waited for: closes the terminals, as fast as they were opened.
    fn drained(&mut self) {
        if self.part != Part::Drain {
            return;
        }
        self.enter(Part::Close);
        for (_, attach) in &mut self.attaches {
            attach.give_up_all(&Failure::TimedOut(Metric::Echo), &mut self.shared);
        }
        self.timers.add(self.shared.clock.now(), Due::Close);
    }

    fn close(&mut self, at: u64) {
        while self.closing < self.attaches.capacity() {
            let key = self.closing;
            self.closing += 1;
            let Some(attach) = self.attaches.get_mut(key).filter(|attach| attach.is_open()) else {
                continue;
            };
            let slot = Slot {
                key: key as u32,
                number: attach.number,
            };
            match attach.close(at, &mut self.shared) {
                Ok(()) => {
                    let until = attach.until;
                    self.timers.add(until, Due::Deadline(slot));
                }
                Err(failure) => self.ended(slot, Some(failure)),
            }
            self.timers.add(at + self.close_every, Due::Close);
            return;
        }
    }

    fn next_start(&mut self) {
        if let Some(start) = self.starts.next() {
            self.timers.add(nanoseconds(start) + self.waited, Due::Start);
        }
    }

    /// Starts the next attach of the schedule.
    fn start(&mut self, intended: u64) {
        let now = self.shared.clock.now();
        self.shared.recorder.record(Metric::Lag, now - intended, false);
        if self.unsettled {
            return self.start_unsettled(intended);
        }
        if let Some(meant) = self.waits.take() {
            self.waited += intended - meant;
        }
        self.shared.recorder.counts.attempted += 1;
        // Of all workers' attaches, so that the doors have the same number of them.
        let turn = self.plan.turn + self.started * self.plan.workers;
        let door = &self.doors[turn as usize % self.doors.len()];
        let request = door.right.clone();
        let tag = self.plan.first_tag + turn;
        self.started += 1;
        self.pending += 1;
        self.begin(request, Credential::Right, tag, intended);
        self.next_start();
    }

    /// Starts an attach that the door has to refuse.
    fn probe(&mut self, intended: u64) {
        let Some(every) = self.plan.probe_every else { return };
        if !matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            return;
        }
        self.begin_probe(intended);
        let every = nanoseconds(every) * u64::from(self.plan.workers);
        self.timers.add(intended + every, Due::Probe);
    }

    fn begin_probe(&mut self, intended: u64) {
        self.shared.recorder.counts.probes += 1;
        let probe = self.probes as usize;
        self.probes += 1;
        // Doors and credentials in turn, so that each meets each.
        let door = &self.doors[probe % self.doors.len()];
        let turn = probe / self.doors.len() + probe % self.doors.len();
        let (credential, request) = door.shut[turn % door.shut.len()].clone();
        self.begin(request, credential, 0, intended);
    }

    fn begin(&mut self, request: Arc<Request>, credential: Credential, tag: u32, intended: u64) {
        let number = self.numbers;
        self.numbers = self.numbers.wrapping_add(1);
        let now = self.shared.clock.now();
        let until = now.saturating_add(self.shared.deadline);
        let begun = self.socket(number).map_err(Failure::from_errno).and_then(|socket| {
            let tls = self.plan.tls.as_ref().map(|(config, name)| (config, name));
            Attach::new(socket, tls, request, (credential, number, tag), (intended, now, until))
        });
        let mut attach = match begun {
            Ok(attach) => attach,
            Err(failure) => {
                let example = |failure, at| Example {
                    failure,
                    at,
                    attach: number.to_string(),
                    local: None,
                    said: None,
                };
                return self.failed((credential, self.unsettled), failure, example);
            }
        };
        attach.unsettled = self.unsettled;
        let entry = self.attaches.vacant_entry();
        let slot = Slot {
            key: entry.key() as u32,
            number,
        };
        let watched = epoll::add(
            &self.epoll,
            attach.socket(),
            EventData::new_u64(slot.to_event()),
            EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET,
        );
        entry.insert(attach);
        match watched {
            Ok(()) => self.timers.add(until, Due::Deadline(slot)),
            Err(errno) => self.ended(slot, Some(Failure::from_errno(errno))),
        }
    }

    /// A socket that has begun to connect.
    fn socket(&self, number: u32) -> rustix::io::Result<TcpStream> {
        let turn = number as usize;
        let address = self.plan.addresses[turn % self.plan.addresses.len()];
        let family = match address {
            std::net::SocketAddr::V4(_) => AddressFamily::INET,
            std::net::SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // Keystrokes are small and must not wait for one another.
        sockopt::set_tcp_nodelay(&socket, true)?;
        if !self.plan.sources.is_empty() {
            let source = self.plan.sources[turn / self.plan.addresses.len() % self.plan.sources.len()];
            bind(socket.as_fd(), &std::net::SocketAddr::new(source, 0))?;
        }
        match connect(socket.as_fd(), &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(error),
        }
    }

    fn ready(&mut self, slot: Slot, hung_up: bool) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        match attach.ready(hung_up, &mut self.shared) {
            Progress::Waits => {}
            Progress::GoesOn => self.unread.push(slot),
            Progress::Opened => self.opened(slot),
            Progress::Ended(failure) => self.ended(slot, failure),
        }
    }

    fn opened(&mut self, slot: Slot) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        if attach.credential == Credential::Unsettled {
            self.shared.recorder.counts.unsettled_opened += 1;
            self.attaches.remove(slot.key as usize);
            return;
        }
        if attach.credential != Credential::Right {
            let at = self.shared.clock.seconds();
            let kind = format!("opened with {}", attach.credential.name());
            self.shared.recorder.counts.probes_opened += 1;
            self.shared.recorder.keep(&kind, |kind| attach.example(kind, at));
            self.attaches.remove(slot.key as usize);
            return;
        }
        attach.counted = true;
        self.pending -= 1;
        self.open += 1;
        self.control.open.store(self.open, Ordering::Relaxed);
        self.most_open = self.most_open.max(self.open);
        self.shared.recorder.counts.opened += 1;
        let echoes = self.plan.echo_every.is_some() && !self.plan.fan_out;
        if echoes && matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            // Somewhere in the first interval: those that open together don't type together.
            let first = self.shared.clock.now() + mix(u64::from(slot.number)) % self.shared.echo_every;
            attach.echo_from(first);
            self.timers.add(first, Due::Echo(slot));
        }
    }

    fn echo(&mut self, slot: Slot, now: u64) {
        if !matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            return;
        }
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        match attach.echo(now, &mut self.shared) {
            Ok(next) => self.timers.add(next, Due::Echo(slot)),
            Err(failure) => self.ended(slot, Some(failure)),
        }
    }

    /// One open attach types a key for all of them; always the same one, while it is open.
    fn type_key(&mut self, intended: u64, now: u64) {
        if self.part != Part::Hold {
            return;
        }
        let mut open = self
            .attaches
            .iter_mut()
            .filter(|(_, attach)| attach.is_open() && attach.counted);
        let (Some((key, typist)), Some(fan_out)) = (open.next(), &mut self.shared.fan_out) else {
            return;
        };
        let recorder = &mut self.shared.recorder;
        recorder.record(Metric::Lag, now.saturating_sub(intended), true);
        let number = fan_out.type_key(intended, self.open, recorder);
        let tag = fan_out.tag;
        let slot = Slot {
            key: key as u32,
            number: typist.number,
        };
        if let Err(failure) = typist.type_nonce(tag, number, &mut self.shared) {
            self.ended(slot, Some(failure));
        }
        self.timers
            .add(intended.saturating_add(self.shared.echo_every), Due::Key);
    }

    /// A phase's deadline has come; the attach may have gone on to another phase, which has its own.
    fn deadline(&mut self, slot: Slot, at: u64) {
        let Some(attach) = attach(&mut self.attaches, slot) else {
            return;
        };
        if attach.is_open() {
            return;
        }
        if at < attach.until {
            return self.timers.add(attach.until, Due::Deadline(slot));
        }
        let failure = Failure::TimedOut(attach.phase());
        self.ended(slot, Some(failure));
    }

    /// An attach is over: counts how, and forgets it.
    fn ended(&mut self, slot: Slot, failure: Option<Failure>) {
        // It opened and ended in one event: the 101 and what followed it came together.
        if attach(&mut self.attaches, slot).is_some_and(|attach| attach.is_open() && !attach.counted) {
            self.opened(slot);
        }
        let Some(ended) = attach(&mut self.attaches, slot) else {
            return;
        };
        let was_open = matches!(ended.phase(), Metric::Echo | Metric::Close);
        if was_open {
            self.open -= 1;
            self.control.open.store(self.open, Ordering::Relaxed);
            ended.give_up_all(&Failure::EchoCutOff, &mut self.shared);
        }
        let closing = ended.phase() == Metric::Close;
        let ended = self.attaches.remove(slot.key as usize);
        let counts = &mut self.shared.recorder.counts;
        if closing && failure.is_none() {
            counts.closed += 1;
        } else if closing {
            counts.stuck += 1;
        } else if was_open {
            counts.lost += 1;
        }
        let Some(failure) = failure else { return };
        let example = |failure, at| ended.example(failure, at);
        if was_open {
            let at = self.shared.clock.seconds();
            self.shared.recorder.fail(failure, |failure| example(failure, at));
        } else {
            self.failed((ended.credential, ended.unsettled), failure, example);
        }
    }

    fn outcome(mut self, ending: Ending) -> Outcome {
        let end = self.shared.clock.now();
        if let Some((_, until)) = &mut self.steady
            && matches!(self.part, Part::Hold)
        {
            *until = end;
            self.costs.after = Cost::own();
        }
        self.costs.end = Cost::own().unwrap_or_default();
        let open = u64::from(self.open);
        let last = self
            .shared
            .recorder
            .end_second(end as f64 / 1e9, open, self.plan.is_shared());
        self.control.tell(last);
        if ending == Ending::Stopped {
            // Handshakes under way are neither opened nor failed: they were not attempted to their end.
            let counts = &mut self.shared.recorder.counts;
            for (_, attach) in &self.attaches {
                match attach.credential {
                    Credential::Right => {}
                    Credential::Unsettled => counts.unsettled -= 1,
                    _ => counts.probes -= 1,
                }
            }
            counts.attempted -= u64::from(self.pending);
        }
        let seconds = |(from, to): (u64, u64)| (from as f64 / 1e9, to as f64 / 1e9);
        Outcome {
            recorder: self.shared.recorder,
            ending,
            most_open: self.most_open.into(),
            ramped: self.ramped as f64 / 1e9,
            steady: self.steady.map(seconds),
            ended: end as f64 / 1e9,
            costs: self.costs,
            processes: 1,
            lost_workers: Vec::new(),
            aborted: None,
        }
    }
}

/// The attach of a slot, where it is still there.
fn attach(attaches: &mut Slab<Attach>, slot: Slot) -> Option<&mut Attach> {
    attaches
        .get_mut(slot.key as usize)
        .filter(|attach| attach.number == slot.number)
}
