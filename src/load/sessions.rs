//! Sessions, as a platform's users get them: created on schedule, awaited until ready, and deleted.
//!
//! An open model, as attaches have it: each session has an intended start, from which its latencies count.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::CreationError;
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::first_byte::FirstByte;
use super::metric::{HistogramError, Metric};
use super::outcome::{Costs, Ending, Outcome};
use super::recorder::{Example, Recorded, Recorder};
use super::schedule::Arrivals;
use super::session_api::{SessionApi, Shown, Wrong};
use super::worker::Terminal;
use crate::redact::Redactor;

/// How long after a session was asked for the API is first asked whether it is ready, and the longest time between two
/// such looks.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Sessions that are deleted at once, how often each is tried, and how long after the last time.
const DELETED_AT_ONCE: usize = 16;
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// The time between two searches for unknown sessions.
const BETWEEN_LISTS: Duration = Duration::from_millis(500);

/// Which sessions are made, and when.
pub struct Order {
    pub agent: String,
    pub sessions: u32,
    pub attaches_each: u32,
    pub arrivals: Arrivals,
    pub seed: u64,
    /// The beginning of a command that makes a call, for one who has to delete by hand; none if the platform goes
    /// anyhow.
    pub command: Option<String>,
}

/// The sessions of a load. Whatever becomes of it, [`Sessions::end`] deletes them.
pub struct Sessions {
    api: SessionApi,
    first_byte: FirstByte,
    order: Order,
    /// By which those are found of which the API did not tell the id.
    title: String,
    redactor: Redactor,
    made: Mutex<BTreeSet<String>>,
    /// Calls that may have created a session with an unknown id.
    untold: AtomicU32,
}

/// The outcome of the sessions.
pub struct Made {
    /// The ready sessions, in the order of their starts.
    pub terminals: Vec<Terminal>,
    recorder: Recorder,
    ending: Ending,
    /// Seconds.
    took: f64,
}

/// The outcome of creating a session.
#[derive(Default)]
struct Life {
    /// How late it was begun.
    lag: Option<Duration>,
    create: Option<Duration>,
    ready: Option<Duration>,
    first_byte: Option<Duration>,
    /// Why there was no first byte, of a session that is ready.
    silent: Option<Failure>,
    /// Seconds from the first session's start, at the end of it.
    at: f64,
    /// None if it was stopped before.
    end: Option<Result<Terminal, Wrong>>,
}

