//! How a person sees a failure again.

use super::evidence;
use super::execute::Shared;
use super::plan::Planned;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::scenario::Level;
use crate::steps::StepContext;
use crate::target::World;

/// Lines for a shell: the command that makes the same run, and the last request of it by other means.
/// Secrets stand in them as `$NAME`.
pub fn reproduce(planned: &Planned, shared: &Shared, context: Option<&StepContext>) -> Vec<String> {
    let mutants = match shared.mutants.as_slice() {
        [] => String::new(),
        names => format!(" --mutant {}", names.join(",")),
    };
    let mut lines = vec![again(planned, shared, &mutants)];
    let Some(context) = context else { return lines };
    let commands: Vec<String> = evidence::commands(context)
        .iter()
        .map(|command| shared.redactor.redact(command).into_owned())
        .collect();
    if commands.is_empty() {
        return lines;
    }
    let world = &context.world;
    lines.push(match shared.keep_failed && world.can_stay() {
        _ if world.installation().is_some() => "# The last request, with the sessions of that run:".to_owned(),
        true => format!(
            "# The world of that run stays, in namespace {}. From within it, or through `kubectl port-forward`:",
            world.namespace
        ),
        false => format!(
            "# The world of that run is gone. `gauntlet up{mutants}` starts one like it; with its addresses and \
             sessions:"
        ),
    });
    for (variable, key) in [
        ("HARNESS_AUTH_TOKEN", "secret.key"),
        ("MASTER_KEY", "secret.master-key"),
    ] {
        if commands.iter().any(|command| uses(command, variable)) {
            lines.push(filled(world, variable, key));
        }
    }
    lines.extend(commands);
    lines
}

/// The line that fills a variable with a secret.
fn filled(world: &World, variable: &str, key: &str) -> String {
    let needed = match key {
        "secret.key" => Needed::Token,
        _ => Needed::MasterKey,
    };
    let given = world
        .installation()
        .and_then(|installation| installation.source(needed));
    match given {
        Some(SecretSource::Env(name)) if name == variable => format!("# {variable} is set already"),
        Some(SecretSource::Env(name)) => format!("{variable}=${name}"),
        Some(SecretSource::File(file)) => format!("{variable}=$(cat '{}')", file.display()),
        None => {
            let (secret, key, space) = (world.name("secret.name"), world.name(key), &world.namespace);
            format!("{variable}=$(kubectl -n {space} get secret {secret} -o jsonpath='{{.data.{key}}}' | base64 -d)")
        }
    }
}

/// The same run, alone.
fn again(planned: &Planned, shared: &Shared, mutants: &str) -> String {
    let level = match planned.scenario.level {
        Level::Core => "",
        Level::Extended => " --level all",
    };
    let run = match planned.run.parameters.is_empty() {
        true => planned.run.id.clone(),
        // Brackets are a pattern to a shell.
        false => format!("'{}'", planned.run.case()),
    };
    format!(
        "gauntlet run {run}{level}{mutants}{} --seed {}",
        shared.flags,
        planned.run.seed(shared.seed)
    )
}

/// Whether a command names a variable, and not only one whose name begins alike.
fn uses(command: &str, variable: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    command
        .split('$')
        .skip(1)
        .any(|after| after.strip_prefix(variable).is_some_and(|rest| !rest.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_used_where_its_whole_name_stands() {
        assert!(uses("curl -H 'Authorization: Bearer $MASTER_KEY' x", "MASTER_KEY"));
        assert!(uses("curl \"x?a=$OTHER&token=$MASTER_KEY\"", "MASTER_KEY"));
        assert!(!uses("curl x?token=$MASTER_KEY_2", "MASTER_KEY"));
        assert!(!uses("curl MASTER_KEY", "MASTER_KEY"));
    }
}
