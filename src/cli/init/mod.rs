//! `gauntlet init`: looks at a platform on a cluster, tries its doors, and writes a profile of it. Nothing of the
//! platform is changed.

mod ask;
mod doors;
mod exposed;
mod find;
mod look;
mod write;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};

use super::conclude::tell;
use super::target::installation::{kubeconfig, trust};
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::profile::Profile;
use crate::profile::route_address::Way;
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::world::installation::{Connected, Place, connect};
use crate::world::kube_error::kube_error;
use crate::yaml::{Problems, Source};
use ask::Questions;
use doors::{Door, Doors, taken};
use exposed::open_questions;
use find::{Found, Objects, find};
use look::look;
use write::Head;

/// The exit code where nothing could be found out.
const COULD_NOT_TELL: u8 = 3;

/// What an address is answered with where there is none.
const NO_ADDRESS: &str = "none";

#[derive(Clone, Debug, Args)]
pub struct Init {
    /// Where to write the profile
    #[arg(value_name = "FILE", default_value = "profile.yaml")]
    pub file: PathBuf,
    /// Take what is found, and ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// Overwrite the file if it is there
    #[arg(long)]
    pub force: bool,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub context: Option<String>,
    /// The kubeconfig [default: $KUBECONFIG, or kubectl's]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The platform's namespace [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    pub namespace: Option<String>,
    /// A door that the cluster doesn't tell of: `balancer=https://agents.example.com`, `envoy=https://texera.example.com`
    #[arg(long, value_name = "ROAD=ADDRESS")]
    pub road: Vec<String>,
    /// Additional certificate authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Accept any certificate, even from a man in the middle
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

/// Looks, asks, tries, and writes; gives the exit code.
pub async fn init(options: &Init, process: &Process, answers: impl BufRead) -> Result<u8, UsageError> {
    let file = options.file.display().to_string();
    if options.file.exists() && !options.force {
        return Err(UsageError(format!("{file} is there already: --force overwrites it")));
    }
    let mut known = known_roads(&options.road)?;
    let trust = trust(options.ca.as_deref(), options.insecure)?;
    let place = Place {
        kubeconfig: kubeconfig(options.kubeconfig.as_deref(), &*process.variable),
        context: options.context.clone(),
        namespace: options.namespace.clone(),
    };
    let Connected {
        client,
        namespace,
        context,
    } = match connect(&place).await {
        Ok(connected) => connected,
        Err(error) => return Ok(could_not(&error.to_string())),
    };
    let (objects, looks) = match look(&client, &namespace).await {
        Ok(looked) => looked,
        Err(error) => {
            return Ok(could_not(&format!(
                "looking at namespace {namespace}: {}",
                kube_error(&error)
            )));
        }
    };
    let mut found = find(&objects);
    if found.is_empty() {
        return Ok(could_not(&nothing(&client, &namespace).await));
    }
    let mut questions = Questions {
        answers: (!options.yes).then_some(answers),
    };
    for one in &mut found {
        confirm(one, &mut known, &mut questions)?;
    }
    let pods = Api::namespaced(client, &namespace);
    let doors = match Doors::new(pods, &trust) {
        Ok(doors) => tried(&doors, &found, known).await,
        Err(error) => return Ok(could_not(&error.to_string())),
    };
    let head = Head {
        file: &file,
        context: context.as_deref(),
        namespace: &namespace,
    };
    let text = write::profile(&head, &found, &doors);
    // What is found may be no name that a profile can have.
    let source = Source::new(file.clone(), text.clone());
    Profile::parse(&source).map_err(|problems| UsageError(Problems(problems).render()))?;
    let kept = keep(options, text.as_bytes());
    kept.map_err(|error| UsageError(format!("writing {file}: {error}")))?;
    let addresses: Vec<_> = found.iter().flat_map(|found| &found.addresses).collect();
    let mut looked = looks.lines(&namespace);
    let open = open_questions(&objects, &addresses);
    looked.extend(open.iter().map(|question| format!("  {question}")));
    let told = summary(&head, &looked, &found, &doors);
    match std::io::stdout().lock().write_all(told.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(UsageError(format!("writing to standard output: {error}")))
        }
        _ => Ok(0),
    }
}

fn could_not(why: &str) -> u8 {
    tell(why);
    COULD_NOT_TELL
}

/// Writes the file; without `--force` only where there is none, even if one came meanwhile.
fn keep(options: &Init, text: &[u8]) -> std::io::Result<()> {
    if options.force {
        return crate::report::write_file(&options.file, text);
    }
    std::fs::File::create_new(&options.file)?.write_all(text)
}

/// The addresses of `--road`.
fn known_roads(roads: &[String]) -> Result<BTreeMap<Road, String>, UsageError> {
    let mut profile = Profile::default();
    for road in roads {
        let set = profile.set(&format!("road.{road}"));
        set.map_err(|error| UsageError(format!("--road: {error}")))?;
    }
    let ways = profile.roads.into_iter().map(|(road, way)| match way {
        Way::To(_) => Ok((road, way.to_string())),
        other => Err(UsageError(format!(
            "--road: `{}={other}` is no address, as https://agents.example.com",
            road.name()
        ))),
    });
    ways.collect()
}

