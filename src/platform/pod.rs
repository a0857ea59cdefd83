//! What a component gets from its pod.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ComponentError, Mounts, Mutant};

/// A pod as its component sees it.
///
/// In the embedded target the kubelet makes one for each container; as a
/// process, `main` makes one from the process environment.
#[derive(Clone)]
pub struct Pod {
    /// The container's environment as it stood when the container started.
    pub env: Arc<BTreeMap<String, String>>,
    /// The words behind the component's name.
    pub args: Arc<[String]>,
    /// The address to listen on: the pod's own in the embedded target, all addresses in a process.
    pub ip: IpAddr,
    /// The container's log.
    pub log: Log,
    /// Where the paths of the container's volumes lead; paths are what they say in a process.
    pub mounts: Mounts,
    /// The Kubernetes API of the cluster that the pod is in; `None` if there is none.
    pub kubernetes: Option<kube::Client>,
    /// Cancelled when the pod is asked to stop (SIGTERM). What runs ends soon after.
    pub stop: CancellationToken,
}

impl Pod {
    /// A variable of the environment; an empty one counts as there.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// A variable of the environment, or the contract's default.
    pub fn var_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.var(name).unwrap_or(default)
    }

    /// A number from the environment, or its default.
    pub fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, ComponentError> {
        match self.var(name) {
            None => Ok(default),
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| ComponentError(format!("{name} is not a number: {text:?}"))),
        }
    }

    /// A duration from the environment as `500ms`, `10s` or `2m`, or its default.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, ComponentError> {
        match self.var(name) {
            None => Ok(default),
            Some(text) => parse_duration(text)
                .ok_or_else(|| ComponentError(format!("{name} is not a duration like 500ms, 10s or 2m: {text:?}"))),
        }
    }

    /// The real path behind one of the container: `/chatgpt-auth/auth.json` below the folder of the volume
    /// that is mounted at `/chatgpt-auth`. Values of the environment and arguments are translated already,
    /// and stay as they are.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.mounts.path(path)
    }

    /// Whether this pod was started with a defect.
    pub fn has(&self, mutant: &Mutant) -> bool {
        self.var("GAUNTLET_MUTANTS")
            .is_some_and(|names| names.split(',').any(|name| name.trim() == mutant.name))
    }

    /// The Kubernetes API, which most components can't do without.
    pub fn kubernetes(&self) -> Result<kube::Client, ComponentError> {
        self.kubernetes
            .clone()
            .ok_or_else(|| ComponentError("there is no Kubernetes API".into()))
    }

    /// The namespace that the platform lives in.
    pub fn namespace(&self, client: &kube::Client) -> String {
        self.var("NAMESPACE")
            .unwrap_or_else(|| client.default_namespace())
            .to_owned()
    }

    /// Opens a port on the pod's address.
    pub async fn listen(&self, port: u16) -> Result<TcpListener, ComponentError> {
        TcpListener::bind((self.ip, port))
            .await
            .map_err(|error| ComponentError(format!("can't listen on {}:{port}: {error}", self.ip)))
    }
}

/// `500ms`, `10s`, `2m` or `1h`; a bare number isn't taken, since nobody can tell its unit.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
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

#[cfg(test)]
pub mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    /// A pod on 127.0.0.1 without Kubernetes, with this environment.
    pub fn pod(env: &[(&str, &str)]) -> Pod {
        pod_at([127, 0, 0, 1], env).0
    }

    /// A pod with an address of its own, and the lines of its log.
    pub fn pod_at(ip: [u8; 4], env: &[(&str, &str)]) -> (Pod, UnboundedReceiver<String>) {
        let (lines, log) = unbounded_channel();
        let pod = Pod {
            env: Arc::new(
                env.iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            args: Arc::default(),
            ip: IpAddr::from(ip),
            log: Log::new(move |line| drop(lines.send(line.to_owned()))),
            mounts: Mounts::default(),
            kubernetes: None,
            stop: CancellationToken::new(),
        };
        (pod, log)
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("60s"), Some(Duration::from_secs(60)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for text in [
            "",
            "60",
            "s",
            "-1s",
            "1 s",
            "1d",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
