//! `gauntlet load SCENARIO` and `gauntlet capacity SCENARIO`: what a scenario's `load` step says becomes flags.
//!
//! As with `gauntlet.toml` they are put among the arguments, and from there on it is as if they had been typed. A flag
//! that is given elsewhere counts before the scenario's.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

use crate::cli::capacity::Of;
use crate::cli::exit::UsageError;
use crate::scenario::{self, Scenario, Step};
use crate::steps::load::{ECHO_EVERY, HOLD, Load, RATE};
use crate::template::{Scope, TemplateError, render};
use crate::vocabulary::similar::nearest;
use crate::vocabulary::{Road, TerminalSpec, duration};
use crate::yaml::Problems;

/// The commands that take a scenario.
const COMMANDS: [&str; 2] = ["load", "capacity"];

/// Flags that name another door than the reference platform's terminal.
const ELSEWHERE: [&str; 2] = ["url", "sessions"];

/// A flag's id, with what to type for it.
type Flag = (&'static str, String);

/// Why the load of a scenario can't be made alone: the command line names one that isn't made for it, or another case
/// of it.
#[derive(Debug, thiserror::Error)]
enum NotAlone {
    #[error("it has no `load` step")]
    NoLoad,
    #[error("it has {0} `load` steps: only a single one can be run alone")]
    SeveralLoads(usize),
    #[error("its load goes on beside other steps (`until-open`); run the scenario instead")]
    Beside,
    #[error(
        "its load goes {}, and that of the reference platform's terminal directly; say where to by --url or --sessions",
        road.by()
    )]
    Indirect { road: Road },
    #[error("its `load` names tokens that only the scenario knows; say where to by --url or --sessions")]
    OwnTokens,
    #[error("a program of its own runs in its terminals; run the scenario instead")]
    OwnProgram,
    #[error("it has several cases, {}: name one, as '{id}[{}]'", cases.join(", "), cases[0])]
    SeveralCases { id: String, cases: Vec<String> },
    #[error("it has no matrix: leave the brackets out")]
    NoMatrix,
    #[error("it has no case {case}, but {}", cases.join(", "))]
    NoCase { case: String, cases: Vec<String> },
    /// A value of the matrix's case.
    #[error(transparent)]
    Value(TemplateError),
    #[error("`{key}` of its load is known only when it runs: {source}")]
    KnownLater { key: String, source: TemplateError },
    #[error("its load: {0}")]
    NoArguments(#[source] serde_json::Error),
}

/// The arguments, with the flags of the scenario that they name behind the command's name.
///
/// # Errors
/// There is no such scenario, or its load can't be made by the command. What is wrong on the command line is left to
/// whoever reads it.
pub fn completed(arguments: Vec<OsString>, program: &Command) -> Result<Vec<OsString>, UsageError> {
    if !arguments
        .iter()
        .any(|argument| COMMANDS.iter().any(|name| argument == name))
    {
        return Ok(arguments);
    }
    let lenient = program.clone().ignore_errors(true);
    // Help and the version are no matches.
    let Ok(matches) = lenient.try_get_matches_from(&arguments) else {
        return Ok(arguments);
    };
    let Some((name, given)) = matches.subcommand().filter(|(name, _)| COMMANDS.contains(name)) else {
        return Ok(arguments);
    };
    let Ok(Some(named)) = given.try_get_one::<String>("scenario") else {
        return Ok(arguments);
    };
    let mut built = program.clone();
    built.build();
    let (Some(command), Some(at)) = (
        built.find_subcommand(name),
        arguments.iter().skip(1).position(|argument| argument == name),
    ) else {
        return Ok(arguments);
    };
    let typed = typed(command, given);
    let is_elsewhere = typed.iter().any(|flag| ELSEWHERE.contains(&flag.get_id().as_str()));
    let flags = flags(named, is_elsewhere)?;
    let is_fan_out = flags.iter().any(|(id, _)| *id == "fan_out");
    if is_fan_out && !command.get_arguments().any(|flag| flag.get_id().as_str() == "fan_out") {
        return Err(UsageError(format!(
            "{named}: only one types in its load (`fan-out`), and `gauntlet {name}` lets everybody type"
        )));
    }
    let wanted = flags.into_iter().filter(|(id, _)| {
        // A rate that is searched for is no given one.
        let is_searched = *id == "ramp" && matches!(given.try_get_one::<Of>("of"), Ok(Some(Of::Rate)));
        let known = command.get_arguments().find(|flag| flag.get_id().as_str() == *id);
        known.is_some_and(|flag| !is_searched && !typed.iter().any(|typed| is_settled(command, typed, flag)))
    });
    let wanted: Vec<OsString> = wanted.map(|(_, argument)| argument.into()).collect();
    let mut arguments = arguments;
    // Behind the program's own name and the command's.
    let behind = arguments.split_off(at + 2);
    arguments.extend(wanted);
    arguments.extend(behind);
    Ok(arguments)
}

