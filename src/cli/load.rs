//! `gauntlet load`.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use rand::RngExt;
use rustls::pki_types::ServerName;

use super::conclude::tell;
use super::run::{Process, UsageError};
use crate::load::objective::Objective;
use crate::load::result::{Gauntlet, Load, Platform};
use crate::load::schedule::Arrivals;
use crate::load::{
    Control, Door, EACH, LoadResult, Place, Plan, Reference, ReferenceSettings, TAGS, Target, is_private,
};
use crate::redact::{Redactor, Secret};
use crate::runner::seed;
use crate::target::trust::Trust;

/// Longest time between two probes, where the command line says none.
const PROBES: f64 = 2.0;

/// Of the attaches, so many without the right token on top.
const PROBE_SHARE: f64 = 0.02;

/// Descriptors of the process itself: the engine, the runtime, what it was started with.
const DESCRIPTORS_ITSELF: u64 = 64;

/// How the terminals of the reference platform are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TerminalName {
    /// No terminal: each attach gets back what it types
    #[default]
    Loop,
    /// One for each attach
    Own,
    /// One for all, as the contract has it: each key typed comes to all of them
    Shared,
}

impl TerminalName {
    fn name(self) -> &'static str {
        match self {
            TerminalName::Loop => "loop",
            TerminalName::Own => "own",
            TerminalName::Shared => "shared",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    /// The terminal's address, as ws://HOST:PORT/tty [default: the reference platform's, started for it]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The variable of the environment that holds the token
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// The variable that holds a token that was valid once, which has to be refused
    #[arg(long, value_name = "NAME")]
    pub old_token_env: Option<String>,
    /// Attaches that are held at once
    #[arg(long, short = 'n', value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub attaches: u32,
    /// How they arrive: 500/s, 100/s..900/s, 100/s@10s,500/s or poisson:500/s
    #[arg(long, value_name = "RATE", default_value = "500/s")]
    pub ramp: Arrivals,
    /// How long all are held from when they are open
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::duration)]
    pub hold: Duration,
    /// How often each attach types a nonce and waits to read it back, or `never`
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = every)]
    pub echo_every: Every,
    /// How often somebody comes without the right token, who has to be refused with 401 at every moment, or `never`
    /// [default: with 2 % of the attaches, and each 0.5 s at least]
    #[arg(long, value_name = "DURATION", value_parser = every)]
    pub probe_every: Option<Every>,
    /// Longest time of a phase of an attach, and of an echo
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::duration)]
    pub deadline: Duration,
    /// What has to hold: `attach.p99 < 500ms`, `steady.echo.p99.9 < 50ms`, `errors == 0`, `error-ratio < 1%`, …
    /// [default: errors == 0]
    #[arg(long, value_name = "OBJECTIVE")]
    pub objective: Vec<Objective>,
    /// Write the result to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Connect from these addresses of this machine, in turn [default: the kernel's choice; on loopback as many as
    /// the ports are not enough for]
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// A header field of the upgrade, as `Origin: https://console.example`
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,
    /// Further authorities of certificates, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Take every certificate, of whomever
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
    /// The target is mine, or I am asked to load it: wanted where it is on a public network
    #[arg(long)]
    pub i_own_this_target: bool,
    /// Reference platform: how its terminals are made
    #[arg(long, value_enum, default_value_t)]
    pub terminal: TerminalName,
    /// Reference platform: start it with these defects
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub mutant: Vec<String>,
    /// Seed of random values
    #[arg(long, value_name = "N", value_parser = super::seed, allow_negative_numbers = true)]
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
        other => super::duration(other).map(|every| Every(Some(every))),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("not NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a header field"))?;
    http::HeaderValue::try_from(value).map_err(|_| "the value can't stand in a header field".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs a load; gives the exit code.
pub async fn run(options: LoadOptions, mut process: Process) -> Result<u8, UsageError> {
    options.check()?;
    if let Some(mutant) = options
        .mutant
        .iter()
        .find(|name| crate::platform::mutant::by_name(name).is_none())
    {
        return Err(UsageError(format!("--mutant: there is no mutant {mutant}")));
    }
    let redactor = Redactor::new();
    let seed = options.seed.unwrap_or_else(seed::random);
    let tokens = options.tokens(&process, &redactor)?;
    match load(&options, &mut process, tokens, seed, &redactor).await {
        Ok(result) => {
            let text = redactor.redact(&crate::load::summary(&result)).into_owned();
            // A reader who went away is no error.
            let _closed = process
                .stdout
                .write_all(text.as_bytes())
                .and_then(|()| process.stdout.flush());
            if let Some(file) = &options.out {
                write(file, &result, &redactor)?;
            }
            Ok(result.exit_code())
        }
        Err(why) => {
            tell(&redactor.redact(&why));
            tell("no load was made");
            Ok(3)
        }
    }
}

struct Tokens {
    right: Secret,
    wrong: Secret,
    old: Option<Secret>,
}

impl LoadOptions {
    /// Refuses what has no meaning, or is asked of somebody else's machine.
    fn check(&self) -> Result<(), UsageError> {
        let wrong = |why: &str| Err(UsageError(why.to_owned()));
        if self.url.is_some() {
            if self.token_env.is_none() {
                return wrong("--url wants --token-env: the name of the variable that holds the token");
            }
            if !self.mutant.is_empty() {
                return wrong("--mutant breaks the reference platform, and the target is one that isn't ours");
            }
            return Ok(());
        }
        for (flag, given) in [
            ("--token-env", self.token_env.is_some()),
            ("--old-token-env", self.old_token_env.is_some()),
            ("--ca", self.ca.is_some()),
            ("--insecure", self.insecure),
        ] {
            if given {
                return Err(UsageError(format!(
                    "{flag} is of a target with --url, and there is none"
                )));
            }
        }
        Ok(())
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

    fn probes(&self) -> Option<Duration> {
        match self.probe_every {
            Some(Every(every)) => every,
            None => {
                let rate = (self.ramp.mean(self.attaches) * PROBE_SHARE).max(PROBES);
                Some(Duration::from_secs_f64(1.0 / rate))
            }
        }
    }

    fn objectives(&self) -> Vec<Objective> {
        match self.objective.as_slice() {
            [] => vec![Objective::no_errors()],
            given => given.to_vec(),
        }
    }
}

/// Makes the load, and what it needs.
async fn load(
    options: &LoadOptions,
    process: &mut Process,
    tokens: Tokens,
    seed: u64,
    redactor: &Redactor,
) -> Result<LoadResult, String> {
    enough_descriptors(options.attaches, process.descriptors)?;
    let (place, reference) = match &options.url {
        Some(url) => (Place::parse(url).map_err(|why| format!("--url: {why}"))?, None),
        None => {
            let binary = process.binary.as_ref().map_err(String::clone)?;
            let settings = ReferenceSettings {
                binary,
                processes: options.attaches.div_ceil(EACH),
                token: &tokens.right,
                terminal: options.terminal.name(),
                mutants: &options.mutant,
            };
            let reference = Reference::start(&settings).await?;
            (Place::parse("ws://127.0.0.1/tty")?, Some(reference))
        }
    };
    let resolving = Instant::now();
    let addresses = match &reference {
        Some(reference) => reference.addresses(),
        None => resolve(&place, options.i_own_this_target).await?,
    };
    let resolve = resolving.elapsed();
    let sources = sources(options, &addresses)?;
    let target = Target {
        path: &place.target,
        right: tokens.right.expose(),
        wrong: tokens.wrong.expose(),
        old: tokens.old.as_ref().map(Secret::expose),
    };
    let plan = Plan {
        tls: tls(options, &place)?,
        doors: vec![Door::new(&place.authority, &target, &options.header)],
        addresses,
        sources,
        attaches: options.attaches,
        arrivals: options.ramp.clone(),
        hold: options.hold,
        echo_every: options.echo_every.0,
        probe_every: options.probes(),
        deadline: options.deadline,
        first_tag: rand::rng().random_range(0..TAGS - options.attaches),
        seed,
    };
    let processes = plan.addresses.len() as u32;
    let outcome = drive(plan, options, process, redactor).await?;
    let platform = match reference {
        Some(reference) => {
            let cost = reference.cost();
            Some(Platform::new(processes, reference.end().await, cost))
        }
        None => None,
    };
    let milliseconds = |duration: Duration| duration.as_millis() as u64;
    let load = Load {
        target: match &options.url {
            Some(url) => url.clone(),
            None => format!("the reference platform, terminals: {}", options.terminal.name()),
        },
        model: "open".into(),
        attaches: options.attaches,
        arrivals: options.ramp.to_string(),
        hold: milliseconds(options.hold),
        echo_every: options.echo_every.0.map(milliseconds),
        deadline: milliseconds(options.deadline),
        probe_every: options.probes().map(milliseconds),
        seed,
        resolve: resolve.as_secs_f64() * 1e3,
    };
    let gauntlet = Gauntlet {
        version: process.version.into(),
        commit: process.commit.map(str::to_owned),
    };
    Ok(LoadResult::new(
        (gauntlet, process.started.clone()),
        load,
        outcome,
        &options.objectives(),
        platform,
    ))
}

/// Runs the engine on a thread of its own, and shows what it says meanwhile.
async fn drive(
    plan: Plan,
    options: &LoadOptions,
    process: &Process,
    redactor: &Redactor,
) -> Result<crate::load::Outcome, String> {
    let control = Arc::new(Control::default());
    let (ended, mut end) = tokio::sync::oneshot::channel();
    let for_engine = control.clone();
    std::thread::Builder::new()
        .name("load".into())
        .spawn(move || ended.send(crate::load::run(&plan, &for_engine)))
        .map_err(|error| format!("starting the engine's thread: {error}"))?;
    let mut out = std::io::stderr();
    let terminal = out.is_terminal();
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let mut stopping = false;
    loop {
        tokio::select! {
            outcome = &mut end => {
                let outcome = outcome.map_err(|_| "the engine's thread has ended".to_owned())?;
                return outcome.map_err(|error| error.to_string());
            }
            () = process.stop.cancelled(), if !stopping => {
                stopping = true;
                control.stop.store(true, Ordering::Relaxed);
            }
            _ = ticks.tick() => {
                for second in control.news() {
                    // Each on a terminal, where they are seen; elsewhere they would fill a log.
                    if !options.quiet && (terminal || second.at as u64 % 5 == 0) {
                        let line = crate::load::tick(&second);
                        let _closed = writeln!(out, "{}", redactor.redact(&line));
                    }
                }
            }
        }
    }
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

async fn resolve(place: &Place, owned: bool) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((place.host.as_str(), place.port))
        .await
        .map_err(|error| format!("resolving {}: {error}", place.host))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() {
        return Err(format!("resolving {}: there is no address", place.host));
    }
    match addresses.iter().find(|address| !is_private(address.ip())) {
        Some(public) if !owned => Err(format!(
            "{} is {}, on a public network: a load there can do harm to others; where it is yours to load, say so by \
             --i-own-this-target",
            place.host,
            public.ip()
        )),
        _ => Ok(addresses),
    }
}

/// Where connections come from, so that there are ports enough for all.
fn sources(options: &LoadOptions, addresses: &[SocketAddr]) -> Result<Vec<IpAddr>, String> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse::<u64>().ok());
    let ports = match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        // Linux's own default.
        _ => 28_232,
    };
    // Some are taken by others, some by connections that have just ended.
    let usable = (ports * 9 / 10).max(1);
    let needed = u64::from(options.attaches).div_ceil(usable * addresses.len() as u64);
    let loopback = addresses.iter().all(|address| match address.ip() {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(_) => false,
    });
    let given = options.source.len().max(1) as u64;
    if given >= needed {
        return Ok(options.source.clone());
    }
    if loopback && options.source.is_empty() {
        // 127.0.0.0/8 is all this machine's.
        let sources = (0..needed).map(|number| Ipv4Addr::from(0x7f00_0001 + number as u32).into());
        return Ok(sources.collect());
    }
    Err(format!(
        "{} attaches to {} addresses need {needed} source addresses with {ports} ports each: give them with --source, \
         or widen net.ipv4.ip_local_port_range",
        options.attaches,
        addresses.len()
    ))
}

