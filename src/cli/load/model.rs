//! What lets attaches and echoes begin (`--model`), and how the target's name is resolved (`--resolve`).

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::LoadOptions;
use crate::cli::exit::UsageError;
use crate::load::worker::Named;
use crate::load::{Metric, Model, Place, Resolution};

/// The model of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModelName {
    /// On schedule, whatever the platform does; latencies count from the intended moments
    #[default]
    Open,
    /// After answers: --concurrency attaches are being opened at once, and each types --echo-every after its last
    /// answer; latencies count from the actual starts
    Closed,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ModelOptions {
    /// What lets attaches and echoes begin
    #[arg(long, value_enum, default_value_t)]
    pub model: ModelName,
    /// Closed model: number of attaches that are being opened at once, instead of --ramp
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20), conflicts_with = "ramp")]
    pub concurrency: Option<u32>,
}

impl ModelOptions {
    pub fn model(&self) -> Model {
        match (self.model, self.concurrency) {
            (ModelName::Closed, Some(at_once)) => Model::Closed(at_once),
            _ => Model::Open,
        }
    }

    /// Rejects meaningless combinations of flags.
    pub fn check(&self, options: &LoadOptions) -> Result<(), UsageError> {
        let wrong = |why: String| Err(UsageError(why));
        let at_once = match (self.model, self.concurrency) {
            (ModelName::Open, None) => return Ok(()),
            (ModelName::Open, Some(_)) => {
                return wrong("--concurrency is of the closed model; did you mean `--model closed`?".into());
            }
            (ModelName::Closed, None) => {
                let why = "how many attaches are being opened at once, instead of --ramp";
                return wrong(format!("--model closed requires --concurrency: {why}"));
            }
            (ModelName::Closed, Some(at_once)) => at_once,
        };
        let apart = [
            (
                "--sessions",
                options.sessions.sessions.is_some(),
                "sessions are created on schedule",
            ),
            ("--fan-out", options.fan_out, "its keys are typed on schedule"),
        ];
        if let Some((flag, _, why)) = apart.into_iter().find(|(_, given, _)| *given) {
            return wrong(format!("--model closed and {flag} exclude each other: {why}"));
        }
        let lag = |metric: Option<Metric>| metric == Some(Metric::Lag);
        let objective = options.door.objective.iter().find(|objective| lag(objective.metric()));
        let abort_on = options.abort_on.iter().find(|condition| lag(condition.metric()));
        let about = objective
            .map(|objective| format!("--objective {objective}"))
            .or(abort_on.map(|condition| format!("--abort-on {condition}")));
        if let Some(about) = about {
            return wrong(format!("{about}: the closed model has no schedule, and so no lag"));
        }
        let workers = options.cluster.workers_in_cluster.unwrap_or(options.workers);
        match at_once < workers {
            true => wrong(format!(
                "--concurrency {at_once}: each of {workers} workers opens at least one attach at once"
            )),
            false => Ok(()),
        }
    }
}

/// How often the target's name is resolved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ResolveName {
    /// Before the load; attaches go to all of its addresses in turn
    #[default]
    Once,
    /// By each attach, before it connects
    Each,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ResolveOptions {
    /// How often the target's name is resolved
    #[arg(long, value_enum, default_value_t)]
    pub resolve: ResolveName,
}

impl ResolveOptions {
    /// Whether each attach does.
    pub fn each(&self) -> bool {
        self.resolve == ResolveName::Each
    }

    /// Rejects an address, which nobody resolves.
    pub fn check(&self, place: &Place) -> Result<(), UsageError> {
        match self.each() && is_address(place) {
            true => Err(UsageError(format!(
                "--resolve each: {} is an address, and only names are resolved",
                place.host
            ))),
            false => Ok(()),
        }
    }

    /// For a place whose name was resolved before the load in this time.
    pub fn resolution(&self, place: &Place, owned: bool, took: Duration) -> Resolution {
        if is_address(place) {
            return Resolution::Nothing;
        }
        match self.resolve {
            ResolveName::Once => Resolution::Once(took),
            ResolveName::Each => Resolution::Each(Named {
                host: place.host.clone(),
                port: place.port,
                owned,
            }),
        }
    }
}

fn is_address(place: &Place) -> bool {
    place.host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_resolved() {
        let place = |url: &str| Place::parse(url).expect(url);
        let took = Duration::from_millis(5);
        for (resolve, url, resolution) in [
            (ResolveName::Once, "ws://10.0.0.1/tty", Resolution::Nothing),
            (ResolveName::Once, "ws://[::1]/tty", Resolution::Nothing),
            (ResolveName::Once, "ws://door.internal/tty", Resolution::Once(took)),
            (
                ResolveName::Each,
                "ws://door.internal:81/tty",
                Resolution::Each(Named {
                    host: "door.internal".into(),
                    port: 81,
                    owned: true,
                }),
            ),
        ] {
            let options = ResolveOptions { resolve };
            assert_eq!(options.resolution(&place(url), true, took), resolution, "{url}");
            assert!(options.check(&place(url)).is_ok(), "{url}");
        }
        let each = ResolveOptions {
            resolve: ResolveName::Each,
        };
        assert!(each.check(&place("ws://[::1]/tty")).is_err());
    }
}
