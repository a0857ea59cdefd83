//! Prepares a platform that isn't ours for a run: finds it, and checks permissions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::TargetName;
use super::sessions::delete_sessions;
use super::taken::not_taken;
use super::{NotStarted, TargetOptions, tell_of_failure, until_stopped};
use crate::cli::conclude::tell;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::file_input;
use crate::profile::Profile;
use crate::profile::logs::LogSource;
use crate::profile::secret_source::SecretSource;
use crate::runner::eligibility::{Fit, counts_requests, intrusion};
use crate::runner::plan::Planned;
use crate::runner::stretch::stretched;
use crate::trust::Trust;
use crate::vocabulary::Contract;
use crate::vocabulary::Intrusion;
use crate::world::access::{self, Ask, Permission};
use crate::world::installation::changes::Changes;
use crate::world::installation::journal::{ClusterAt, Head, Journal, JournalError};
use crate::world::installation::lease::{Held, release};
use crate::world::installation::listening_probe::ListeningProbe;
use crate::world::installation::{Installation, InstallationError, LEASE, Place, preflight};

/// Time limit for releasing a Lease that may have been taken.
const RELEASE_WITHIN: Duration = Duration::from_secs(10);

/// The warning that any certificate is accepted.
const INSECURE: &str = "--insecure: certificates are not verified; whoever is between gauntlet and the platform can \
                        read what it sends, secrets among it, and answer in the platform's place";

/// The warning that commands of the profile change the platform.
const BY_COMMAND: &str = "this run changes the platform by the commands of its profile (`operations`), and restores it \
                          after each scenario; what can't be restored: sessions that others create meanwhile keep a \
                          token that becomes invalid, and warm pods that are created meanwhile are deleted. No lease \
                          keeps other runs away: make sure that there is none";

/// An installation that was found.
pub struct Found {
    pub installation: Arc<Installation>,
    /// The changes, if something is to be disrupted.
    pub held: Option<Held>,
}

