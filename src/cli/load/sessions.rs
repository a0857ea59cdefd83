//! `--sessions` of a load: through sessions, as a user does. They are created for it and deleted afterwards.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::changes::{Beside, Change, Changes, Planned};
use super::door::{DoorOptions, NotReady, Ready, Size};
use super::platform::{Platform, RoadName};
use super::workers::Crew;
use super::{View, make};
use crate::cli::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::cli::run::mutants;
use crate::load::schedule::Arrivals;
use crate::load::worker::{Assignment, Tls};
use crate::load::{Control, FirstByte, LoadResult, Order, Place, SessionApi, Sessions, Way};
use crate::redact::{Redactor, Secret};
use crate::trust::Trust;
use crate::vocabulary::duration;

/// Most attaches that can be asked for, as of `--attaches`.
const MOST: u32 = 1 << 20;

/// Sessions a second, by default.
const RATE: f64 = 20.0;

#[derive(Clone, Debug, Args)]
pub struct SessionOptions {
    /// Attach to this many sessions, created through the session API and deleted at the end, instead of one terminal
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 20), conflicts_with_all = [
        "attaches", "url", "token_env", "old_token_env", "terminal", "most_attaches", "most_handshakes", "echo_time",
    ])]
    pub sessions: Option<u32>,
    /// Sessions: attaches per session [default: 1]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub attaches_per_session: Option<u32>,
    /// Sessions: the rate of creation, in the form of --ramp [default: 20/s]
    #[arg(long, value_name = "RATE")]
    pub session_rate: Option<Arrivals>,
    /// Sessions: the platform's address, as https://HOST, with the session API's path if it isn't
    /// /api/v1/managed_agents [default: the reference platform's, started for it]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// Sessions: the environment variable that holds the session API's key
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,
    /// Sessions: the agent they belong to [default: the first one that the platform lists]
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Sessions on the reference platform: which of its addresses to use [default: proxy]
    #[arg(long, value_enum)]
    pub road: Option<RoadName>,
    /// Sessions on the reference platform: rotate the token so long after the first attach's start
    #[arg(long, value_name = "DURATION", value_parser = super::time)]
    pub rotate_at: Option<Duration>,
    /// Sessions on the reference platform: restart web so long after the first attach's start
    #[arg(long, value_name = "DURATION", value_parser = super::time)]
    pub restart_web_at: Option<Duration>,
}

