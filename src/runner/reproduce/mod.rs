//! Reproducing a failure: self-contained shell commands.

mod found;
mod platform;
mod secrets;

use std::collections::BTreeSet;

use super::plan::Planned;
use crate::platform::mutant;
use crate::profile::route_address::Way;
use crate::runner::context::RunContext;
use crate::scenario::Step;
use crate::steps::shell::{Curl, quoted};
use crate::steps::{ShownAgain, StepContext, verb};
use crate::vocabulary::Contract;
use crate::vocabulary::Level;
use crate::vocabulary::Road;
use crate::world::roads::{api_road, behind};
use crate::world::{Target, World};
use found::found;
use platform::Platform;

/// The command that makes the same run, and what shows how it ended by other means: the last request of it, or where
/// its last step found what it searched for. Secrets stand in them as `$NAME`, with the line that fills it.
pub fn reproduce(
    planned: &Planned,
    shared: &RunContext,
    context: Option<&StepContext>,
    last: Option<&Step>,
) -> Vec<String> {
    let mutants = match shared.mutants.as_slice() {
        [] => String::new(),
        mutants => format!(" --mutant {}", mutant::names(mutants)),
    };
    let mut lines = vec![again(planned, shared, &mutants)];
    let shown = context.and_then(|context| match last {
        // The last request before it was well answered.
        Some(step) if shown_again(step) == ShownAgain::LinesFound => found(shared, context),
        _ => Request::last(planned, shared, context, &mutants)?.lines(),
    });
    lines.extend(shown.unwrap_or_default());
    lines
}

fn shown_again(step: &Step) -> ShownAgain {
    verb(step.verb).map_or(ShownAgain::Request, |verb| verb.shown_again)
}

/// The same run, alone.
fn again(planned: &Planned, shared: &RunContext, mutants: &str) -> String {
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
        shared.flags.run,
        planned.run.seed(shared.seed)
    )
}

/// The last request of a run, and what it takes to make it again.
struct Request<'a> {
    curl: Curl,
    planned: &'a Planned,
    shared: &'a RunContext,
    context: &'a StepContext,
    mutants: &'a str,
    platform: Platform,
}

/// Where `gauntlet up` prints its doors.
const TOLD: &str = "gauntlet-up.txt";

impl<'a> Request<'a> {
    /// None if no command makes it: raw bytes, and what `gauntlet up` has no door or clock for.
    fn last(planned: &'a Planned, shared: &'a RunContext, context: &'a StepContext, mutants: &'a str) -> Option<Self> {
        let curl = context.exchanges().pop()?.curl?;
        let world = &context.world;
        let platform = Platform::of(shared, world);
        // What a codex login answers depends on the logins, which are gone with the world.
        let is_another = matches!(curl.road, Road::BalancerTls | Road::Witness)
            || world.clock.is_some()
            || world.contract == Contract::CodexAuth;
        (!platform.is_gone() || !is_another).then_some(Request {
            curl,
            planned,
            shared,
            context,
            mutants,
            platform,
        })
    }

    fn world(&self) -> &World {
        &self.context.world
    }

    fn lines(&self) -> Option<Vec<String>> {
        let mut command = self.curl.command.clone();
        let (made, tokens) = self.tokens(&mut command);
        let about = self.session(&mut command);
        let command = self.shared.redactor.redact(&command).into_owned();
        let mut needed = variables(&command);
        for variable in &made {
            needed.remove(variable);
        }
        // One in another form than it was made in: nothing that is printed makes it.
        if needed.contains("JWT") {
            return None;
        }
        if !tokens.is_empty() {
            needed.insert("AUTH_JWT_SECRET".to_owned());
        }
        if about {
            needed.insert("MASTER_KEY".to_owned());
        }
        for variable in ["DOOR", "SESSION"] {
            needed.remove(variable);
        }
        let mut lines = self.platform_lines();
        lines.extend(needed.iter().map(|variable| self.filled(variable)));
        lines.extend(tokens.iter().map(|line| self.shared.redactor.redact(line).into_owned()));
        if about {
            lines.extend(self.session_lines()?);
        }
        lines.extend(self.door("DOOR", self.curl.road, about)?);
        let flags = self.curl_flags(self.curl.road);
        lines.push(match command.strip_prefix("curl") {
            Some(rest) if !flags.is_empty() => {
                // `-i` stays in front: what comes back is what is to be seen.
                let rest = rest.strip_prefix(" -i").unwrap_or(rest);
                format!("curl -i{flags}{rest}")
            }
            _ => command,
        });
        if about && self.platform == Platform::Theirs {
            lines.push(format!(
                "{} -X DELETE \"{}/$SESSION\"",
                self.api_call(),
                self.sessions()
            ));
        }
        Some(lines)
    }

