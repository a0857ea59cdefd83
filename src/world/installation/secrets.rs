//! The secrets of an installation: from the environment, from files, or from its own Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::Api;

use super::{Installation, InstallationError};
use crate::profile::Profile;
use crate::profile::operations::Operation;
use crate::profile::secret_source::{Needed, SecretReadError, SecretSource};
use crate::vocabulary::Contract;

/// The secrets that a run needs; empty for those its contract doesn't have.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The token that terminals take.
    pub token: String,
    /// The session API's key; for the agent service LiteLLM's, which a platform needs not show: empty
    /// where it is unknown.
    pub master_key: String,
    /// The JWT signing secret.
    pub jwt_secret: String,
}

/// Why a secret of an installation is not known. What to do is the user's: in the profile, in the environment, or with
/// a flag.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("reading the {} from {from}: {source}", needed.name())]
    Given {
        needed: Needed,
        from: SecretSource,
        source: SecretReadError,
    },
    #[error(
        "the profile gives no source for the {missing}, and there is no cluster to read it from; add \
         `secrets: {{ {missing}: {{ env: NAME }} }}` to it"
    )]
    NoSource { missing: &'static str },
    #[error(
        "there is no secret {secret} in namespace {namespace}; set its name as `{name}` in the profile, or its \
         namespace with `--namespace`"
    )]
    NoSecret {
        secret: String,
        namespace: String,
        /// What a profile calls it.
        name: String,
    },
    #[error(
        "the secret {secret}{} has no {key}, which should hold the {of}; set its name in the profile (`names`), or \
         another source (`secrets: {{ {of}: {{ env: NAME }} }}`)",
        place(namespace),
        of = needed.name()
    )]
    NoKey {
        secret: String,
        /// Empty without a cluster.
        namespace: String,
        key: String,
        needed: Needed,
    },
    #[error("{key} of the secret {secret} is not text")]
    NoText { key: String, secret: String },
}

/// Where a Secret is; nothing without a cluster.
fn place(namespace: &str) -> String {
    match namespace {
        "" => String::new(),
        namespace => format!(" in namespace {namespace}"),
    }
}

/// Secrets that a profile says the source of.
#[derive(Clone)]
pub(super) struct Given(BTreeMap<Needed, (SecretSource, String)>);

impl Given {
    /// Reads all that the profile says the source of.
    ///
    /// # Errors
    /// A source that has none.
    pub fn read(profile: &Profile, variable: &dyn Fn(&str) -> Option<String>) -> Result<Given, SecretError> {
        let mut given = BTreeMap::new();
        for (needed, source) in &profile.secrets {
            let secret = source.read(variable).map_err(|error| SecretError::Given {
                needed: *needed,
                from: source.clone(),
                source: error,
            })?;
            given.insert(*needed, (source.clone(), secret));
        }
        Ok(Given(given))
    }

    /// Where a secret came from.
    pub fn source(&self, needed: Needed) -> Option<&SecretSource> {
        self.0.get(&needed).map(|(source, _)| source)
    }

    /// Whether all of them are given.
    pub fn has(&self, all: &[Needed]) -> bool {
        all.iter().all(|needed| self.0.contains_key(needed))
    }

    fn get(&self, needed: Needed) -> Option<String> {
        self.0.get(&needed).map(|(_, secret)| secret.clone())
    }
}

impl Installation {
    /// The secrets of a contract as they are now.
    pub async fn secrets(
        &self,
        names: &BTreeMap<String, String>,
        contract: Contract,
    ) -> Result<Secrets, InstallationError> {
        match contract {
            Contract::HarnessToken => self.secrets_of_terminals(names).await,
            Contract::AgentService => self.secrets_of_agents(names).await,
            Contract::CodexAuth => self.secrets_of_codex(names).await,
        }
    }

    async fn secrets_of_terminals(&self, names: &BTreeMap<String, String>) -> Result<Secrets, InstallationError> {
        let kept = match self.reads_secret() {
            true => self.kept(names, "secret.name", &Needed::OF_TERMINALS).await?,
            false => Kept::default(),
        };
        let of = |needed, key| match self.given.get(needed) {
            Some(given) => Ok(given),
            None => kept.value(names, key, needed, &self.namespace),
        };
        Ok(Secrets {
            token: of(Needed::Token, "secret.key")?,
            master_key: of(Needed::MasterKey, "secret.master-key")?,
            jwt_secret: String::new(),
        })
    }

