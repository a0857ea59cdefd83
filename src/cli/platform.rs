//! `gauntlet platform COMPONENT [ARG…]`: one component of the reference platform as a process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::UsageError;
use crate::platform::pod::Log;
use crate::platform::{self, Component, ComponentError, Mounts, Pod};
use crate::world::embedded::Program;

#[derive(Clone, Debug, Args)]
pub struct Platform {
    /// web, worker, seed, sandbox, sandbox-controller, balancer, probe, …
    pub component: String,

    /// Arguments for codex and auth-login
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub arguments: Vec<String>,
}

/// Where a pod has its service account's token, unless `automountServiceAccountToken` is false.
const ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The variable with the address that a component listens on; all addresses without it.
const LISTEN: &str = "GAUNTLET_LISTEN";

/// The variable of a component that ends with its standard input: whoever holds the other end has started it.
const HELD: &str = "GAUNTLET_HELD";

/// What containers of the embedded target run: `platform COMPONENT [ARG…]`, as the image's entry point would.
pub fn program() -> Program {
    Arc::new(|argv, pod| {
        async move {
            let found = match argv.as_slice() {
                [first, name, args @ ..] if first == "platform" => Component::from_name(name)
                    .filter(|component| args.is_empty() || component.takes_arguments())
                    .map(|component| (component, args)),
                _ => None,
            };
            match found {
                Some((component, args)) => {
                    let args = args.into();
                    platform::run(component, Pod { args, ..pod }).await
                }
                None => Err(ComponentError(format!("exec {argv:?}: no such program"))),
            }
        }
        .boxed()
    })
}

/// Runs a component until its work is done or it is told to stop; returns the exit code.
pub async fn run(options: &Platform, env: BTreeMap<String, String>, stop: CancellationToken) -> Result<u8, UsageError> {
    let name = options.component.as_str();
    let component = Component::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Component::ALL.into_iter().map(Component::name).collect();
        let near = crate::vocabulary::similar::nearest(name, known.iter().copied());
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        UsageError(format!(
            "there is no component {name}{hint} (there are {})",
            known.join(", ")
        ))
    })?;
    if let (false, Some(word)) = (component.takes_arguments(), options.arguments.first()) {
        return Err(UsageError(format!("{name} takes no arguments: {word:?}")));
    }
    if env.contains_key(HELD) {
        let stop = stop.clone();
        tokio::spawn(async move {
            let _ended = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
            stop.cancel();
        });
    }
    let log = Log::new(|line| {
        use std::io::Write;
        // A log that nobody reads any more is no reason to end.
        let _closed = writeln!(std::io::stdout(), "{line}");
    });
    let kubernetes = match has_account(&env) {
        true => match kube::Client::try_default().await {
            Ok(client) => Some(client),
            Err(error) => {
                log.line(format!(
                    "{name}: reaching the cluster with the pod's service account: {error}"
                ));
                return Ok(1);
            }
        },
        false => None,
    };
    let ip = match env.get(LISTEN).map(|address| address.parse()) {
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(Ok(address)) => address,
        Some(Err(_)) => return Err(UsageError(format!("{LISTEN} isn't an address"))),
    };
    let pod = Pod {
        env: Arc::new(env),
        args: options.arguments.as_slice().into(),
        ip,
        log: log.clone(),
        mounts: Mounts::default(),
        kubernetes,
        stop,
    };
    match platform::run(component, pod).await {
        Ok(()) => Ok(0),
        Err(error) => {
            log.line(format!("{name}: {error}"));
            Ok(1)
        }
    }
}

/// Whether the pod may talk to its cluster. Every pod is told where that is; a sandbox has no token for it.
fn has_account(env: &BTreeMap<String, String>) -> bool {
    env.contains_key("KUBERNETES_SERVICE_HOST") && Path::new(ACCOUNT_TOKEN).exists()
}
