//! Worlds that several runs work on: each is made by the first that needs it, kept for the next, and ended by the last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::sharing::Need;
use crate::events::RunOf;
use crate::world::World;

/// The worlds that runs share. One that is still kept for runs that were never started ends with the target.
pub struct SharedWorlds<W = World> {
    kinds: Mutex<Vec<Kind<W>>>,
}

/// Worlds that are made alike.
struct Kind<W> {
    need: Need,
    /// Runs that need one and are not over.
    left: usize,
    /// Where the next of them works.
    offered: Option<Arc<Room<W>>>,
}

/// A world, as soon as somebody has made it, and those who work in it.
struct Room<W> {
    world: OnceCell<Arc<W>>,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    now: usize,
    /// All that ever were, by their names.
    names: Vec<String>,
    /// Something went wrong with one of them.
    is_spoilt: bool,
}

impl<W> Default for SharedWorlds<W> {
    fn default() -> SharedWorlds<W> {
        SharedWorlds {
            kinds: Mutex::default(),
        }
    }
}

impl<W> SharedWorlds<W> {
    /// Hears of what runs need that are to come, of each once.
    pub fn announce(&self, needs: impl IntoIterator<Item = Need>) {
        let mut kinds = lock(&self.kinds);
        for need in needs {
            match kinds.iter_mut().find(|kind| kind.need == need) {
                Some(kind) => kind.left += 1,
                None => kinds.push(Kind {
                    need,
                    left: 1,
                    offered: None,
                }),
            }
        }
    }

    /// A place for a run in a world that it may share; none where such a run was not expected.
    pub fn enter(&self, need: &Need, guest: &RunOf) -> Option<Stay<'_, W>> {
        let mut kinds = lock(&self.kinds);
        let number = kinds.iter().position(|kind| kind.need == *need)?;
        let offered = &mut kinds.get_mut(number)?.offered;
        let room = offered.get_or_insert_with(|| Arc::new(Room::empty())).clone();
        let guest = guest.to_string();
        {
            let mut guests = lock(&room.guests);
            guests.now += 1;
            guests.names.push(guest.clone());
        }
        Some(Stay {
            worlds: self,
            kind: number,
            guest,
            room: Some(room),
        })
    }
}

/// A run's time in a shared world. Dropped before its end it leaves a world that nobody is given any more, and that
/// ends with the target.
pub struct Stay<'w, W> {
    worlds: &'w SharedWorlds<W>,
    /// Its place among the kinds.
    kind: usize,
    guest: String,
    /// None once it is over.
    room: Option<Arc<Room<W>>>,
}

/// A world that nobody works in any more.
pub struct Last<W> {
    pub world: Arc<W>,
    /// Something went wrong with one of those who did.
    pub is_spoilt: bool,
}

impl<W> Stay<'_, W> {
    /// The world: the one that is there, or else what `make` makes. Of those that come meanwhile, one makes it and the
    /// others wait; where it fails the next one tries.
    pub async fn world<E>(&self, make: impl Future<Output = Result<W, E>>) -> Result<Arc<W>, E> {
        match &self.room {
            Some(room) => {
                let made = room
                    .world
                    .get_or_try_init(move || async move { make.await.map(Arc::new) });
                made.await.cloned()
            }
            None => make.await.map(Arc::new),
        }
    }

    /// The other runs that work in it, or did, by their names.
    pub fn others(&self) -> Vec<String> {
        let Some(room) = &self.room else {
            return Vec::new();
        };
        let names = lock(&room.guests).names.clone();
        names.into_iter().filter(|name| *name != self.guest).collect()
    }

    /// The run is over; it has let go of the world before. Gives the world to the last one, which has to end it.
    pub fn end(mut self, is_bad: bool) -> Option<Last<W>> {
        self.leave(is_bad)
    }

    fn leave(&mut self, is_bad: bool) -> Option<Last<W>> {
        let room = self.room.take()?;
        let mut kinds = lock(&self.worlds.kinds);
        let kind = kinds.get_mut(self.kind)?;
        kind.left = kind.left.saturating_sub(1);
        let (is_empty, is_spoilt) = {
            let mut guests = lock(&room.guests);
            guests.now = guests.now.saturating_sub(1);
            // One that was never made nobody has disturbed.
            guests.is_spoilt |= is_bad && room.world.initialized();
            (guests.now == 0, guests.is_spoilt)
        };
        let is_offered = kind.offered.as_ref().is_some_and(|offered| Arc::ptr_eq(offered, &room));
        let is_kept = is_offered && !is_spoilt && kind.left > 0;
        if is_offered && !is_kept {
            kind.offered = None;
        }
        if is_kept || !is_empty {
            // Before the lock is: who is last must be the only one to have it.
            drop(room);
            return None;
        }
        let world = Arc::into_inner(room)?.world.into_inner()?;
        Some(Last { world, is_spoilt })
    }
}

impl<W> Drop for Stay<'_, W> {
    fn drop(&mut self) {
        // Nobody is there to wait for the end of a world: it goes with the target.
        drop(self.leave(true));
    }
}

impl<W> Room<W> {
    fn empty() -> Room<W> {
        Room {
            world: OnceCell::new(),
            guests: Mutex::default(),
        }
    }
}