/// Why no sessions are made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error("asking for a session at {url}: {said}")]
    Refused {
        url: String,
        /// Without secrets, and short.
        said: String,
    },
    #[error("a session's task has ended: {0}")]
    Task(#[from] JoinError),
    #[error(transparent)]
    Histogram(#[from] CreationError),
}

impl Sessions {
    pub fn new(api: SessionApi, first_byte: FirstByte, order: Order, redactor: &Redactor) -> Sessions {
        Sessions {
            api,
            first_byte,
            order,
            title: format!("gauntlet-load-{:016x}", rand::random::<u64>()),
            redactor: redactor.clone(),
            made: Mutex::new(BTreeSet::new()),
            untold: AtomicU32::new(0),
        }
    }

    /// Makes them, until all are ready or have failed, or it is told to stop.
    ///
    /// # Errors
    /// The API accepts no session with this key, or for this agent.
    pub async fn make(self: &Arc<Self>, stop: &CancellationToken) -> Result<Made, MakeError> {
        let began = Instant::now();
        let enough = stop.child_token();
        let mut running = JoinSet::new();
        let starts = self.order.arrivals.starts(self.order.sessions, self.order.seed);
        for (number, start) in starts.enumerate() {
            let (sessions, enough) = (self.clone(), enough.clone());
            running.spawn(async move { (number, sessions.live(began, began + start, &enough).await) });
        }
        let mut lives = Vec::new();
        let mut refused = None;
        // All come to their end, so that all ids are known.
        while let Some(joined) = running.join_next().await {
            match joined {
                Ok((number, life)) => {
                    if let Some(why) = life.refusal() {
                        enough.cancel();
                        refused.get_or_insert(MakeError::Refused {
                            url: self.api.url(&format!("/agents/{}/session", self.order.agent)),
                            said: why.shown(&self.redactor),
                        });
                    }
                    lives.push((number, life));
                }
                Err(error) => {
                    enough.cancel();
                    refused.get_or_insert(MakeError::Task(error));
                }
            }
        }
        if let Some(why) = refused {
            return Err(why);
        }
        lives.sort_unstable_by_key(|(number, _)| *number);
        let mut made = Made {
            terminals: Vec::new(),
            recorder: Recorder::new()?,
            ending: match stop.is_cancelled() {
                true => Ending::Stopped,
                false => Ending::Complete,
            },
            took: began.elapsed().as_secs_f64(),
        };
        for (number, life) in lives {
            made.add(number, life, self.order.attaches_each);
        }
        Ok(made)
    }

    /// One session, from its intended start until it is ready.
    async fn live(&self, began: Instant, intended: Instant, enough: &CancellationToken) -> Life {
        let mut life = Life::default();
        tokio::select! {
            biased;
            () = enough.cancelled() => return life,
            () = sleep_until(intended) => {}
        }
        life.lag = Some(intended.elapsed());
        life.end = self.come(intended, enough, &mut life).await.transpose();
        life.at = began.elapsed().as_secs_f64();
        life
    }

    /// Gives the terminal; none if it was stopped before.
    async fn come(
        &self,
        intended: Instant,
        enough: &CancellationToken,
        life: &mut Life,
    ) -> Result<Option<Terminal>, Wrong> {
        // A call that has begun is waited for: nobody would know of its session otherwise.
        let created = self.api.create(&self.order.agent, &self.title).await;
        let mut shown = match created {
            Ok(shown) => shown,
            Err(wrong) => {
                let may_be_there = !wrong.is_refusal() && wrong.failure != Failure::ConnectionRefused;
                self.untold.fetch_add(u32::from(may_be_there), Ordering::Relaxed);
                return Err(wrong);
            }
        };
        life.create = Some(intended.elapsed());
        self.made().insert(shown.id.clone());
        let until = Instant::now() + self.api.deadline();
        let mut look = FIRST_LOOK;
        loop {
            if let Some(terminal) = self.ready(&shown)? {
                life.ready = Some(intended.elapsed());
                tokio::select! {
                    biased;
                    () = enough.cancelled() => {}
                    came = self.first_byte.of(&terminal) => match came {
                        Ok(()) => life.first_byte = Some(intended.elapsed()),
                        Err(failure) => life.silent = Some(failure),
                    }
                }
                return Ok(Some(terminal));
            }
            tokio::select! {
                biased;
                () = enough.cancelled() => return Ok(None),
                () = sleep(look) => {}
            }
            if Instant::now() >= until {
                return Err(Wrong::new(Failure::TimedOut(Metric::SessionReady)));
            }
            look = (look * 3 / 2).min(LONGEST_LOOK);
            let id = shown.id.clone();
            tokio::select! {
                biased;
                () = enough.cancelled() => return Ok(None),
                asked = self.api.show(&id) => shown = asked?,
            }
        }
    }

    /// The terminal of a session, where it is ready by now.
    fn ready(&self, shown: &Shown) -> Result<Option<Terminal>, Wrong> {
        let end: &'static str = match shown.status.as_str() {
            "creating" => return Ok(None),
            "ready" => {
                let terminal = shown.terminal().map_err(Wrong::new)?;
                self.redactor
                    .add("SESSION_TOKEN", &terminal.right)
                    .map_err(|error| Wrong::new(Failure::Session(error.to_string().into())))?;
                return Ok(Some(terminal));
            }
            "failed" => "failed",
            "dead" => "dead",
            _ => "its status isn't in the contract",
        };
        Err(Wrong {
            said: shown.failure_reason.clone(),
            ..Wrong::new(Failure::Session(end.into()))
        })
    }

    /// Waits until a terminal opens for its token and says something, as long as that may take.
    ///
    /// # Errors
    /// Why it didn't the last time.
    pub async fn opens(&self, terminal: &Terminal, within: Duration) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            match self.first_byte.of(terminal).await {
                Err(_) if Instant::now() + FIRST_LOOK < until => sleep(FIRST_LOOK).await,
                opened => return opened,
            }
        }
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are to delete.
    pub fn count(&self) -> usize {
        self.made().len()
    }

    /// Deletes them all; gives those that are left, in words.
    pub async fn end(self: &Arc<Self>) -> Vec<String> {
        let mut left: Vec<String> = self.find_untold().await.into_iter().collect();
        let ids = std::mem::take(&mut *self.made());
        let room = Arc::new(Semaphore::new(DELETED_AT_ONCE));
        let mut deleting = JoinSet::new();
        for id in ids {
            let (sessions, room) = (self.clone(), room.clone());
            deleting.spawn(async move {
                let _room = room.acquire_owned().await;
                let why = sessions.delete(&id).await.err();
                why.map(|why| sessions.left(&id, &why))
            });
        }
        while let Some(joined) = deleting.join_next().await {
            left.extend(joined.unwrap_or_else(|error| Some(format!("deleting a session: {error}"))));
        }
        left.sort_unstable();
        left
    }

    async fn delete(&self, id: &str) -> Result<(), Wrong> {
        let mut tried = 1;
        loop {
            match self.api.delete(id).await {
                Err(_) if tried < TRIES => tried += 1,
                deleted => return deleted,
            }
            sleep(BETWEEN_TRIES).await;
        }
    }

    fn left(&self, id: &str, why: &Wrong) -> String {
        let by_hand = self.order.command.as_ref().map(|command| {
            let url = self.api.url(&format!("/sessions/{id}"));
            format!("; this deletes it: {command} -X DELETE {url}")
        });
        format!(
            "session {id} could not be deleted: {}{}",
            why.shown(&self.redactor),
            by_hand.unwrap_or_default()
        )
    }

    /// Finds those that were made by calls that failed, and looks again for as long as a call may take: one that
    /// timed out here may make its session later. Gives what is left to be looked for by a person.
    async fn find_untold(&self) -> Option<String> {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        if untold == 0 {
            return None;
        }
        let known = self.made().clone();
        // Room for those of others.
        let most = self.order.sessions.saturating_add(1000);
        // What goes with its platform is not waited for.
        let longest = self
            .order
            .command
            .as_ref()
            .map_or(Duration::ZERO, |_| self.api.deadline());
        let until = Instant::now() + longest;
        let mut new = BTreeSet::new();
        loop {
            // A list that is cut short, or that shows no titles, has fewer: only all of them prove that none is left.
            if let Ok(found) = self.api.with_title(&self.order.agent, &self.title, most).await {
                new.extend(found.into_iter().filter(|id| !known.contains(id)));
            }
            if new.len() >= untold as usize || Instant::now() + BETWEEN_LISTS > until {
                break;
            }
            sleep(BETWEEN_LISTS).await;
        }
        let missing = (untold as usize).saturating_sub(new.len());
        self.made().extend(new);
        untold_left(
            missing,
            &self.title,
            self.order.command.as_deref(),
            &self.api.url("/sessions"),
        )
    }
}

