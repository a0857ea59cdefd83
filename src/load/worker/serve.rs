//! A worker: runs its part of a load on its coordinator's orders.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, Lines};

use super::{Assignment, Order, PROTOCOL, PlanError, Share, Word, say};
use crate::load::control::Control;
use crate::load::engine::{self, EngineError, SpawnError};
use crate::load::outcome::Outcome;
use crate::load::plan::Plan;

/// How often a worker looks for what its engine has to say.
const LOOK: Duration = Duration::from_millis(50);

/// Why a worker can't go on: what it was told is no order, or nobody hears what it says.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("reading the coordinator's orders: {0}")]
    Reading(#[source] io::Error),
    #[error("the coordinator sent an unknown order")]
    NoOrder,
    #[error("a second load in one worker")]
    SecondLoad,
    #[error("telling the coordinator: {0}")]
    Telling(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("the engine's thread has ended")]
    EngineGone,
}

/// Why there is nothing that a worker could do: told to the coordinator.
#[derive(Debug, thiserror::Error)]
enum Unprepared {
    #[error("the coordinator speaks protocol {0}, and this worker {PROTOCOL}: they are of two versions")]
    Protocol(u32),
    #[error("an order before there was anything to do")]
    Early,
    #[error("the coordinator's assignment is none: they are of two versions")]
    NoAssignment,
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Does one load's part; ends when it is done, or the coordinator goes away.
///
/// # Errors
/// The coordinator sent an invalid message, or nobody reads the answers.
pub async fn serve(orders: impl AsyncBufRead + Unpin, mut words: impl AsyncWrite + Unpin) -> Result<(), WorkerError> {
    let mut orders = orders.lines();
    let plan = match next(&mut orders).await? {
        Some(Order::Prepare { protocol, assignment }) if protocol == PROTOCOL => located(assignment).await,
        Some(Order::Prepare { protocol, .. }) => Err(Unprepared::Protocol(protocol)),
        Some(_) => Err(Unprepared::Early),
        None => return Ok(()),
    };
    let done = match plan {
        Err(error) => Word::Failed { why: error.to_string() },
        Ok(plan) => {
            tell(&mut words, &Word::Ready { protocol: PROTOCOL }).await?;
            match next(&mut orders).await? {
                Some(Order::Start) => {}
                _ => return Ok(()),
            }
            match work(plan, &mut orders, &mut words).await? {
                Ok(outcome) => Word::Done {
                    share: Box::new(Share::from(outcome)),
                },
                Err(error) => Word::Failed { why: error.to_string() },
            }
        }
    };
    tell(&mut words, &done).await
}

/// The plan of an assignment, with the addresses that its names have here.
async fn located(assignment: Value) -> Result<Plan, Unprepared> {
    // What is wrong with it isn't shown: it has the tokens in it.
    let assignment: Assignment = serde_json::from_value(assignment).map_err(|_| Unprepared::NoAssignment)?;
    Ok(assignment.located().await?)
}

/// Runs the engine on a thread of its own.
async fn work(
    plan: Plan,
    orders: &mut Lines<impl AsyncBufRead + Unpin>,
    words: &mut (impl AsyncWrite + Unpin),
) -> Result<Result<Outcome, EngineError>, WorkerError> {
    let control = Arc::new(Control::default());
    let mut end = engine::spawn(plan, control.clone())?;
    let mut ticks = tokio::time::interval(LOOK);
    let mut settled = false;
    let mut alone = false;
    loop {
        tokio::select! {
            outcome = &mut end => {
                for second in control.news() {
                    tell(words, &Word::Second { second: Box::new(second) }).await?;
                }
                return outcome.map_err(|_| WorkerError::EngineGone);
            }
            order = next(orders), if !alone => match order? {
                Some(Order::Hold) => control.hold.store(true, Ordering::Relaxed),
                Some(Order::Stop) => control.stop.store(true, Ordering::Relaxed),
                Some(Order::Prepare { .. } | Order::Start) => return Err(WorkerError::SecondLoad),
                // Nobody is left to do it for.
                None => {
                    alone = true;
                    control.stop.store(true, Ordering::Relaxed);
                }
            },
            _ = ticks.tick() => {
                for second in control.news() {
                    tell(words, &Word::Second { second: Box::new(second) }).await?;
                }
                if let Some(open) = control.settled().filter(|_| !settled) {
                    settled = true;
                    tell(words, &Word::Settled { open }).await?;
                }
            }
        }
    }
}

async fn next(orders: &mut Lines<impl AsyncBufRead + Unpin>) -> Result<Option<Order>, WorkerError> {
    let line = orders.next_line().await.map_err(WorkerError::Reading)?;
    // The line itself isn't shown: it may have the tokens in it.
    line.map(|line| serde_json::from_str(&line).map_err(|_| WorkerError::NoOrder))
        .transpose()
}

async fn tell(words: &mut (impl AsyncWrite + Unpin), word: &Word) -> Result<(), WorkerError> {
    say(words, word).await.map_err(WorkerError::Telling)
}