type Tls = (Arc<rustls::ClientConfig>, ServerName<'static>);

fn tls(options: &LoadOptions, place: &Place) -> Result<Option<Tls>, String> {
    if !place.tls {
        return Ok(None);
    }
    let and = options
        .ca
        .as_ref()
        .map(|file| {
            crate::file_input::read_text(file, crate::file_input::SMALL)
                .map_err(|refusal| format!("reading {}: {}", file.display(), refusal.in_a_line()))
        })
        .transpose()?;
    let trust = match options.insecure {
        true => Trust::Anybody,
        false => Trust::Machine { and },
    };
    let config = trust.client_config()?;
    let name = ServerName::try_from(place.host.clone())
        .map_err(|_| format!("{} is no name that a certificate can have", place.host))?;
    Ok(Some((Arc::new(config), name)))
}

fn write(file: &std::path::Path, result: &LoadResult, redactor: &Redactor) -> Result<(), UsageError> {
    let failed = |error: &dyn std::fmt::Display| UsageError(format!("writing {}: {error}", file.display()));
    let value = serde_json::to_value(result).map_err(|error| failed(&error))?;
    let mut text = serde_json::to_string_pretty(&redactor.redact_json(&value)).map_err(|error| failed(&error))?;
    text.push('\n');
    crate::report::write_file(file, text.as_bytes()).map_err(|error| failed(&error))
}
