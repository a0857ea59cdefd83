//! The door to load: the tokens and source addresses to use. Without an address, the reference platform's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use rand::RngExt;

use super::drive::DriveError;
use super::model::ResolveOptions;
use super::platform::PlatformError;
use super::workers::CrewError;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::events::seed;
use crate::load::cluster::ReferencePodsError;
use crate::load::objective::Objective;
use crate::load::result::{Gauntlet, Load, Platform};
use crate::load::schedule::Arrivals;
use crate::load::worker::{Assignment, Named, PlanError, Terminal, Tls};
use crate::load::{
    EACH, HistogramError, LoadResult, MakeError, Model, Outcome, Place, Reference, ReferenceError, ReferenceSettings,
    ResolveError, SessionApiError, TAGS, is_itself, is_private, is_secret, is_service, public_network,
};
use crate::redact::{Redactor, Secret};

/// Probes a second at least, by default.
const PROBES: f64 = 2.0;

/// The share of additional attaches without the right token.
const PROBE_SHARE: f64 = 0.02;

/// Descriptors that the process itself needs: the engine, the runtime, and inherited ones.
const DESCRIPTORS_ITSELF: u64 = 64;

/// The kind of terminals of the reference platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TerminalName {
    /// No terminal: each attach gets its own input echoed
    #[default]
    Loop,
    /// One for each attach
    Own,
    /// One for all, as in the contract: each key typed is sent to all of them
    Shared,
}

impl TerminalName {
    pub(super) fn name(self) -> &'static str {
        match self {
            TerminalName::Loop => "loop",
            TerminalName::Own => "own",
            TerminalName::Shared => "shared",
        }
    }
}

/// Which door to load, how, and with which objectives.
#[derive(Clone, Debug, Args)]
pub struct DoorOptions {
    /// The terminal's address, as ws://HOST:PORT/tty [default: the reference platform's, started for it]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The environment variable that holds the token
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// The variable that holds a formerly valid token, which must be refused
    #[arg(long, value_name = "NAME")]
    pub old_token_env: Option<String>,
    /// How often each attach types a nonce and waits to read it back, or `never`; in the closed model, how long after
    /// the last answer
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = every)]
    pub echo_every: Every,
    /// How often to try without the right token, which must get 401 at every moment, or `never` [default: with 2 % of
    /// the attaches, and at least every 0.5 s]
    #[arg(long, value_name = "DURATION", value_parser = every)]
    pub probe_every: Option<Every>,
    /// Time limit for each phase of an attach, and for an echo
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::cli::load::time)]
    pub deadline: Duration,
    /// What must hold: `attach.p99 < 500ms`, `steady.echo.p99.9 < 50ms`, `errors == 0`, `error-ratio < 1%`, …
    /// [default: errors == 0]
    #[arg(long, value_name = "OBJECTIVE")]
    pub objective: Vec<Objective>,
    /// Write the result to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub resolve: ResolveOptions,
    /// Connect from these addresses of this machine, in turn [default: the kernel's choice; on loopback as many as are
    /// needed to have enough ports]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// A header of the upgrade request, such as `Origin: https://console.example`
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// Additional certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// I own the target, or was asked to load it: required for a target on a public network
    #[arg(long)]
    pub i_own_this_target: bool,
    /// Reference platform: its kind of terminals
    #[arg(long, value_enum, default_value_t)]
    pub terminal: TerminalName,
    /// Reference platform: start it with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Reference platform: the limit of open terminals, which a search must find
    #[arg(long, value_name = "N")]
    pub most_attaches: Option<u32>,
    /// Reference platform: the limit of terminals opened per second
    #[arg(long, value_name = "N")]
    pub most_handshakes: Option<u32>,
    /// Reference platform: the time to process each client message, one after the other
    #[arg(long, value_name = "DURATION", value_parser = crate::cli::load::time)]
    pub echo_time: Option<Duration>,
    /// Seed of random values
    #[arg(long, value_name = "N", value_parser = crate::cli::seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Print only the result
    #[arg(long, short)]
    pub quiet: bool,
}

