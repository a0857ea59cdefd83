use std::sync::Arc;

use super::*;
use crate::platform::pod::tests::pod;
use crate::world::embedded::{Cluster, Options};

/// The controller writes a Sandbox's status whenever it likes: that is no other session's claim.
#[tokio::test]
async fn only_another_claim_keeps_a_session_from_a_warm_sandbox() {
    let nothing = |_, _| -> futures_util::future::BoxFuture<'static, _> { Box::pin(async { Ok(()) }) };
    let cluster = Cluster::start(Options::new(Arc::new(nothing)))
        .await
        .expect("a cluster");
    let mut pod = pod(&[("MASTER_KEY", "key"), ("HARNESS_AUTH_TOKEN", "token")]);
    pod.kubernetes = Some(cluster.client());
    let sessions = Sessions::new(&pod).await.expect("sessions");
    let warm = sessions.names.sandbox(Purpose::Pool, None, &BTreeMap::new());
    let seen = sessions
        .sandboxes
        .create(&PostParams::default(), &warm)
        .await
        .expect("made");
    let status = Patch::Merge(json!({ "status": { "phase": "Running" } }));
    sessions
        .sandboxes
        .patch_status(seen.name(), &PatchParams::default(), &status)
        .await
        .expect("its status written");
    let first = sessions.claim(&seen, "first").await.expect("asked").expect("claimed");
    assert_eq!(first.label("session"), Some("first"));
    assert!(sessions.claim(&seen, "second").await.expect("asked").is_none());
    cluster.stop().await;
}