/// Finds the installation, checks the permissions for the plan, and says what can't be undone.
pub async fn start(
    options: &TargetOptions,
    profile: &Profile,
    planned: &mut [Planned],
    process: &Process,
) -> Result<Found, NotStarted> {
    let trust = trust(options.ca.as_deref(), options.insecure).map_err(NotStarted::Usage)?;
    if options.insecure {
        tell(INSECURE);
    }
    // What disturbs the platform disturbs what runs beside it, and whoever counts requests counts those of others.
    for run in planned.iter_mut() {
        if let Some(stretched) = stretched(&run.scenario, &profile.policies) {
            run.scenario = Arc::new(stretched);
        }
        let disrupts = intrusion(run, options.probe_listen.is_some()) >= Intrusion::Disrupt;
        run.alone |= disrupts || counts_requests(run);
    }
    let probe = match options.probe_listen {
        Some(address) => Some(ListeningProbe::at(address).await.map_err(NotStarted::failed)?),
        None => None,
    };
    let looking = async {
        let mut installation = look(options, profile, trust, planned, process).await?;
        installation.probe = probe;
        let most = check(&installation, profile, planned).await?;
        if most.is_some() {
            installation.undisrupted().await?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((installation, most))
    };
    let (mut installation, most) = match until_stopped(looking, &process.stop).await {
        Some(found) => found.map_err(NotStarted::Failed)?,
        None => return Err(NotStarted::Interrupted),
    };
    let mut held = None;
    if most >= Some(Intrusion::Use) {
        let journal = journal(options, profile, &installation, process).map_err(NotStarted::failed)?;
        let changes = Changes::of(journal, &installation);
        if most >= Some(Intrusion::Disrupt) && installation.commands.is_some() {
            tell(BY_COMMAND);
        }
        if most >= Some(Intrusion::Disrupt) && installation.has_cluster {
            held = Some(hold(&changes, process).await?);
            tell_of_disruption(profile, &installation.namespace);
        }
        installation.changes = Some(changes);
    }
    let contracts = contracts(&installation, profile, planned);
    let installation = Arc::new(installation);
    if let Some(most) = most {
        let asked = not_taken(&installation, profile, &contracts, most);
        let asked = until_stopped(asked, &process.stop).await;
        if !matches!(asked, Some(None)) {
            end(&installation, &profile.names).await;
            drop(held);
            return Err(asked.flatten().map_or(NotStarted::Interrupted, NotStarted::failed));
        }
    }
    Ok(Found { installation, held })
}

/// The contracts of the runs that can be here.
fn contracts(installation: &Installation, profile: &Profile, planned: &[Planned]) -> Vec<Contract> {
    let fit = Fit {
        installation,
        policies: &profile.policies,
        routes: &profile.routes,
        names: &profile.names,
    };
    let here = |contract: &Contract| {
        planned
            .iter()
            .any(|run| run.contract() == *contract && fit.unfit(run).is_none())
    };
    Contract::ALL.into_iter().filter(here).collect()
}

/// The installation, with what is known of what the planned runs are about.
pub(super) async fn look(
    options: &TargetOptions,
    profile: &Profile,
    trust: Trust,
    planned: &[Planned],
    process: &Process,
) -> Result<Installation, InstallationError> {
    let mut installation = found(options, profile, trust, process).await?;
    if planned.iter().any(|run| run.contract() == Contract::AgentService) {
        installation.look_for_agents(&profile.names).await?;
    }
    if planned.iter().any(|run| run.contract() == Contract::CodexAuth) {
        installation.look_for_codex(&profile.names).await?;
    }
    Ok(installation)
}

/// What runs need of a cluster.
pub(super) fn permissions<'p>(
    fit: &Fit<'_>,
    profile: &Profile,
    runs: impl Iterator<Item = &'p Planned>,
) -> BTreeSet<Permission> {
    let asks: BTreeSet<_> = runs.flat_map(|planned| fit.asks(planned)).collect();
    // Whoever searches logs searches those that the profile names too.
    let searched = profile.logs.values().filter(|_| asks.contains(&Ask::ReadLogs));
    let elsewhere = searched.filter_map(|source| match source {
        LogSource::Pods(pods) => pods.namespace.as_deref(),
        LogSource::File(_) => None,
    });
    let elsewhere = elsewhere.filter(|namespace| *namespace != fit.installation.namespace);
    let of_logs = elsewhere.flat_map(access::logs_in).collect::<Vec<_>>();
    let of_asks = asks.iter().flat_map(|ask| ask.permissions(&profile.names));
    of_asks.chain(of_logs).collect()
}

/// Takes the Lease, and releases it if interrupted meanwhile.
async fn hold(changes: &Changes, process: &Process) -> Result<Held, NotStarted> {
    let run = &changes.journal.head.run;
    let taking = Held::take(changes.leases(), run, lost(process));
    match until_stopped(taking, &process.stop).await {
        Some(Ok(held)) => Ok(held),
        Some(Err(error)) => {
            // Nothing was changed: there is nothing to keep a journal of.
            tell_of_failure(changes.journal.remove());
            Err(NotStarted::failed(error))
        }
        None => {
            // Whether it was taken nobody has heard.
            match timeout(RELEASE_WITHIN, release(&changes.leases(), run)).await {
                Ok(Ok(())) => tell_of_failure(changes.journal.remove()),
                Ok(Err(error)) => tell(&format!("{error}; `gauntlet recover` tries again")),
                Err(_) => tell("the lease may be taken; `gauntlet recover` gives it back"),
            }
            Err(NotStarted::Interrupted)
        }
    }
}

/// What is done when the lease can't be kept: another run may begin.
fn lost(process: &Process) -> impl FnOnce() + Send + 'static {
    let stop = process.stop.clone();
    move || {
        tell(&format!("the lease {LEASE} can't be kept: the run ends"));
        stop.cancel();
    }
}