/// How often something happens, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(Option<Duration>);

fn every(text: &str) -> Result<Every, String> {
    match text {
        "never" => Ok(Every(None)),
        other => crate::cli::load::time(other).map(|every| Every(Some(every))),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("not NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::try_from(name).map_err(|_| format!("{name:?} isn't a valid header name"))?;
    http::HeaderValue::try_from(value).map_err(|_| "the value can't stand in a header field".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) struct Tokens {
    pub(super) right: Secret,
    wrong: Secret,
    old: Option<Secret>,
}

impl DoorOptions {
    /// Rejects meaningless combinations of flags.
    fn check(&self) -> Result<(), UsageError> {
        let wrong = |why: &str| Err(UsageError(why.to_owned()));
        if self.url.is_some() {
            if self.token_env.is_none() {
                return wrong("--url requires --token-env: the name of the variable that holds the token");
            }
            if !self.mutant.is_empty() {
                return wrong("--mutant breaks the reference platform, and the target is one that isn't ours");
            }
            let limited = self.most_attaches.is_some() || self.most_handshakes.is_some() || self.echo_time.is_some();
            if limited {
                return wrong(
                    "--most-attaches, --most-handshakes and --echo-time limit the reference platform, and the target is \
                     one that isn't ours",
                );
            }
            return Ok(());
        }
        let of_url = [
            ("--token-env", self.token_env.is_some()),
            ("--old-token-env", self.old_token_env.is_some()),
            ("--ca", self.ca.is_some()),
            ("--insecure", self.insecure),
            ("--resolve each", self.resolve.each()),
        ];
        if let Some((flag, _)) = of_url.into_iter().find(|(_, given)| *given) {
            return Err(UsageError(format!("{flag} requires --url")));
        }
        match self
            .mutant
            .iter()
            .find(|name| crate::platform::mutant::by_name(name).is_none())
        {
            Some(mutant) => Err(UsageError(format!("--mutant: there is no mutant {mutant}"))),
            None => Ok(()),
        }
    }

    /// Refuses terminals on which nobody sees what others type.
    pub fn check_fan_out(&self, attaches: u32) -> Result<(), UsageError> {
        let wrong = |why: String| Err(UsageError(format!("--fan-out: {why}")));
        if self.echo_every.0.is_none() {
            return wrong("with `--echo-every never` nobody types".into());
        }
        if self.url.is_some() {
            return Ok(());
        }
        if self.terminal != TerminalName::Shared {
            return wrong("all attaches have to be at one terminal: --terminal shared".into());
        }
        match attaches > EACH {
            true => wrong(format!("{EACH} attaches are the most that share one terminal here")),
            false => Ok(()),
        }
    }

    fn tokens(&self, process: &Process, redactor: &Redactor) -> Result<Tokens, UsageError> {
        let read = |name: &String| {
            let value = (process.variable)(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| UsageError(format!("{name} is not set: it has to hold the token")))?;
            redactor
                .add(name, &value)
                .map_err(|error| UsageError(error.to_string()))
        };
        Ok(Tokens {
            right: match &self.token_env {
                Some(name) => read(name)?,
                None => redactor.plant("TOKEN"),
            },
            wrong: redactor.plant("WRONG_TOKEN"),
            old: self.old_token_env.as_ref().map(read).transpose()?,
        })
    }

    /// Additional certificate authorities, PEM.
    pub(super) fn authorities(&self) -> Result<Option<String>, String> {
        let read = |file: &PathBuf| {
            crate::file_input::read_text(file, crate::file_input::SMALL)
                .map_err(|refusal| format!("--ca {}: {}", file.display(), refusal.in_a_line()))
        };
        self.ca.as_ref().map(read).transpose()
    }

    fn probes(&self, rate: f64) -> Option<Duration> {
        match self.probe_every {
            Some(Every(every)) => every,
            None => Some(Duration::from_secs_f64(1.0 / (rate * PROBE_SHARE).max(PROBES))),
        }
    }

    /// Registers possible secrets in the given headers and query with the redactor.
    fn keep_secret(&self, place: &Place, redactor: &Redactor) {
        let headers = self.header.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in headers.filter(|(name, _)| is_secret(name)).chain(place.secrets()) {
            // `Bearer` and its like are none; what is too short to be taken out is too short for a secret.
            for part in value.split_whitespace() {
                let _taken_out = redactor.add(name, part);
            }
        }
    }

    /// Variables that limit the reference platform.
    pub(super) fn limits(&self) -> Vec<(&'static str, String)> {
        let number = |limit: Option<u32>| limit.map(|limit| limit.to_string());
        let time = |time: Duration| format!("{}ms", time.as_millis());
        let limits = [
            ("MOST_ATTACHES", number(self.most_attaches)),
            ("MOST_HANDSHAKES", number(self.most_handshakes)),
            ("ECHO_TIME", self.echo_time.map(time)),
        ];
        let given = limits.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.collect()
    }

    pub fn objectives(&self) -> Vec<Objective> {
        match self.objective.as_slice() {
            [] => vec![Objective::no_errors()],
            given => given.to_vec(),
        }
    }
}

/// What differs between two loads at one door.
#[derive(Clone)]
pub struct Size {
    pub attaches: u32,
    pub arrivals: Arrivals,
    pub model: Model,
    pub hold: Duration,
    /// One types, and all must see it.
    pub fan_out: bool,
}

/// A door that is ready to be loaded.
pub struct Ready<'a> {
    options: &'a DoorOptions,
    pub(super) place: Place,
    pub(super) addresses: Vec<SocketAddr>,
    /// The door as the workers find it, where they are in the cluster that it is of.
    named: Option<Named>,
    resolve: Duration,
    pub(super) tls: Option<Tls>,
    pub(super) tokens: Tokens,
    reference: Option<Reference>,
    seed: u64,
    gauntlet: Gauntlet,
    started: String,
    descriptors: Option<u64>,
}

/// Why a door isn't ready.
pub enum NotReady {
    Usage(UsageError),
    Interrupted,
    CouldNotTell(Box<dyn std::error::Error + Send + Sync>),
}

impl From<UsageError> for NotReady {
    fn from(error: UsageError) -> NotReady {
        NotReady::Usage(error)
    }
}

impl From<String> for NotReady {
    fn from(why: String) -> NotReady {
        NotReady::CouldNotTell(why.into())
    }
}

/// What these say is all that there is to say.
macro_rules! could_not_tell {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for NotReady {
            fn from(error: $error) -> NotReady {
                NotReady::CouldNotTell(error.into())
            }
        })+
    };
}

