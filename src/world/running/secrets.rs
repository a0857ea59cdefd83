//! The Secrets that a world of our own is given before its platform.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::json;

use super::{World, WorldError};
use crate::vocabulary::{AgentState, SecretState};

impl World {
    pub(super) async fn create_token_secret(&self, state: SecretState) -> Result<(), WorldError> {
        let master_key = (self.values.master_key_key.as_str(), self.master_key.as_str());
        let token = (self.values.token_key.as_str(), self.token.as_str());
        match state {
            SecretState::Absent => Ok(()),
            SecretState::WithoutToken => self.create_secret(&self.values.secret, &[master_key]).await,
            SecretState::WithToken => self.create_secret(&self.values.secret, &[master_key, token]).await,
        }
    }

    pub(super) async fn create_jwt_secret(&self) -> Result<(), WorldError> {
        let jwt_secret = (self.name("jwt.secret-key"), self.jwt_secret.as_str());
        let master_key = (self.name("litellm.secret-key"), self.master_key.as_str());
        self.create_secret(self.name("jwt.secret-name"), &[jwt_secret, master_key])
            .await
    }

    /// LiteLLM's keys, and a codex agent's.
    pub(super) async fn create_codex_secrets(&self, agent: AgentState) -> Result<(), WorldError> {
        let models = match agent {
            AgentState::ForbiddenKey => "gauntlet-small",
            _ => self.name("codex.model"),
        };
        let keys = json!([{ "key": self.token, "models": [models] }]).to_string();
        let master_key = (self.name("litellm.secret-key"), self.master_key.as_str());
        self.create_secret(self.name("litellm.key-secret"), &[master_key, ("VIRTUAL_KEYS", &keys)])
            .await?;
        let of_agent = format!("{}{}", self.name("agent.prefix"), self.name("agent.name"));
        let runtime_token = match agent {
            // A Secret without the key can be given it.
            AgentState::WithoutToken => ("NOTE", "without a token"),
            _ => ("RUNTIME_TOKEN", self.jwt_secret.as_str()),
        };
        self.create_secret(&format!("{of_agent}-token"), &[runtime_token])
            .await?;
        if matches!(
            agent,
            AgentState::WithKey | AgentState::ForbiddenKey | AgentState::WithoutToken
        ) {
            let key = ("LITELLM_API_KEY", self.token.as_str());
            self.create_secret(&format!("{of_agent}-litellm-key"), &[key]).await?;
        }
        Ok(())
    }

    async fn create_secret(&self, name: &str, data: &[(&str, &str)]) -> Result<(), WorldError> {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
        let secret = KubeSecret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data.iter().map(entry).collect()),
            ..KubeSecret::default()
        };
        let secrets: Api<KubeSecret> = Api::namespaced(self.kubernetes.clone(), &self.namespace);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(source) => Err(WorldError::Secret {
                name: name.to_owned(),
                source: Box::new(source),
            }),
        }
    }
}
