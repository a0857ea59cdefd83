//! The lines that fill variables with secrets.

use super::{Request, field};
use crate::profile::operations::Operation;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::steps::shell::quoted;
use crate::world::operations::Operations;

impl Request<'_> {
    /// The line that fills a variable with a secret.
    pub(super) fn filled(&self, variable: &str) -> String {
        let (needed, secret, key, export) = match variable {
            "HARNESS_AUTH_TOKEN" => (Needed::Token, "secret.name", "secret.key", ""),
            "MASTER_KEY" => (Needed::MasterKey, "secret.name", "secret.master-key", ""),
            "AUTH_JWT_SECRET" => (Needed::JwtSecret, "jwt.secret-name", "jwt.secret-key", "export "),
            "LITELLM_MASTER_KEY" => (Needed::LitellmKey, "litellm.key-secret", "litellm.secret-key", ""),
            "LITELLM_API_KEY" => return self.filled_of_agent(variable, "litellm-key"),
            "RUNTIME_TOKEN" => return self.filled_of_agent(variable, "token"),
            // One that the scenario made up.
            _ => return format!("{variable}=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \\n')"),
        };
        let installation = self.world().installation();
        match installation.and_then(|installation| installation.source(needed)) {
            Some(SecretSource::Env(name)) if name == variable => format!("# {variable} is set already"),
            Some(SecretSource::Env(name)) => format!("{export}{variable}=\"${name}\""),
            Some(SecretSource::File(file)) => {
                format!("{export}{variable}=$(cat {})", quoted(&file.display().to_string()))
            }
            None => match self.reads_secret() {
                Some(words) => {
                    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                    let field = field(self.world().name(key));
                    format!("{export}{variable}=$({} | {field})", words.join(" "))
                }
                None => format!(
                    "{export}{variable}=$({} get secret {} -o jsonpath='{{.data.{}}}' | base64 -d)",
                    self.kubectl(),
                    self.world().name(secret),
                    self.world().name(key)
                ),
            },
        }
    }

    /// The profile's command that prints secrets, if there is one.
    fn reads_secret(&self) -> Option<&[String]> {
        match self.world().operations() {
            Operations::Commands(commands) => commands.words(Operation::ReadSecret),
            Operations::Kubernetes | Operations::None => None,
        }
    }

    /// The same of what a codex agent has in a secret of its own.
    fn filled_of_agent(&self, variable: &str, secret: &str) -> String {
        let name = |of: &str| self.world().name(of);
        format!(
            "{variable}=$({} get secret {}{}-{secret} -o jsonpath='{{.data.{variable}}}' | base64 -d)",
            self.kubectl(),
            name("agent.prefix"),
            name("agent.name"),
        )
    }
}
