//! The secrets of an installation: from the environment, from files, or from its own Secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;

use super::InstallationError;
use crate::profile::Profile;
use crate::profile::secret_source::{Needed, SecretSource};

/// What a run needs to know.
pub struct Secrets {
    /// The token that terminals take.
    pub token: String,
    /// The session API's key.
    pub master_key: String,
}

/// Secrets that a profile says the source of.
#[derive(Clone)]
pub(super) struct Given(BTreeMap<Needed, (SecretSource, String)>);

impl Given {
    /// Reads all that the profile says the source of.
    ///
    /// # Errors
    /// A source that has none: in words.
    pub fn read(profile: &Profile, variable: &dyn Fn(&str) -> Option<String>) -> Result<Given, String> {
        let mut given = BTreeMap::new();
        for (needed, source) in &profile.secrets {
            let secret = source
                .read(variable)
                .map_err(|why| format!("reading the {} from {source}: {why}", needed.name()))?;
            given.insert(*needed, (source.clone(), secret));
        }
        Ok(Given(given))
    }

    /// Where a secret came from.
    pub fn source(&self, needed: Needed) -> Option<&SecretSource> {
        self.0.get(&needed).map(|(source, _)| source)
    }

    pub fn is_complete(&self) -> bool {
        Needed::ALL.iter().all(|needed| self.0.contains_key(needed))
    }

    /// Only where nothing is left that a cluster would have to tell.
    pub fn complete(self) -> Result<Given, String> {
        match Needed::ALL.iter().find(|needed| !self.0.contains_key(needed)) {
            None => Ok(self),
            Some(needed) => Err(format!(
                "the profile says nothing of where the {0} comes from, and there is no cluster to ask; \
                 give it `secrets: {{ {0}: {{ env: NAME }} }}`",
                needed.name()
            )),
        }
    }

    /// With what the installation's Secret has now.
    pub async fn with_those_of(
        &self,
        client: &kube::Client,
        namespace: &str,
        names: &BTreeMap<String, String>,
    ) -> Result<Secrets, InstallationError> {
        let name = |of: &str| names.get(of).cloned().unwrap_or_default();
        let secret = name("secret.name");
        let data = match self.is_complete() {
            true => BTreeMap::new(),
            false => Api::<KubeSecret>::namespaced(client.clone(), namespace)
                .get(&secret)
                .await
                .map_err(|error| match error {
                    kube::Error::Api(status) if status.code == 404 => InstallationError::Secret(format!(
                        "there is no secret {secret} in namespace {namespace}; `secret.name` of a profile says what it \
                         is called, `--namespace` where it is"
                    )),
                    error => {
                        let doing = format!("reading the secret {secret} in namespace {namespace}");
                        InstallationError::asking(doing, error)
                    }
                })?
                .data
                .unwrap_or_default(),
        };
        let of = |needed: Needed, key: &str| -> Result<String, InstallationError> {
            if let Some((_, given)) = self.0.get(&needed) {
                return Ok(given.clone());
            }
            let key = name(key);
            let Some(value) = data.get(&key).filter(|value| !value.0.is_empty()) else {
                return Err(InstallationError::Secret(format!(
                    "the secret {secret} in namespace {namespace} has no {key}, where the {0} is to come from; the \
                     profile says what it is called (`names`), or where else it comes from (`secrets: {{ {0}: {{ \
                     env: NAME }} }}`)",
                    needed.name()
                )));
            };
            String::from_utf8(value.0.clone())
                .map_err(|_| InstallationError::Secret(format!("{key} of the secret {secret} is no text")))
        };
        Ok(Secrets {
            token: of(Needed::Token, "secret.key")?,
            master_key: of(Needed::MasterKey, "secret.master-key")?,
        })
    }
}
