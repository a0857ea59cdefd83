//! Schedules concurrent runs, and handles a run that crashes the harness.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info_span};

use super::attempts::Attempts;
use super::context::RunContext;
use super::plan::Planned;
use super::reproduce::reproduce;
use crate::events::{Event, ScenarioResult};
use crate::redact::Redactor;

/// Something that waits for its turn.
pub struct Job<T> {
    /// Whether nothing else may run beside it.
    alone: bool,
    run: Box<dyn FnOnce(UnboundedSender<Event>) -> BoxFuture<'static, T> + Send>,
    /// The result if it panics, and its duration.
    broken: Box<dyn FnOnce(Duration) -> T + Send>,
}

/// What [`schedule`] reports to its caller.
pub enum Told<T> {
    Event(Event),
    Ended(T),
}

/// A run's result, what the caller knows it by, and the secrets that it may hold until it is reported.
pub struct Ended<K> {
    pub key: K,
    pub result: ScenarioResult,
    pub secrets: Redactor,
}

/// The job of one run, with as many attempts as it may have.
pub fn job<K: Copy + Send + 'static>(
    key: K,
    planned: Planned,
    shared: Arc<RunContext>,
    attempts: Attempts,
) -> Job<Ended<K>> {
    let secrets = shared.redactor.scope();
    let span = info_span!("scenario", run = %planned.run);
    let (planned_again, shared_again, secrets_again) = (planned.clone(), shared.clone(), secrets.clone());
    Job {
        alone: planned.alone,
        run: Box::new(move |events| {
            async move {
                // The receiver lives as long as the schedule: what can't be told then is no longer of interest.
                let tell = move |event| drop(events.send(event));
                tell(Event::ScenarioStarted(planned.run.clone()));
                let result = attempts.run(&planned, &shared, &secrets, &tell).await;
                debug!(verdict = ?result.verdict, reason = result.reason.as_deref(), "the scenario is over");
                Ended { key, result, secrets }
            }
            .instrument(span)
            .boxed()
        }),
        broken: Box::new(move |ran| Ended {
            key,
            // A panic in the harness is a defect of it, and says nothing of the platform.
            result: ScenarioResult {
                reason: Some("the harness itself crashed; its message is on standard error".into()),
                reproduce: reproduce(&planned_again, &shared_again, None, None),
                ..planned_again.result(ran)
            },
            secrets: secrets_again,
        }),
    }
}

/// Runs jobs, at most `at_once` at a time, in their order; those that run alone come behind all others.
///
/// `tell` hears of everything. A break from it starts no further job, and neither does a stop. Gives how many were
/// not started.
pub async fn schedule<T: Send + 'static>(
    mut jobs: Vec<Job<T>>,
    at_once: usize,
    stop: &CancellationToken,
    mut tell: impl FnMut(Told<T>) -> ControlFlow<()>,
) -> usize {
    // The sort is stable: the order is otherwise the caller's.
    jobs.sort_by_key(|job| job.alone);
    let (events, mut inbox) = unbounded_channel();
    let mut waiting = jobs.into_iter().peekable();
    let mut running = JoinSet::new();
    let mut goes_on = true;
    loop {
        while goes_on && running.len() < at_once.max(1) && !stop.is_cancelled() {
            // Behind a job that runs alone there are only such, so none is ever joined by another.
            let fits = |next: &Job<T>| !next.alone || running.is_empty();
            let Some(next) = waiting.next_if(fits) else { break };
            running.spawn(one(next, events.clone()));
        }
        if running.is_empty() {
            return waiting.count();
        }
        tokio::select! {
            Some(event) = inbox.recv() => goes_on &= tell(Told::Event(event)).is_continue(),
            Some(ended) = running.join_next() => {
                while let Ok(event) = inbox.try_recv() {
                    goes_on &= tell(Told::Event(event)).is_continue();
                }
                // `one` catches panics; a task ends without a result only with the runtime.
                goes_on &= ended.is_ok_and(|ended| tell(Told::Ended(ended)).is_continue());
            }
        }
    }
}

async fn one<T>(job: Job<T>, events: UnboundedSender<Event>) -> T {
    let started = Instant::now();
    let ran = AssertUnwindSafe(async { (job.run)(events).await });
    ran.catch_unwind()
        .await
        .unwrap_or_else(|_| (job.broken)(started.elapsed()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn named(
        name: &'static str,
        alone: bool,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> Job<(&'static str, bool)> {
        Job {
            alone,
            run: Box::new(move |_| {
                async move {
                    run.await;
                    (name, true)
                }
                .boxed()
            }),
            broken: Box::new(move |_| (name, false)),
        }
    }

    async fn ends(jobs: Vec<Job<(&'static str, bool)>>, at_once: usize) -> Vec<(&'static str, bool)> {
        let mut ended = Vec::new();
        let left = schedule(jobs, at_once, &CancellationToken::new(), |told| {
            if let Told::Ended(name) = told {
                ended.push(name);
            }
            ControlFlow::Continue(())
        })
        .await;
        assert_eq!(left, 0);
        ended
    }

    #[tokio::test]
    async fn jobs_keep_their_order_and_those_that_run_alone_are_last() {
        let jobs = [("a", true), ("b", false), ("c", true), ("d", false)];
        let jobs = jobs.map(|(name, alone)| named(name, alone, async {}));
        let ended: Vec<&str> = ends(jobs.into(), 1).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(ended, ["b", "d", "a", "c"]);
    }

    #[tokio::test]
    async fn nothing_runs_beside_a_job_that_runs_alone() {
        let running = Arc::new(AtomicUsize::new(0));
        let job = |alone| {
            let running = running.clone();
            named("", alone, async move {
                let beside = running.fetch_add(1, Ordering::SeqCst);
                assert!(!alone || beside == 0);
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                    assert!(!alone || running.load(Ordering::SeqCst) == 1);
                }
                running.fetch_sub(1, Ordering::SeqCst);
            })
        };
        let ended = ends([true, false, false, true, false].map(job).into(), 4).await;
        assert!(ended.iter().all(|(_, whole)| *whole));
    }

    /// The others go on.
    #[tokio::test]
    async fn a_panic_is_an_end_like_another() {
        let jobs = vec![
            named("first", false, async {}),
            named("breaks", false, async { panic!("meant") }),
            named("last", false, async {}),
        ];
        assert_eq!(
            ends(jobs, 1).await,
            [("first", true), ("breaks", false), ("last", true)]
        );
    }

    #[tokio::test]
    async fn a_break_and_a_stop_start_nothing_further() {
        let jobs = || vec![named("a", false, async {}), named("b", false, async {})];
        let left = schedule(jobs(), 1, &CancellationToken::new(), |_| ControlFlow::Break(())).await;
        assert_eq!(left, 1);
        let stopped = CancellationToken::new();
        stopped.cancel();
        assert_eq!(schedule(jobs(), 1, &stopped, |_| ControlFlow::Continue(())).await, 2);
    }
}
