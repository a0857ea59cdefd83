//! A platform in this process, until it is told to stop.

use std::io::Write;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::kubeconfig::KubeconfigFile;
use super::{FAILED, failed, spec, with_agent};
use crate::steps::arguments::Road;
use crate::target::World;
use crate::target::embedded::{Cluster, Program};
use crate::target::roads::door;
use crate::target::world::Setup;

/// Keeps a platform running until it is told to stop; gives the exit code.
pub async fn run(file: KubeconfigFile, setup: Setup, program: Program, stop: CancellationToken, out: impl Write) -> u8 {
    match up(file, setup, program, stop, out).await {
        Ok(()) => 0,
        Err(why) => {
            crate::cli::conclude::tell(&why);
            FAILED
        }
    }
}

async fn up(
    mut file: KubeconfigFile,
    setup: Setup,
    program: Program,
    stop: CancellationToken,
    mut out: impl Write,
) -> Result<(), String> {
    let world = World::embedded_with_kubectl(&spec(), setup, program)
        .await
        .map_err(|e| failed("starting the platform", &e))?;
    let world = Arc::new(world);
    with_agent(&world).await?;
    let web = door(&world, Road::Proxy, None)
        .await
        .map_err(|e| failed("finding web", &e))?;
    let balancer = door(&world, Road::Balancer, None)
        .await
        .map_err(|e| failed("finding the balancer", &e))?;
    let kubeconfig = world.embedded_cluster().map(Cluster::kubeconfig).unwrap_or_default();
    file.write(&kubeconfig)?;
    let (secret, key, master) = (
        world.name("secret.name"),
        world.name("secret.key"),
        world.name("secret.master-key"),
    );
    let text = format!(
        "The platform is up. In another terminal:\n\n  \
         export KUBECONFIG={}\n  \
         kubectl get pods\n  \
         HARNESS_AUTH_TOKEN=$(kubectl get secret {secret} -o jsonpath='{{.data.{key}}}' | base64 -d)\n  \
         MASTER_KEY=$(kubectl get secret {secret} -o jsonpath='{{.data.{master}}}' | base64 -d)\n  \
         curl -H \"Authorization: Bearer $MASTER_KEY\" {}\n\n\
         web       {}\nbalancer  {}\n\nCtrl-C ends it.\n",
        file.path.display(),
        web.http_url(&format!("{}/agents", world.name("api.path"))),
        web.http_url(""),
        balancer.http_url(""),
    );
    // Whoever closed standard output still has the platform until Ctrl-C.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    stop.cancelled().await;
    file.remove();
    match Arc::into_inner(world) {
        Some(world) => world.stop().await.map_err(|e| failed("ending the platform", &e)),
        None => Ok(()),
    }
}
