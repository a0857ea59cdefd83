//! The sizes of the old and new ReplicaSets at each point of a Deployment's rollout.

use serde_json::Value;

use super::Set;
use crate::world::embedded::object::text;

/// The sizes that ReplicaSets are to have.
pub struct Sizes {
    pub new: u64,
    /// In the order of the old ones.
    pub old: Vec<u64>,
}

pub fn sizes(deployment: &Value, new: &Set, old: &[Set]) -> Sizes {
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        return recreate(wanted, new, old);
    }
    rolling(deployment, wanted, new, old)
}

/// All old pods go before the first new one comes.
fn recreate(wanted: u64, new: &Set, old: &[Set]) -> Sizes {
    let busy = old.iter().any(|set| !set.pods.is_empty() || set.ending);
    Sizes {
        new: if busy { new.wanted() } else { wanted },
        old: vec![0; old.len()],
    }
}

/// New pods come within the surge; old ones go as far as enough stay available.
fn rolling(deployment: &Value, wanted: u64, new: &Set, old: &[Set]) -> Sizes {
    let (surge, unavailable) = limits(&deployment["spec"]["strategy"]["rollingUpdate"], wanted);
    let all: u64 = old.iter().map(Set::wanted).sum::<u64>() + new.wanted();
    let grown = if new.wanted() >= wanted {
        wanted
    } else {
        (new.wanted() + (wanted + surge).saturating_sub(all)).min(wanted)
    };

    let minimum = wanted.saturating_sub(unavailable);
    let new_not_ready = new.wanted().saturating_sub(new.ready());
    let mut may_go = all.saturating_sub(minimum + new_not_ready);
    let mut sizes: Vec<u64> = old.iter().map(Set::wanted).collect();
    if may_go == 0 {
        return Sizes { new: grown, old: sizes };
    }
    // Old pods that don't serve go first: nobody misses them.
    for (set, size) in old.iter().zip(&mut sizes) {
        let broken = size.saturating_sub(set.ready()).min(may_go);
        *size -= broken;
        may_go -= broken;
    }
    let available: u64 = old.iter().map(Set::ready).sum::<u64>() + new.ready();
    let mut may_go = available.saturating_sub(minimum);
    for size in &mut sizes {
        let gone = (*size).min(may_go);
        *size -= gone;
        may_go -= gone;
    }
    Sizes { new: grown, old: sizes }
}

/// `maxSurge` and `maxUnavailable` as numbers of pods; never both 0.
pub fn limits(rolling: &Value, wanted: u64) -> (u64, u64) {
    let resolve = |value: &Value, up: bool| match value.as_u64() {
        Some(count) => count,
        None => {
            let text = text(value);
            let percent: u64 = text.strip_suffix('%').and_then(|p| p.parse().ok()).unwrap_or(25);
            let share = wanted * percent;
            if up { share.div_ceil(100) } else { share / 100 }
        }
    };
    let surge = resolve(&rolling["maxSurge"], true);
    let unavailable = resolve(&rolling["maxUnavailable"], false);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}
