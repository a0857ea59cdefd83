//! Web's source of the token: only its environment at start.
//! The other ways stand here for the mutants.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};

use super::super::objects::{Sandbox, TOKEN};
use super::super::records::Records;
use super::super::{ComponentError, Pod, mutant};

/// The platform's token, as web knows it.
pub struct TokenSource {
    pod: Pod,
    token: Option<String>,
    /// What the mutant `previous-token-accepted` remembers.
    previous: Option<String>,
    /// The token of the web before this one, where a mutant takes something over from it.
    inherited: Option<String>,
    secrets: Api<Secret>,
    sandboxes: Api<Sandbox>,
}

impl TokenSource {
    pub async fn new(pod: &Pod, client: kube::Client, records: &Records) -> Result<TokenSource, ComponentError> {
        let namespace = pod.namespace(&client);
        let mut source = TokenSource {
            token: pod.var(TOKEN).filter(|token| !token.is_empty()).map(str::to_owned),
            previous: None,
            inherited: None,
            secrets: Api::namespaced(client.clone(), &namespace),
            sandboxes: Api::namespaced(client, &namespace),
            pod: pod.clone(),
        };
        if pod.has(&mutant::PREVIOUS_TOKEN_ACCEPTED) {
            let current = source.token.clone().unwrap_or_default();
            source.previous = records.swap("web-token", &current).await.map_err(failed)?;
            source.previous = source
                .previous
                .filter(|previous| !previous.is_empty() && *previous != current);
        }
        if pod.has(&mutant::ACCEPTED_TOKENS_INHERITED) || pod.has(&mutant::START_OVERRUN_OPENS) {
            let current = source.token.clone().unwrap_or_default();
            source.inherited = records.swap("web-token", &current).await.map_err(failed)?;
        }
        if pod.has(&mutant::ONE_REPLICA_STALE) {
            let current = source.token.clone().unwrap_or_default();
            let before = records.swap("web-token", &current).await.map_err(failed)?;
            source.token = before.filter(|before| !before.is_empty()).or(source.token);
        }
        if pod.has(&mutant::WEB_REMEMBERS_TOKEN) {
            let current = source.token.clone().unwrap_or_default();
            if let Some(first) = records.swap("web-token", &current).await.map_err(failed)? {
                records.swap("web-token", &first).await.map_err(failed)?;
                source.token = Some(first).filter(|first| !first.is_empty());
            }
        }
        Ok(source)
    }

    /// The token that web has.
    pub fn at_start(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub fn previous(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    pub fn inherited(&self) -> Option<&str> {
        self.inherited.as_deref()
    }

    /// The token for what is done now: that of the start.
    pub async fn now(&self) -> Option<String> {
        if self.pod.has(&mutant::WEB_FOLLOWS_SECRET) {
            let secret = self
                .secrets
                .get_opt(self.pod.var_or("SECRET_NAME", "litellm-env"))
                .await
                .ok()
                .flatten()?;
            let value = secret.data?.remove(self.pod.var_or("TOKEN_KEY", TOKEN))?;
            return String::from_utf8(value.0).ok().filter(|token| !token.is_empty());
        }
        self.token.clone()
    }

    /// The token for a new sandbox: the same.
    pub async fn for_sandbox(&self) -> Option<String> {
        if self.pod.has(&mutant::NEW_SESSION_OLD_TOKEN)
            && let Ok(mut sandboxes) = self.sandboxes.list(&ListParams::default()).await
        {
            sandboxes
                .items
                .sort_by_key(|sandbox| sandbox.metadata.creation_timestamp.clone());
            if let Some(token) = sandboxes.items.first().and_then(Sandbox::token) {
                return Some(token);
            }
        }
        self.now().await
    }
}

fn failed(error: kube::Error) -> ComponentError {
    ComponentError(format!("can't remember the token: {error}"))
}
