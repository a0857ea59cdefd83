//! The reference platform's agent service behind a gateway, for the HTTP side of a load.

use serde_json::json;

use super::door::NotReady;
use super::http::{AGENTS_PATH, HttpGateway, bad_jwt, site};
use super::platform::Platform;
use crate::cli::process::Process;
use crate::load::http::Models;
use crate::platform::Mutant;
use crate::redact::{Redactor, Secret};
use crate::steps::jwt::{make, now};
use crate::vocabulary::Contract;

/// An agent service that is up, and the tokens with which it is asked.
pub struct AgentService {
    platform: Platform,
    gateway: HttpGateway,
    pub models: Models,
}

impl AgentService {
    /// Starts it with those of the defects that are of its contract.
    pub async fn start(
        gateway: HttpGateway,
        mutants: &[&Mutant],
        process: &Process,
        redactor: &Redactor,
    ) -> Result<AgentService, NotReady> {
        let contract = format!("{}/", Contract::AgentService.name());
        let mut mutants = mutants.to_vec();
        mutants.retain(|mutant| mutant.row.starts_with(&contract));
        let secret = redactor.plant("JWT_SECRET");
        let jwt = token("REGULAR", "GOOD_JWT", &secret, redactor)?;
        let inactive = token("INACTIVE", "INACTIVE_JWT", &secret, redactor)?;
        let bad = bad_jwt("GOOD_JWT", &jwt, redactor)?;
        let binary = process.binary.as_ref().map_err(String::clone)?;
        let platform = Platform::of_agents(binary, &secret, gateway.name(), &mutants).await?;
        // It is on loopback, and nobody else's.
        let site = match site("--http-gateway", &platform.address, AGENTS_PATH, false).await {
            Ok(site) => site,
            Err(why) => {
                platform.end().await;
                return Err(why);
            }
        };
        Ok(AgentService {
            platform,
            gateway,
            models: Models {
                site,
                jwt: jwt.expose().to_owned(),
                bad: bad.expose().to_owned(),
                inactive: Some(inactive.expose().to_owned()),
            },
        })
    }

    /// In words.
    pub fn what(&self) -> String {
        format!("the reference platform's behind {}", self.gateway.name())
    }

    /// Ends it, and the gateway before it.
    pub async fn end(self) {
        self.platform.end().await;
    }
}

/// A token of a user with this role.
fn token(role: &str, name: &str, secret: &Secret, redactor: &Redactor) -> Result<Secret, NotReady> {
    let failed = |error: &dyn std::fmt::Display| format!("making a JWT of role {role}: {error}");
    let arguments = serde_json::from_value(json!({ "jwt": role })).map_err(|error| failed(&error))?;
    let made = make(arguments, secret.expose(), now()).map_err(|error| failed(&error))?;
    let token = made["token"].as_str().unwrap_or_default();
    Ok(redactor.add(name, token).map_err(|error| failed(&error))?)
}
