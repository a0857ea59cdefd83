//! Whether there is a way to what the steps of a run use: a road, the cluster, or a command in its place.

use super::{Fit, Reached};
use crate::profile::operations::Operation;
use crate::profile::route_address::Way;
use crate::runner::plan::Planned;
use crate::scenario::Step;
use crate::steps::verb;
use crate::vocabulary::Road;
use crate::world::access::Ask;
use crate::world::operations::Lack;
use crate::world::roads::api_road;

impl Fit<'_> {
    pub(super) fn no_road(&self, planned: &Planned) -> Option<String> {
        let kept = self.kept(planned);
        kept.iter().find_map(|(_, reached)| {
            self.lacks_road(reached)
                .or_else(|| self.lacks_plain_door(planned, reached))
        })
    }

    /// Whether the balancer's two doors are to be compared, and that without TLS is not known.
    fn lacks_plain_door(&self, planned: &Planned, reached: &Reached) -> Option<String> {
        let is_asked = matches!(reached, Reached::Roads(roads) if roads.contains(&Road::Balancer));
        let is_known = *self.installation.plain_balancer() != Way::None;
        (is_asked && planned.scenario.world.is_about_tls() && !is_known).then(|| {
            "there is no road to the balancer's door without TLS: the profile's `roads` can give its address as \
             `balancer`, beside that of `balancer-tls`"
                .to_owned()
        })
    }

    pub(super) fn lacks_road(&self, reached: &Reached) -> Option<String> {
        match reached {
            Reached::Roads(roads) => {
                let missing = roads.iter().find(|road| !self.installation.has_road(**road))?;
                Some(format!(
                    "there is no road `{}`: the profile's `roads` can give its address",
                    missing.name()
                ))
            }
            Reached::Api => {
                let road = api_road(|road| self.installation.has_road(road));
                let none = !self.installation.has_road(road);
                none.then(|| "there is no road to the session API: the profile's `roads` can give one".into())
            }
            Reached::Cluster(_) => None,
        }
    }

    pub(super) fn no_cluster(&self, planned: &Planned) -> Option<String> {
        self.kept(planned)
            .iter()
            .find_map(|(step, reached)| self.lacks_cluster(step, reached))
    }

    pub(super) fn lacks_cluster(&self, step: &Step, reached: &Reached) -> Option<String> {
        if self.installation.has_cluster {
            return None;
        }
        let (verb, asks) = (step.verb, self.asks_of(reached));
        if asks.is_empty() || self.reads_files(step, &asks) {
            return None;
        }
        let lack = match &self.installation.commands {
            Some(commands) => commands.lack(verb, &asks)?,
            None => Lack::Way,
        };
        Some(match lack {
            Lack::Way => format!("its step `{verb}` needs the cluster, and only doors are known"),
            Lack::Command(operation) => format!(
                "its step `{verb}` needs the operation `{}`: the profile's `operations` can give its command",
                operation.name()
            ),
        })
    }

    /// Whether it reads files of logs, and the profile names some.
    fn reads_files(&self, step: &Step, asks: &[Ask]) -> bool {
        let of_logs = |ask: &Ask| matches!(ask, Ask::FindPods | Ask::ReadLogs);
        let has_command = self.installation.can(Operation::Logs);
        let reads_files = verb(step.verb).is_some_and(|verb| verb.reads_log_files);
        reads_files && !has_command && !self.installation.logs.is_empty() && asks.iter().all(of_logs)
    }

    pub(super) fn asks_of(&self, reached: &Reached) -> Vec<Ask> {
        match reached {
            Reached::Cluster(asks) => asks.clone(),
            Reached::Roads(roads)
                if roads
                    .iter()
                    .any(|road| *self.installation.way(*road) == Way::PortForward) =>
            {
                vec![Ask::FindPods, Ask::Forward]
            }
            Reached::Api => {
                let road = api_road(|road| self.installation.has_road(road));
                self.asks_of(&Reached::Roads(vec![road]))
            }
            Reached::Roads(_) => Vec::new(),
        }
    }
}