/// What to say of sessions that may be there and were not found; nothing where the platform goes anyhow.
fn untold_left(missing: usize, title: &str, command: Option<&str>, list: &str) -> Option<String> {
    let command = command.filter(|_| missing > 0)?;
    let sessions = if missing == 1 { "session" } else { "sessions" };
    Some(format!(
        "{missing} {sessions} may be left: a call for each failed, and none was found with the title {title}; this lists \
         all: {command} {list}"
    ))
}

impl Life {
    /// Why the API makes no session at all for this key and agent.
    fn refusal(&self) -> Option<&Wrong> {
        let Some(Err(wrong)) = &self.end else { return None };
        let of_all = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
        let refused = wrong.status.is_some_and(|status| of_all.contains(&status));
        // What was made once is no matter of key and agent.
        (refused && self.create.is_none()).then_some(wrong)
    }
}

impl Made {
    fn add(&mut self, number: usize, life: Life, attaches: u32) {
        let times = [
            (Metric::Lag, life.lag),
            (Metric::SessionCreate, life.create),
            (Metric::SessionReady, life.ready),
            (Metric::SessionFirstByte, life.first_byte),
        ];
        for (metric, time) in times {
            if let Some(time) = time {
                self.recorder.record(metric, super::clock::nanoseconds(time), false);
            }
        }
        if let Some(failure) = life.silent {
            // It is one attach more, which its user would have made.
            self.recorder.counts.attempted += 1;
            match failure {
                Failure::Status(_) => self.recorder.counts.refused += 1,
                _ => self.recorder.counts.failed += 1,
            }
            self.recorder.fail(failure, |failure| Example {
                failure,
                at: life.at,
                attach: format!("the first of session {number}"),
                local: None,
                said: None,
            });
        }
        let wrong = match life.end {
            Some(Ok(terminal)) => return self.terminals.push(terminal),
            Some(Err(wrong)) => wrong,
            None => return,
        };
        // Each attach that it was made for has failed with it.
        let attaches = u64::from(attaches);
        self.recorder.counts.attempted += attaches;
        self.recorder.counts.failed += attaches;
        self.recorder.keep(&wrong.failure.to_string(), |failure| Example {
            failure,
            at: life.at,
            attach: format!("of session {number}"),
            local: None,
            said: wrong.said,
        });
        *self.recorder.failures.entry(wrong.failure).or_default() += attaches;
    }

    /// Whether there is something to attach to.
    pub fn is_usable(&self) -> bool {
        !self.terminals.is_empty() && self.ending == Ending::Complete
    }

    /// What was measured, with what a load on these sessions was; without one where there was none.
    ///
    /// # Errors
    /// None: both have histograms of one form.
    pub fn outcome(self, load: Option<Outcome>) -> Result<Outcome, HistogramError> {
        let Some(mut outcome) = load else {
            return Ok(Outcome {
                recorder: self.recorder,
                ending: self.ending,
                most_open: 0,
                ramped: 0.0,
                steady: None,
                ended: self.took,
                costs: Costs::default(),
                processes: 1,
                lost_workers: Vec::new(),
                aborted: None,
            });
        };
        outcome.recorder.add(&Recorded::from(self.recorder))?;
        Ok(outcome)
    }
}
