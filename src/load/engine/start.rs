//! Starts attaches: those of the schedule, and probes, which the door has to refuse.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use super::{Engine, Part};
use crate::load::attach::{Attach, Credential};
use crate::load::clock::nanoseconds;
use crate::load::failure::Failure;
use crate::load::handshake::Request;
use crate::load::metric::Metric;
use crate::load::recorder::Example;
use crate::load::timers::{Due, Slot};

/// An attach before it connects.
pub(super) struct Beginning {
    pub request: Arc<Request>,
    pub credential: Credential,
    pub number: u32,
    pub tag: u32,
    pub intended: u64,
    /// The platform changes, or did while its name was resolved.
    pub unsettled: bool,
}

impl Engine<'_> {
    pub(super) fn next_start(&mut self) {
        if let Some(start) = self.starts.next() {
            self.timers.add(nanoseconds(start) + self.waited, Due::Start);
        }
    }

    /// Starts the next attach of the schedule.
    pub(super) fn start(&mut self, intended: u64) {
        let now = self.shared.clock.now();
        self.shared.recorder.record(Metric::Lag, now - intended, false);
        if self.unsettled {
            return self.start_unsettled(intended);
        }
        if let Some(meant) = self.waits.take() {
            self.waited += intended - meant;
        }
        self.start_one(intended);
        self.next_start();
    }

    /// Starts the next attach with the right token.
    pub(super) fn start_one(&mut self, intended: u64) {
        self.shared.recorder.counts.attempted += 1;
        // Of all workers' attaches, so that the doors have the same number of them.
        let turn = self.plan.turn + self.started * self.plan.workers;
        let door = &self.doors[turn as usize % self.doors.len()];
        let request = door.right.clone();
        let tag = self.plan.first_tag + turn;
        self.started += 1;
        self.pending += 1;
        self.begin(request, Credential::Right, tag, intended);
    }

    /// Starts an attach that the door has to refuse.
    pub(super) fn probe(&mut self, intended: u64) {
        let Some(every) = self.plan.probe_every else { return };
        if !matches!(self.part, Part::Ramp | Part::Gather | Part::Hold) {
            return;
        }
        self.begin_probe(intended);
        let every = nanoseconds(every) * u64::from(self.plan.workers);
        self.timers.add(intended + every, Due::Probe);
    }

    pub(super) fn begin_probe(&mut self, intended: u64) {
        self.shared.recorder.counts.probes += 1;
        let probe = self.probes as usize;
        self.probes += 1;
        // Doors and credentials in turn, so that each meets each.
        let door = &self.doors[probe % self.doors.len()];
        let turn = probe / self.doors.len() + probe % self.doors.len();
        let (credential, request) = door.shut[turn % door.shut.len()].clone();
        self.begin(request, credential, 0, intended);
    }

    pub(super) fn begin(&mut self, request: Arc<Request>, credential: Credential, tag: u32, intended: u64) {
        let number = self.numbers;
        self.numbers = self.numbers.wrapping_add(1);
        let one = Beginning {
            request,
            credential,
            number,
            tag,
            intended,
            unsettled: self.unsettled,
        };
        if self.names.is_some() {
            return self.resolve(one);
        }
        let plan = self.plan;
        self.connect(one, &plan.addresses);
    }

    /// Connects to one of these addresses, in turn.
    pub(super) fn connect(&mut self, one: Beginning, addresses: &[SocketAddr]) {
        let Beginning {
            request,
            credential,
            number,
            tag,
            intended,
            unsettled,
        } = one;
        let now = self.shared.clock.now();
        let until = now.saturating_add(self.shared.deadline);
        let socket = self.socket(number, addresses).map_err(Failure::from_errno);
        let begun = socket.and_then(|socket| {
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
                return self.failed((credential, unsettled), failure, example);
            }
        };
        attach.unsettled = unsettled;
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
    fn socket(&self, number: u32, addresses: &[SocketAddr]) -> rustix::io::Result<TcpStream> {
        let turn = number as usize;
        let address = addresses[turn % addresses.len()];
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        // Keystrokes are small and must not wait for one another.
        sockopt::set_tcp_nodelay(&socket, true)?;
        if !self.plan.sources.is_empty() {
            let source = self.plan.sources[turn / addresses.len() % self.plan.sources.len()];
            bind(socket.as_fd(), &SocketAddr::new(source, 0))?;
        }
        match connect(socket.as_fd(), &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(error),
        }
    }
}
