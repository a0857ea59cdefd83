//! A platform in this process, until it is stopped.

use std::io::Write;
use std::sync::Arc;

use super::doors::Doors;
use super::error::UpError;
use super::kubeconfig::KubeconfigFile;
use super::{instructions, spec, with_agent};
use crate::cli::process::Process;
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::world::World;
use crate::world::embedded::{Cluster, Options};
use crate::world::gateways::{Gateways, Place, Settings};
use crate::world::roads::door;
use crate::world::running::Setup;

/// Keeps a platform running until it is told to stop; returns the exit code.
pub async fn run(file: KubeconfigFile, setup: Setup, place: Place, process: &Process, out: impl Write) -> u8 {
    match up(file, setup, place, process, out).await {
        Ok(()) => 0,
        Err(error) => error.told(),
    }
}

async fn up(
    mut file: KubeconfigFile,
    setup: Setup,
    place: Place,
    process: &Process,
    mut out: impl Write,
) -> Result<(), UpError> {
    let gateways = Gateways::new(Settings {
        slots: 1,
        names: setup.names.clone(),
        path: (process.variable)("PATH"),
        place,
    })
    .with(&setup.mutants);
    let slot = match setup.gateways.as_slice() {
        [] => None,
        // What is being started ends with the future that starts it.
        roads => tokio::select! {
            slot = gateways.slot(roads, true) => Some(slot.map_err(UpError::starting)?),
            () = process.stop.cancelled() => return Ok(()),
        },
    };
    let doors = doors_of(&setup);
    let spec = spec(setup.contract);
    // Without TLS kubectl sends no token.
    let options = Options::new(process.program.clone()).with_tls();
    let world = World::embedded(&spec, setup, options, slot)
        .await
        .map_err(UpError::starting)?;
    let world = Arc::new(world);
    with_agent(&world).await?;
    let open = Doors::new(world.clone());
    let mut addresses = Vec::new();
    for (name, road) in doors {
        // What leads nowhere is said now, not by the first connection.
        door(&world, road, None)
            .await
            .map_err(|error| UpError::doing(format!("finding {name}"), error))?;
        let address = open
            .open(road)
            .await
            .map_err(|error| UpError::doing(format!("opening a port of loopback for {name}"), error))?;
        addresses.push((name, format!("http://{address}")));
    }
    let kubeconfig = world.embedded_cluster().map(Cluster::kubeconfig).unwrap_or_default();
    file.write(&kubeconfig)?;
    let doors: Vec<String> = addresses.iter().map(|(_, address)| address.clone()).collect();
    let text = format!(
        "The platform is up. In another terminal:\n\n{}\n{}\n{}\nCtrl-C ends it.\n",
        instructions::commands(world.contract, &world.names, &file.path, &[], &doors),
        instructions::doors(&addresses),
        instructions::ON_THIS_MACHINE,
    );
    // Whoever closed standard output still has the platform until Ctrl-C.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    process.stop.cancelled().await;
    file.remove();
    drop(world);
    let world = open.end().await;
    match Arc::into_inner(world) {
        Some(world) => world
            .stop()
            .await
            .map_err(|error| UpError::doing("ending the platform", error)),
        None => Ok(()),
    }
}

/// The doors of a platform that a person goes through, the first one before all others.
fn doors_of(setup: &Setup) -> Vec<(&'static str, Road)> {
    match setup.contract {
        Contract::HarnessToken => vec![("web", Road::Proxy), ("balancer", Road::Balancer)],
        Contract::CodexAuth => vec![("litellm", Road::Litellm), ("vendor", Road::Vendor)],
        Contract::AgentService => {
            let before = [Road::Builtin].into_iter().chain(setup.gateways.iter().copied());
            let roads = before.chain([Road::Service, Road::AccessControl]);
            roads.map(|road| (road.name(), road)).collect()
        }
    }
}