/// Whoever panicked while holding it left whole data: all that is done meanwhile is counting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::runner::plan::plan;
    use crate::runner::sharing::need;

    /// Makes worlds that are numbers, from 1.
    #[derive(Default)]
    struct Maker {
        made: AtomicUsize,
    }

    impl Maker {
        async fn make(&self) -> Result<usize, Infallible> {
            // So that another one could come in between.
            tokio::task::yield_now().await;
            Ok(self.made.fetch_add(1, Ordering::SeqCst) + 1)
        }
    }

    /// What runs of these scenarios need.
    fn need_of(id: &str) -> Need {
        let scenarios = crate::scenario::load(None).expect("the built-in set");
        let scenarios: Vec<_> = scenarios
            .into_iter()
            .filter(|scenario| scenario.id == id)
            .map(Arc::new)
            .collect();
        plan(&scenarios, 1).first().and_then(need).expect("it shares a world")
    }

    fn guest(number: u32) -> RunOf {
        RunOf {
            id: "a/b/c".into(),
            parameters: Vec::new(),
            repetition: Some(number),
        }
    }

    fn expecting(need: &Need, runs: usize) -> SharedWorlds<usize> {
        let worlds = SharedWorlds::default();
        worlds.announce(vec![need.clone(); runs]);
        worlds
    }

    /// One run from beginning to end: the world that it had, and the one that it has to end.
    async fn stay(
        worlds: &SharedWorlds<usize>,
        maker: &Maker,
        need: &Need,
        number: u32,
        is_bad: bool,
    ) -> (usize, Option<usize>) {
        let stay = worlds.enter(need, &guest(number)).expect("it is expected");
        let world = *stay.world(maker.make()).await.expect("made");
        tokio::task::yield_now().await;
        (world, stay.end(is_bad).map(|last| *last.world))
    }

    #[tokio::test]
    async fn one_after_another_they_have_one_and_the_last_ends_it() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 3);
        let mut seen = Vec::new();
        for number in 1..=3 {
            seen.push(stay(&worlds, &maker, &need, number, false).await);
        }
        assert_eq!(seen, [(1, None), (1, None), (1, Some(1))]);
    }

    #[tokio::test]
    async fn side_by_side_they_have_one_that_is_ended_once() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 8);
        let seen = join_all((1..=8).map(|number| stay(&worlds, &maker, &need, number, false))).await;
        assert!(seen.iter().all(|(world, _)| *world == 1), "{seen:?}");
        assert_eq!(seen.iter().filter(|(_, ended)| ended.is_some()).count(), 1, "{seen:?}");
        assert_eq!(maker.made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn after_a_failure_the_next_one_has_another() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 3);
        assert_eq!(stay(&worlds, &maker, &need, 1, true).await, (1, Some(1)));
        assert_eq!(stay(&worlds, &maker, &need, 2, false).await, (2, None));
        assert_eq!(stay(&worlds, &maker, &need, 3, false).await, (2, Some(2)));
    }

    /// Those who are in it go on; the last of them ends it, and knows that something is to be looked at.
    #[tokio::test]
    async fn what_one_spoilt_is_ended_when_the_others_are_done() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 3);
        let enter = |number| worlds.enter(&need, &guest(number)).expect("it is expected");
        let (bad, good) = (enter(1), enter(2));
        for stay in [&bad, &good] {
            assert_eq!(*stay.world(maker.make()).await.expect("made"), 1);
        }
        assert_eq!(bad.others(), ["a/b/c#2"]);
        assert!(bad.end(true).is_none());
        let next = enter(3);
        assert_eq!(*next.world(maker.make()).await.expect("made"), 2);
        assert_eq!(next.others(), [""; 0]);
        let last = good.end(false).expect("nobody else is in it");
        assert_eq!((*last.world, last.is_spoilt), (1, true));
        let last = next.end(false).expect("nobody else is to come");
        assert_eq!((*last.world, last.is_spoilt), (2, false));
    }

    #[tokio::test]
    async fn where_one_can_not_make_it_the_next_one_does() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 2);
        let failed = worlds.enter(&need, &guest(1)).expect("it is expected");
        let refused = failed.world(async { Err("no room".to_owned()) }).await;
        assert_eq!(refused, Err("no room".to_owned()));
        drop(failed);
        assert_eq!(stay(&worlds, &maker, &need, 2, false).await, (1, Some(1)));
    }

    /// As where it was broken off.
    #[tokio::test]
    async fn a_stay_without_an_end_spoils_the_world() {
        let (need, maker) = (need_of("harness-token/token/accept"), Maker::default());
        let worlds = expecting(&need, 2);
        let broken = worlds.enter(&need, &guest(1)).expect("it is expected");
        assert_eq!(*broken.world(maker.make()).await.expect("made"), 1);
        drop(broken);
        assert_eq!(stay(&worlds, &maker, &need, 2, false).await, (2, Some(2)));
    }

    #[tokio::test]
    async fn each_need_has_a_world_of_its_own() {
        let (one, other) = (
            need_of("harness-token/token/accept"),
            need_of("harness-token/token/flow"),
        );
        let (worlds, maker) = (expecting(&one, 1), Maker::default());
        assert!(worlds.enter(&other, &guest(1)).is_none(), "nobody expected it");
        worlds.announce([other.clone()]);
        assert_eq!(stay(&worlds, &maker, &one, 1, false).await, (1, Some(1)));
        assert_eq!(stay(&worlds, &maker, &other, 2, false).await, (2, Some(2)));
    }
}
