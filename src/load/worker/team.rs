//! The coordinator: starts all workers together, lets them hold together, and merges their measurements.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::CreationError;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Assignment, Order, PROTOCOL, PlanError, Share, Word, say};
use crate::load::cost::Cost;
use crate::load::outcome::{Costs, Ending, Outcome};
use crate::load::recorder::{Recorder, Second};
use crate::load::summary::attaches;

#[cfg(test)]
mod tests;

/// Longest time until a worker is ready.
const READY: Duration = Duration::from_secs(60);

/// A worker that says nothing for so long is lost: each second it has something to say.
const SILENCE: Duration = Duration::from_secs(20);

/// What to do if a worker is lost. The load never passes then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfLost {
    /// It ends with what was measured.
    #[default]
    Stop,
    /// The others go on to the end.
    GoOn,
}

/// A worker, as its coordinator has it.
pub struct Member {
    /// For messages: `worker 2 (process 4711)`.
    pub name: String,
    pub words: Box<dyn AsyncRead + Send + Unpin>,
    pub orders: Box<dyn AsyncWrite + Send + Unpin>,
}

/// A worker's report, or its loss.
enum Heard {
    Word(Word),
    /// Its stream has ended, or what came was no word.
    Lost(String),
}

struct Worker {
    name: String,
    orders: Box<dyn AsyncWrite + Send + Unpin>,
    attaches: u32,
    ready: bool,
    settled: Option<u64>,
    /// Of its attaches, at its last word.
    open: u64,
    share: Option<Share>,
    lost: bool,
    heard: Instant,
    seconds: VecDeque<Second>,
    _reading: AbortOnDropHandle<()>,
}

/// Why workers have no outcome.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("writing an assignment: {0}")]
    Assignment(#[from] serde_json::Error),
    #[error("interrupted before the load began")]
    Interrupted,
    /// What a worker said, or why it is gone.
    #[error("{name}: {why}")]
    Worker { name: String, why: String },
    #[error("{name} speaks another protocol")]
    Protocol { name: String },
    #[error("{name} is not ready within {} s", READY.as_secs())]
    NotReady { name: String },
    #[error(transparent)]
    Histogram(#[from] CreationError),
    #[error(
        "no worker finished, with {} open at their last report: {}",
        attaches(*open),
        lost.join("; ")
    )]
    AllLost { open: u64, lost: Vec<String> },
}

/// Has a load made by workers; returns the merged outcome.
///
/// # Errors
/// No worker could begin, it was stopped before that, or none finished.
pub async fn run(
    members: Vec<Member>,
    assignment: &Assignment,
    if_lost: IfLost,
    stop: &CancellationToken,
    tell: impl FnMut(&Second),
) -> Result<Outcome, TeamError> {
    let (heard, hearing) = mpsc::channel(256);
    let of = members.len() as u32;
    let before = Cost::own().unwrap_or_default();
    let mut workers = Vec::new();
    for (turn, member) in members.into_iter().enumerate() {
        let part = assignment.part(turn as u32, of);
        let share = part.plan()?.share();
        let reading = tokio::spawn(read(turn, member.words, heard.clone()));
        let mut worker = Worker {
            name: member.name,
            orders: member.orders,
            attaches: share,
            ready: false,
            settled: None,
            open: 0,
            share: None,
            lost: false,
            heard: Instant::now(),
            seconds: VecDeque::new(),
            _reading: AbortOnDropHandle::new(reading),
        };
        let prepare = Order::Prepare {
            protocol: PROTOCOL,
            assignment: serde_json::to_value(&part)?,
        };
        worker.order(&prepare).await;
        workers.push(worker);
    }
    drop(heard);
    let mut team = Team {
        workers,
        hearing,
        if_lost,
        began: Instant::now(),
        merged: Vec::new(),
        lost: Vec::new(),
        stopping: false,
        ended_for_loss: false,
        held: None,
        done: None,
        tell,
    };
    team.ready(stop).await?;
    team.work(stop).await;
    team.outcome(before)
}

/// Hands on what a worker says.
async fn read(turn: usize, words: Box<dyn AsyncRead + Send + Unpin>, heard: mpsc::Sender<(usize, Heard)>) {
    let mut lines = BufReader::new(words).lines();
    loop {
        let said = match lines.next_line().await {
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(word) => Heard::Word(word),
                Err(error) => Heard::Lost(format!("it sent an invalid message: {error}")),
            },
            Ok(None) => Heard::Lost("it has ended".to_owned()),
            Err(error) => Heard::Lost(format!("reading from it: {error}")),
        };
        let over = matches!(said, Heard::Lost(_));
        if heard.send((turn, said)).await.is_err() || over {
            return;
        }
    }
}