    /// How to get at the platform.
    fn platform_lines(&self) -> Vec<String> {
        let contract = match self.planned.contract() {
            Contract::HarnessToken => "",
            Contract::AgentService => " agent-service",
            Contract::CodexAuth => " codex-auth",
        };
        let gateway = match self.curl.road {
            road @ (Road::Nginx | Road::Envoy) => format!(" --gateway {}", road.name()),
            _ => String::new(),
        };
        let up = format!("gauntlet up{contract}{}{gateway}{}", self.mutants, self.shared.flags.up);
        let export = "export KUBECONFIG=gauntlet.kubeconfig".to_owned();
        match (self.platform, &self.shared.target) {
            (Platform::Theirs, _) => vec!["# The last request:".to_owned()],
            (Platform::Stays, Target::Kind(cluster)) => vec![
                format!(
                    "# The last request; the world of that run stays, in namespace {}:",
                    self.world().namespace
                ),
                format!("kind export kubeconfig --name {}", cluster.name),
            ],
            (Platform::Kind | Platform::Stays, _) => vec![
                "# The last request; the world of that run is gone, and this starts one like it:".to_owned(),
                up,
                export,
            ],
            (Platform::Embedded, _) => vec![
                "# The last request; the world of that run is gone, and this starts one like it, until Ctrl-C:"
                    .to_owned(),
                format!("{up} | tee {TOLD}"),
                "# Once it is up, in the same folder of another terminal:".to_owned(),
                export,
            ],
        }
    }

    fn kubectl(&self) -> String {
        self.platform.kubectl(self.shared, self.world())
    }

    /// The address of a road, where it needs no way through the API server.
    fn address(&self, road: Road) -> Option<String> {
        match self.world().way(road) {
            Some(Way::To(address)) => {
                let scheme = if address.tls { "https" } else { "http" };
                Some(format!("{scheme}://{}", address.authority()))
            }
            _ => None,
        }
    }

    /// The lines that fill a variable with the address of a road. `about` a session, a road straight to a pod leads
    /// to its own.
    fn door(&self, variable: &str, road: Road, about: bool) -> Option<Vec<String>> {
        if let Some(address) = self.address(road) {
            return Some(vec![format!("{variable}={}", quoted(&address))]);
        }
        let (selector, port) = behind(road);
        let (selector, port) = (self.world().name(selector), self.world().name(port));
        let kubectl = self.kubectl();
        if self.platform == Platform::Embedded {
            let name = match road {
                Road::Proxy => "web",
                Road::Direct if about => {
                    let field = field("sandbox_url");
                    return Some(vec![format!(
                        "{variable}=$({} \"{}/$SESSION\" | {field})",
                        self.api_call(),
                        self.sessions()
                    )]);
                }
                Road::Direct => {
                    return Some(vec![format!(
                        "{variable}=http://$({kubectl} get pods -l {} -o jsonpath='{{.items[0].status.podIP}}'):{port}",
                        quoted(selector)
                    )]);
                }
                road => road.name(),
            };
            return Some(vec![format!("{variable}=$(sed -n 's/^{name}  *//p' {TOLD})")]);
        }
        // The pod of a session is not to be found by what all installations have.
        let told = matches!(self.world().way(road), Some(Way::Pods));
        if told || (road == Road::Direct && about) || self.world().goes_by_objects(road) {
            return None;
        }
        let scheme = if road == Road::BalancerTls { "https" } else { "http" };
        Some(vec![
            format!(
                "{kubectl} port-forward \"$({kubectl} get pods -l {} -o name | head -n 1)\" {port}:{port} &",
                quoted(selector)
            ),
            format!("{variable}={scheme}://127.0.0.1:{port}"),
        ])
    }