fn tell_of_disruption(profile: &Profile, namespace: &str) {
    let name = |of: &str| profile.names.get(of).map(String::as_str).unwrap_or_default();
    tell(&format!(
        "this run changes {} of the secret {} in namespace {namespace}, restarts {} and {}, and puts them back after \
         each scenario; what can't be put back: sessions that others make meanwhile keep a token that ends, and warm \
         pods that are made meanwhile are deleted",
        name("secret.key"),
        name("secret.name"),
        name("web.deployment"),
        name("worker.deployment"),
    ));
}

fn journal(
    options: &TargetOptions,
    profile: &Profile,
    installation: &Installation,
    process: &Process,
) -> Result<Journal, KeepError> {
    let variable = &*process.variable;
    let folder = journals(options.journal.as_deref(), variable)?;
    let absolute = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
    let cluster = installation.has_cluster.then(|| ClusterAt {
        kubeconfig: kubeconfig(options.kubeconfig.as_deref(), variable)
            .into_iter()
            .map(absolute)
            .collect(),
        context: installation.context.clone(),
        namespace: installation.namespace.clone(),
    });
    let roads = profile
        .roads
        .iter()
        .map(|(road, way)| (road.name().to_owned(), way.to_string()));
    let secrets = profile.secrets.iter().map(|(needed, source)| {
        let source = match source {
            SecretSource::File(file) => SecretSource::File(absolute(file.clone())),
            SecretSource::Env(name) => SecretSource::Env(name.clone()),
        };
        (needed.name().to_owned(), source.to_text())
    });
    let operations = profile
        .operations
        .iter()
        .map(|(operation, command)| (operation.name().to_owned(), command.clone()));
    let head = Head {
        operations: operations.collect(),
        folder: absolute(PathBuf::from(".")),
        run: format!("run-{:08x}", rand::random::<u32>()),
        started: process.started.clone(),
        cluster,
        names: profile.names.clone(),
        roads: roads.collect(),
        secrets: secrets.collect(),
        ca: options.ca.clone().map(absolute),
        insecure: options.insecure,
    };
    Ok(Journal::create(&folder, head)?)
}

/// Why there is no journal of a run.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Folder(#[from] NoFolder),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// No variable says where a journal could be kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no home folder to keep an undo journal in; `--journal DIR` names another")]
pub struct NoFolder;

/// The folder of the journals.
pub fn journals(asked: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Result<PathBuf, NoFolder> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    asked
        .map(Path::to_owned)
        .or_else(|| Some(set("XDG_STATE_HOME")?.join("gauntlet")))
        .or_else(|| Some(set("HOME")?.join(".local/state/gauntlet")))
        .ok_or(NoFolder)
}

/// Removes what the run created, and says what is left.
pub async fn end(installation: &Arc<Installation>, names: &BTreeMap<String, String>) {
    let Some(changes) = &installation.changes else { return };
    changes.left().iter().for_each(|left| tell(left));
    // Also one that was being made when a step was dropped, whose answer nobody heard.
    let mut all_deleted = true;
    if changes.sessions_begun() > 0
        && let Err(error) = delete_sessions(installation, names).await
    {
        tell(&format!("{error}; `gauntlet recover` tries again"));
        all_deleted = false;
    }
    let sessions = changes.sessions();
    if changes.is_changed() || !sessions.is_empty() {
        let sessions = match sessions.is_empty() {
            true => String::new(),
            false => format!(", sessions {} are not deleted", sessions.join(", ")),
        };
        tell(&format!(
            "the platform is not as it was found{sessions}: `gauntlet recover` puts back what {} holds",
            changes.journal.path.display()
        ));
        return;
    }
    if (installation.has_cluster || installation.commands.is_some())
        && let Err(error) = changes.sweep().await
    {
        tell(&format!("{error}; `gauntlet recover` tries again"));
        return;
    }
    if all_deleted {
        tell_of_failure(changes.journal.remove());
    }
}

