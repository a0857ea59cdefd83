//! Real gateways before the agent service: nginx with `auth_request`, Envoy with `ext_authz`.
//!
//! On the embedded target one process of each serves all worlds of a run: it has as many slots as worlds can
//! be there at once, and the pods of a world get the addresses that its slot leads to. It is a program of this
//! machine, or a container on its network.

mod contained;
mod envoy;
pub mod envoy_gateway;
mod nginx;
mod program;
pub mod status;
pub mod upstream_slot;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;

use contained::Contained;
pub use contained::ContainerError;
pub use program::{ENVOY, GatewayError, NGINX, Program};
use upstream_slot::{Addresses, Hops, Route, UpstreamSlot, UpstreamSlots};

use crate::platform::Mutant;
use crate::vocabulary::Road;

/// How long a gateway waits for access control.
pub const AUTHORIZER_TIMEOUT: &str = "1s";

/// What gateways are built from.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How many worlds can be there at once.
    pub slots: usize,
    pub names: Arc<BTreeMap<String, String>>,
    /// Where programs are searched for: the folders of `PATH`.
    pub path: Option<String>,
    pub place: Place,
}

/// How nginx and Envoy run beside the embedded target.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// Programs of this machine.
    #[default]
    Process,
    /// Containers of these images, on this machine's network.
    Container(Images),
}

/// A gateway that takes requests. Dropped, it ends, and its files go.
enum Running {
    Process(Box<program::Running>),
    Container(Contained),
}

impl Running {
    /// `nginx 1.22.1`, `nginx of nginx:stable`.
    fn version(&self) -> String {
        match self {
            Running::Process(process) => process.version(),
            Running::Container(container) => container.version(),
        }
    }

    /// The file of what it writes to its two outputs.
    fn log(&self) -> &Path {
        match self {
            Running::Process(process) => process.log(),
            Running::Container(container) => container.log(),
        }
    }
}

/// Gateways that are started when they are first needed. Dropped, they end.
pub struct Gateways {
    settings: Settings,
    /// Defects of their configurations.
    mutants: Vec<&'static Mutant>,
    slots: OnceCell<Arc<UpstreamSlots>>,
    nginx: OnceCell<Running>,
    envoy: OnceCell<Running>,
}

/// A gateway: its program, and how it is told what to do.
struct Kind {
    program: Program,
    /// Its file's name.
    file: &'static str,
    configuration: Configuration,
}

/// Makes a gateway's configuration: its files' folder, where each slot's gateway takes requests and where they
/// go, what is known of the platform, mutants.
type Configuration = fn(&str, &[(String, Hops)], &Route, &[&Mutant]) -> String;

const OF_NGINX: Kind = Kind {
    program: NGINX,
    file: "nginx.conf",
    configuration: nginx::configuration,
};

const OF_ENVOY: Kind = Kind {
    program: ENVOY,
    file: "envoy.json",
    configuration: |_folder, slots, route, mutants| envoy::configuration(slots, route, mutants),
};

/// The gateway of a road, and the port on which it takes requests on the address of each slot.
fn kind(road: Road) -> Option<(&'static Kind, u16)> {
    match road {
        Road::Nginx => Some((&OF_NGINX, 8010)),
        Road::Envoy => Some((&OF_ENVOY, 8020)),
        _ => None,
    }
}

/// How much above that port the one is on which nobody is asked: that of a gateway without its policy.
const UNASKED: u16 = 1;

/// A gateway as a pod.
#[derive(Clone, Debug)]
pub struct GatewayPod {
    pub road: Road,
    pub image: String,
    /// Its configuration.
    pub configuration: String,
}

impl GatewayPod {
    /// That of a road, before the Services of deploy/gateways.yaml.
    ///
    /// `asks`: whether it has its policy.
    pub fn new(
        road: Road,
        image: &str,
        names: &BTreeMap<String, String>,
        mutants: &[&Mutant],
        asks: bool,
    ) -> Option<GatewayPod> {
        let (kind, _) = kind(road)?;
        let name = |of: &str| names.get(of).map(String::as_str).unwrap_or_default();
        let hops = Hops {
            service: format!("agent-service:{}", name("agent-service.port")),
            access_control: asks.then(|| format!("access-control:{}", name("access-control.port"))),
        };
        let listen = format!("0.0.0.0:{}", name(&format!("{}.port", road.name())));
        Some(GatewayPod {
            road,
            image: image.to_owned(),
            configuration: (kind.configuration)("/tmp/gateway", &[(listen, hops)], &Route::of(names), mutants),
        })
    }
}

/// Images of gateways.
#[derive(Clone, Debug, Default)]
pub struct Images {
    pub nginx: Option<String>,
    pub envoy: Option<String>,
}

impl Images {
    /// The image of a road's gateway: the given one, or the default.
    pub fn of(&self, road: Road) -> Option<&str> {
        match road {
            Road::Nginx => Some(self.nginx.as_deref().unwrap_or("nginx:stable")),
            Road::Envoy => Some(self.envoy.as_deref().unwrap_or("envoyproxy/envoy:v1.36-latest")),
            _ => None,
        }
    }
}

