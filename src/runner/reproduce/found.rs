//! Commands that show what a search found, in place.

use super::platform::Platform;
use crate::runner::context::RunContext;
use crate::steps::StepContext;
use crate::world::Target;

/// Most lines of logs that are shown.
const MOST_FOUND: usize = 3;

/// What shows the lines of logs in which the last search found something. None if they are gone with their world:
/// the evidence has them.
pub(super) fn found(shared: &RunContext, context: &StepContext) -> Option<Vec<String>> {
    let (platform, found) = (Platform::of(shared, &context.world), context.lines_found());
    if platform.is_gone() || found.is_empty() {
        return None;
    }
    let mut lines = match &shared.target {
        Target::Kind(cluster) => vec![
            format!(
                "# Where it stands; the world of that run stays, in namespace {}:",
                context.world.namespace
            ),
            format!("kind export kubeconfig --name {}", cluster.name),
        ],
        _ => vec!["# Where it stands:".to_owned()],
    };
    let kubectl = platform.kubectl(shared, &context.world);
    lines.extend(found.iter().take(MOST_FOUND).map(|found| {
        let previous = if found.previous { " --previous" } else { "" };
        format!(
            "{kubectl} logs {} -c {}{previous} | sed -n {}p",
            found.pod, found.container, found.line
        )
    }));
    Some(lines)
}