    async fn secrets_of_agents(&self, names: &BTreeMap<String, String>) -> Result<Secrets, InstallationError> {
        let given = |needed| self.given.get(needed);
        let (jwt_secret, litellm_key) = match (given(Needed::JwtSecret), given(Needed::LitellmKey)) {
            (Some(jwt_secret), litellm_key) => (jwt_secret, litellm_key),
            (None, litellm_key) => {
                let kept = self.kept(names, "jwt.secret-name", &[Needed::JwtSecret]).await?;
                let of = |needed, key| kept.value(names, key, needed, &self.namespace);
                let jwt_secret = of(Needed::JwtSecret, "jwt.secret-key")?;
                // Nobody has to know it but LiteLLM and the service.
                (
                    jwt_secret,
                    litellm_key.or_else(|| of(Needed::LitellmKey, "litellm.secret-key").ok()),
                )
            }
        };
        Ok(Secrets {
            token: String::new(),
            master_key: litellm_key.unwrap_or_default(),
            jwt_secret,
        })
    }

    /// LiteLLM's key and an agent's, each empty if it is not known.
    async fn secrets_of_codex(&self, names: &BTreeMap<String, String>) -> Result<Secrets, InstallationError> {
        let name = |of: &str| names.get(of).cloned().unwrap_or_default();
        let of_agent = format!("{}{}-litellm-key", name("agent.prefix"), name("agent.name"));
        let master_key = match self.given.get(Needed::LitellmKey) {
            Some(given) => given,
            None => {
                self.value_of(&name("litellm.key-secret"), &name("litellm.secret-key"))
                    .await?
            }
        };
        Ok(Secrets {
            token: self.value_of(&of_agent, "LITELLM_API_KEY").await?,
            master_key,
            jwt_secret: String::new(),
        })
    }

    /// A key of a Secret of the cluster; empty if there is none.
    async fn value_of(&self, secret: &str, key: &str) -> Result<String, InstallationError> {
        if !self.has_cluster {
            return Ok(String::new());
        }
        let secrets: Api<KubeSecret> = Api::namespaced(self.client.clone(), &self.namespace);
        let doing = || format!("reading the secret {secret} in namespace {}", self.namespace);
        let read = secrets
            .get_opt(secret)
            .await
            .map_err(|error| InstallationError::asking(doing(), error))?;
        let value = read.and_then(|read| read.data?.remove(key));
        Ok(value
            .and_then(|value| String::from_utf8(value.0).ok())
            .unwrap_or_default())
    }

    /// The Secret of that name, where there is a cluster to ask for what is not given.
    async fn kept(
        &self,
        names: &BTreeMap<String, String>,
        name: &str,
        wanted: &[Needed],
    ) -> Result<Kept, InstallationError> {
        if let Some(commands) = self
            .commands
            .as_ref()
            .filter(|commands| commands.has(Operation::ReadSecret))
        {
            let keys = commands.keys().await?.into_iter();
            return Ok(Kept {
                secret: "that `read-secret` prints".to_owned(),
                data: keys.map(|(key, value)| (key, value.into_bytes())).collect(),
            });
        }
        if !self.has_cluster {
            let missing = wanted.iter().find(|needed| !self.given.has(&[**needed]));
            let missing = missing.map_or("secret", |needed| needed.name());
            return Err(SecretError::NoSource { missing }.into());
        }
        let secret = names.get(name).cloned().unwrap_or_default();
        let namespace = &self.namespace;
        let read = Api::<KubeSecret>::namespaced(self.client.clone(), namespace)
            .get(&secret)
            .await;
        match read {
            Ok(read) => Ok(Kept {
                secret,
                data: read
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, value.0))
                    .collect(),
            }),
            Err(kube::Error::Api(status)) if status.code == 404 => Err(SecretError::NoSecret {
                secret,
                namespace: namespace.clone(),
                name: name.to_owned(),
            }
            .into()),
            Err(error) => {
                let doing = format!("reading the secret {secret} in namespace {namespace}");
                Err(InstallationError::asking(doing, error))
            }
        }
    }
}

/// The data of a Secret in the cluster.
#[derive(Default)]
struct Kept {
    secret: String,
    data: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    fn value(
        &self,
        names: &BTreeMap<String, String>,
        key: &str,
        needed: Needed,
        namespace: &str,
    ) -> Result<String, InstallationError> {
        let (key, secret) = (names.get(key).cloned().unwrap_or_default(), &self.secret);
        let Some(value) = self.data.get(&key).filter(|value| !value.is_empty()) else {
            return Err(SecretError::NoKey {
                secret: secret.clone(),
                namespace: namespace.to_owned(),
                key,
                needed,
            }
            .into());
        };
        // Not why: the error holds the value.
        String::from_utf8(value.clone()).map_err(|_| {
            let secret = secret.clone();
            SecretError::NoText { key, secret }.into()
        })
    }
}