async fn found(
    options: &TargetOptions,
    profile: &Profile,
    trust: Trust,
    process: &Process,
) -> Result<Installation, InstallationError> {
    let variable = &*process.variable;
    if options.target == TargetName::Url {
        let here = PathBuf::from(".");
        let folder = std::path::absolute(&here).unwrap_or(here);
        let mut found = Installation::by_doors(profile, folder, trust, options.allowed(), variable)?;
        found.count_by_command(&profile.names).await?;
        return Ok(found);
    }
    let place = Place {
        kubeconfig: kubeconfig(options.kubeconfig.as_deref(), variable),
        context: options.context.clone(),
        namespace: options.namespace.clone(),
    };
    Installation::on_cluster(&place, profile, trust, options.allowed(), variable).await
}

/// As kubectl finds it: the flag, the variable, the file in the home folder.
pub fn kubeconfig(asked: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    if let Some(file) = asked {
        return vec![file.to_owned()];
    }
    if let Some(files) = variable("KUBECONFIG").filter(|files| !files.is_empty()) {
        let files: Vec<PathBuf> = std::env::split_paths(&files).collect();
        let there: Vec<PathBuf> = files.iter().filter(|file| file.exists()).cloned().collect();
        // Of several some may be missing; where all are, that is what is wrong.
        return if there.is_empty() { files } else { there };
    }
    let usual = variable("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    usual.into_iter().filter(|file| file.exists()).collect()
}

/// The accepted certificate authorities, including those of a file.
pub fn trust(ca: Option<&Path>, insecure: bool) -> Result<Trust, UsageError> {
    let Some(file) = ca else {
        return Ok(match insecure {
            true => Trust::Anybody,
            false => Trust::Machine { and: None },
        });
    };
    let wrong = |why: String| UsageError(format!("--ca {}: {why}", file.display()));
    let pem = file_input::read_text(file, file_input::SMALL).map_err(|refusal| wrong(refusal.in_a_line()))?;
    Trust::Authority(pem.clone())
        .client_config()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(Trust::Machine { and: Some(pem) })
}

/// Why a run can't begin on a platform that was found.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(transparent)]
    Installation(#[from] InstallationError),
    #[error(
        "in namespace {namespace} the cluster does not let this user:\n{}all that this run needs, as a Role (`kubectl \
         apply -f -`, and a RoleBinding to the user):\n{role}",
        .missing.iter().map(|permission| format!("  {permission}\n")).collect::<String>()
    )]
    Forbidden {
        namespace: String,
        missing: Vec<Permission>,
        /// All permissions of the run.
        role: String,
    },
}

/// Before anything is done: whether it may be, and whether the secrets are there. Gives the most that is
/// done, none if nothing is.
async fn check(
    installation: &Installation,
    profile: &Profile,
    planned: &[Planned],
) -> Result<Option<Intrusion>, NotReady> {
    let fit = Fit {
        installation,
        policies: &profile.policies,
        routes: &profile.routes,
        names: &profile.names,
    };
    let runs: Vec<&Planned> = planned.iter().filter(|planned| fit.unfit(planned).is_none()).collect();
    let probe_listens = installation.probe.is_some();
    let most = runs.iter().map(|planned| intrusion(planned, probe_listens)).max();
    if most.is_none() {
        return Ok(None);
    }
    let wanted = permissions(&fit, profile, runs.iter().copied());
    let missing = preflight::missing(installation, &wanted).await?;
    if !missing.is_empty() {
        return Err(NotReady::Forbidden {
            namespace: installation.namespace.clone(),
            missing,
            role: access::role(&installation.namespace, &wanted),
        });
    }
    // Of the agent service's it was looked whether they are known.
    if runs.iter().any(|planned| planned.contract() == Contract::HarnessToken) {
        installation.secrets(&profile.names, Contract::HarnessToken).await?;
    }
    Ok(most)
}