impl Gateways {
    pub fn new(settings: Settings) -> Arc<Gateways> {
        Arc::new(Gateways::broken(settings, Vec::new()))
    }

    fn broken(settings: Settings, mutants: Vec<&'static Mutant>) -> Gateways {
        Gateways {
            settings,
            mutants,
            slots: OnceCell::new(),
            nginx: OnceCell::new(),
            envoy: OnceCell::new(),
        }
    }

    /// The same with defects; these themselves, where none of the defects is of a gateway's configuration.
    pub fn with(self: &Arc<Gateways>, mutants: &[&'static Mutant]) -> Arc<Gateways> {
        let mut mutants = mutants.to_vec();
        mutants.retain(|mutant| mutant.gateway().is_some());
        match mutants == self.mutants {
            true => self.clone(),
            false => Arc::new(Gateways::broken(self.settings.clone(), mutants)),
        }
    }

    /// Starts the gateways of these roads, where they don't run yet; gives each with its version:
    /// `nginx 1.22.1`.
    pub async fn start(&self, roads: &[Road]) -> Result<Vec<String>, GatewayError> {
        let slots = self.slots().await?;
        let mut versions = Vec::new();
        for road in roads {
            let Some((kind, port)) = kind(*road) else { continue };
            let cell = match road {
                Road::Nginx => &self.nginx,
                _ => &self.envoy,
            };
            let running = cell.get_or_try_init(|| self.started(*road, kind, port, slots)).await?;
            versions.push(running.version());
        }
        Ok(versions)
    }

    /// A slot for a world whose requests go by these roads, waited for. `asks`: whether its gateways have
    /// their policy.
    pub async fn slot(&self, roads: &[Road], asks: bool) -> Result<UpstreamSlot, GatewayError> {
        self.start(roads).await?;
        let slots = self.slots().await?;
        let gateways = roads.iter().filter_map(|road| Some((*road, kind(*road)?)));
        let mut fronts = BTreeMap::new();
        let slot = slots.take().await;
        for (road, (kind, port)) in gateways {
            let port = if asks { port } else { port + UNASKED };
            let only = [self.leads(slot.addresses(), port, asks)];
            let text = (kind.configuration)("", &only, &Route::of(&self.settings.names), &self.mutants);
            fronts.insert(road, (port, kind.file, text));
        }
        let running = [(Road::Nginx, &self.nginx), (Road::Envoy, &self.envoy)];
        let running = running.into_iter().filter(|(road, _)| roads.contains(road));
        let logs = running.filter_map(|(road, cell)| Some((road, cell.get()?.log().to_owned())));
        Ok(slot.with(fronts, logs.collect()))
    }

    async fn slots(&self) -> Result<&Arc<UpstreamSlots>, GatewayError> {
        let reserve = async || {
            let all: Result<Vec<Addresses>, _> = (0..self.settings.slots).map(|_| Addresses::reserve()).collect();
            Ok(UpstreamSlots::new(all.map_err(GatewayError::Address)?))
        };
        self.slots.get_or_try_init(reserve).await
    }

    async fn started(
        &self,
        road: Road,
        kind: &Kind,
        port: u16,
        slots: &UpstreamSlots,
    ) -> Result<Running, GatewayError> {
        let folder = tempfile::tempdir().map_err(GatewayError::Folder)?;
        let both = |slot| [self.leads(slot, port, true), self.leads(slot, port + UNASKED, false)];
        let leads: Vec<_> = slots.all().iter().flat_map(both).collect();
        let place = folder.path().display().to_string();
        let route = Route::of(&self.settings.names);
        let text = (kind.configuration)(&place, &leads, &route, &self.mutants);
        let file: &Path = &folder.path().join(kind.file);
        std::fs::write(file, text).map_err(GatewayError::Folder)?;
        std::fs::write(file.with_extension("log"), "").map_err(GatewayError::Folder)?;
        let both = |slot: &Addresses| [(slot.front.ip, port).into(), (slot.front.ip, port + UNASKED).into()];
        let fronts: Vec<_> = slots.all().iter().flat_map(both).collect();
        match &self.settings.place {
            Place::Process => {
                let path = self.settings.path.as_deref();
                let started = program::Running::start(kind.program, path, folder, kind.file, &fronts).await?;
                Ok(Running::Process(Box::new(started)))
            }
            Place::Container(images) => {
                let image = images.of(road).unwrap_or_default();
                let started = Contained::start(kind.program, image, folder, kind.file, fronts).await?;
                Ok(Running::Container(started))
            }
        }
    }

    /// Where a slot's gateway takes its requests, and where they go.
    fn leads(&self, slot: &Addresses, port: u16, asks: bool) -> (String, Hops) {
        let authorizer = || format!("{}:{}", slot.access_control.ip, self.name("access-control.port"));
        let hops = Hops {
            service: format!("{}:{}", slot.service.ip, self.name("agent-service.port")),
            access_control: asks.then(authorizer),
        };
        (format!("{}:{port}", slot.front.ip), hops)
    }

    fn name(&self, of: &str) -> &str {
        self.settings.names.get(of).map(String::as_str).unwrap_or_default()
    }
}
