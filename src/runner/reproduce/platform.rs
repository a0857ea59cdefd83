//! Where to find a run's platform when reproducing a failure.

use crate::runner::context::RunContext;
use crate::world::{Target, World};

/// What happens to the platform of a request after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// It was in this process; `gauntlet up` starts one like it.
    Embedded,
    /// It was a namespace; `gauntlet up --target kind` creates one like it.
    Kind,
    /// It is a namespace that is kept.
    Stays,
    /// It isn't ours.
    Theirs,
}

impl Platform {
    pub(super) fn of(shared: &RunContext, world: &World) -> Platform {
        match &shared.target {
            Target::Installation(_) => Platform::Theirs,
            Target::Kind(_) if shared.keep_failed && world.can_stay() => Platform::Stays,
            Target::Kind(_) => Platform::Kind,
            Target::Embedded(..) => Platform::Embedded,
        }
    }

    /// Whether it ended with the run.
    pub(super) fn is_gone(self) -> bool {
        matches!(self, Platform::Embedded | Platform::Kind)
    }

    /// `kubectl` with what leads it to the platform.
    pub(super) fn kubectl(self, shared: &RunContext, world: &World) -> String {
        match (self, &shared.target) {
            (Platform::Embedded | Platform::Kind, _) => "kubectl".to_owned(),
            (Platform::Stays, Target::Kind(cluster)) => {
                format!("kubectl --context kind-{} -n {}", cluster.name, world.namespace)
            }
            _ => format!("kubectl{} -n {}", shared.flags.kubectl, world.namespace),
        }
    }
}