    /// What curl needs on a road: patience while a way through the API server comes to be, and what certificates
    /// it takes.
    fn curl_flags(&self, road: Road) -> String {
        match (self.platform, self.address(road)) {
            (Platform::Embedded, _) => String::new(),
            (_, Some(_)) => self.shared.flags.curl.clone(),
            // The certificate is of the name, and this goes to an address.
            (_, None) if road == Road::BalancerTls => " --retry 9 --retry-connrefused -k".to_owned(),
            (_, None) => " --retry 9 --retry-connrefused".to_owned(),
        }
    }

    /// The road of the session API.
    fn api_road(&self) -> Road {
        api_road(|road| !matches!(self.world().way(road), Some(Way::None)))
    }

    /// A call of the session API, without method and address.
    fn api_call(&self) -> String {
        let flags = self.curl_flags(self.api_road());
        format!("curl -s{flags} -H \"Authorization: Bearer $MASTER_KEY\"")
    }

    fn sessions(&self) -> String {
        format!("$API{}/sessions", self.world().name("api.path"))
    }

    /// The lines that make a session, and wait until it is made.
    fn session_lines(&self) -> Option<Vec<String>> {
        let mut lines = self.door("API", self.api_road(), false)?;
        let (call, sessions, id) = (self.api_call(), self.sessions(), field("id"));
        let agents = format!("$API{}/agents", self.world().name("api.path"));
        let agent = match self.context.agent.get() {
            Some(agent) if agent.chosen.is_some() => format!("AGENT={}", quoted(&agent.id)),
            _ => format!("AGENT=$({call} \"{agents}\" | {id})"),
        };
        lines.extend([
            agent,
            format!(
                "SESSION=$({call} -X POST -H 'Content-Type: application/json' -d '{{}}' \"{agents}/$AGENT/session\" | {id})"
            ),
            format!(
                "while {call} \"{sessions}/$SESSION\" | grep -q '\"status\": *\"creating\"'; do sleep 1; done"
            ),
        ]);
        Some(lines)
    }

    /// Puts `$SESSION` in the place of the session that a command is about; tells whether it is about one.
    fn session(&self, command: &mut String) -> bool {
        let sessions = self.context.sessions_left();
        for id in &sessions {
            let part = format!("/sessions/{id}");
            if command.contains(&part) {
                *command = command.replace(&part, "/sessions/$SESSION");
                return true;
            }
        }
        self.curl.road == Road::Direct && !sessions.is_empty()
    }

    /// Puts variables in the place of JWTs. Gives their names, and the lines that fill them.
    fn tokens(&self, command: &mut String) -> (Vec<String>, Vec<String>) {
        let (mut names, mut lines) = (Vec::new(), Vec::new());
        for made in self.context.tokens() {
            for (kind, text, part) in [
                ("JWT", &made.token, ""),
                ("SIGNATURE", &made.signature, " | cut -d . -f 3"),
            ] {
                if text.is_empty() || !command.contains(text.as_str()) {
                    continue;
                }
                let name = match names.len() {
                    0 => kind.to_owned(),
                    more => format!("{kind}_{}", more + 1),
                };
                *command = command.replace(text.as_str(), &format!("${{{name}}}"));
                lines.push(format!("{name}=$({}{part})", made.command));
                names.push(name);
            }
        }
        (names, lines)
    }
}

/// Takes the first text of a name from JSON.
fn field(name: &str) -> String {
    format!("grep -o '\"{name}\": *\"[^\"]*\"' | head -n 1 | cut -d '\"' -f 4")
}

/// The variables that a shell fills in within double quotes: `$NAME` and `${NAME}`, not `\$NAME`.
fn variables(command: &str) -> BTreeSet<String> {
    let of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let mut found = BTreeSet::new();
    let mut rest = command;
    while let Some(at) = rest.find(['\\', '$']) {
        let behind = &rest[at + 1..];
        if rest[at..].starts_with('\\') {
            let mut escaped = behind.chars();
            escaped.next();
            rest = escaped.as_str();
            continue;
        }
        let name: String = behind.trim_start_matches('{').chars().take_while(of_name).collect();
        if !name.is_empty() {
            found.insert(name);
        }
        rest = behind;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_a_shell_fills_in() {
        let command = r#"curl -H "a: $MASTER_KEY" -d "\$NOT \\$YES" "$DOOR/x?token=${JWT}x""#;
        let found: Vec<String> = variables(command).into_iter().collect();
        assert_eq!(found, ["DOOR", "JWT", "MASTER_KEY", "YES"]);
    }
}
