//! `gauntlet doctor --profile`: what a run on a platform that isn't ours could judge, rule by rule, before anything is
//! touched.

use std::io::{self, Write};

use indexmap::IndexMap;

use super::conclude::tell;
use super::doctor::Doctor;
use super::profile::{self, Effective};
use super::run::through;
use super::selection::select;
use super::target::survey::{Survey, survey};
use super::target::{NotStarted, TargetOptions};
use super::{LevelName, TargetName};
use crate::cli::exit::{INTERRUPTED, UsageError};
use crate::cli::process::Process;
use crate::runner::eligibility::intrusion;
use crate::runner::plan::{Levels, Planned};
use crate::scenario::Scenario;
use crate::vocabulary::Intrusion;

/// The exit code where nothing could be judged.
const NOTHING: u8 = 4;
/// The exit code where something could not.
const PARTLY: u8 = 5;
/// The exit code where a run would not begin.
const WOULD_NOT_RUN: u8 = 3;

/// A rule, and what could become of it.
struct Rule<'p> {
    id: &'p str,
    /// What has to be allowed for its cases that could be judged.
    intrusion: Option<Intrusion>,
    /// Its cases that could not, or not by all of their steps, with the reason.
    left_out: Vec<(String, &'p str)>,
    cases: usize,
}

/// Looks, and tells; gives the exit code.
pub async fn run(
    options: Doctor,
    scenarios: &[Scenario],
    process: &Process,
    out: &mut impl Write,
) -> Result<u8, UsageError> {
    let target = TargetOptions {
        target: match options.target.target {
            // Of its own worlds there is nothing to be known.
            TargetName::Embedded => TargetName::Cluster,
            other => other,
        },
        ..options.target
    };
    if target.target == TargetName::Kind {
        return Err(UsageError(
            "a cluster that kind makes has a platform of gauntlet's own, which can be judged as a whole; --profile is \
             of a platform that isn't ours"
                .into(),
        ));
    }
    target.check()?;
    let selected = select(scenarios, &options.selection.selectors, options.level)?;
    let Effective { profile, .. } = profile::effective(options.profile.as_deref(), &options.set, target.target)?;
    let goes = target.gateways.goes(target.target, &profile);
    let planned = through(selected.plan(1), &goes)?;
    let found = match survey(&target, &profile, &planned, process).await {
        Ok(found) => found,
        Err(NotStarted::Usage(error)) => return Err(error),
        Err(NotStarted::Failed(error)) => {
            tell(&error.to_string());
            return Ok(WOULD_NOT_RUN);
        }
        Err(NotStarted::Interrupted) => return Ok(INTERRUPTED),
    };
    let rules = rules(&planned, &found);
    match print(&rules, &found, options.level, out) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(UsageError(format!("writing to standard output: {error}")));
        }
        _ => {}
    }
    let whole = rules.iter().all(|rule| rule.left_out.is_empty());
    Ok(match rules.iter().any(|rule| rule.intrusion.is_some()) {
        _ if !found.denied.is_empty() || found.secrets.is_some() => WOULD_NOT_RUN,
        false => NOTHING,
        true if whole => 0,
        true => PARTLY,
    })
}

fn rules<'p>(planned: &'p [Planned], found: &'p Survey) -> Vec<Rule<'p>> {
    let mut rules: IndexMap<&str, Rule<'p>> = IndexMap::new();
    for ((run, unfit), without) in planned.iter().zip(&found.unfit).zip(&found.left_out) {
        let id = run.run.id.as_str();
        let rule = rules.entry(id).or_insert(Rule {
            id,
            intrusion: None,
            left_out: Vec::new(),
            cases: 0,
        });
        rule.cases += 1;
        match unfit {
            None => {
                rule.intrusion = rule.intrusion.max(Some(intrusion(run, false)));
                let reasons = without.iter().map(|why| (run.run.values(), why.as_str()));
                rule.left_out.extend(reasons);
            }
            Some(why) => rule.left_out.push((run.run.values(), why.as_str())),
        }
    }
    rules.into_values().collect()
}

fn print(rules: &[Rule<'_>], found: &Survey, level: LevelName, out: &mut impl Write) -> io::Result<()> {
    let levels = Levels::from(level);
    let counted = |n: usize| match n {
        1 => "1 rule".to_owned(),
        n => format!("{n} rules"),
    };
    writeln!(
        out,
        "{}: {}, level {}",
        found.place,
        counted(rules.len()),
        levels.name()
    )?;
    let (could, not): (Vec<&Rule<'_>>, Vec<&Rule<'_>>) = rules.iter().partition(|rule| rule.intrusion.is_some());
    let (whole, part): (Vec<&Rule<'_>>, Vec<&Rule<'_>>) = could.into_iter().partition(|rule| rule.left_out.is_empty());
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for (title, rules) in [
        ("could be judged", &whole),
        ("in part", &part),
        ("could not be judged", &not),
    ] {
        if !rules.is_empty() {
            writeln!(out, "\n{title} ({})", rules.len())?;
        }
        for rule in rules {
            match rule.intrusion {
                Some(intrusion) => writeln!(out, "  {:width$}  --allow {}", rule.id, intrusion.name())?,
                None => writeln!(out, "  {}", rule.id)?,
            }
            for (cases, why) in reasons(rule) {
                writeln!(out, "      {cases}{why}")?;
            }
        }
    }
    for (intrusion, permissions) in &found.denied {
        writeln!(
            out,
            "\nthe cluster does not let this user, for --allow {}:",
            intrusion.name()
        )?;
        for permission in permissions {
            writeln!(out, "  {permission}")?;
        }
    }
    if let Some(role) = found.role.as_ref().filter(|_| !found.denied.is_empty()) {
        writeln!(
            out,
            "\nall that these rules need, as a Role (`kubectl apply -f -`):\n{}",
            role.trim_end()
        )?;
    }
    if let Some(why) = &found.secrets {
        writeln!(out, "\nthe secrets: {why}")?;
    }
    writeln!(
        out,
        "\nof {} {} could be judged, {} in part, {} not; nothing was changed",
        counted(rules.len()),
        whole.len(),
        part.len(),
        not.len()
    )
}

/// Each reason once, with the cases that it is of where it isn't of all.
fn reasons(rule: &Rule<'_>) -> Vec<(String, String)> {
    let mut reasons: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (case, why) in &rule.left_out {
        reasons.entry(why).or_default().push(case);
    }
    let named = |cases: &[&str]| match cases.len() == rule.cases {
        true => String::new(),
        false => format!("[{}] ", cases.join("], [")),
    };
    let each = reasons.into_iter().map(|(why, cases)| (named(&cases), why.to_owned()));
    each.collect()
}