/// The flags that are given.
fn typed<'c>(command: &'c Command, given: &ArgMatches) -> Vec<&'c Arg> {
    let takes = |flag: &&Arg| {
        matches!(
            flag.get_action(),
            ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::Count
        )
    };
    let is_typed = |flag: &&Arg| given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
    command.get_arguments().filter(takes).filter(is_typed).collect()
}

/// Whether one flag leaves no room for another.
fn is_settled(command: &Command, typed: &Arg, other: &Arg) -> bool {
    let excludes = |one: &Arg, other: &Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts.iter().any(|flag| flag.get_id() == other.get_id())
    };
    typed.get_id() == other.get_id() || excludes(typed, other) || excludes(other, typed)
}

/// What the load of a scenario is as flags: of one that is named by its id, with a case of its matrix, or by its file.
fn flags(named: &str, is_elsewhere: bool) -> Result<Vec<Flag>, UsageError> {
    let (of, case) = match named.strip_suffix(']').and_then(|named| named.rsplit_once('[')) {
        Some((of, case)) => (of, Some(case)),
        None => (named, None),
    };
    let scenario = read(of)?;
    of_scenario(&scenario, case, is_elsewhere).map_err(|why| UsageError(format!("{}: {why}", scenario.id)))
}

fn read(named: &str) -> Result<Scenario, UsageError> {
    let told = |problems: Problems| UsageError(problems.render().trim_end().to_owned());
    if named.ends_with(".yaml") {
        let source = scenario::read_file(Path::new(named)).map_err(|problem| told(Problems(vec![problem])))?;
        let mut read = scenario::load_sources(&[source]).map_err(told)?;
        return read.pop().ok_or_else(|| UsageError(format!("{named} is no scenario")));
    }
    let all = scenario::load(None).map_err(told)?;
    let ids = || all.iter().map(|scenario| scenario.id.as_str());
    if let Some(found) = all.iter().find(|scenario| scenario.id == named) {
        return Ok(found.clone());
    }
    let below = format!("{}/", named.trim_end_matches('/'));
    let hint = match (ids().any(|id| id.starts_with(&below)), nearest(named, ids())) {
        (true, _) => format!("; `gauntlet list {named}` shows those below it"),
        (false, Some(near)) => format!("; did you mean {near}?"),
        (false, None) => "; name one by its id, or by its file, which ends in .yaml".to_owned(),
    };
    Err(UsageError(format!("there is no scenario {named}{hint}")))
}

fn of_scenario(scenario: &Scenario, case: Option<&str>, is_elsewhere: bool) -> Result<Vec<Flag>, NotAlone> {
    let loads: Vec<&Step> = scenario.steps.iter().filter(|step| step.verb == "load").collect();
    let step = match loads.as_slice() {
        [step] => *step,
        [] => return Err(NotAlone::NoLoad),
        several => return Err(NotAlone::SeveralLoads(several.len())),
    };
    let load = arguments(step, &scope(scenario, case)?)?;
    if load.until_open.is_some() {
        return Err(NotAlone::Beside);
    }
    if !is_elsewhere {
        directly(scenario, &load)?;
    }
    let mut flags = vec![
        ("attaches", format!("--attaches={}", load.attaches)),
        (
            "ramp",
            format!("--ramp={}", load.ramp.unwrap_or_else(|| format!("{RATE}/s"))),
        ),
        (
            "hold",
            format!("--hold={}", load.hold.unwrap_or_else(|| duration::show(HOLD))),
        ),
        (
            "echo_every",
            format!(
                "--echo-every={}",
                load.echo_every.unwrap_or_else(|| duration::show(ECHO_EVERY))
            ),
        ),
    ];
    let objectives = load.objectives.into_iter().flatten();
    flags.extend(objectives.map(|objective| ("objective", format!("--objective={objective}"))));
    if load.fan_out == Some(true) {
        flags.push(("fan_out", "--fan-out".to_owned()));
    }
    if !is_elsewhere {
        let terminal = match scenario.world.terminal {
            Some(_) => "loop",
            None => "shared",
        };
        flags.push(("terminal", format!("--terminal={terminal}")));
    }
    Ok(flags)
}

/// Refuses a load that the reference platform's terminal, which is reached directly and with a token of its own, can't
/// take.
fn directly(scenario: &Scenario, load: &Load) -> Result<(), NotAlone> {
    let road = load.road.unwrap_or(Road::Proxy);
    if road != Road::Direct {
        return Err(NotAlone::Indirect { road });
    }
    if load.token.is_some() || load.old_token.is_some() {
        return Err(NotAlone::OwnTokens);
    }
    match scenario.world.terminal {
        Some(TerminalSpec::Program(_)) => Err(NotAlone::OwnProgram),
        Some(TerminalSpec::Named(_)) | None => Ok(()),
    }
}

