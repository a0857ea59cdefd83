//! A platform on a kind cluster, until `gauntlet down`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::config::Kubeconfig;

use super::error::UpError;
use super::kubeconfig::KubeconfigFile;
use super::{FAILED, instructions, spec, with_agent};
use crate::cli::conclude::tell;
use crate::cli::process::Process;
use crate::cli::target::{REUSED, kind_cluster, tell_of_failure};
use crate::cli::{Down, Status, Up};
use crate::vocabulary::Contract;
use crate::world::World;
use crate::world::installation::changes::fingerprint;
use crate::world::kind::cluster::{self, KindCluster, Options};
use crate::world::kind::machine::check_machine;
use crate::world::kind::making::Making;
use crate::world::kind::namespace::{self, Namespace};
use crate::world::kubeconfig;
use crate::world::pod::is_ready;
use crate::world::running::Setup;

/// The namespace that the platform is in.
pub(super) const NAMESPACE: &str = "gauntlet";

/// Brings the platform up; returns the exit code.
pub async fn up(options: &Up, file: KubeconfigFile, setup: Setup, process: &Process, out: impl Write) -> u8 {
    let name = options.cluster_name.as_deref().unwrap_or(REUSED);
    let making = tokio::select! {
        making = Making::of(name, tell) => making,
        () = process.stop.cancelled() => return 130,
    };
    let making = match making {
        Ok(making) => making,
        Err(error) => return UpError::from(error).told(),
    };
    let done = tokio::select! {
        done = bring_up(options, file, name, setup, process, &making, out) => done,
        () = process.stop.cancelled() => {
            if making.has_begun() && leads_to(&options.kubeconfig, name) {
                tell_of_failure(remove(&options.kubeconfig));
            }
            tell_of_failure(making.undo(tell).await);
            return 130;
        }
    };
    match done {
        Ok(()) => 0,
        Err(error) => error.told(),
    }
}

async fn bring_up(
    options: &Up,
    mut file: KubeconfigFile,
    name: &str,
    setup: Setup,
    process: &Process,
    making: &Making,
    mut out: impl Write,
) -> Result<(), UpError> {
    let binary = process.binary.clone().map_err(UpError::NoProgram)?;
    let wanted = Options {
        node_image: options.image.clone(),
        base_image: options.base_image.clone(),
        codex: options.codex.for_image(),
        reuse: true,
        gateway_images: options.gateways.images(),
    };
    let cluster = kind_cluster(&wanted, name, binary, making).await?;
    file.write(&kubeconfig(&cluster)?)?;
    cluster.bring_gateways(&setup.gateways).await?;
    let (names, contract) = (setup.names.clone(), setup.contract);
    let of = |what: &str| names.get(what).cloned().unwrap_or_default();
    match there(&cluster.client, &setup).await? {
        There::Platform => tell("the platform already exists: it is left unchanged"),
        There::Part(missing) => {
            tell(&format!("the existing platform lacks {missing}: it is recreated"));
            namespace::delete_and_wait(&cluster.client, NAMESPACE).await?;
            make(&cluster, setup).await?;
        }
        There::Nothing => make(&cluster, setup).await?,
    }
    let (deployment, port) = match contract {
        Contract::HarnessToken => (of("web.deployment"), of("web.port")),
        Contract::AgentService => ("gateway".to_owned(), of("builtin.port")),
        Contract::CodexAuth => (of("litellm.deployment"), of("litellm.port")),
    };
    let mut doors = vec![(deployment, port)];
    if contract == Contract::CodexAuth {
        doors.push(("vendor".to_owned(), of("vendor.port")));
    }
    let forward: Vec<String> = doors
        .iter()
        .map(|(deployment, port)| instructions::port_forward(deployment, port))
        .collect();
    let addresses: Vec<String> = doors
        .iter()
        .map(|(_, port)| format!("http://127.0.0.1:{port}"))
        .collect();
    let text = format!(
        "The platform is up, in namespace {NAMESPACE} of the cluster {name}.\n\n{}\n\
         `gauntlet down --target kind{}` ends it.\n",
        instructions::commands(contract, &names, &file.path, &forward, &addresses),
        named(name),
    );
    // Whoever closed standard output has the platform all the same.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

/// The parts of the platform on a cluster.
enum There {
    Nothing,
    Platform,
    /// The namespace exists but is incomplete: what is missing.
    Part(String),
}

async fn there(client: &kube::Client, setup: &Setup) -> Result<There, UpError> {
    match Namespace::find(client, NAMESPACE).await? {
        None => return Ok(There::Nothing),
        Some(found) if found.is_ending => return Ok(There::Part("all".into())),
        Some(found) if !found.is_ours => return Err(UpError::NotOurs),
        Some(found) => match found.complete {
            None => return Ok(There::Part("what an `up` that was interrupted did not make".into())),
            Some(with) if with != made_with(setup) => return Err(UpError::OtherPlatform),
            Some(_) => {}
        },
    }
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    for name in deployments_of(setup) {
        let found = deployments.get_opt(&name).await;
        let found = found.map_err(|error| UpError::asking(format!("looking for deployment {name}"), error))?;
        if found.is_none() {
            return Ok(There::Part(format!("deployment {name}")));
        }
    }
    Ok(There::Platform)
}

/// The deployments that every platform has.
fn deployments_of(setup: &Setup) -> Vec<String> {
    match setup.contract {
        Contract::HarnessToken => ["web.deployment", "worker.deployment", "balancer.deployment"]
            .map(|role| setup.names.get(role).cloned().unwrap_or_default())
            .into(),
        Contract::AgentService => ["agent-service", "access-control", "litellm", "gateway"]
            .into_iter()
            .chain(setup.gateways.iter().map(|road| road.name()))
            .map(str::to_owned)
            .collect(),
        Contract::CodexAuth => {
            let of = |name: &str| setup.names.get(name).cloned().unwrap_or_default();
            let agent = format!("{}{}", of("agent.prefix"), of("agent.name"));
            vec![of("litellm.deployment"), "vendor".to_owned(), agent]
        }
    }
}

/// What distinguishes platforms of different contracts and names.
fn made_with(setup: &Setup) -> String {
    let contract = match setup.contract {
        Contract::HarnessToken => "",
        Contract::AgentService => "agent-service\n",
        Contract::CodexAuth => "codex-auth\n",
    };
    let names: String = setup
        .names
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    fingerprint(format!("{contract}{names}").as_bytes())
        .chars()
        .take(12)
        .collect()
}

async fn make(cluster: &KindCluster, setup: Setup) -> Result<(), UpError> {
    tell("starting the platform");
    let with = made_with(&setup);
    let namespace = Namespace::named(&cluster.client, cluster.controller, NAMESPACE).await?;
    let world = World::in_namespace(&spec(setup.contract), setup, namespace, cluster).await;
    let world = Arc::new(world?);
    with_agent(&world).await?;
    Namespace::complete(&cluster.client, NAMESPACE, &with).await?;
    // It stays: what goes with this value are only ways to it from this process.
    drop(world);
    Ok(())
}

/// The context of the kubeconfig that leads to a cluster, as kind names it.
pub fn context(cluster: &str) -> String {
    format!("kind-{cluster}")
}

/// The flag that a command needs for this cluster.
fn named(name: &str) -> String {
    match name {
        REUSED => String::new(),
        other => format!(" --cluster-name {other}"),
    }
}

/// Kind's kubeconfig, its context in the platform's namespace.
fn kubeconfig(cluster: &KindCluster) -> Result<Kubeconfig, UpError> {
    let read = Kubeconfig::read_from(&cluster.kubeconfig);
    let mut config = read.map_err(|error| UpError::doing("the kubeconfig", error))?;
    for context in config.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        context.namespace = Some(NAMESPACE.to_owned());
    }
    Ok(config)
}

