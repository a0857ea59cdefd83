//! The roads to a door: which address, over TLS or not, and by which path.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::profile::route_address::{Address, Way};
use crate::vocabulary::Road;
use crate::world::World;
use crate::world::forward::WayError;
use crate::world::kube_error::kube_error;
use crate::world::pod::is_ready;
use crate::world::subject;

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Door {
    /// The road that leads there.
    pub road: Road,
    /// The pod's own, or that of the road.
    pub address: SocketAddr,
    /// The address this machine connects to for it.
    pub way: SocketAddr,
    /// The name that the `Host` header and TLS have; with the port where it isn't the scheme's own.
    pub host: String,
    pub tls: bool,
    /// The pod that the address is of, or the road, for evidence.
    pub pod: String,
}

impl Door {
    pub fn http_url(&self, path: &str) -> String {
        format!("{}://{}{path}", if self.tls { "https" } else { "http" }, self.host)
    }

    /// The same for a client on this machine, which is to send `host` as `Host`. Over TLS the name stays,
    /// and is to be resolved to `way`.
    pub fn way_url(&self, path: &str) -> String {
        match self.name() {
            name if self.tls && name.contains(':') => format!("https://[{name}]:{}{path}", self.way.port()),
            name if self.tls => format!("https://{name}:{}{path}", self.way.port()),
            _ => format!("http://{}{path}", self.way),
        }
    }

    /// `host` without its port; an address of version 6 without brackets.
    pub fn name(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.host.split(':').next().unwrap_or(&self.host),
        }
    }
}

/// Why there is no way to a door.
#[derive(Debug, thiserror::Error)]
pub enum RoadError {
    #[error("listing pods with {selector}: {}", kube_error(source.as_ref()))]
    List { selector: String, source: Box<kube::Error> },
    #[error("there is no ready pod with {selector}")]
    NoPod { selector: String },
    #[error("the {0} road needs a session or a pod")]
    NoSubject(&'static str),
    #[error("{subject} gives no address of its pod")]
    NoPodAddress { subject: String },
    #[error("{name} has no address yet (sandbox_url is {url})")]
    NoAddressYet {
        name: String,
        /// As JSON.
        url: String,
    },
    #[error("a way from this machine to {address}: {source}")]
    NoWay { address: SocketAddr, source: WayError },
    #[error("this installation has no road {}", .0.name())]
    Closed(Road),
    #[error("the scenario's world has no road {road}: {remedy}")]
    NotInWorld { road: &'static str, remedy: &'static str },
    #[error("looking up {host}: {source}")]
    Unknown { host: String, source: std::io::Error },
    #[error("looking up {host}: it has no address")]
    NoAddress { host: String },
}

/// The path of a terminal's door on a road.
///
/// `subject` is a session or a pod as steps observe them; a session's path is
/// the `tty_url` that the session API gave for it.
pub fn door_path(world: &World, road: Road, subject: Option<&Value>) -> String {
    match (road, subject) {
        (Road::Direct, _) | (_, None) => world.name("tty.path").to_owned(),
        (_, Some(subject)) => match subject["tty_url"].as_str() {
            Some(url) => url.to_owned(),
            None => {
                let id = subject["id"]
                    .as_str()
                    .or(subject["session"].as_str())
                    .unwrap_or_default();
                format!("{}/sessions/{id}/tty", world.name("api.path"))
            }
        },
    }
}

/// A path as it is asked for on a road: access control is asked about it.
pub fn path_on(world: &World, road: Road, path: &str) -> String {
    match road {
        Road::AccessControl => format!("{}{path}", world.name("access-control.path")),
        _ => path.to_owned(),
    }
}

/// Finds the way to the subject's door, or to the road's own where the subject doesn't matter.
pub async fn door(world: &World, road: Road, subject: Option<&Value>) -> Result<Door, RoadError> {
    match world.way(road) {
        Some(Way::None) => return Err(RoadError::Closed(road)),
        Some(Way::To(address)) => return at(address, road).await,
        Some(Way::Pods) => {
            let subject = subject.ok_or(RoadError::NoSubject("direct"))?;
            return at(&own_address(world, subject)?, road).await;
        }
        Some(Way::PortForward) | None => {}
    }
    // That nobody answers there says nothing of the platform.
    if let Some(remedy) = lacks(world, road) {
        let road = road.name();
        return Err(RoadError::NotInWorld { road, remedy });
    }
    match road {
        Road::Direct => {
            let Some(subject) = subject else {
                return Err(RoadError::NoSubject("direct"));
            };
            let (pod, ip) = match pod_address(subject) {
                Ok(found) if world.session_label().is_none() || subject["kind"] == "pod" => found,
                said => match pod_of(world, subject).await? {
                    Some(found) => found,
                    None => said?,
                },
            };
            let address = SocketAddr::new(ip, port(world, "sandbox.port"));
            to(world, road, pod, address).await
        }
        Road::Nginx | Road::Envoy => match world.gateway(road) {
            Some(front) => Ok(Door {
                road,
                address: front,
                way: front,
                host: front.to_string(),
                tls: false,
                pod: road.name().to_owned(),
            }),
            None if world.goes_by_objects(road) => data_plane(world).await,
            None => ready_pod(world, road).await,
        },
        Road::Proxy
        | Road::Balancer
        | Road::BalancerTls
        | Road::Service
        | Road::AccessControl
        | Road::Builtin
        | Road::Witness
        | Road::Litellm
        | Road::Vendor => ready_pod(world, road).await,
    }
}

/// What a scenario is to say for a road that its world was started without. None if the road is there, or was: that
/// a part of the platform is gone is the platform's doing.
fn lacks(world: &World, road: Road) -> Option<&'static str> {
    if world.installation().is_some() {
        return None;
    }
    let values = &world.values;
    match road {
        road if !world.contract.roads().contains(&road) => Some("it leads to another contract's platform"),
        // Straight to a pod, whoever made it.
        Road::Direct => None,
        _ if !world.has_platform => Some("take `platform: false` out of its `world`"),
        Road::Proxy if values.web_replicas == 0 => Some("say `web-replicas: 1` in its `world`"),
        Road::Balancer if values.balancer_replicas == 0 => Some("add `balancer: {}` to its `world`"),
        Road::BalancerTls if values.tls_cert.is_empty() => Some("say `balancer: { tls: true }` in its `world`"),
        Road::AccessControl if values.authorizer_replicas == 0 => Some("take `authorizer: gone` out of its `world`"),
        Road::Nginx | Road::Envoy if !has_gateway(world, road) => {
            Some("its gateway is started where a step, or a variable of `matrix` by itself, says the road")
        }
        _ => None,
    }
}

