//! What is seen of pods.

use kube::client::Body;
use serde_json::json;

use super::*;

fn figures(processor: u64, working_set: u64) -> Figures {
    Figures {
        uid: "u-1".into(),
        looked: Some(processor.to_string()),
        processor: Some(processor),
        working_set: Some(working_set),
        processes: Some(1),
    }
}

fn used(looks: &[(u64, bool)]) -> Option<u64> {
    let mut seen = Seen::default();
    for (processor, begun) in looks {
        seen.add(figures(*processor, 0), *begun);
    }
    seen.used
}

#[test]
fn what_was_used_before_the_load_is_not_the_loads() {
    assert_eq!(used(&[(100, false), (130, true), (190, true)]), Some(90));
    // It was made during the load.
    assert_eq!(used(&[(40, true), (50, true)]), Some(50));
    // It has begun anew.
    assert_eq!(used(&[(100, false), (130, true), (10, true), (15, true)]), Some(45));
    assert_eq!(used(&[]), None);
}

#[test]
fn the_peak_stands() {
    let mut seen = Seen::default();
    for working_set in [10, 30, 20] {
        seen.add(figures(1, working_set), true);
    }
    assert_eq!((seen.working_set, seen.processes), (Some(30), Some(1)));
}

/// An API server whose one node's kubelet counts so many descriptors, or doesn't have the figure.
fn client(descriptors: Option<u32>) -> kube::Client {
    let answer = move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        let pod = |uid: &str, name: &str, phase: &str| {
            json!({
                "metadata": { "name": name, "uid": uid },
                "spec": { "nodeName": "one", "containers": [] },
                "status": { "phase": phase },
            })
        };
        let pods = [pod("u-1", "web", "Running"), pod("u-2", "worker", "Pending")];
        let (status, text): (u16, String) = match (path.as_str(), descriptors) {
            ("/api/v1/namespaces/agents/pods", _) => (
                200,
                json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods }).to_string(),
            ),
            ("/api/v1/nodes/one/proxy/stats/summary", _) => (200, json!({ "pods": [] }).to_string()),
            ("/api/v1/nodes/one/proxy/metrics/cadvisor", Some(count)) => (
                200,
                format!(
                    "container_file_descriptors{{container=\"web\",namespace=\"agents\",pod=\"web\"}} {count} 1\n\
                     container_file_descriptors{{container=\"web\",namespace=\"agents\",pod=\"worker\"}} 7 1\n"
                ),
            ),
            _ => (404, "404 page not found".to_owned()),
        };
        let answer = http::Response::builder()
            .status(status)
            .body(Body::from(text.into_bytes()));
        std::future::ready(answer)
    };
    kube::Client::new(tower::service_fn(answer), "default")
}

fn side(client: kube::Client) -> Side {
    Side::new(Pods {
        client,
        namespace: "agents".into(),
        selector: None,
        without_run: None,
    })
}

/// Of pods that run; what a kubelet doesn't have is said, and isn't asked for again.
#[tokio::test]
async fn the_most_descriptors_stand() {
    let mut side = side(client(Some(20)));
    for count in [Some(70), Some(30), None] {
        side.look().await;
        assert!(side.notes.is_empty(), "{:?}", side.notes);
        side.of.client = client(count);
    }
    side.look().await;
    assert!(side.uncounted);
    let told = side.told();
    assert_eq!(told.pods["web"].peak_descriptors, Some(70));
    assert_eq!(told.pods["worker"].peak_descriptors, None);
    let note = "descriptors of pods could not be read: the kubelet of node one has no metrics/cadvisor (404 Not Found)";
    assert_eq!(told.notes, [note]);
}

#[test]
fn restarts_are_those_of_all_containers() {
    let container = |restarts: u32| json!({ "name": "a", "image": "", "imageID": "", "restartCount": restarts });
    let pod: Pod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "status": { "containerStatuses": [container(2), container(1)] },
    }))
    .expect("a pod");
    assert_eq!(restarts(&pod), 3);
}