/// The values of the matrix's case, and those of `vars` that are known before the scenario runs.
fn scope(scenario: &Scenario, case: Option<&str>) -> Result<Scope, NotAlone> {
    let cases = scenario.cases();
    let at = match case {
        None if cases.len() == 1 => 0,
        None => {
            return Err(NotAlone::SeveralCases {
                id: scenario.id.clone(),
                cases,
            });
        }
        Some(case) => cases
            .iter()
            .position(|known| known == case)
            .ok_or_else(|| match cases.as_slice() {
                [only] if only.is_empty() => NotAlone::NoMatrix,
                cases => NotAlone::NoCase {
                    case: case.to_owned(),
                    cases: cases.to_vec(),
                },
            })?,
    };
    let mut scope = Scope::new(0);
    for (name, choice) in scenario.combinations().swap_remove(at) {
        let value = render(&choice.value, &scope).map_err(NotAlone::Value)?;
        scope.set(name, value);
    }
    for (name, value) in &scenario.vars {
        if let Ok(value) = render(value, &scope) {
            scope.set(name, value);
        }
    }
    Ok(scope)
}

/// A step's own keys, filled in. Where it goes and with which tokens stays open: that is known when it runs.
fn arguments(step: &Step, scope: &Scope) -> Result<Load, NotAlone> {
    let open = ["load", "token", "old-token"];
    let mut filled = Map::new();
    for (key, value) in step.args.as_object().into_iter().flatten() {
        let value = match open.contains(&key.as_str()) {
            true => value.clone(),
            false => render(value, scope).map_err(|source| NotAlone::KnownLater {
                key: key.clone(),
                source,
            })?,
        };
        filled.insert(key.clone(), value);
    }
    serde_json::from_value(Value::Object(filled)).map_err(NotAlone::NoArguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Source;

    fn read(head: &str, steps: &str) -> Scenario {
        let text = format!(
            "apiVersion: gauntlet/v1\nid: a/b/c\ntitle: A title\nspec: A source\nlevel: extended\nintrusion: attack\n\
             {head}steps:\n  - {{ session: new, as: s }}\n{steps}"
        );
        let source = Source::new("a/b/c.yaml", text);
        let mut read = scenario::load_sources(&[source]).unwrap_or_else(|problems| panic!("{}", problems.render()));
        read.remove(0)
    }

    fn told(head: &str, steps: &str, case: Option<&str>, is_elsewhere: bool) -> String {
        match of_scenario(&read(head, steps), case, is_elsewhere) {
            Ok(flags) => {
                let arguments: Vec<String> = flags.into_iter().map(|(_, argument)| argument).collect();
                arguments.join(" ")
            }
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn a_step_becomes_flags() {
        let steps = "  - { load: \"${s}\", road: direct, attaches: 20, ramp: 10/s..90/s, hold: 2s, echo-every: 250ms, \
                     objectives: [errors == 0, attach.p95 < 500ms], given: passes, check: { counts.opened: 20 } }\n";
        assert_eq!(
            told("world: { terminal: loop }\n", steps, None, false),
            "--attaches=20 --ramp=10/s..90/s --hold=2s --echo-every=250ms --objective=errors == 0 \
             --objective=attach.p95 < 500ms --terminal=loop"
        );
        let fan_out = "  - { load: \"${s}\", road: direct, attaches: 9, fan-out: true, check: passes }\n";
        assert_eq!(
            told("", fan_out, None, false),
            "--attaches=9 --ramp=200/s --hold=1s --echo-every=500ms --fan-out --terminal=shared"
        );
    }

    #[test]
    fn a_case_of_the_matrix_is_one_load() {
        let head = "matrix: { road: [direct, proxy] }\n";
        let steps = "  - { load: \"${s}\", road: \"${road}\", attaches: 9, check: passes }\n";
        let flags = "--attaches=9 --ramp=200/s --hold=1s --echo-every=500ms";
        assert_eq!(
            told(head, steps, Some("direct"), false),
            format!("{flags} --terminal=shared")
        );
        assert_eq!(told(head, steps, Some("proxy"), true), flags);
        for (case, said) in [
            (
                None,
                "it has several cases, direct, proxy: name one, as 'a/b/c[direct]'",
            ),
            (Some("balancer"), "it has no case balancer, but direct, proxy"),
            (
                Some("proxy"),
                "its load goes through the proxy, and that of the reference platform's terminal directly; say where to \
                 by --url or --sessions",
            ),
        ] {
            assert_eq!(told(head, steps, case, false), said);
        }
    }

    #[test]
    fn what_is_no_load_of_its_own_is_refused() {
        let load = |more: &str| format!("  - {{ load: \"${{s}}\", road: direct, attaches: 9{more}, check: passes }}\n");
        for (steps, said) in [
            (
                "  - { attach: \"${s}\", token: \"${secret.token}\", check: opens }\n".to_owned(),
                "it has no `load` step",
            ),
            (
                load("") + &load(""),
                "it has 2 `load` steps: only a single one can be run alone",
            ),
            (
                load(", token: \"${secret.token}\""),
                "its `load` names tokens that only the scenario knows; say where to by --url or --sessions",
            ),
        ] {
            assert_eq!(told("", &steps, None, false), said);
        }
        assert_eq!(
            told("", &load(""), Some("direct"), false),
            "it has no matrix: leave the brackets out"
        );
    }
}