fn has_gateway(world: &World, road: Road) -> bool {
    let replicas = match road {
        Road::Nginx => world.values.nginx_replicas,
        _ => world.values.envoy_replicas,
    };
    replicas > 0 || world.gateway(road).is_some() || world.goes_by_objects(road)
}

/// The way to the session API: the platform's proxy, or what is before it.
pub async fn api(world: &World) -> Result<Door, RoadError> {
    let road = api_road(|road| !matches!(world.way(road), Some(Way::None)));
    door(world, road, None).await
}

/// The road that the session API is reached by, where these are open.
pub fn api_road(is_open: impl Fn(Road) -> bool) -> Road {
    let roads = [Road::Proxy, Road::BalancerTls, Road::Balancer];
    roads.into_iter().find(|road| is_open(*road)).unwrap_or(Road::Proxy)
}

/// The door at an address that is known.
async fn at(address: &Address, road: Road) -> Result<Door, RoadError> {
    let host = || address.host.clone();
    let mut found = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|source| RoadError::Unknown { host: host(), source })?;
    let socket = found.next().ok_or_else(|| RoadError::NoAddress { host: host() })?;
    Ok(Door {
        road,
        address: socket,
        way: socket,
        host: address.authority(),
        tls: address.tls,
        pod: format!("behind the road {}", road.name()),
    })
}

/// The address of a session's pod, or of a pod.
fn own_address(world: &World, subject: &Value) -> Result<Address, RoadError> {
    let unknown = || RoadError::NoPodAddress {
        subject: subject::name(subject),
    };
    let usual = port(world, "sandbox.port");
    if let Some(url) = subject["sandbox_url"].as_str() {
        let address: Address = url.trim_end_matches('/').parse().map_err(|_| unknown())?;
        // The default port is that of pods, not that of the scheme.
        let says = url.rsplit(']').next().unwrap_or(url).matches(':').count() > usize::from(!url.contains(']'));
        return Ok(match says {
            true => address,
            false => Address { port: usual, ..address },
        });
    }
    let host = subject["ip"].as_str().filter(|ip| !ip.is_empty()).ok_or_else(unknown)?;
    let said = subject["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    Ok(Address {
        tls: false,
        host: host.to_owned(),
        port: said.unwrap_or(usual),
    })
}

/// The addresses of the pods that have a part in what goes through a door: the one behind it, and
/// the subject's own.
pub fn parties(door: &Door, subject: Option<&Value>) -> Vec<IpAddr> {
    let own = subject.and_then(|subject| pod_address(subject).ok());
    let mut parties = vec![door.address.ip()];
    parties.extend(own.map(|(_, ip)| ip).filter(|ip| *ip != door.address.ip()));
    parties
}

fn port(world: &World, name: &str) -> u16 {
    world.name(name).parse().unwrap_or(0)
}

