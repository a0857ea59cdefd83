//! `--profile` and `--set`: a run's assumptions about the installation.

use std::path::Path;
use std::sync::Arc;

use super::TargetName;
use crate::cli::exit::UsageError;
use crate::profile::unsupported;
use crate::profile::{self, Profile};
use crate::scenario::{self};
use crate::yaml::{Problem, Problems, Source};

/// The help where the embedded target can't be what a profile says.
const LEAVE_OUT: &str = "leave it out for a run on the embedded target";

/// The help where it can't be two things of a profile at once.
const DIFFERENT: &str = "give one of them another value for a run on the embedded target";

/// Something that a profile's file or a flag can say.
struct Said<'n> {
    /// The file's key.
    group: &'static str,
    /// The key below it.
    name: &'n str,
    /// As `--set` has it.
    flag: String,
}

impl<'n> Said<'n> {
    fn name(name: &'n str) -> Said<'n> {
        Said {
            group: "names",
            name,
            flag: name.to_owned(),
        }
    }
}

/// The profile that a run uses.
#[derive(Debug)]
pub struct Effective {
    pub profile: Profile,
    /// None if neither flag was given.
    pub digest: Option<String>,
}

/// Reads a profile and sets what is to be set on top of it. Without either it is the reference
/// platform's, which the embedded target deploys.
pub fn effective(file: Option<&Path>, settings: &[String], target: TargetName) -> Result<Effective, UsageError> {
    let problems = |found: Vec<Problem>| UsageError(Problems(found).render());
    let source = file
        .map(scenario::read_file)
        .transpose()
        .map_err(|problem| problems(vec![problem]))?;
    let is_ours = matches!(target, TargetName::Embedded | TargetName::Kind);
    let mut profile = match &source {
        Some(source) => Profile::parse(source).map_err(problems)?,
        None if is_ours => Profile::reference(),
        None => Profile::default(),
    };
    let wrong: Vec<String> = settings
        .iter()
        .filter_map(|setting| Some(format!("--set: {}", profile.set(setting).err()?)))
        .collect();
    if !wrong.is_empty() {
        return Err(UsageError(wrong.join("\ngauntlet: ")));
    }
    if is_ours {
        deployable(&profile, source.as_ref(), settings)?;
    }
    let digest = (file.is_some() || !settings.is_empty()).then(|| profile.digest());
    Ok(Effective { profile, digest })
}

/// Refuses what the reference platform can't be.
fn deployable(profile: &Profile, source: Option<&Arc<Source>>, settings: &[String]) -> Result<(), UsageError> {
    // What is told of a name that was set is told of the flag, else of the place in the file.
    let mut placed = Vec::new();
    let mut told = Vec::new();
    let mut tell = |names: &[Said], message: String, help: &str| {
        let set = |said: &Said| {
            settings
                .iter()
                .any(|setting| setting.starts_with(&format!("{}=", said.flag)))
        };
        if names.iter().any(set) {
            return told.push(format!("--set: {message}; {help}"));
        }
        let place = |said: &Said| profile::locate(source?, said.group, said.name);
        match (source, names.iter().find_map(place)) {
            (Some(source), Some(span)) => placed.push(Problem::new(source, span, message).with_help(help)),
            _ => told.push(format!("{message}; {help}")),
        }
    };
    for misfit in unsupported::misfits(&profile.names) {
        let message = format!(
            "the reference platform can't have this `{}`: {}",
            misfit.name, misfit.why
        );
        let names: Vec<Said> = [Some(misfit.name), misfit.other]
            .into_iter()
            .flatten()
            .map(Said::name)
            .collect();
        let help = if misfit.other.is_some() { DIFFERENT } else { LEAVE_OUT };
        tell(&names, message, help);
    }
    for needed in profile.secrets.keys().map(|needed| needed.name()) {
        let message = format!("gauntlet generates the {needed} of its own worlds, so it needs no source");
        let said = Said {
            group: "secrets",
            name: needed,
            flag: format!("secrets.{needed}"),
        };
        tell(&[said], message, LEAVE_OUT);
    }
    for road in profile.roads.keys().map(|road| road.name()) {
        let message = format!(
            "the embedded target has no use for an address of the road `{road}`: it finds its doors through its own \
             Kubernetes API, and would test another platform than the one at that address"
        );
        let said = Said {
            group: "roads",
            name: road,
            flag: format!("road.{road}"),
        };
        tell(&[said], message, LEAVE_OUT);
    }
    for operation in profile.operations.keys().map(|operation| operation.name()) {
        let message =
            format!("the command `{operation}` is for a platform without Kubernetes, and this target has one");
        let said = Said {
            group: "operations",
            name: operation,
            flag: format!("operations.{operation}"),
        };
        tell(&[said], message, LEAVE_OUT);
    }
    for name in profile.logs.keys() {
        let message = format!("gauntlet finds the logs of its own worlds, so the file of `{name}` isn't read");
        let said = Said {
            group: "logs",
            name,
            flag: format!("logs.{name}"),
        };
        tell(&[said], message, LEAVE_OUT);
    }
    placed.sort_by_key(|problem: &Problem| problem.span.start);
    if !placed.is_empty() {
        told.insert(0, Problems(placed).render().trim_end().to_owned());
    }
    if !told.is_empty() {
        return Err(UsageError(told.join("\ngauntlet: ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_flag_it_is_the_reference_without_a_digest() {
        let effective = effective(None, &[], TargetName::Embedded).expect("good");
        assert_eq!(effective.profile, Profile::reference());
        assert_eq!(effective.digest, None);
    }

    #[test]
    fn a_setting_wins_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("p.yaml");
        let text = "apiVersion: gauntlet/v1\nkind: Profile\nnames: { secret.name: a, web.port: 80 }\n";
        std::fs::write(&file, text).expect("written");
        let effective = effective(
            Some(&file),
            &["secret.name=b".into(), "secret.name=c".into()],
            TargetName::Embedded,
        )
        .expect("good");
        assert_eq!(effective.profile.names["secret.name"], "c");
        assert_eq!(effective.profile.names["web.port"], "80");
        assert_eq!(
            effective.profile.policies.names().count(),
            0,
            "a file declares what it declares"
        );
        assert_eq!(effective.digest.as_deref(), Some(effective.profile.digest().as_str()));
    }
}