could_not_tell!(
    ResolveError,
    PlanError,
    SessionApiError,
    HistogramError,
    DriveError,
    CrewError,
    ReferenceError,
    ReferencePodsError,
    PlatformError,
    MakeError,
);

impl<'a> Ready<'a> {
    /// Finds the door, or starts the reference platform for so many attaches at most.
    pub async fn new(
        options: &'a DoorOptions,
        most: u32,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<Ready<'a>, NotReady> {
        options.check()?;
        let tokens = options.tokens(process, redactor)?;
        let place = options.url.as_deref().unwrap_or("ws://127.0.0.1/tty");
        let place = Place::parse(place).map_err(|why| UsageError(format!("--url: {why}")))?;
        options.keep_secret(&place, redactor);
        let resolving = Instant::now();
        let (reference, addresses) = match options.url {
            Some(_) => (None, resolve(&place, options.i_own_this_target).await?),
            None => {
                let reference = start(options, most, process, &tokens.right).await?;
                let addresses = reference.addresses();
                (Some(reference), addresses)
            }
        };
        let found = (place, addresses, resolving.elapsed());
        Ready::at(options, found, tokens, reference, process)
    }

    /// A platform's door, behind which are the terminals of sessions: their paths and tokens come later.
    pub(super) async fn of_sessions(
        options: &'a DoorOptions,
        place: Place,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<Ready<'a>, NotReady> {
        let resolving = Instant::now();
        let addresses = resolve(&place, options.i_own_this_target).await?;
        let tokens = options.tokens(process, redactor)?;
        Ready::at(options, (place, addresses, resolving.elapsed()), tokens, None, process)
    }

