//! The mutants of load: what goes wrong only where many ask at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, StatusCode};
use tokio::sync::watch;

use super::super::{Pod, mutant};

/// Questions to access control that are under way at most: more than a few people ask, fewer than a crowd.
const QUEUE: usize = 8;

/// What access control answered; none until it has.
type Told = Option<(StatusCode, HeaderMap)>;

/// What requests that are under way share.
pub struct Busy {
    pod: Pod,
    asking: AtomicUsize,
    /// The answers that are awaited, by what they are about.
    awaited: Mutex<HashMap<String, watch::Receiver<Told>>>,
}

impl Busy {
    pub fn new(pod: &Pod) -> Busy {
        Busy {
            pod: pod.clone(),
            asking: AtomicUsize::new(0),
            awaited: Mutex::default(),
        }
    }

    /// Takes a place among those that ask. The mutant `open-where-busy` has none for more than fit.
    pub fn place(&self) -> Option<Place<'_>> {
        let before = self.asking.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.asking);
        (before < QUEUE || !self.pod.has(&mutant::OPEN_WHERE_BUSY)).then_some(place)
    }

    /// The mutant `questions-merged`: the answer to whoever asks about the same at this moment.
    pub async fn told(&self, about: &str) -> Told {
        let mut awaited = self.lock().get(about)?.clone();
        let told = awaited.wait_for(Option::is_some).await.ok()?;
        (*told).clone()
    }

    /// Lets others wait for the answer about this; none without the mutant.
    pub fn awaits(&self, about: &str) -> Option<Awaited<'_>> {
        if !self.pod.has(&mutant::QUESTIONS_MERGED) {
            return None;
        }
        let (tell, told) = watch::channel(None);
        self.lock().insert(about.to_owned(), told);
        Some(Awaited {
            busy: self,
            about: about.to_owned(),
            tell,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Told>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those that ask, until it is dropped.
pub struct Place<'b>(&'b AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that others wait for. Dropped without one, they ask themselves.
pub struct Awaited<'b> {
    busy: &'b Busy,
    about: String,
    tell: watch::Sender<Told>,
}

impl Awaited<'_> {
    pub fn came(self, status: StatusCode, headers: &HeaderMap) {
        self.tell.send_replace(Some((status, headers.clone())));
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.about);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn only_a_mutant_has_no_place_for_many() {
        for (mutants, places) in [("", 20), ("open-where-busy", QUEUE)] {
            let busy = Busy::new(&pod(&[("GAUNTLET_MUTANTS", mutants)]));
            let taken: Vec<_> = (0..20).map(|_| busy.place()).collect();
            assert_eq!(taken.iter().flatten().count(), places, "{mutants}");
            drop(taken);
            assert!(busy.place().is_some(), "all have left");
        }
    }

    #[tokio::test]
    async fn an_answer_is_shared_only_while_it_is_awaited() {
        let right = Busy::new(&pod(&[]));
        assert!(right.awaits("GET /a").is_none());
        let busy = Busy::new(&pod(&[("GAUNTLET_MUTANTS", "questions-merged")]));
        assert_eq!(busy.told("GET /a").await, None);
        let awaited = busy.awaits("GET /a").expect("it merges");
        assert_eq!(busy.told("GET /b").await, None);
        let answer = async {
            tokio::task::yield_now().await;
            awaited.came(StatusCode::OK, &HeaderMap::new());
        };
        let (told, ()) = tokio::join!(busy.told("GET /a"), answer);
        assert_eq!(told, Some((StatusCode::OK, HeaderMap::new())));
        assert_eq!(busy.told("GET /a").await, None);
        let given_up = busy.awaits("GET /a").expect("it merges");
        let leave = async {
            tokio::task::yield_now().await;
            drop(given_up);
        };
        let (told, ()) = tokio::join!(busy.told("GET /a"), leave);
        assert_eq!(told, None);
    }
}
