//! Events that explain why a pod doesn't start.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::kinds::Kind;
use super::object::{micro_time, text, time};
use super::store::{DeleteOptions, Part, Store};

/// How many events are kept; the oldest go first.
const KEPT: usize = 1000;

/// Records that something happened to `object`. The same thing again is counted, not repeated.
///
/// `level` is `Normal` or `Warning`; `component` says who noticed.
pub fn record(store: &Store, object: &Value, level: &str, reason: &str, message: &str, component: &str) {
    let metadata = &object["metadata"];
    let (namespace, uid) = (text(&metadata["namespace"]), text(&metadata["uid"]));
    let digest = Sha256::digest(format!("{uid}/{reason}/{message}"));
    let id = digest.iter().take(8).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    let name = format!("{}.{id:016x}", text(&metadata["name"]));
    let now = Timestamp::now();
    let again = store.update(Kind::Event, namespace, &name, Part::Main, |old| {
        let mut new = old.clone();
        new["count"] = (old["count"].as_u64().unwrap_or(1) + 1).into();
        new["lastTimestamp"] = time(now).into();
        Ok(new)
    });
    if again.is_ok() {
        return;
    }
    let event = json!({
        "metadata": { "name": name },
        "involvedObject": {
            "apiVersion": object["apiVersion"],
            "kind": object["kind"],
            "namespace": namespace,
            "name": metadata["name"],
            "uid": uid,
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": level,
        "reason": reason,
        "message": message,
        "source": { "component": component },
        "reportingComponent": component,
        "reportingInstance": super::NODE,
        "firstTimestamp": time(now),
        "lastTimestamp": time(now),
        "eventTime": micro_time(now),
        "count": 1,
    });
    // An event of a namespace that is ending is of no interest to anybody.
    let _ = store.create(Kind::Event, namespace, event);
    let (events, _) = store.list(Kind::Event, None, |_| true);
    if events.len() > KEPT
        && let Some(oldest) = events.iter().min_by_key(|event| event.version())
    {
        let _ = store.delete(
            Kind::Event,
            oldest.namespace(),
            oldest.name(),
            &DeleteOptions::default(),
        );
    }
}