fn leads_to(kubeconfig: &Path, cluster: &str) -> bool {
    kubeconfig::read(kubeconfig).is_ok_and(|config| config.current_context == Some(context(cluster)))
}

fn remove(file: &Path) -> Result<(), UpError> {
    std::fs::remove_file(file).map_err(|error| UpError::doing(format!("removing {}", file.display()), error))
}

/// Deletes the cluster, and the kubeconfig that leads to it; returns the exit code.
pub async fn down(options: &Down) -> u8 {
    let name = options.cluster_name.as_deref().unwrap_or(REUSED);
    let done = async {
        check_machine().await?;
        let is_there = cluster::exists(name).await?;
        // Before kind takes the cluster out of it, where `KUBECONFIG` names it.
        let leads_there = leads_to(&options.kubeconfig, name);
        match is_there {
            true => cluster::delete(name).await?,
            false => tell(&format!("there is no cluster {name}")),
        }
        match leads_there {
            true => remove(&options.kubeconfig),
            false => Ok(()),
        }
    };
    match done.await {
        Ok(()) => 0,
        Err(error) => error.told(),
    }
}

/// Shows what is there; returns the exit code: 0 where the platform serves.
pub async fn status(options: &Status, mut out: impl Write) -> u8 {
    let name = options.cluster_name.as_deref().unwrap_or(REUSED);
    let looked = async {
        check_machine().await?;
        if !cluster::exists(name).await? {
            return Ok((format!("there is no cluster {name}\n"), false));
        }
        let client = cluster::client(name).await?;
        let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
        let listed = pods
            .list(&ListParams::default())
            .await
            .map_err(|error| UpError::asking("listing pods", error))?;
        Ok::<_, UpError>(shown(name, &listed.items))
    };
    match looked.await {
        Ok((text, serves)) => {
            let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            if serves { 0 } else { FAILED }
        }
        Err(error) => error.told(),
    }
}

/// A line for the cluster and one for each pod, and whether all serve.
fn shown(name: &str, pods: &[Pod]) -> (String, bool) {
    let mut text = match pods.len() {
        0 => format!(
            "the cluster {name} runs; no platform is on it: `gauntlet up --target kind{}`\n",
            named(name)
        ),
        _ => format!("the cluster {name} runs, with the platform in namespace {NAMESPACE}:\n"),
    };
    let width = pods
        .iter()
        .filter_map(|pod| pod.metadata.name.as_ref())
        .map(String::len)
        .max()
        .unwrap_or(0);
    for pod in pods {
        let state = match (
            is_ready(pod),
            pod.status.as_ref().and_then(|status| status.phase.as_deref()),
        ) {
            (true, _) => "ready",
            (false, Some("Running")) => "not ready",
            (false, phase) => phase.unwrap_or("unknown"),
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        text.push_str(&format!("  {name:width$}  {state}\n"));
    }
    let serves = !pods.is_empty() && pods.iter().all(is_ready);
    (text, serves)
}