/// Why there is nothing to write of, with the namespaces that have something.
async fn nothing(client: &kube::Client, namespace: &str) -> String {
    let listed = Api::<Deployment>::all(client.clone())
        .list(&ListParams::default())
        .await;
    let mut elsewhere: BTreeMap<String, Objects> = BTreeMap::new();
    for deployment in listed.map(|listed| listed.items).unwrap_or_default() {
        let namespace = deployment.metadata.namespace.clone().unwrap_or_default();
        elsewhere.entry(namespace).or_default().deployments.push(deployment);
    }
    elsewhere.retain(|_, objects| !find(objects).is_empty());
    let names: Vec<String> = elsewhere.into_keys().collect();
    let hint = match names.is_empty() {
        true => "--namespace names another".to_owned(),
        false => format!("there is something in {}: --namespace names one", names.join(", ")),
    };
    format!(
        "no deployment in namespace {namespace} has a variable HARNESS_AUTH_TOKEN or AUTH_JWT_SECRET, or a codex login; \
         {hint}"
    )
}

/// Has the person who starts look over what was found.
fn confirm<I: BufRead>(
    found: &mut Found,
    known: &mut BTreeMap<Road, String>,
    questions: &mut Questions<I>,
) -> Result<(), UsageError> {
    for name in &mut found.names {
        let refuse = |value: &str| {
            let set = Profile::default().set(&format!("{}={value}", name.name));
            set.err().map(|error| error.to_string())
        };
        let question = format!("{}, {} ({})", found.contract.name(), name.name, name.seen);
        let answer = questions.ask(&question, &name.value, refuse)?;
        if answer != name.value {
            (name.value, name.seen) = (answer, "as it was said".to_owned());
        }
    }
    let (road, what) = match found.contract {
        Contract::HarnessToken => (Road::Balancer, "the address of the load balancer before web"),
        Contract::AgentService => (Road::Builtin, "the address of the gateway before the agent service"),
        Contract::CodexAuth => return Ok(()),
    };
    let gateways = [Road::Nginx, Road::Envoy, Road::Builtin];
    let is_known = match road {
        Road::Builtin => gateways.iter().any(|road| known.contains_key(road)),
        road => known.contains_key(&road),
    };
    // The cluster's own are tried one after another.
    if is_known || !found.addresses.is_empty() {
        return Ok(());
    }
    let refuse = |value: &str| {
        let is_address = value.parse().is_ok_and(|way: Way| matches!(way, Way::To(_)));
        let is_none = value == NO_ADDRESS;
        (!is_address && !is_none).then(|| format!("`{value}` is no address, as https://agents.example.com"))
    };
    let answer = questions.ask(&format!("{}, {what}", found.contract.name()), NO_ADDRESS, refuse)?;
    if answer != NO_ADDRESS {
        known.insert(road, answer);
    }
    Ok(())
}

/// Tries each door that there may be.
async fn tried(doors: &Doors, found: &[Found], known: BTreeMap<Road, String>) -> Vec<Door> {
    let mut tried = Vec::new();
    for one in found {
        let inside: &[(Road, &str, &str)] = match one.contract {
            Contract::HarnessToken => &[(Road::Proxy, "web.selector", "web.port")],
            Contract::AgentService => &[
                (Road::Service, "agent-service.selector", "agent-service.port"),
                (Road::AccessControl, "access-control.selector", "access-control.port"),
            ],
            Contract::CodexAuth => &[(Road::Litellm, "litellm.selector", "litellm.port")],
        };
        for (road, selector, port) in inside {
            let (Some(selector), Some(port)) = (value(one, selector), value(one, port)) else {
                continue;
            };
            // What is no port was refused when it was said.
            if let Ok(port) = port.parse() {
                tried.push(doors.through_api_server(*road, &selector, port).await);
            }
        }
        for exposed in &one.addresses {
            let road = road_of(one.contract, &exposed.class);
            if !known.contains_key(&road) {
                tried.push(doors.at(road, exposed.address.clone(), exposed.seen.clone()).await);
            }
        }
    }
    for (road, address) in known {
        tried.push(doors.at(road, address, "as it was said".to_owned()).await);
    }
    tried
}

/// The road that an address before the cluster is, by the class of what has it.
fn road_of(contract: Contract, class: &str) -> Road {
    let class = class.to_lowercase();
    match contract {
        Contract::HarnessToken => Road::Balancer,
        _ if class.contains("nginx") => Road::Nginx,
        // Envoy Gateway's documents call its class `eg`.
        _ if class.contains("envoy") || class == "eg" => Road::Envoy,
        _ => Road::Builtin,
    }
}

/// A name as it was found, else the contract's; none of what isn't there.
fn value(found: &Found, name: &str) -> Option<String> {
    let seen = |name: &str| {
        found
            .names
            .iter()
            .find(|seen| seen.name == name)
            .map(|seen| seen.value.clone())
    };
    match name.strip_suffix(".port") {
        Some(_) => seen(name).or_else(|| crate::vocabulary::names::contract().remove(name)),
        None => seen(name),
    }
}

/// What was done, and what comes next.
fn summary(head: &Head<'_>, looked: &[String], found: &[Found], doors: &[Door]) -> String {
    let mut told: String = looked.iter().map(|line| format!("{line}\n")).collect();
    let contracts: Vec<&str> = found.iter().map(|found| found.contract.name()).collect();
    told += &format!("found in namespace {}: {}\n", head.namespace, contracts.join(", "));
    for (door, is_taken) in doors.iter().zip(taken(doors)) {
        let answer = match &door.answer {
            Ok(status) if is_taken => format!("answered {status}"),
            Ok(status) => format!("answered {status}, as another did, and is left out"),
            Err(why) => format!("did not answer, and is left out: {why}"),
        };
        told += &format!("  {} ({}, {}) {answer}\n", door.road.name(), door.way, door.seen);
    }
    let context = head
        .context
        .map(|context| format!(" --context {context}"))
        .unwrap_or_default();
    told += &format!(
        "{} is written; what a run could judge with it: gauntlet doctor {} --profile {}{context} --namespace {}\n",
        head.file,
        contracts.join(" "),
        head.file,
        head.namespace
    );
    told
}
