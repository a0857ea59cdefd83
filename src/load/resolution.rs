//! How the target's name becomes addresses: once before the load, or by each attach, on threads of their own, since the
//! system's resolver blocks.

use std::borrow::Cow;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::clock::nanoseconds;
use super::failure::Failure;
use super::url::{ResolveError, permitted};

/// Threads that resolve. Names that take 10 ms are resolved 3,200 times a second; what waits for a thread is lag.
const THREADS: usize = 32;

/// A host that is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    pub host: String,
    pub port: u16,
    /// It may be on a public network.
    pub owned: bool,
}

/// How the target's name is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resolution {
    /// There is no name, or somebody else tells how long it took.
    #[default]
    Nothing,
    /// Once before the load, in this time.
    Once(Duration),
    /// By each attach itself, before it connects.
    Each(Named),
}

/// The outcome for one attach.
pub struct Resolved {
    pub number: u32,
    pub addresses: Result<Vec<SocketAddr>, Failure>,
    /// Nanoseconds until a thread had time for it, which is the generator's own lag.
    pub waited: u64,
    /// Nanoseconds that it then took.
    pub took: u64,
}

/// Threads that resolve one name again and again. They end when this is dropped.
pub struct Resolver {
    asks: mpsc::Sender<Ask>,
    shared: Arc<Answers>,
}

/// What an attach asks for.
struct Ask {
    number: u32,
    since: Instant,
    /// Longest time that its attach waits.
    within: Duration,
    waited: Waited,
}

/// How long an ask has waited for a thread that is free.
#[derive(Clone, Debug, Default)]
pub struct Waited(Arc<AtomicU64>);

impl Waited {
    /// A thread takes it, after so many nanoseconds.
    fn end(&self, nanoseconds: u64) {
        self.0.store(nanoseconds.max(1), Ordering::Relaxed);
    }

    /// Nanoseconds that it waited; none while no thread has taken it.
    pub fn nanoseconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|waited| *waited > 0)
    }
}

struct Answers {
    resolved: Mutex<Vec<Resolved>>,
    /// Nobody waits for answers any more.
    stopped: AtomicBool,
    /// Can be read when there are new ones.
    wake: OwnedFd,
}

