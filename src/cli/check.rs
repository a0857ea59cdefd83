//! `gauntlet check`: validates scenarios, profiles and files of expected failures.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use crate::expected::{ExpectedFailures, is_expected_failures};
use crate::profile::{Profile, is_profile};
use crate::scenario::{self};
use crate::yaml::{Problems, Source};

#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Files of scenarios, profiles or expected failures, or folders of scenarios [default: the built-in scenarios]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Checks files, folders of scenarios, or without any the built-in scenarios. What is wrong is
/// told all at once; what was checked is written to `out`.
pub fn check(paths: &[PathBuf], out: &mut impl Write) -> io::Result<Result<(), Problems>> {
    let mut problems = Vec::new();
    let mut sources: Vec<Arc<Source>> = Vec::new();
    for path in paths {
        if path.is_dir() {
            match scenario::read_folder(path) {
                Ok(found) => sources.extend(found),
                Err(found) => problems.extend(found.0),
            }
        } else {
            match scenario::read_file(path) {
                Ok(source) => sources.push(source),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if paths.is_empty() {
        sources = scenario::built_in();
    }
    let (profiles, sources): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| is_profile(source));
    let (expected, scenarios): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| is_expected_failures(source));
    for source in &profiles {
        problems.extend(Profile::parse(source).err().unwrap_or_default());
    }
    let loaded = scenario::load_sources(&scenarios).map_err(|found| problems.extend(found.0));
    // They are of the scenarios beside them, or else of the built-in ones.
    let known = match loaded {
        Ok(known) if known.is_empty() && !expected.is_empty() => scenario::load(None).ok(),
        loaded => loaded.ok(),
    };
    for source in &expected {
        match (ExpectedFailures::parse(source), &known) {
            (Err(found), _) => problems.extend(found),
            (Ok(failures), Some(known)) => problems.extend(failures.unknown(known)),
            // Which scenarios there are is not known while one of them is wrong.
            (Ok(_), None) => {}
        }
    }
    if !problems.is_empty() {
        return Ok(Err(Problems(problems)));
    }
    let counted = |n: usize, one: &str, many: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {many}")),
    };
    let checked: Vec<String> = [
        counted(scenarios.len(), "scenario", "scenarios"),
        counted(profiles.len(), "profile", "profiles"),
        counted(
            expected.len(),
            "file of expected failures",
            "files of expected failures",
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    let checked = match checked.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing to check".to_owned(),
    };
    writeln!(out, "{checked}: nothing wrong")?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_scenarios_of_several_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("p.yaml");
        std::fs::write(&profile, "apiVersion: gauntlet/v1\nkind: Profile\n").expect("written");
        let mut out = Vec::new();
        let checked = check(std::slice::from_ref(&profile), &mut out).expect("written");
        assert!(checked.is_ok());
        assert_eq!(String::from_utf8_lossy(&out), "1 profile: nothing wrong\n");
        std::fs::write(&profile, "apiVersion: gauntlet/v1\nkind: Profile\nnmaes: {}\n").expect("written");
        let wrong = check(&[profile, folder.path().join("none.yaml")], &mut out).expect("written");
        assert_eq!(wrong.expect_err("problems").0.len(), 2);
    }

    #[test]
    fn the_built_in_ones_are_right() {
        let mut out = Vec::new();
        check(&[], &mut out)
            .expect("written")
            .unwrap_or_else(|problems| panic!("{}", problems.render()));
        assert!(String::from_utf8_lossy(&out).ends_with(" scenarios: nothing wrong\n"));
    }
}
