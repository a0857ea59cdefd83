//! The containers of a cluster's nodes.

use jiff::Timestamp;

use super::KindCluster;
use super::tool::{DOCKER, ToolError};

impl KindCluster {
    /// Whether a node has restarted or disappeared since then, in words.
    pub async fn disruption_since(&self, since: Timestamp) -> Option<String> {
        match shown(&self.name).await {
            Ok(shown) => disruption_since(&self.name, &shown, since),
            Err(error) => Some(untold(&error.to_string())),
        }
    }
}

/// A line for each node: its name, whether it runs, when it was started.
async fn shown(cluster: &str) -> Result<String, ToolError> {
    let of_it = format!("label=io.x-k8s.kind.cluster={cluster}");
    let listed = DOCKER
        .ask(["ps", "--all", "--filter", &of_it, "--format", "{{.Names}}"])
        .await?;
    if listed.trim().is_empty() {
        return Ok(String::new());
    }
    let format = "{{.Name}} {{.State.Running}} {{.State.StartedAt}}";
    DOCKER
        .ask(["inspect", "--format", format].into_iter().chain(listed.lines()))
        .await
}

fn disruption_since(cluster: &str, shown: &str, since: Timestamp) -> Option<String> {
    if shown.trim().is_empty() {
        return Some(format!("the cluster {cluster} is gone"));
    }
    shown.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, runs, started] = words[..] else {
            return Some(untold(line));
        };
        let name = name.trim_start_matches('/');
        match (runs, started.parse::<Timestamp>()) {
            ("true", Ok(started)) if started <= since => None,
            ("true", Ok(started)) => Some(format!("the cluster's node {name} was started again at {started:.0}")),
            ("true", Err(_)) => Some(untold(line)),
            _ => Some(format!("the cluster's node {name} does not run")),
        }
    })
}

fn untold(why: &str) -> String {
    format!("could not tell whether the cluster was up all the time: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_stood_or_fell() {
        let since: Timestamp = "2026-03-01T12:00:00Z".parse().expect("a time");
        let told = |shown: &str| disruption_since("c", shown, since);
        let before = "/c-control-plane true 2026-03-01T11:00:00.123456789Z";
        assert_eq!(told(before), None);
        let cases = [
            ("", "the cluster c is gone"),
            (
                "/c-control-plane true 2026-03-01T12:00:01.5Z",
                "the cluster's node c-control-plane was started again at 2026-03-01T12:00:01Z",
            ),
            (
                &format!("{before}\n/c-worker false 2026-03-01T11:00:00Z"),
                "the cluster's node c-worker does not run",
            ),
            (
                "/c true noon",
                "could not tell whether the cluster was up all the time: /c true noon",
            ),
            ("what", "could not tell whether the cluster was up all the time: what"),
        ];
        for (shown, words) in cases {
            assert_eq!(told(shown).as_deref(), Some(words), "{shown}");
        }
    }
}
