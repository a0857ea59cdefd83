//! `gauntlet up`: a platform that keeps running, for a person.

use std::io::Write;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Up;
use super::run::{UsageError, mutants};
use crate::scenario::{BalancerSpec, WorldSpec};
use crate::steps::arguments::Road;
use crate::target::embedded::Program;
use crate::target::roads::door;
use crate::target::world::Setup;
use crate::target::{World, names};

/// Keeps a platform running until it is told to stop; gives the exit code.
pub async fn run(
    options: Up,
    program: Program,
    stop: CancellationToken,
    mut out: impl Write,
) -> Result<u8, UsageError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| UsageError(format!("{what}: {error}"));
    let random = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let setup = Setup {
        program,
        names: Arc::new(names::contract()),
        mutants: mutants(&options.mutant)?,
        token: random(),
        master_key: random(),
    };
    let spec = WorldSpec {
        warm_pool: 2,
        web_replicas: 1,
        platform: true,
        balancer: Some(BalancerSpec {
            strips_authorization: true,
            idle_timeout: None,
            tls: false,
        }),
        ..WorldSpec::default()
    };
    let world = World::embedded_with_kubectl(&spec, setup)
        .await
        .map_err(|e| failed("starting the platform", &e))?;
    // Another terminal may be in another folder.
    let file =
        std::path::absolute(&options.kubeconfig).map_err(|e| failed(&options.kubeconfig.display().to_string(), &e))?;
    let kubeconfig = serde_saphyr::to_string(&world.cluster().kubeconfig()).map_err(|e| failed("kubeconfig", &e))?;
    write_private(&file, &kubeconfig).map_err(|e| failed(&format!("writing {}", file.display()), &e))?;
    let web = door(&world, Road::Proxy, None)
        .await
        .map_err(|e| failed("finding web", &e))?;
    let balancer = door(&world, Road::Balancer, None)
        .await
        .map_err(|e| failed("finding the balancer", &e))?;
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
        file.display(),
        web.http_url(&format!("{}/agents", world.name("api.path"))),
        web.http_url(""),
        balancer.http_url(""),
    );
    // Whoever closed standard output still has the platform until Ctrl-C.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    stop.cancelled().await;
    world.stop().await;
    let _gone = std::fs::remove_file(&file);
    Ok(0)
}

/// A kubeconfig holds a token: only its owner may read it.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    // One that was there keeps its rights otherwise.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