    /// A door as pods of its cluster find it: what its name leads to only they know.
    pub(super) fn from_pods(
        options: &'a DoorOptions,
        url: &str,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<Ready<'a>, NotReady> {
        options.check()?;
        let place = Place::parse(url).map_err(|why| UsageError(format!("--url: {why}")))?;
        let named = named(&place, options.i_own_this_target)?;
        let tokens = options.tokens(process, redactor)?;
        options.keep_secret(&place, redactor);
        let found = (place, Vec::new(), Duration::ZERO);
        let ready = Ready::at(options, found, tokens, None, process)?;
        Ok(Ready {
            named: Some(named),
            ..ready
        })
    }

    fn at(
        options: &'a DoorOptions,
        (place, addresses, resolve): (Place, Vec<SocketAddr>, Duration),
        tokens: Tokens,
        reference: Option<Reference>,
        process: &Process,
    ) -> Result<Ready<'a>, NotReady> {
        options.resolve.check(&place)?;
        Ok(Ready {
            options,
            resolve,
            tls: tls(options, &place)?,
            place,
            addresses,
            named: None,
            tokens,
            reference,
            seed: options.seed.unwrap_or_else(seed::random),
            gauntlet: Gauntlet {
                version: process.version.into(),
                commit: process.commit.map(str::to_owned),
            },
            started: process.started.clone(),
            descriptors: process.descriptors,
        })
    }

    /// # Errors
    /// In words: this machine has too few descriptors or ports for it.
    pub fn assignment(&self, size: &Size, workers: u32) -> Result<Assignment, String> {
        let sources = match self.named {
            // Descriptors and ports are the pods' own.
            Some(_) => Vec::new(),
            None => {
                enough_descriptors(size.attaches.div_ceil(workers), self.descriptors)?;
                sources(&self.options.source, size.attaches, &self.addresses)?
            }
        };
        let owned = self
            .named
            .as_ref()
            .map_or(self.options.i_own_this_target, |named| named.owned);
        Ok(Assignment {
            addresses: self.addresses.clone(),
            named: self.named.clone(),
            resolution: self.options.resolve.resolution(&self.place, owned, self.resolve),
            sources,
            tls: self.tls.clone(),
            authority: self.place.authority.clone(),
            headers: self.options.header.clone(),
            terminals: vec![Terminal {
                path: self.place.target.clone(),
                right: self.tokens.right.expose().to_owned(),
            }],
            wrong: self.tokens.wrong.expose().to_owned(),
            old: self.tokens.old.as_ref().map(|old| old.expose().to_owned()),
            attaches: size.attaches,
            model: size.model,
            arrivals: size.arrivals.clone(),
            hold: size.hold,
            echo_every: self.options.echo_every.0,
            probe_every: self.options.probes(size.arrivals.mean(size.attaches)),
            deadline: self.options.deadline,
            first_tag: rand::rng().random_range(0..TAGS - size.attaches),
            seed: self.seed,
            turn: 0,
            workers: 1,
        })
    }

    /// The result of a load of this size.
    pub fn result(&self, size: &Size, outcome: Outcome, platform: Option<Platform>) -> LoadResult {
        let milliseconds = |duration: Duration| duration.as_millis() as u64;
        let load = Load {
            target: self.target(),
            model: size.model.name().into(),
            attaches: size.attaches,
            arrivals: match size.model {
                Model::Open => size.arrivals.to_string(),
                Model::Closed(at_once) => format!("{at_once} at once"),
            },
            hold: milliseconds(size.hold),
            echo_every: self.options.echo_every.0.map(milliseconds),
            deadline: milliseconds(self.options.deadline),
            probe_every: self.options.probes(size.arrivals.mean(size.attaches)).map(milliseconds),
            seed: self.seed,
            resolve: self.resolve.as_secs_f64() * 1e3,
        };
        LoadResult::new(
            (self.gauntlet.clone(), self.started.clone()),
            load,
            outcome,
            &self.options.objectives(),
            platform,
        )
    }

    /// What makes the load.
    pub fn gauntlet(&self) -> &Gauntlet {
        &self.gauntlet
    }

    /// Of random values.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What is loaded, in words.
    pub fn target(&self) -> String {
        match &self.options.url {
            Some(url) => url.clone(),
            None => format!("the reference platform, terminals: {}", self.options.terminal.name()),
        }
    }

    /// Ends the reference platform, where it is the target; returns its own count and cost.
    pub async fn end(&mut self) -> Option<Platform> {
        let reference = self.reference.take()?;
        let (processes, cost) = (self.addresses.len() as u32, reference.cost());
        Some(Platform::new(processes, reference.end().await, cost))
    }
}