impl Worker {
    /// One that doesn't hear is found by its silence.
    async fn order(&mut self, order: &Order) {
        let _heard = tokio::time::timeout(SILENCE, say(&mut self.orders, order)).await;
    }

    fn is_over(&self) -> bool {
        self.lost || self.share.is_some()
    }
}

struct Team<F> {
    workers: Vec<Worker>,
    hearing: mpsc::Receiver<(usize, Heard)>,
    if_lost: IfLost,
    began: Instant,
    merged: Vec<Second>,
    lost: Vec<String>,
    /// The coordinator's own cost when all began to hold, and when the first was done.
    held: Option<Cost>,
    done: Option<Cost>,
    /// It was told to stop.
    stopping: bool,
    /// It was stopped only because a worker was lost.
    ended_for_loss: bool,
    tell: F,
}

impl<F: FnMut(&Second)> Team<F> {
    async fn ready(&mut self, stop: &CancellationToken) -> Result<(), TeamError> {
        let until = Instant::now() + READY;
        while let Some(slow) = self.workers.iter().find(|worker| !worker.ready) {
            let name = slow.name.clone();
            let heard = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(TeamError::Interrupted),
                heard = tokio::time::timeout_at(until, self.hearing.recv()) => heard,
            };
            match heard {
                Ok(Some((turn, Heard::Word(Word::Ready { protocol: PROTOCOL })))) => self.workers[turn].ready = true,
                Ok(Some((turn, Heard::Word(Word::Failed { why }) | Heard::Lost(why)))) => {
                    let name = self.workers[turn].name.clone();
                    return Err(TeamError::Worker { name, why });
                }
                Ok(Some((turn, Heard::Word(_)))) => {
                    let name = self.workers[turn].name.clone();
                    return Err(TeamError::Protocol { name });
                }
                Ok(None) | Err(_) => return Err(TeamError::NotReady { name }),
            }
        }
        Ok(())
    }

    async fn work(&mut self, stop: &CancellationToken) {
        self.all(&Order::Start).await;
        self.began = Instant::now();
        let mut looks = tokio::time::interval(Duration::from_secs(1));
        let mut holding = false;
        for worker in &mut self.workers {
            worker.heard = self.began;
        }
        while self.workers.iter().any(|worker| !worker.is_over()) {
            tokio::select! {
                heard = self.hearing.recv() => match heard {
                    Some((turn, heard)) => self.hear(turn, heard).await,
                    None => break,
                },
                () = stop.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    self.all(&Order::Stop).await;
                }
                _ = looks.tick() => {
                    let silent = |worker: &Worker| !worker.is_over() && worker.heard.elapsed() > SILENCE;
                    let found: Vec<usize> = (0..self.workers.len()).filter(|turn| silent(&self.workers[*turn])).collect();
                    for turn in found {
                        self.lose(turn, &format!("it said nothing for {} s", SILENCE.as_secs())).await;
                    }
                }
            }
            if !holding
                && self
                    .workers
                    .iter()
                    .all(|worker| worker.lost || worker.settled.is_some())
            {
                holding = true;
                self.held = Cost::own();
                self.all(&Order::Hold).await;
            }
        }
    }

    async fn all(&mut self, order: &Order) {
        for worker in self.workers.iter_mut().filter(|worker| !worker.is_over()) {
            worker.order(order).await;
        }
    }

    async fn hear(&mut self, turn: usize, heard: Heard) {
        let worker = &mut self.workers[turn];
        worker.heard = Instant::now();
        match heard {
            // A worker that is done may go.
            _ if worker.is_over() => {}
            Heard::Word(Word::Second { second }) => {
                worker.open = second.open;
                worker.seconds.push_back(*second);
                self.merge_seconds();
            }
            Heard::Word(Word::Settled { open }) => {
                worker.open = open;
                worker.settled = Some(open);
            }
            Heard::Word(Word::Done { share }) => {
                worker.share = Some(*share);
                self.done = self.done.or_else(Cost::own);
            }
            Heard::Word(Word::Failed { why }) | Heard::Lost(why) => self.lose(turn, &why).await,
            Heard::Word(Word::Ready { .. }) => self.lose(turn, "it was ready twice").await,
        }
    }

    async fn lose(&mut self, turn: usize, why: &str) {
        let after = self.began.elapsed().as_secs();
        let worker = &mut self.workers[turn];
        worker.lost = true;
        self.lost.push(format!(
            "{} was lost after {after} s, {why}: its {} attaches are not accounted for",
            worker.name, worker.attaches
        ));
        if self.if_lost == IfLost::Stop {
            self.ended_for_loss |= !self.stopping;
            self.all(&Order::Stop).await;
        }
        self.merge_seconds();
    }

    /// Merges the seconds that all have told that are still there.
    fn merge_seconds(&mut self) {
        let there = |worker: &Worker| !worker.lost && (worker.share.is_none() || !worker.seconds.is_empty());
        loop {
            let mut of: Vec<&mut Worker> = self.workers.iter_mut().filter(|worker| there(worker)).collect();
            if of.is_empty() || of.iter().any(|worker| worker.seconds.is_empty()) {
                return;
            }
            let same: Vec<Second> = of.iter_mut().filter_map(|worker| worker.seconds.pop_front()).collect();
            if let Ok(second) = Second::merged(&same) {
                (self.tell)(&second);
                self.merged.push(second);
            }
        }
    }

    fn outcome(mut self, before: Cost) -> Result<Outcome, TeamError> {
        self.merge_seconds();
        let mut recorder = Recorder::new()?;
        let mut outcome: Option<Outcome> = None;
        let settled: u64 = self.workers.iter().filter_map(|worker| worker.settled).sum();
        let open_at_last: u64 = self.workers.iter().map(|worker| worker.open).sum();
        let processes = self.workers.len() as u32 + 1;
        for worker in self.workers {
            let Some(share) = worker.share else { continue };
            if let Err(why) = recorder.add(&share.recorded) {
                self.lost.push(format!("{}: {why}", worker.name));
                continue;
            }
            outcome = Some(match outcome {
                None => share.alone()?,
                Some(others) => share.beside(others),
            });
        }
        let Some(outcome) = outcome else {
            return Err(TeamError::AllLost {
                open: open_at_last,
                lost: self.lost,
            });
        };
        let open = self.merged.iter().map(|second| second.open).max().unwrap_or_default();
        recorder.seconds = self.merged;
        // The coordinator is one of the generator's processes.
        let own = Cost::own().unwrap_or_default();
        let costs = outcome.costs;
        Ok(Outcome {
            recorder,
            ending: match self.ended_for_loss {
                true => Ending::Complete,
                false => outcome.ending,
            },
            most_open: open.max(settled),
            processes,
            lost_workers: self.lost,
            costs: Costs {
                before: costs.before.and(&before),
                held: costs.held.zip(self.held).map(|(held, own)| held.and(&own)),
                after: costs.after.zip(self.done).map(|(after, own)| after.and(&own)),
                end: costs.end.and(&own),
            },
            ..outcome
        })
    }
}

impl Share {
    fn alone(self) -> Result<Outcome, CreationError> {
        Ok(Outcome {
            recorder: Recorder::new()?,
            ending: self.ending,
            most_open: self.most_open,
            ramped: self.ramped,
            steady: self.steady,
            ended: self.ended,
            costs: self.costs,
            processes: 1,
            lost_workers: Vec::new(),
            aborted: None,
        })
    }

    /// Times of both: all were open from the later of the two moments, until the earlier.
    fn beside(self, others: Outcome) -> Outcome {
        let both = |one: Option<Cost>, other: Option<Cost>| Some(one?.and(&other?));
        Outcome {
            ending: match self.ending {
                Ending::Stopped => Ending::Stopped,
                Ending::Complete => others.ending,
            },
            ramped: self.ramped.max(others.ramped),
            steady: self
                .steady
                .zip(others.steady)
                .map(|(one, other)| (one.0.max(other.0), one.1.min(other.1))),
            ended: self.ended.max(others.ended),
            costs: Costs {
                before: self.costs.before.and(&others.costs.before),
                held: both(self.costs.held, others.costs.held),
                after: both(self.costs.after, others.costs.after),
                end: self.costs.end.and(&others.costs.end),
            },
            ..others
        }
    }
}
