//! LiteLLM's models, requested with the service's own key.

use std::error::Error;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json as value};

use super::super::backends::Backends;
use super::super::http::{Body, Refusal, error, json};
use super::super::{ComponentError, Pod, mutant};

/// How long LiteLLM may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest list that it may give.
const MAX_LIST: usize = 1 << 20;

/// Where the models are.
pub struct Models {
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
    source: Source,
    authorization: String,
    pod: Pod,
}

enum Source {
    At(Uri),
    /// Where no name of a service means anything: the pods that are it.
    Pods(Backends),
}

impl Source {
    fn new(pod: &Pod) -> Result<Source, ComponentError> {
        if let Some(selector) = pod.var("LITELLM_SELECTOR") {
            let port = pod.number("LITELLM_PORT", 4000u16)?;
            let target = value!([{ "path_prefix": "/", "selector": selector, "port": port }]);
            return Ok(Source::Pods(Backends::new(pod, &target.to_string())?));
        }
        let base = pod.var_or("LITELLM_BASE_URL", "");
        let uri = format!("{}/models", base.trim_end_matches('/')).parse();
        let uri = uri.ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"));
        let wrong = || format!("LITELLM_BASE_URL is not an address such as http://litellm:4000: {base:?}");
        uri.map(Source::At).ok_or_else(|| ComponentError(wrong()))
    }

    async fn uri(&self, pod: &Pod) -> Result<Uri, Box<dyn Error + Send + Sync>> {
        match self {
            Source::At(uri) => Ok(uri.clone()),
            Source::Pods(backends) => {
                let addresses = backends.find(pod, "/models").await.unwrap_or_default();
                let (ip, port) = addresses.first().ok_or("none of its pods is ready")?;
                Ok(format!("http://{ip}:{port}/models").parse()?)
            }
        }
    }
}

impl Models {
    pub fn new(pod: &Pod) -> Result<Models, ComponentError> {
        Ok(Models {
            client: Client::builder(TokioExecutor::new()).build_http(),
            source: Source::new(pod)?,
            authorization: format!("Bearer {}", pod.var_or("LITELLM_MASTER_KEY", "")),
            pod: pod.clone(),
        })
    }

    /// Follows its pods, where it has to.
    pub async fn follow(&self) -> Result<(), ComponentError> {
        match &self.source {
            Source::At(_) => std::future::pending().await,
            Source::Pods(backends) => backends.follow(&self.pod).await,
        }
    }

    /// LiteLLM's own list; 502 where there is none to be had. What went wrong is the log's: the answer
    /// would tell strangers of the inside (CWE-209).
    pub async fn list(&self) -> Result<Response<Body>, Refusal> {
        let why = match tokio::time::timeout(PATIENCE, self.ask()).await {
            Ok(Ok(list)) if self.pod.has(&mutant::MODELS_BARE_LIST) => return Ok(json(StatusCode::OK, &list["data"])),
            Ok(Ok(list)) => return Ok(json(StatusCode::OK, &list)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        self.pod.log.line(format!("asking LiteLLM for its models: {why}"));
        if self.pod.has(&mutant::DOWN_IS_EMPTY) {
            return Ok(json(StatusCode::OK, &value!({ "object": "list", "data": [] })));
        }
        if self.pod.has(&mutant::KEY_IN_ERROR_BODY) {
            let asked = format!("{why}: GET /models, Authorization: {}", self.authorization);
            return Err(error(StatusCode::BAD_GATEWAY, &asked));
        }
        Err(error(StatusCode::BAD_GATEWAY, "Bad Gateway"))
    }

    async fn ask(&self) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let mut asked = Request::get(self.source.uri(&self.pod).await?);
        if !self.pod.has(&mutant::MODELS_WITHOUT_KEY) {
            asked = asked.header(AUTHORIZATION, &self.authorization);
        }
        let asked = asked.body(Empty::new())?;
        let answer = self.client.request(asked).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answered {}", answer.status()).into());
        }
        let list = Limited::new(answer.into_body(), MAX_LIST).collect().await?;
        Ok(serde_json::from_slice(&list.to_bytes())?)
    }
}