impl SessionOptions {
    /// How many attaches are made, where they go to sessions.
    ///
    /// # Errors
    /// For meaningless combinations of flags.
    pub fn attaches(&self, door: &DoorOptions) -> Result<Option<u32>, UsageError> {
        let given = |flags: &[(&'static str, bool)]| flags.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
        let of_api = [
            ("--api-key-env", self.api_key_env.is_some()),
            ("--agent", self.agent.is_some()),
        ];
        let of_sessions = [
            ("--attaches-per-session", self.attaches_per_session.is_some()),
            ("--session-rate", self.session_rate.is_some()),
            ("--api", self.api.is_some()),
            ("--road", self.road.is_some()),
            ("--rotate-at", self.rotate_at.is_some()),
            ("--restart-web-at", self.restart_web_at.is_some()),
        ];
        let Some(sessions) = self.sessions else {
            return match given(&of_sessions).or(given(&of_api)) {
                Some(flag) => Err(UsageError(format!("{flag} requires --sessions"))),
                None => Ok(None),
            };
        };
        if self.api.is_some() {
            let of_ours = [
                ("--mutant", !door.mutant.is_empty()),
                ("--road", self.road.is_some()),
                ("--rotate-at", self.rotate_at.is_some()),
                ("--restart-web-at", self.restart_web_at.is_some()),
            ];
            if let Some(flag) = given(&of_ours) {
                return Err(UsageError(format!(
                    "{flag} is of the reference platform, and the target is one that isn't ours"
                )));
            }
            if self.api_key_env.is_none() {
                return Err(UsageError(
                    "--api requires --api-key-env: the name of the variable that holds the session API's key".into(),
                ));
            }
        } else {
            let of_tls = [("--ca", door.ca.is_some()), ("--insecure", door.insecure)];
            if let Some(flag) = given(&of_api).or(given(&of_tls)) {
                return Err(UsageError(format!("{flag} requires --api")));
            }
            mutants(&door.mutant)?;
        }
        match sessions.checked_mul(self.each()) {
            Some(attaches) if attaches <= MOST => Ok(Some(attaches)),
            _ => Err(UsageError(format!(
                "{sessions} sessions with {} attaches each: {MOST} attaches are the most",
                self.each()
            ))),
        }
    }

    /// The changes of the platform, the earliest first.
    pub fn changes(&self) -> Planned {
        let planned = [
            (self.rotate_at, Change::RotateToken),
            (self.restart_web_at, Change::RestartWeb),
        ];
        let given = planned.into_iter().filter_map(|(at, change)| Some((at?, change)));
        let mut changes: Planned = given.collect();
        changes.sort_by_key(|(at, _)| *at);
        changes
    }

    fn each(&self) -> u32 {
        self.attaches_per_session.unwrap_or(1)
    }

    fn rate(&self) -> Arrivals {
        self.session_rate.clone().unwrap_or(Arrivals::Constant(RATE))
    }
}

/// Where the session API is.
fn place(url: &str) -> Result<Place, UsageError> {
    let wrong = |why: &str| Err(UsageError(format!("--api: {why}")));
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return wrong("not a URL with http:// or https://");
    }
    if url.contains('@') {
        return wrong("a URL with credentials: the key goes into a variable, named by --api-key-env");
    }
    if url.contains(['?', '#']) {
        return wrong("a URL with a query or a fragment");
    }
    Place::parse(url).or_else(|error| wrong(&error.to_string()))
}

fn key(name: &str, process: &Process, redactor: &Redactor) -> Result<Secret, UsageError> {
    let value = (process.variable)(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| UsageError(format!("{name} is not set: it has to hold the session API's key")))?;
    redactor
        .add(name, &value)
        .map_err(|error| UsageError(error.to_string()))
}

/// A load, and what it is made with.
struct Asked<'a> {
    options: &'a SessionOptions,
    door: &'a DoorOptions,
    size: &'a Size,
    crew: &'a Crew,
    process: &'a Process,
    redactor: &'a Redactor,
}

/// Makes sessions and the load on them; returns the result, and what is left of the sessions, in words.
pub async fn load(
    options: &SessionOptions,
    door: &DoorOptions,
    size: &Size,
    crew: &Crew,
    process: &Process,
    redactor: &Redactor,
) -> Result<(LoadResult, Vec<String>), NotReady> {
    let asked = Asked {
        options,
        door,
        size,
        crew,
        process,
        redactor,
    };
    match (&options.api, &options.api_key_env) {
        (Some(url), Some(name)) => {
            let key = key(name, process, redactor)?;
            asked.on(url, &key, Some(asked.command(name)), (url, None)).await
        }
        _ => {
            let key = redactor.plant("MASTER_KEY");
            let binary = process.binary.as_ref().map_err(String::clone)?;
            let road = options.road.unwrap_or_default();
            let platform = Platform::start(binary, &key, road, &door.mutants()).await?;
            let target = format!("the reference platform's {}", road.door());
            let loaded = asked
                .on(&platform.address, &key, None, (&target, Some(&platform)))
                .await;
            platform.end().await;
            loaded
        }
    }
}

