//! Logs that a profile names, beside those of the platform's pods: they are searched with them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::vocabulary::duration;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// Where a log is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LogSource {
    /// A file of this machine.
    File(PathBuf),
    /// What pods of the cluster write.
    Pods(LogPods),
}

/// Pods whose logs are searched, as those of a gateway in a namespace of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogPods {
    /// Default: the platform's.
    pub namespace: Option<String>,
    /// The labels that they have.
    pub selector: String,
    /// Default: all of each pod.
    pub container: Option<String>,
    /// How long after a request its line may come: Envoy writes its access log every ten seconds.
    pub delay: Duration,
}

/// Reads the logs of a profile, whose shape was checked.
pub(super) fn read(root: &Node, checker: &mut Checker) -> BTreeMap<String, LogSource> {
    let mut logs = BTreeMap::new();
    for (key, value) in root.get("logs").and_then(Node::as_map).unwrap_or_default() {
        let text = |of: &str| value.get(of).and_then(Node::as_text).map(str::to_owned);
        let source = match (&value.kind, text("selector")) {
            (Kind::Text(path), _) => LogSource::File(path.into()),
            (Kind::Map(_), Some(selector)) => LogSource::Pods(LogPods {
                namespace: text("namespace"),
                selector,
                container: text("container"),
                delay: delay(value, checker),
            }),
            // Reported with the shape.
            _ => continue,
        };
        logs.insert(key.name.clone(), source);
    }
    logs
}

fn delay(pods: &Node, checker: &mut Checker) -> Duration {
    let Some(said) = pods.get("delay") else {
        return Duration::ZERO;
    };
    let text = said.as_text().unwrap_or_default();
    duration::parse(text).unwrap_or_else(|| {
        checker.report(said.span, format!("`delay` is {}, not `{text}`", duration::FORM));
        Duration::ZERO
    })
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;
    use crate::yaml::{Problem, Source};

    fn parse(logs: &str) -> Result<Profile, Vec<Problem>> {
        let text = format!("apiVersion: gauntlet/v1\nkind: Profile\nlogs: {{ gateway: {logs} }}\n");
        Profile::parse(&Source::new("p.yaml", text))
    }

    #[test]
    fn files_and_pods() {
        let file = parse("/var/log/nginx/access.log").expect("good");
        let path = PathBuf::from("/var/log/nginx/access.log");
        assert_eq!(file.logs["gateway"], LogSource::File(path));
        let pods = parse("{ namespace: edge, selector: app=envoy, container: envoy, delay: 10s }").expect("good");
        let all = LogPods {
            namespace: Some("edge".to_owned()),
            selector: "app=envoy".to_owned(),
            container: Some("envoy".to_owned()),
            delay: Duration::from_secs(10),
        };
        assert_eq!(pods.logs["gateway"], LogSource::Pods(all));
        assert_ne!(pods.digest(), file.digest());
        assert!(parse("{ selector: app=envoy }").is_ok());
    }

    #[test]
    fn what_names_no_log_is_told() {
        for (wrong, said) in [
            ("{ namespace: edge }", "lacks the key `selector`"),
            ("{ selector: app=envoy, delay: soon }", "`delay` is a number"),
            ("3", "`gateway` must be"),
        ] {
            let problems = parse(wrong).expect_err("wrong");
            let text: String = problems.iter().map(ToString::to_string).collect();
            assert!(text.contains(said), "{wrong}: {text}");
        }
    }
}
