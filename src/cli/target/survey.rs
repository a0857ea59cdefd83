//! What a run could do on a platform that isn't ours, before anything is done.

use std::collections::BTreeSet;

use super::installation::{look, permissions, trust};
use super::{AllowName, NotStarted, TargetOptions, until_stopped};
use crate::cli::process::Process;
use crate::profile::Profile;
use crate::runner::eligibility::{Fit, intrusion};
use crate::runner::plan::Planned;
use crate::vocabulary::Contract;
use crate::vocabulary::Intrusion;
use crate::world::access::{self, Permission};
use crate::world::installation::{Installation, InstallationError, preflight};

/// What a run could do on an installation, as far as looking tells.
pub struct Survey {
    /// Where it is.
    pub place: String,
    /// Of each planned run why it can't be; none where it can.
    pub unfit: Vec<Option<String>>,
    /// Of each that can be why it does without some of its steps.
    pub left_out: Vec<BTreeSet<String>>,
    /// What the cluster denies to the runs of an intrusion, beside what it denies to those of a lesser one.
    pub denied: Vec<(Intrusion, Vec<Permission>)>,
    /// All that the runs need.
    pub role: Option<String>,
    /// Why secrets that runs need can't be had.
    pub secrets: Option<String>,
}

/// Looks at an installation, and changes nothing. Where no intrusion is named, any is taken to be allowed.
///
/// # Errors
/// It can't be looked at.
pub async fn survey(
    options: &TargetOptions,
    profile: &Profile,
    planned: &[Planned],
    process: &Process,
) -> Result<Survey, NotStarted> {
    let trust = trust(options.ca.as_deref(), options.insecure).map_err(NotStarted::Usage)?;
    let options = TargetOptions {
        allow: options.allow.or(Some(AllowName::Attack)),
        ..options.clone()
    };
    let looking = async {
        let installation = look(&options, profile, trust, planned, process).await?;
        let fit = Fit {
            installation: &installation,
            policies: &profile.policies,
            routes: &profile.routes,
            names: &profile.names,
        };
        let unfit: Vec<Option<String>> = planned.iter().map(|run| fit.unfit(run)).collect();
        let left_out = planned.iter().zip(&unfit).map(|(run, unfit)| match unfit {
            None => fit.left_out(run).into_values().collect(),
            Some(_) => BTreeSet::new(),
        });
        let left_out = left_out.collect();
        let runs: Vec<&Planned> = planned
            .iter()
            .zip(&unfit)
            .filter(|(_, why)| why.is_none())
            .map(|(run, _)| run)
            .collect();
        let mut wanted = BTreeSet::new();
        let (mut denied, mut told) = (Vec::new(), Vec::<Permission>::new());
        for most in [
            Intrusion::Observe,
            Intrusion::Use,
            Intrusion::Disrupt,
            Intrusion::Attack,
        ] {
            let of_it = runs
                .iter()
                .copied()
                .filter(|run| intrusion(run, options.probe_listen.is_some()) == most);
            let permissions = permissions(&fit, profile, of_it);
            let mut missing = preflight::missing(&installation, &permissions).await?;
            wanted.extend(permissions);
            missing.retain(|permission| !told.contains(permission));
            told.extend(missing.iter().cloned());
            if !missing.is_empty() {
                denied.push((most, missing));
            }
        }
        let secrets = match runs.iter().any(|run| run.contract() == Contract::HarnessToken) {
            true => installation.secrets(&profile.names, Contract::HarnessToken).await.err(),
            false => None,
        };
        Ok::<_, InstallationError>(Survey {
            place: place(&installation),
            denied,
            role: installation
                .has_cluster
                .then(|| access::role(&installation.namespace, &wanted)),
            secrets: secrets.map(|error| error.to_string()),
            unfit,
            left_out,
        })
    };
    match until_stopped(looking, &process.stop).await {
        Some(found) => found.map_err(NotStarted::failed),
        None => Err(NotStarted::Interrupted),
    }
}

/// Where an installation is, in words.
fn place(installation: &Installation) -> String {
    match (installation.has_cluster, &installation.context) {
        (true, Some(context)) => format!("context {context}, namespace {}", installation.namespace),
        (true, None) => format!("namespace {}", installation.namespace),
        (false, _) => "the doors of the profile".to_owned(),
    }
}
