//! Attaches whose target's name is being resolved.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::Engine;
use super::start::Beginning;
use crate::load::attach::Credential;
use crate::load::failure::{Failure, Lack};
use crate::load::metric::Metric;
use crate::load::recorder::Example;
use crate::load::resolution::{Named, Resolver, ResolverError, Waited};
use crate::load::timers::{Due, Slot};

/// The key of slots of attaches that have no socket yet.
pub(super) const RESOLVING: u32 = u32::MAX;

/// Those that wait for the name's addresses, by their numbers.
pub(super) struct Names {
    resolver: Resolver,
    waiting: HashMap<u32, (Beginning, Waited)>,
}

impl Names {
    /// Wakes the epoll set when there are answers.
    pub fn start(named: &Named, wakes: &OwnedFd) -> Result<Names, ResolverError> {
        let resolver = Resolver::start(named)?;
        // The event is of no attach.
        let nobody = Slot {
            key: RESOLVING,
            number: u32::MAX,
        };
        let data = EventData::new_u64(nobody.to_event());
        epoll::add(wakes, resolver.wake(), data, EventFlags::IN | EventFlags::ET)?;
        Ok(Names {
            resolver,
            waiting: HashMap::new(),
        })
    }

    pub fn credentials(&self) -> impl Iterator<Item = Credential> {
        self.waiting.values().map(|(one, _)| one.credential)
    }

    /// The platform begins to change.
    pub fn unsettle(&mut self) {
        self.waiting.values_mut().for_each(|(one, _)| one.unsettled = true);
    }
}

/// What a name's deadline has come for: the resolver's answer, or mostly a thread to ask it, which is the generator's own
/// lack. In nanoseconds.
fn too_late(waited: u64, deadline: u64) -> Failure {
    match waited > deadline / 2 {
        true => Failure::Local(Lack::Resolvers),
        false => Failure::TimedOut(Metric::Resolve),
    }
}

/// The addresses to which these sources can connect.
fn reachable(mut addresses: Vec<SocketAddr>, sources: &[IpAddr]) -> Result<Vec<SocketAddr>, Failure> {
    if let Some(source) = sources.first() {
        addresses.retain(|address| address.is_ipv4() == source.is_ipv4());
    }
    match addresses.is_empty() {
        true => Err(Failure::Resolve("no address of the source addresses' family".into())),
        false => Ok(addresses),
    }
}

impl Engine<'_> {
    pub(super) fn is_resolving(&self) -> bool {
        self.names.as_ref().is_some_and(|names| !names.waiting.is_empty())
    }

    /// Has the name resolved for an attach.
    pub(super) fn resolve(&mut self, one: Beginning) {
        let Some(names) = &mut self.names else { return };
        let number = one.number;
        let waited = names.resolver.ask(number, Duration::from_nanos(self.shared.deadline));
        names.waiting.insert(number, (one, waited));
        let slot = Slot { key: RESOLVING, number };
        let until = self.shared.clock.now().saturating_add(self.shared.deadline);
        self.timers.add(until, Due::Deadline(slot));
    }

    /// Connects those whose addresses have come.
    pub(super) fn resolved(&mut self) {
        let Some(names) = &self.names else { return };
        for resolved in names.resolver.resolved() {
            let Some(names) = &mut self.names else { return };
            // It may have been too late.
            let Some((one, _)) = names.waiting.remove(&resolved.number) else {
                continue;
            };
            let recorder = &mut self.shared.recorder;
            if self.plan.at_once().is_none() {
                recorder.record(Metric::Lag, resolved.waited, false);
            }
            let sources = &self.plan.sources;
            match resolved.addresses.and_then(|addresses| reachable(addresses, sources)) {
                Ok(addresses) => {
                    recorder.record(Metric::Resolve, resolved.took, false);
                    self.connect(one, &addresses);
                }
                Err(failure) => self.not_resolved(&one, failure),
            }
        }
    }

    /// The name's deadline has come.
    pub(super) fn unresolved(&mut self, number: u32) {
        let waiting = self.names.as_mut().and_then(|names| names.waiting.remove(&number));
        if let Some((one, waited)) = waiting {
            let deadline = self.shared.deadline;
            let waited = waited.nanoseconds().unwrap_or(deadline);
            if self.plan.at_once().is_none() {
                self.shared.recorder.record(Metric::Lag, waited, false);
            }
            self.not_resolved(&one, too_late(waited, deadline));
        }
    }

    fn not_resolved(&mut self, one: &Beginning, failure: Failure) {
        let attach = match one.credential {
            Credential::Right => one.number.to_string(),
            other => other.name().to_owned(),
        };
        let example = |failure, at| Example {
            failure,
            at,
            attach,
            local: None,
            said: None,
        };
        self.failed((one.credential, one.unsettled), failure, example);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_without_a_free_thread_blames_nobody_else() {
        let second = 1_000_000_000;
        assert_eq!(too_late(second, second), Failure::Local(Lack::Resolvers));
        assert_eq!(too_late(second / 10, second), Failure::TimedOut(Metric::Resolve));
    }
}
