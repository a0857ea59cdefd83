//! Open descriptors of pods, as cAdvisor counts them in each kubelet (`metrics/cadvisor`, in the text format of
//! Prometheus): `stats/summary` has none.

use std::collections::BTreeMap;

/// The only metric that is looked for, with the beginning of its labels.
const METRIC: &str = "container_file_descriptors{";

/// Open descriptors of a namespace's pods, of all containers together, by the pods' names.
pub fn read(metrics: &str, namespace: &str) -> BTreeMap<String, u64> {
    let mut pods: BTreeMap<String, u64> = BTreeMap::new();
    for sample in metrics.lines().filter_map(sample) {
        // A pod's own group has no name, and what it counts is its containers' again.
        if sample.namespace == namespace && sample.is_container && !sample.pod.is_empty() {
            *pods.entry(sample.pod).or_default() += sample.descriptors;
        }
    }
    pods
}

/// A line of the metric.
struct Sample {
    namespace: String,
    pod: String,
    is_container: bool,
    descriptors: u64,
}

fn sample(line: &str) -> Option<Sample> {
    let mut rest = line.strip_prefix(METRIC)?;
    let (mut namespace, mut pod, mut is_container) = (String::new(), String::new(), false);
    let value = loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(value) = rest.strip_prefix('}') {
            break value;
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        match name {
            "namespace" => namespace = value,
            "pod" => pod = value,
            // The sandbox's container has only a name with some runtimes.
            "container" | "name" => is_container |= !value.is_empty(),
            _ => {}
        }
        rest = after;
    };
    // A moment may follow.
    let descriptors: f64 = value.split_whitespace().next()?.parse().ok()?;
    (0.0..1e12).contains(&descriptors).then_some(Sample {
        namespace,
        pod,
        is_container,
        descriptors: descriptors as u64,
    })
}

/// A label's value up to its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# HELP cadvisor_version_info A metric with a constant '1' value.
# TYPE cadvisor_version_info gauge
cadvisor_version_info{cadvisorRevision="",cadvisorVersion="",dockerVersion="",kernelVersion="6.8.0",osVersion="Debian GNU/Linux 12"} 1
# HELP container_file_descriptors Number of open file descriptors for the container.
# TYPE container_file_descriptors gauge
container_file_descriptors{container="",id="/",image="",name="",namespace="",pod=""} 3150 1764410407003
container_file_descriptors{container="",id="/kubepods.slice/kubepods-pod0a.slice",image="",name="",namespace="agents",pod="web-7d9"} 27 1764410404103
container_file_descriptors{container="",id="/kubepods.slice/kubepods-pod0a.slice/cri-containerd-11.scope",image="registry.k8s.io/pause:3.10",name="11",namespace="agents",pod="web-7d9"} 2 1764410404103
container_file_descriptors{container="sidecar",id="/x",image="proxy:1",name="13",namespace="agents",pod="web-7d9"} 5 1764410404103
container_file_descriptors{container="web",id="/kubepods.slice/a,b}\"c\\",image="web:1",name="12",namespace="agents",pod="web-7d9"} 20 1764410404103
container_file_descriptors{container="worker",id="/y",image="web:1",name="14",namespace="agents",pod="worker-5f"} 1.1e+02
container_file_descriptors{container="coredns",id="/z",image="coredns:1",name="15",namespace="kube-system",pod="coredns-1"} 9 1764410404103
container_file_descriptors{container="odd",id="/o",image="",name="16",namespace="agents",pod="odd-1"} NaN 1764410404103
container_file_descriptors{container="cut",id="/c
# HELP container_sockets Number of open sockets for the container.
container_sockets{container="web",id="/k",image="web:1",name="12",namespace="agents",pod="web-7d9"} 7 1764410404103
"#;

    #[test]
    fn descriptors_of_a_pod_are_those_of_its_containers() {
        let read = read(METRICS, "agents");
        let pods: Vec<(&str, u64)> = read.iter().map(|(pod, count)| (pod.as_str(), *count)).collect();
        assert_eq!(pods, [("web-7d9", 27), ("worker-5f", 110)]);
    }

    #[test]
    fn a_kubelet_that_counts_none_tells_none() {
        for text in [
            "",
            "<html>",
            "container_file_descriptors 5",
            "container_file_descriptors{",
        ] {
            assert!(read(text, "agents").is_empty(), "{text}");
        }
    }
}
