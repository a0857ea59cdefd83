//! The profile as text: what was found, where it was seen, and what nobody but its owner knows.

use std::fmt::Write;

use super::doors::{Door, taken};
use super::find::Found;
use crate::report::one_line;
use crate::vocabulary::Contract;
use crate::vocabulary::policy::{POLICIES, Values};

/// Names that can't be seen from outside, with the contract's value.
const UNSEEN: &[(Contract, &[&str])] = &[
    (
        Contract::HarnessToken,
        &[
            "api.path",
            "tty.path",
            "tty.parameter",
            "session.label",
            "warm.selector",
            "sandbox.port",
        ],
    ),
    (
        Contract::AgentService,
        &[
            "agents.path",
            "agents.parameter",
            "agents.health-path",
            "access-control.path",
        ],
    ),
    (
        Contract::CodexAuth,
        &[
            "agent.name",
            "agent.selector",
            "agent.container",
            "auth.path",
            "login.script",
        ],
    ),
];

/// What the profile is of, and where it will be.
pub struct Head<'h> {
    pub file: &'h str,
    pub context: Option<&'h str>,
    pub namespace: &'h str,
}

/// A profile with comments.
pub fn profile(head: &Head<'_>, found: &[Found], doors: &[Door]) -> String {
    let mut text = String::new();
    // Writing to a text can't fail.
    let _written = write(&mut text, head, found, doors);
    text
}

fn write(out: &mut String, head: &Head<'_>, found: &[Found], doors: &[Door]) -> std::fmt::Result {
    let Head {
        file,
        context,
        namespace,
    } = head;
    let context = context
        .map(|context| format!(" --context {context}"))
        .unwrap_or_default();
    let contracts: Vec<&str> = found.iter().map(|found| found.contract.name()).collect();
    writeln!(
        out,
        "# What `gauntlet init` found in namespace {namespace}. Look it through, and then:"
    )?;
    writeln!(out, "#")?;
    writeln!(
        out,
        "#   gauntlet doctor {} --profile {file}{context} --namespace {namespace}",
        contracts.join(" ")
    )?;
    writeln!(
        out,
        "#   gauntlet run {} --target cluster --profile {file}{context} --namespace {namespace} --allow use",
        contracts.join(" ")
    )?;
    writeln!(out, "apiVersion: gauntlet/v1\nkind: Profile\nnames:")?;
    for Found { contract, names, .. } in found {
        writeln!(out, "  # {}", contract.name())?;
        for name in names {
            writeln!(
                out,
                "  {}: {}  # {}",
                name.name,
                scalar(&name.value),
                one_line(&name.seen)
            )?;
        }
        let contract_names = crate::vocabulary::names::contract();
        writeln!(
            out,
            "  # Not to be seen from outside; the contract's, unless it says otherwise here:"
        )?;
        let unseen = UNSEEN
            .iter()
            .filter(|(of, _)| of == contract)
            .flat_map(|(_, names)| *names);
        for name in unseen {
            let value = contract_names.get(*name).map(String::as_str).unwrap_or_default();
            writeln!(out, "  # {name}: {}", scalar(value))?;
        }
    }
    roads(out, doors)?;
    writeln!(
        out,
        "# Choices that the contracts leave open. Checks of one that isn't declared are skipped.\n# policies:"
    )?;
    for policy in POLICIES {
        let values = match policy.values {
            Values::Choices(choices) => choices.join(" | "),
            Values::List => "any | [https://a.example]".to_owned(),
            Values::Duration => "30s".to_owned(),
            Values::DurationOrNone => "30s | none".to_owned(),
            Values::Pattern => "account-([0-9]+)".to_owned(),
        };
        writeln!(out, "#   {}: {values}  # {}", policy.name, policy.meaning)?;
    }
    Ok(())
}

fn roads(out: &mut String, doors: &[Door]) -> std::fmt::Result {
    if doors.is_empty() {
        return Ok(());
    }
    let taken = taken(doors);
    writeln!(out, "roads:{}", if taken.contains(&true) { "" } else { " {}" })?;
    for (door, is_taken) in doors.iter().zip(taken) {
        let (name, way, seen) = (door.road.name(), scalar(&door.way), one_line(&door.seen));
        match &door.answer {
            Ok(status) if is_taken => writeln!(out, "  {name}: {way}  # {seen}; answered {status}")?,
            Ok(status) => writeln!(out, "  # {name}: {way}  # {seen}; answered {status}, as another did")?,
            Err(why) => writeln!(
                out,
                "  # {name}: {way}  # {seen}; did not answer: {}",
                one_line(&why.to_string())
            )?,
        }
    }
    Ok(())
}

/// A text as YAML has it: in quotes where it would be something else without.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/=-".contains(c);
    let is_word = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/';
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    let as_it_is =
        text.starts_with(starts) && !is_word && text.chars().all(|c| plain(c) || (is_address && c == ':') || c == ',');
    match as_it_is || is_number {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::init::doors::NoAnswer;
    use crate::cli::init::find::Name;
    use crate::profile::Profile;
    use crate::vocabulary::Road;
    use crate::yaml::Source;

    fn door(road: Road, way: &str, answer: Result<u16, NoAnswer>) -> Door {
        let way = way.to_owned();
        let seen = "the ingress\nx".to_owned();
        Door {
            road,
            way,
            seen,
            answer,
        }
    }

    #[test]
    fn what_is_written_is_a_profile() {
        let name = |name, value: &str| Name {
            name,
            value: value.to_owned(),
            seen: "the deployment x\nand more".to_owned(),
        };
        let found = [Found {
            contract: Contract::HarnessToken,
            names: vec![
                name("secret.name", "yes"),
                name("web.port", "80"),
                name("web.selector", "a=b,c in (d)"),
            ],
            addresses: Vec::new(),
        }];
        let doors = [
            door(Road::Proxy, "port-forward", Ok(404)),
            door(Road::Balancer, "https://a.example:8443", Err(NoAnswer::Gone)),
            door(Road::Proxy, "http://a.example", Ok(401)),
        ];
        let head = Head {
            file: "p.yaml",
            context: Some("staging"),
            namespace: "agents",
        };
        let text = profile(&head, &found, &doors);
        let read = Profile::parse(&Source::new("p.yaml", text.clone()));
        let read = read.unwrap_or_else(|problems| panic!("{problems:?} in\n{text}"));
        assert_eq!(read.names["secret.name"], "yes");
        assert_eq!(read.names["web.port"], "80");
        assert_eq!(read.names["web.selector"], "a=b,c in (d)");
        assert_eq!(read.roads.len(), 1, "what did not answer is left out");
        assert!(
            text.contains("\n  proxy: port-forward  # the ingress x; answered 404\n"),
            "{text}"
        );
        for comment in [
            "  # balancer: https://a.example:8443  # the ingress x; did not answer: the pod went away\n",
            "  # proxy: http://a.example  # the ingress x; answered 401, as another did\n",
        ] {
            assert!(text.contains(comment), "{comment} in\n{text}");
        }
        assert!(
            text.contains(
                "\n#   gauntlet doctor harness-token --profile p.yaml --context staging --namespace agents\n"
            ),
            "{text}"
        );
    }
}
