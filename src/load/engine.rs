//! The load engine: one thread, one epoll set, queues of what is due. An attach costs the engine its socket and a
//! few hundred bytes, an echo two system calls.

mod closed;
mod names;
mod parts;
mod settle;
mod start;
mod terminals;
#[cfg(test)]
mod tests;

use std::iter::{Skip, StepBy};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventFlags};
use rustix::io::Errno;
use slab::Slab;
use tokio::sync::oneshot;
use tracing::{debug, info_span};

use super::attach::{Attach, Credential, READ};
use super::clock::{Clock, nanoseconds};
use super::control::Control;
use super::cost::Cost;
use super::fan_out::FanOut;
use super::metric::Metric;
use super::model::Model;
use super::outcome::{Costs, Ending, Outcome};
use super::plan::{Door, Plan};
use super::recorder::Recorder;
use super::resolution::Resolution;
use super::schedule::Starts;
use super::shared::{Shared, mix};
use super::timers::{Due, Slot, Timers};
use names::Names;

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
    /// Where each attach resolves the target's name.
    names: Option<Names>,
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
        let mut recorder = Recorder::new().map_err(doing("making a histogram"))?;
        let names = match &plan.resolution {
            Resolution::Nothing => None,
            Resolution::Once(took) => {
                recorder.record(Metric::Resolve, nanoseconds(*took), false);
                None
            }
            Resolution::Each(named) => {
                let names = Names::start(named, &epoll).map_err(doing("starting to resolve names"))?;
                Some(names)
            }
        };
        let every = plan.echo_every.map(nanoseconds);
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
            names,
            shared: Shared {
                clock: Clock::start(),
                recorder,
                buffer: vec![0; READ],
                out: Vec::new(),
                steady_since: None,
                secret: mix(plan.seed),
                fan_out: plan.fan_out.then(|| FanOut::new(plan.first_tag)),
                echo_every: match plan.model {
                    Model::Open => every.unwrap_or(u64::MAX),
                    Model::Closed(_) => 0,
                },
                think: every.filter(|_| plan.model != Model::Open),
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
        match self.plan.at_once() {
            Some(_) => self.fill(),
            None => self.next_start(),
        }
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
            if self.part == Part::Close && self.attaches.is_empty() && !self.is_resolving() {
                return Ok(Ending::Complete);
            }
            events.clear();
            let ahead = match self.unread.is_empty() && !self.has_room() {
                true => ahead,
                false => 0,
            };
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
            if self.names.is_some() {
                self.resolved();
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
            let resolving = self.names.iter().flat_map(Names::credentials);
            let handshakes = self.attaches.iter().map(|(_, attach)| attach.credential);
            for credential in handshakes.chain(resolving) {
                match credential {
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