async fn start(options: &DoorOptions, most: u32, process: &Process, token: &Secret) -> Result<Reference, NotReady> {
    let settings = ReferenceSettings {
        token,
        terminal: options.terminal.name(),
        mutants: &options.mutant,
        limits: options.limits(),
    };
    let binary = process.binary.as_ref().map_err(String::clone)?;
    Ok(Reference::start(binary, most.div_ceil(EACH), &settings).await?)
}

fn enough_descriptors(attaches: u32, most: Option<u64>) -> Result<(), String> {
    let needed = u64::from(attaches) + DESCRIPTORS_ITSELF;
    match most {
        Some(most) if most < needed => Err(format!(
            "{attaches} attaches need {needed} descriptors, and this process may have {most}: raise the limit, as with \
             `ulimit -n {needed}`, or hold fewer"
        )),
        _ => Ok(()),
    }
}

/// The door for those who look it up in a cluster. A Service is the cluster's own; what any other name leads to they
/// find out, and go to no public network.
fn named(place: &Place, owned: bool) -> Result<Named, NotReady> {
    let host = &place.host;
    if is_itself(host) {
        let why =
            format!("--url: {host} is each worker's own pod; name the platform's Service, such as web.agents.svc");
        return Err(UsageError(why).into());
    }
    match host.parse::<IpAddr>() {
        Ok(address) if !owned && !is_private(address) => Err(public_network(host, address).into()),
        _ => Ok(Named {
            host: host.clone(),
            port: place.port,
            owned: owned || is_service(host),
        }),
    }
}

pub(super) async fn resolve(place: &Place, owned: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    crate::load::resolve(&place.host, place.port, owned).await
}

/// Where connections come from, so that there are ports enough for all.
fn sources(given: &[IpAddr], attaches: u32, addresses: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
    for source in given {
        if addresses.iter().any(|address| address.is_ipv4() != source.is_ipv4()) {
            return Err(format!(
                "--source {source} and the target are not both of IPv4, or both of IPv6"
            ));
        }
        if let Err(error) = std::net::TcpListener::bind((*source, 0)) {
            return Err(format!("--source {source} isn't an address of this machine: {error}"));
        }
    }
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse::<u64>().ok());
    let ports = match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        // Linux's own default.
        _ => 28_232,
    };
    // Some are taken by others, some by connections that have just ended.
    let usable = (ports * 9 / 10).max(1);
    let needed = u64::from(attaches).div_ceil(usable * addresses.len() as u64);
    let loopback = addresses.iter().all(|address| match address.ip() {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(_) => false,
    });
    if given.len().max(1) as u64 >= needed {
        return Ok(given.to_vec());
    }
    if loopback && given.is_empty() {
        // 127.0.0.0/8 is all this machine's.
        let sources = (0..needed).map(|number| Ipv4Addr::from(0x7f00_0001 + number as u32).into());
        return Ok(sources.collect());
    }
    Err(format!(
        "{attaches} attaches to {} addresses need {needed} source addresses with {ports} ports each: give them with \
         --source, or widen net.ipv4.ip_local_port_range",
        addresses.len()
    ))
}

fn tls(options: &DoorOptions, place: &Place) -> Result<Option<Tls>, String> {
    if !place.tls {
        return Ok(None);
    }
    Ok(Some(Tls {
        host: place.host.clone(),
        ca: options.authorities()?,
        insecure: options.insecure,
    }))
}
