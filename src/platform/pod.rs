//! What a component gets from the pod that it runs in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

/// A pod as its component sees it.
///
/// In the embedded target the kubelet makes one for each container; as a
/// process, `main` makes one from the process environment.
#[derive(Clone)]
pub struct Pod {
    /// The container's environment as it stood when the container started.
    pub env: Arc<BTreeMap<String, String>>,
    /// The address to listen on: the pod's own in the embedded target, all addresses in a process.
    pub ip: IpAddr,
    /// The container's log.
    pub log: Log,
    /// The Kubernetes API of the cluster that the pod is in; `None` where there is none.
    pub kubernetes: Option<kube::Client>,
    /// Cancelled when the pod is asked to stop (SIGTERM). What runs ends soon after.
    pub stop: CancellationToken,
}

impl Pod {
    /// A variable of the environment; an empty one counts as there.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }
}

/// A container's log: one line a call, kept by whoever runs the container.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(&str) + Send + Sync>);

impl Log {
    /// A log whose lines go to `sink`, without the line's end.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Log {
        Log(Arc::new(sink))
    }

    pub fn line(&self, text: impl AsRef<str>) {
        (self.0)(text.as_ref());
    }
}