/// Why there are no threads that resolve.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    #[error("the resolvers' event descriptor: {0}")]
    Event(#[from] Errno),
    #[error("starting a resolver's thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Resolver {
    /// # Errors
    /// This machine gives no thread or descriptor.
    pub fn start(named: &Named) -> Result<Resolver, ResolverError> {
        let (asks, asked) = mpsc::channel();
        let asked = Arc::new(Mutex::new(asked));
        let shared = Arc::new(Answers {
            resolved: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        for _ in 0..THREADS {
            let (asked, shared, named) = (asked.clone(), shared.clone(), named.clone());
            std::thread::Builder::new()
                .name("resolve".into())
                .spawn(move || work(&asked, &shared, &named))?;
        }
        Ok(Resolver { asks, shared })
    }

    /// Asks for the addresses of the attach of this number, which waits so long; gives how long it waits for a thread.
    pub fn ask(&self, number: u32, within: Duration) -> Waited {
        let waited = Waited::default();
        let ask = Ask {
            number,
            since: Instant::now(),
            within,
            waited: waited.clone(),
        };
        // The threads are there as long as this is.
        let _asked = self.asks.send(ask);
        waited
    }

    /// Can be read when there are answers.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// The answers since this was last asked.
    pub fn resolved(&self) -> Vec<Resolved> {
        // Whether there was an event or not, what is there is taken.
        let _emptied = rustix::io::read(&self.shared.wake, &mut [0u8; 8]);
        std::mem::take(&mut *lock(&self.shared.resolved))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// Resolves until nobody asks any more, or nobody waits for it.
fn work(asked: &Mutex<mpsc::Receiver<Ask>>, answers: &Answers, named: &Named) {
    loop {
        let next = lock(asked).recv();
        let Ok(ask) = next else { return };
        if answers.stopped.load(Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        let waited = began.duration_since(ask.since);
        if waited >= ask.within {
            // Its attach has failed.
            continue;
        }
        ask.waited.end(nanoseconds(waited));
        let addresses = resolve(named);
        let resolved = Resolved {
            number: ask.number,
            addresses,
            waited: nanoseconds(waited),
            took: nanoseconds(began.elapsed()),
        };
        lock(&answers.resolved).push(resolved);
        // It can only be full, and then somebody is about to look.
        let _woken = rustix::io::write(&answers.wake, &1u64.to_ne_bytes());
    }
}

/// A lock whose holder panicked still guards whole data: each holder does one push, take or receive.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The name's addresses, where a load may go.
fn resolve(named: &Named) -> Result<Vec<SocketAddr>, Failure> {
    let Named { host, port, owned } = named;
    let found = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| failed(&error))?;
    permitted(host, found.collect(), *owned).map_err(|error| {
        Failure::Resolve(match error {
            ResolveError::NoAddress { .. } => Cow::Borrowed("there is no address"),
            ResolveError::Public { address, .. } => Cow::Owned(format!("on a public network ({address})")),
            ResolveError::Asking { source, .. } => Cow::Owned(source.to_string()),
        })
    })
}

/// What the system's resolver says; a lack of descriptors or memory is this machine's.
fn failed(error: &std::io::Error) -> Failure {
    match Errno::from_io_error(error).map(Failure::from_errno) {
        Some(local) if local.is_local() => local,
        _ => Failure::Resolve(Cow::Owned(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    fn named(host: &str) -> Named {
        Named {
            host: host.into(),
            port: 80,
            owned: false,
        }
    }

    /// All answers to these numbers.
    fn all(resolver: &Resolver, numbers: std::ops::Range<u32>) -> Vec<Resolved> {
        let waits: Vec<Waited> = numbers
            .clone()
            .map(|number| resolver.ask(number, Duration::from_secs(60)))
            .collect();
        let mut resolved = Vec::new();
        while resolved.len() < numbers.len() {
            let mut wake = [PollFd::from_borrowed_fd(resolver.wake(), PollFlags::IN)];
            poll(&mut wake, None).expect("woken");
            resolved.extend(resolver.resolved());
        }
        assert!(waits.iter().all(|waited| waited.nanoseconds().is_some()));
        resolved
    }

    /// The resolver takes it for a name, and needs no network for it.
    #[test]
    fn each_gets_an_answer_of_its_own() {
        let resolver = Resolver::start(&named("127.1")).expect("threads");
        let resolved = all(&resolver, 0..200);
        let mut numbers: Vec<u32> = resolved.iter().map(|answer| answer.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..200).collect::<Vec<u32>>());
        for answer in resolved {
            let addresses = answer.addresses.expect("addresses");
            assert!(
                answer.took > 0 && addresses.contains(&([127, 0, 0, 1], 80).into()),
                "{addresses:?}"
            );
        }
        assert!(resolver.resolved().is_empty());
    }

    /// Its answers to the first of two asks, which nobody waits for any more, and to the second; and whether a thread took
    /// either.
    fn worked(stopped: bool) -> (Vec<u32>, [bool; 2]) {
        let answers = Answers {
            resolved: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(stopped),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("a descriptor"),
        };
        let (asks, asked) = mpsc::channel();
        let waits = [(1, Duration::ZERO), (2, Duration::from_secs(60))].map(|(number, within)| {
            let waited = Waited::default();
            let ask = Ask {
                number,
                since: Instant::now(),
                within,
                waited: waited.clone(),
            };
            asks.send(ask).expect("asked");
            waited
        });
        drop(asks);
        work(&Mutex::new(asked), &answers, &named("127.1"));
        let resolved = answers.resolved.into_inner().expect("answers");
        let numbers = resolved.iter().map(|answer| answer.number).collect();
        (numbers, waits.map(|waited| waited.nanoseconds().is_some()))
    }

    #[test]
    fn what_nobody_waits_for_is_not_resolved() {
        assert_eq!(worked(false), (vec![2], [false, true]));
        assert_eq!(worked(true), (vec![], [false, false]));
    }

    #[test]
    fn a_name_that_has_come_to_a_public_network_is_a_failure_of_its_own_kind() {
        // TEST-NET-1 (RFC 5737).
        let failure = resolve(&named("192.0.2.1")).expect_err("public");
        assert_eq!(failure.to_string(), "resolve: on a public network (192.0.2.1)");
        let error = std::io::Error::from(Errno::MFILE);
        assert!(failed(&error).is_local());
        let error = std::io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(
            failed(&error).to_string(),
            "resolve: failed to lookup address information: Name or service not known"
        );
    }
}
