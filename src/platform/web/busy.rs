//! State that the mutants of load share between connections, and hand from one web to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Request, Uri};

use super::super::http::{Answer, Tunnel};
use super::super::token::{Door, Side};
use super::super::{Pod, mutant};

/// How long a web is new, from its first upgrade on, and the upgrades that it judges then.
const NEW: Duration = Duration::from_secs(1);
const JUDGED: u64 = 8;

pub struct Busy {
    pod: Pod,
    /// The token of the web before this one; none if this is the first.
    inherited: Option<String>,
    first: OnceLock<Instant>,
    upgrades: AtomicU64,
    open: Arc<AtomicU64>,
}

impl Busy {
    pub fn new(pod: &Pod, inherited: Option<&str>) -> Busy {
        Busy {
            pod: pod.clone(),
            inherited: inherited.map(str::to_owned),
            first: OnceLock::new(),
            upgrades: AtomicU64::new(0),
            open: Arc::default(),
        }
    }

    /// The mutant `start-overrun-opens`: more come to a web that has just followed another one than it judges.
    pub fn is_overrun(&self) -> bool {
        if self.inherited.is_none() || !self.pod.has(&mutant::START_OVERRUN_OPENS) {
            return false;
        }
        let first = self.first.get_or_init(Instant::now);
        self.upgrades.fetch_add(1, Ordering::Relaxed) >= JUDGED && first.elapsed() < NEW
    }

    /// The mutant `accepted-tokens-inherited`: who was let in by the web before this one is let in.
    pub fn knows<B>(&self, request: &Request<B>) -> bool {
        let many = self.open.load(Ordering::Relaxed) > mutant::MANY;
        let inherited = self
            .inherited
            .as_ref()
            .filter(|_| many && self.pod.has(&mutant::ACCEPTED_TOKENS_INHERITED));
        inherited.is_some_and(|token| {
            Door::new(&self.pod, Side::Proxy, Some(token.clone())).opens(request.uri().query(), request.headers())
        })
    }

    /// An answer whose tunnel counts as open for as long as it is.
    pub fn counted(&self, answer: Answer) -> Answer {
        let Answer { response, tunnel } = answer;
        let tunnel = tunnel.map(|tunnel| {
            let place = Place::new(&self.open);
            let counted: Tunnel = Box::pin(async move {
                let _place = place;
                tunnel.await;
            });
            counted
        });
        Answer { response, tunnel }
    }
}

/// Shows the sandbox this token in place of the client's.
pub fn vouch<B>(request: &mut Request<B>, parameter: &str, token: &str) {
    if let Ok(target) = format!("{}?{parameter}={token}", request.uri().path()).parse::<Uri>() {
        *request.uri_mut() = target;
    }
}

/// A tunnel that counts as open for as long as this lives.
struct Place(Arc<AtomicU64>);

impl Place {
    fn new(open: &Arc<AtomicU64>) -> Place {
        open.fetch_add(1, Ordering::Relaxed);
        Place(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::super::super::http::error;
    use super::super::super::pod::tests::pod;
    use super::*;

    fn busy(mutants: &str, inherited: Option<&str>) -> Busy {
        Busy::new(&pod(&[("GAUNTLET_MUTANTS", mutants)]), inherited)
    }

    #[test]
    fn only_a_successor_is_overrun() {
        for (mutants, inherited, overrun) in [
            ("start-overrun-opens", Some("a"), true),
            ("start-overrun-opens", None, false),
            ("", Some("a"), false),
        ] {
            let busy = busy(mutants, inherited);
            let judged = (0..JUDGED).filter(|_| busy.is_overrun()).count();
            assert_eq!((judged, busy.is_overrun()), (0, overrun), "{mutants} {inherited:?}");
        }
    }

    #[test]
    fn what_was_inherited_counts_where_many_are_open() {
        let busy = busy("accepted-tokens-inherited", Some("before"));
        let asked = |token: &str| Request::get(format!("/tty?token={token}")).body(()).expect("a request");
        let open = |_| {
            let answer = Answer {
                tunnel: Some(Box::pin(std::future::pending::<()>())),
                ..Answer::from(error(StatusCode::OK, ""))
            };
            busy.counted(answer)
        };
        let mut held: Vec<Answer> = (0..mutant::MANY).map(open).collect();
        assert!(!busy.knows(&asked("before")));
        held.push(open(0));
        assert!(busy.knows(&asked("before")));
        assert!(!busy.knows(&asked("another")));
        held.pop();
        assert!(!busy.knows(&asked("before")));
    }
}
