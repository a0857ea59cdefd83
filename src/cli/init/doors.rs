//! Doors that were found, tried with one request that asks for nothing.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use crate::trust::{Trust, TrustError};
use crate::vocabulary::Road;
use crate::world::forward::{Forwards, WayError};
use crate::world::kube_error::kube_error;
use crate::world::pod::is_ready;

/// How long a door may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A road, how it is reached, and what came of the try.
pub struct Door {
    pub road: Road,
    /// As the profile says it.
    pub way: String,
    /// What says that there is this door.
    pub seen: String,
    /// The status of an answer, or why there was none.
    pub answer: Result<u16, NoAnswer>,
}

/// Why a door did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("{}", kube_error(.0.as_ref()))]
    List(#[source] Box<kube::Error>),
    #[error("no pod with {selector} is ready")]
    NoPod { selector: String },
    #[error(transparent)]
    Way(#[from] WayError),
    #[error("the pod went away")]
    Gone,
    #[error("{}", kube_error(.0))]
    Request(#[source] reqwest::Error),
}

/// Why this machine has no client to try doors with.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("making an HTTP client: {0}")]
    Http(#[source] reqwest::Error),
}

impl Door {
    /// It answers, and not only by sending people elsewhere.
    fn serves(&self) -> bool {
        self.answer.as_ref().is_ok_and(|status| !(300..400).contains(status))
    }
}

/// The door of each road that a profile names: the first that serves, else the first that answers.
pub fn taken(doors: &[Door]) -> Vec<bool> {
    let first = |road: Road, is_it: fn(&Door) -> bool| doors.iter().position(|door| door.road == road && is_it(door));
    let of = |road: Road| first(road, Door::serves).or_else(|| first(road, |door| door.answer.is_ok()));
    let taken = doors.iter().enumerate();
    taken.map(|(at, door)| of(door.road) == Some(at)).collect()
}

/// Tries doors.
pub struct Doors {
    http: reqwest::Client,
    pods: Api<Pod>,
    forwards: Forwards,
}

impl Doors {
    /// # Errors
    /// There can be no client: the machine has no certificates.
    pub fn new(pods: Api<Pod>, trust: &Trust) -> Result<Doors, NoClient> {
        // A door without TLS needs no authority.
        let tls = trust.client_config().or_else(|_| Trust::Nothing.client_config());
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .http1_only()
            .timeout(ANSWERS_WITHIN)
            .tls_backend_preconfigured(tls?)
            .build();
        Ok(Doors {
            http: http.map_err(NoClient::Http)?,
            forwards: Forwards::new(pods.clone()),
            pods,
        })
    }

    /// Tries an address: `https://agents.example.com`.
    pub async fn at(&self, road: Road, address: String, seen: String) -> Door {
        Door {
            road,
            answer: self.get(&address).await,
            way: address,
            seen,
        }
    }

    /// Tries a ready pod through the API server.
    pub async fn through_api_server(&self, road: Road, selector: &str, port: u16) -> Door {
        Door {
            road,
            way: "port-forward".to_owned(),
            seen: format!("a pod with {selector}"),
            answer: self.pod(selector, port).await,
        }
    }

    async fn pod(&self, selector: &str, port: u16) -> Result<u16, NoAnswer> {
        let listed = self.pods.list(&ListParams::default().labels(selector)).await;
        let listed = listed.map_err(|error| NoAnswer::List(Box::new(error)))?;
        let ready = listed.items.iter().find(|pod| is_ready(pod));
        let ip = ready.and_then(|pod| pod.status.as_ref()?.pod_ip.as_ref()?.parse::<IpAddr>().ok());
        let ip = ip.ok_or_else(|| NoAnswer::NoPod {
            selector: selector.to_owned(),
        })?;
        let local = self.forwards.to(SocketAddr::new(ip, port)).await?;
        let local = local.ok_or(NoAnswer::Gone)?;
        self.get(&format!("http://{local}")).await
    }

    async fn get(&self, address: &str) -> Result<u16, NoAnswer> {
        let answer = self.http.get(address).send().await.map_err(NoAnswer::Request)?;
        Ok(answer.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_road_the_first_door_that_serves_is_taken() {
        let door = |road: Road, answer: Result<u16, NoAnswer>| Door {
            road,
            way: String::new(),
            seen: String::new(),
            answer,
        };
        let doors = [
            door(Road::Proxy, Ok(404)),
            door(Road::Balancer, Err(NoAnswer::Gone)),
            door(Road::Balancer, Ok(308)),
            door(Road::Balancer, Ok(401)),
            door(Road::Balancer, Ok(200)),
            door(Road::Envoy, Err(NoAnswer::Gone)),
            door(Road::Nginx, Ok(301)),
        ];
        assert_eq!(taken(&doors), [true, false, false, true, false, false, true]);
    }
}