impl Asked<'_> {
    /// The beginning of a command that makes a call.
    fn command(&self, key: &str) -> String {
        let trust = match &self.door.ca {
            Some(file) => format!(" --cacert '{}'", file.display()),
            None if self.door.insecure => " --insecure".to_owned(),
            None => String::new(),
        };
        format!("curl{trust} -H \"Authorization: Bearer ${key}\"")
    }

    /// The load on the platform of this API.
    async fn on(
        &self,
        url: &str,
        key: &Secret,
        command: Option<String>,
        (target, platform): (&str, Option<&Platform>),
    ) -> Result<(LoadResult, Vec<String>), NotReady> {
        let (options, process) = (self.options, self.process);
        let ready = Ready::of_sessions(self.door, place(url)?, process, self.redactor).await?;
        // What this machine lacks for it is said before there is a session.
        let assignment = ready.assignment(self.size, self.crew.workers)?;
        let first_byte = FirstByte::new(&assignment)?;
        let api = SessionApi::new(&Way {
            place: &ready.place,
            addresses: &ready.addresses,
            trust: ready.tls.as_ref().map_or(Trust::Nothing, Tls::trust),
            key,
            deadline: self.door.deadline,
        })?;
        let order = Order {
            agent: self.agent(&api).await?,
            sessions: options.sessions.unwrap_or_default(),
            attaches_each: options.each(),
            arrivals: options.rate(),
            seed: assignment.seed,
            command,
        };
        let mut target = format!(
            "{target}, {} sessions at {} with {} attaches each",
            order.sessions, order.arrivals, order.attaches_each
        );
        let planned = options.changes();
        for (at, change) in &planned {
            target.push_str(&format!("; {change} at {}", duration::show(*at)));
        }
        let changes = match platform.filter(|_| !planned.is_empty()) {
            Some(platform) => Some(Changes::new(planned, platform.kubeconfig(), self.redactor, self.door.quiet).await?),
            None => None,
        };
        let sessions = Arc::new(Sessions::new(api, first_byte, order, self.redactor));
        let loaded = self.through(&sessions, &ready, changes).await;
        if process.stop.is_cancelled() && sessions.count() > 0 {
            tell(&format!("stopped: deleting {} sessions", sessions.count()));
        }
        let mut left = sessions.end().await;
        match loaded {
            Ok((mut result, short)) => {
                result.load.target = target;
                left.extend(short);
                Ok((result, left))
            }
            Err(why) => {
                left.iter().for_each(|left| tell(&self.redactor.redact(left)));
                Err(why)
            }
        }
    }

    async fn agent(&self, api: &SessionApi) -> Result<String, NotReady> {
        if let Some(agent) = &self.options.agent {
            return Ok(agent.clone());
        }
        match api.first_agent().await {
            Ok(Some(agent)) => Ok(agent),
            Ok(None) => Err(UsageError(
                "the platform has no agent, and sessions are made of one; none is made for it, as it could not be \
                 deleted again: make one, or name one by --agent"
                    .into(),
            )
            .into()),
            Err(why) => Err(format!("listing the agents at {}: {why}", api.url("/agents")).into()),
        }
    }

    /// Makes the sessions, and attaches to them; gives the result, and in words a change that the load was too short for.
    async fn through(
        &self,
        sessions: &Arc<Sessions>,
        ready: &Ready<'_>,
        changes: Option<Changes>,
    ) -> Result<(LoadResult, Option<String>), NotReady> {
        let mut made = sessions.make(&self.process.stop).await?;
        let mut short = None;
        let load = match made.is_usable() {
            true => {
                let terminals = std::mem::take(&mut made.terminals);
                let size = Size {
                    attaches: terminals.len() as u32 * self.options.each(),
                    ..self.size.clone()
                };
                let assignment = Assignment {
                    terminals,
                    ..ready.assignment(&size, self.crew.workers)?
                };
                // Its workers are processes, of which none can stay.
                let control = Arc::new(Control::default());
                let (view, stop) = (View::new(self.door.quiet, &size, self.process), &self.process.stop);
                // What is told of a change would be torn apart by what is drawn.
                let view = if changes.is_some() { view.in_lines() } else { view };
                let making = make(&assignment, &size, self.crew, self.process, view, control.clone());
                let beside = Beside {
                    control: &control,
                    sessions,
                    assignment: &assignment,
                    stop,
                };
                let (outcome, _) = match changes {
                    None => making.await?,
                    Some(changes) => {
                        let (made, too_short) = changes.while_loading(making, beside).await?;
                        short = too_short;
                        made
                    }
                };
                Some(outcome)
            }
            false => None,
        };
        Ok((ready.result(self.size, made.outcome(load)?, None), short))
    }
}
