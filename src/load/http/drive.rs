//! A worker of the HTTP side: runs goose with its users.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use goose::config::GooseConfiguration;
use goose::prelude::{Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, GooseError};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, Lines};

use super::users::{Act, Users, UsersError};
use super::{Measured, ServeError, Task, Word};
use crate::load::worker::say;

/// How often it is looked whether there is an end to come.
const LOOK: Duration = Duration::from_millis(100);

/// A user's pause between two requests: people think, and the attaches need the processors.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(150));

/// How many of them begin in a second, for each that there is: all within a quarter of one.
const BEGIN: u32 = 4;

/// Why nothing was measured: told to the coordinator.
#[derive(Debug, thiserror::Error)]
enum NotMeasured {
    /// This machine's.
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error("goose: {0}")]
    Goose(#[source] Box<GooseError>),
    #[error("goose has ended before it was told to")]
    GooseEnded,
    #[error(transparent)]
    Orders(#[from] ServeError),
}

impl From<GooseError> for NotMeasured {
    fn from(error: GooseError) -> NotMeasured {
        NotMeasured::Goose(Box::new(error))
    }
}

/// Does the HTTP side of a load; ends when it is told to, or the coordinator goes away.
///
/// # Errors
/// The coordinator sent an invalid message, or nobody reads the answers.
pub async fn serve(orders: impl AsyncBufRead + Unpin, mut words: impl AsyncWrite + Unpin) -> Result<(), ServeError> {
    let mut orders = orders.lines();
    let Some(line) = next(&mut orders).await? else {
        return Ok(());
    };
    // The line itself isn't shown: it has the secrets in it.
    let task: Task = serde_json::from_str(&line).map_err(|_| ServeError::NoTask)?;
    match next(&mut orders).await?.as_deref() {
        Some("start") => {}
        _ => return Ok(()),
    }
    let word = match run(task, &mut orders).await {
        Ok(measured) => Word::Done {
            measured: Box::new(measured),
        },
        Err(error) => Word::Failed { why: error.to_string() },
    };
    say(&mut words, &word).await.map_err(ServeError::Telling)
}

async fn next(orders: &mut Lines<impl AsyncBufRead + Unpin>) -> Result<Option<String>, ServeError> {
    orders.next_line().await.map_err(ServeError::Reading)
}

async fn run(task: Task, orders: &mut Lines<impl AsyncBufRead + Unpin>) -> Result<Measured, NotMeasured> {
    let grace = task.grace();
    let users = Arc::new(Users::new(task)?);
    let mut attack = Box::pin(attack(&users)?.execute());
    let mut looks = tokio::time::interval(LOOK);
    let mut until: Option<Instant> = None;
    loop {
        tokio::select! {
            ended = &mut attack => match ended {
                Ok(_) if until.is_some() => break,
                Ok(_) => return Err(NotMeasured::GooseEnded),
                Err(error) => return Err(error.into()),
            },
            order = next(orders), if until.is_none() => match order?.as_deref() {
                // Without a coordinator nobody is left to do it for.
                Some("stop") | None => {
                    users.stopping.store(true, Ordering::SeqCst);
                    until = Some(Instant::now() + grace);
                }
                Some(_) => return Err(ServeError::NoOrder.into()),
            },
            _ = looks.tick() => if let Some(until) = until {
                // Goose forgets at its start what was triggered before, and to say it again changes nothing.
                goose::trigger_killswitch("the load is over");
                // Its users may still wait, and this process won't: what they have no answer to is counted.
                if Instant::now() >= until {
                    break;
                }
            },
        }
    }
    Ok(users.measured())
}

/// Goose, with all that its users do in one scenario: each of them does everything in turn, the first round each once.
fn attack(users: &Arc<Users>) -> Result<GooseAttack, NotMeasured> {
    let task = &users.task;
    let mut acts = Vec::new();
    if task.api.is_some() {
        acts.extend(Act::OF_API);
    }
    if let Some(models) = &task.models {
        acts.extend(Act::OF_MODELS);
        if models.inactive.is_some() {
            acts.extend(Act::OF_INACTIVE);
        }
    }
    let mut scenario = Scenario::new("load").set_wait_time(PAUSE.0, PAUSE.1)?;
    for (act, weight) in acts {
        let transaction = transaction(users.clone(), act).set_weight(weight)?;
        scenario = scenario.register_transaction(transaction);
    }
    // It has fields of its own, so that it can't be written in one piece.
    let mut configuration = GooseConfiguration::default();
    // It wants one; each request has its own.
    configuration.host = task.sites().next().map(|site| site.origin.clone());
    configuration.users = Some(task.users as usize);
    configuration.increase_rate = Some((task.users * BEGIN).to_string());
    configuration.quiet = 1;
    // All is counted here, microseconds and kinds of failures; and what goose counts it would print.
    configuration.no_metrics = true;
    configuration.no_print_metrics = true;
    configuration.no_reset_metrics = true;
    // It listens on ports of its own otherwise.
    configuration.no_telnet = true;
    // The client that it makes itself asks nothing, and must not want authorities' certificates where there are none:
    // each user takes the one of here before its first request.
    configuration.accept_invalid_certs = true;
    let attack = GooseAttack::initialize_with_config(configuration)?;
    Ok(attack.register_scenario(scenario))
}

fn transaction(users: Arc<Users>, act: Act) -> Transaction {
    let function: TransactionFunction = Arc::new(move |user| {
        let users = users.clone();
        Box::pin(async move { users.act(user, act).await })
    });
    Transaction::new(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_order_is_refused_without_showing_it() {
        let said = serve(&b"{\"secret\":\"0123\"}\nstart\n"[..], Vec::new()).await;
        let said = said.map_err(|error| error.to_string());
        assert_eq!(said, Err("the coordinator sent an invalid task".into()));
        assert!(serve(&b""[..], Vec::new()).await.is_ok());
    }
}
