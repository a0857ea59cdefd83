//! A kubelet's figures about its pods (`stats/summary`, k8s.io/kubelet/pkg/apis/stats/v1alpha1).

use serde::Deserialize;

/// What a pod has used so far, and uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub uid: String,
    /// When the kubelet looked, as it writes it.
    pub looked: Option<String>,
    /// Processor time since the pod began, in nanoseconds.
    pub processor: Option<u64>,
    /// Memory that can't be taken back, in bytes.
    pub working_set: Option<u64>,
    pub processes: Option<u64>,
}

#[derive(Deserialize)]
struct Summary {
    pods: Option<Vec<PodStats>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: PodRef,
    #[serde(flatten)]
    whole: Used,
    /// Null of a pod that has just begun.
    containers: Option<Vec<Used>>,
    /// Not in the case of all others.
    #[serde(rename = "process_stats")]
    process_stats: Option<ProcessStats>,
}

#[derive(Deserialize)]
struct PodRef {
    namespace: String,
    uid: String,
}

#[derive(Deserialize)]
struct Used {
    cpu: Option<Cpu>,
    memory: Option<Memory>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    time: Option<String>,
    usage_core_nano_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct ProcessStats {
    process_count: Option<u64>,
}

/// What a kubelet sent is no summary.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NoSummary(#[from] serde_json::Error);

/// The figures of a namespace's pods.
///
/// # Errors
/// It isn't a summary.
pub fn read(summary: &str, namespace: &str) -> Result<Vec<Figures>, NoSummary> {
    let summary: Summary = serde_json::from_str(summary)?;
    let pods = summary.pods.into_iter().flatten();
    let of_it = pods.filter(|pod| pod.pod_ref.namespace == namespace);
    Ok(of_it.map(Figures::from).collect())
}

impl Used {
    fn processor(&self) -> Option<u64> {
        self.cpu.as_ref()?.usage_core_nano_seconds
    }

    fn working_set(&self) -> Option<u64> {
        self.memory.as_ref()?.working_set_bytes
    }

    fn looked(&self) -> Option<&String> {
        self.cpu.as_ref()?.time.as_ref()
    }
}

impl From<PodStats> for Figures {
    fn from(pod: PodStats) -> Figures {
        let containers = pod.containers.unwrap_or_default();
        // Some runtimes say it of containers alone; where one of them has no figure yet the sum has none.
        let sum = |of: fn(&Used) -> Option<u64>| match (of(&pod.whole), containers.is_empty()) {
            (None, false) => containers.iter().map(of).sum(),
            (whole, _) => whole,
        };
        let looked = pod.whole.looked().or(containers.iter().filter_map(Used::looked).max());
        Figures {
            looked: looked.cloned(),
            processor: sum(Used::processor),
            working_set: sum(Used::working_set),
            processes: pod.process_stats.and_then(|stats| stats.process_count),
            uid: pod.pod_ref.uid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = r#"{
      "node": {
        "nodeName": "agents-control-plane",
        "startTime": "2026-11-28T08:00:00Z",
        "cpu": { "time": "2026-11-29T10:00:07Z", "usageNanoCores": 312000000, "usageCoreNanoSeconds": 99000000000 },
        "memory": { "time": "2026-11-29T10:00:07Z", "availableBytes": 8000000000, "workingSetBytes": 900000000 },
        "rlimit": { "time": "2026-11-29T10:00:08Z", "maxpid": 126815, "curproc": 801 }
      },
      "pods": [
        {
          "podRef": { "name": "web-7d9", "namespace": "agents", "uid": "u-1" },
          "startTime": "2026-11-29T09:00:00Z",
          "containers": [
            {
              "name": "web",
              "startTime": "2026-11-29T09:00:01Z",
              "cpu": { "time": "2026-11-29T10:00:01Z", "usageNanoCores": 5000000, "usageCoreNanoSeconds": 4100000000 },
              "memory": { "time": "2026-11-29T10:00:01Z", "workingSetBytes": 12582912, "rssBytes": 1048576 },
              "rootfs": { "time": "2026-11-29T10:00:01Z", "usedBytes": 24576 },
              "swap": { "time": "2026-11-29T10:00:01Z", "swapUsageBytes": 0 }
            }
          ],
          "cpu": { "time": "2026-11-29T10:00:04Z", "usageNanoCores": 5100000, "usageCoreNanoSeconds": 4200000000 },
          "memory": { "time": "2026-11-29T10:00:04Z", "usageBytes": 14000000, "workingSetBytes": 13000000 },
          "volume": [{ "name": "kube-api-access", "usedBytes": 12288 }],
          "process_stats": { "process_count": 2 }
        },
        {
          "podRef": { "name": "worker-5f", "namespace": "agents", "uid": "u-2" },
          "startTime": "2026-11-29T09:00:00Z",
          "containers": [
            {
              "name": "a",
              "cpu": { "time": "2026-11-29T10:00:02Z", "usageCoreNanoSeconds": 1000 },
              "memory": { "workingSetBytes": 100 }
            },
            {
              "name": "b",
              "cpu": { "time": "2026-11-29T10:00:03Z", "usageCoreNanoSeconds": 500 },
              "memory": { "workingSetBytes": 50 }
            }
          ]
        },
        { "podRef": { "name": "new", "namespace": "agents", "uid": "u-3" }, "startTime": null, "containers": null },
        { "podRef": { "name": "coredns", "namespace": "kube-system", "uid": "u-4" }, "containers": [] }
      ]
    }"#;

    #[test]
    fn a_namespaces_pods_are_read() {
        let read = read(SUMMARY, "agents").expect("a summary");
        let [web, worker, new] = &read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(
            *web,
            Figures {
                uid: "u-1".into(),
                looked: Some("2026-11-29T10:00:04Z".into()),
                processor: Some(4_200_000_000),
                working_set: Some(13_000_000),
                processes: Some(2),
            }
        );
        // Of containers alone.
        assert_eq!((worker.processor, worker.working_set), (Some(1500), Some(150)));
        assert_eq!(worker.looked.as_deref(), Some("2026-11-29T10:00:03Z"));
        assert_eq!((new.processor, new.working_set, new.processes), (None, None, None));
    }

    #[test]
    fn what_is_no_summary_says_so() {
        assert!(read("{}", "agents").expect("a summary").is_empty());
        assert!(read("<html>", "agents").is_err());
    }
}