/// Name and address of the pod that a subject is or runs in.
fn pod_address(subject: &Value) -> Result<(String, IpAddr), RoadError> {
    let name = subject["name"]
        .as_str()
        .or(subject["id"].as_str())
        .unwrap_or_default()
        .to_owned();
    if let Some(ip) = subject["ip"].as_str().and_then(|ip| ip.parse().ok()) {
        return Ok((name, ip));
    }
    match subject::host(subject).parse() {
        Ok(ip) => Ok((name, ip)),
        Err(_) => Err(RoadError::NoAddressYet {
            name,
            url: subject["sandbox_url"].to_string(),
        }),
    }
}

/// The pod that a session runs in: that with its label, or that of the name that it says:
/// `http://NAME.NAMESPACE.svc:4096`.
async fn pod_of(world: &World, subject: &Value) -> Result<Option<(String, IpAddr)>, RoadError> {
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let failed = |selector: String| {
        move |source| RoadError::List {
            selector,
            source: Box::new(source),
        }
    };
    let place = |pod: Pod| {
        let name = pod.metadata.name?;
        Some((name, pod.status?.pod_ip?.parse().ok()?))
    };
    if let (Some(label), Some(id)) = (world.session_label(), subject["id"].as_str()) {
        let selector = format!("{label}={id}");
        let listed = pods
            .list(&ListParams::default().labels(&selector))
            .await
            .map_err(failed(selector))?;
        if let Some(found) = listed.items.into_iter().find_map(place) {
            return Ok(Some(found));
        }
    }
    let Some(name) = subject::host(subject).split('.').next().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let found = pods.get_opt(name).await.map_err(failed(format!("the name {name}")))?;
    Ok(found.and_then(place))
}

/// The names of the selector of the pods behind a road, and of the port that they listen on. Of a road straight to a
/// pod they are those of the warm ones.
pub fn behind(road: Road) -> (&'static str, &'static str) {
    match road {
        Road::Direct => ("warm.selector", "sandbox.port"),
        Road::Proxy => ("web.selector", "web.port"),
        Road::Balancer => ("balancer.selector", "balancer.port"),
        Road::BalancerTls => ("balancer.selector", "balancer.tls-port"),
        Road::Service => ("agent-service.selector", "agent-service.port"),
        Road::AccessControl => ("access-control.selector", "access-control.port"),
        Road::Builtin => ("builtin.selector", "builtin.port"),
        Road::Nginx => ("nginx.selector", "nginx.port"),
        Road::Envoy => ("envoy.selector", "envoy.port"),
        Road::Witness => ("agent-service.selector", "agent-service.witness-port"),
        Road::Litellm => ("litellm.selector", "litellm.port"),
        Road::Vendor => ("vendor.selector", "vendor.port"),
    }
}

async fn ready_pod(world: &World, road: Road) -> Result<Door, RoadError> {
    let (selector, port_name) = behind(road);
    let selector = world.name(selector).to_owned();
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let listed = pods
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(|source| RoadError::List {
            selector: selector.clone(),
            source: Box::new(source),
        })?;
    let address = |pod: &Pod| {
        let ip = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        Some((name, SocketAddr::new(ip, port(world, port_name))))
    };
    let found = listed.items.iter().filter(|pod| is_ready(pod)).find_map(address);
    let (pod, address) = found.ok_or(RoadError::NoPod { selector })?;
    to(world, road, pod, address).await
}

/// The door of a pod that Envoy Gateway runs.
async fn data_plane(world: &World) -> Result<Door, RoadError> {
    let Some(data_plane) = &world.data_plane else {
        return Err(RoadError::Closed(Road::Envoy));
    };
    let listed = data_plane.pods().await.map_err(|source| RoadError::List {
        selector: data_plane.selector(),
        source: Box::new(source),
    })?;
    let address = |pod: &Pod| {
        let ip = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        Some((name, SocketAddr::new(ip, port(world, "envoy.port"))))
    };
    let found = listed.iter().filter(|pod| is_ready(pod)).find_map(address);
    let (pod, address) = found.ok_or_else(|| RoadError::NoPod {
        selector: data_plane.selector(),
    })?;
    to(world, Road::Envoy, pod, address).await
}

/// The door at a pod's address.
async fn to(world: &World, road: Road, pod: String, address: SocketAddr) -> Result<Door, RoadError> {
    let name = (road == Road::BalancerTls).then(|| world.name("balancer.tls-name"));
    let way = match world.way_to(address).await {
        Ok(Some(way)) => way,
        Ok(None) => {
            let selector = format!("address {}", address.ip());
            return Err(RoadError::NoPod { selector });
        }
        Err(source) => return Err(RoadError::NoWay { address, source }),
    };
    Ok(Door {
        road,
        address,
        way,
        host: match name {
            Some(name) => format!("{name}:{}", address.port()),
            None => address.to_string(),
        },
        tls: name.is_some(),
        pod,
    })
}
