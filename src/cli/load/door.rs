//! The door to load: the tokens and source addresses to use. Without an address, the reference platform's.

mod flags;
mod not_ready;
mod reach;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use rand::RngExt;

use super::InvalidTime;
use super::model::ResolveOptions;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::events::seed;
use crate::load::objective::Objective;
use crate::load::result::{Gauntlet, Load, Platform};
use crate::load::schedule::Arrivals;
use crate::load::worker::{Assignment, Named, Terminal, Tls};
use crate::load::{EACH, LoadResult, Model, Outcome, Place, Reference, ReferenceSettings, TAGS};
use crate::redact::{Redactor, Secret};
use flags::Tokens;
pub use not_ready::NotReady;
pub(in crate::cli) use reach::enough_descriptors;
pub(super) use reach::resolve;
use reach::{AssignmentError, named, sources, tls};

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

/// What is no header of a request: whoever wrote it on the command line has to correct it.
#[derive(Debug, thiserror::Error)]
enum InvalidHeader {
    #[error("not NAME: VALUE")]
    NoColon,
    #[error("{name:?} isn't a valid header name")]
    Name { name: String },
    #[error("the value can't stand in a header field")]
    Value,
}

fn every(text: &str) -> Result<Every, InvalidTime> {
    match text {
        "never" => Ok(Every(None)),
        other => crate::cli::load::time(other).map(|every| Every(Some(every))),
    }
}

fn header(text: &str) -> Result<(String, String), InvalidHeader> {
    let (name, value) = text.split_once(':').ok_or(InvalidHeader::NoColon)?;
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    if http::HeaderName::try_from(&name).is_err() {
        return Err(InvalidHeader::Name { name });
    }
    if http::HeaderValue::try_from(&value).is_err() {
        return Err(InvalidHeader::Value);
    }
    Ok((name, value))
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
    /// This machine has too few descriptors or ports for it, or other addresses than were given.
    pub fn assignment(&self, size: &Size, workers: u32) -> Result<Assignment, AssignmentError> {
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
    let mutants = options.mutants();
    let settings = ReferenceSettings {
        token,
        terminal: options.terminal.name(),
        mutants: &mutants,
        limits: options.limits(),
    };
    let binary = process.binary.as_ref().map_err(String::clone)?;
    Ok(Reference::start(binary, most.div_ceil(EACH), &settings).await?)
}
