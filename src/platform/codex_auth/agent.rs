//! A codex agent whose models are LiteLLM's (`cloud-codex-NAME`): writes what codex is told, then idles.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `AGENT_NAME` | | whose runtime token it is |
//! | `STATE_DIR`, `HOME` | `/state` | the agent's volume, and the folder with `.codex` |
//! | `LITELLM_BASE_URL` | `http://litellm:4000/v1` | where codex sends its calls |
//! | `LITELLM_API_KEY` | | read by codex itself; without it model calls get 401 |
//! | `CODEX_MODEL` | `gpt-5-codex` | |
//! | `RUNTIME_TOKEN` | | required |
//! | `CODEX_BIN_DIR` | | where `codex` is put, as in `codex-cli` |
//!
//! What is on the volume from an earlier boot is written anew: an old config would go on sending calls where
//! they went then. No login is needed, and none is waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::super::{ComponentError, Pod, mutant};
use super::folder::{Folder, PRIVATE};
use super::install;
use super::toml::quoted;

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let required = |name: &str| {
        let value = pod.var(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| ComponentError(format!("{name} is not set, and the agent can't do without it")))
    };
    let name = required("AGENT_NAME")?;
    if !is_name(name) {
        return Err(ComponentError(format!(
            "AGENT_NAME is {name:?}, and must be a name as of a pod"
        )));
    }
    let token = match pod.has(&mutant::AGENT_TOKEN_OPTIONAL) {
        true => pod.var_or("RUNTIME_TOKEN", ""),
        false => required("RUNTIME_TOKEN")?,
    };
    let state = PathBuf::from(pod.var_or("STATE_DIR", "/state"));
    let tokens = state.join(".commonly/tokens");
    let document = json!({ "token": token }).to_string();
    put(
        &pod,
        &tokens,
        &format!("{name}.json"),
        document,
        &mutant::RUNTIME_TOKEN_KEPT,
    )
    .await?;
    let home = Path::new(pod.var_or("HOME", "/state")).join(".codex");
    put(&pod, &home, "config.toml", config(&pod), &mutant::AGENT_CONFIG_KEPT).await?;
    if let Some(folder) = pod.var("CODEX_BIN_DIR").filter(|folder| !folder.is_empty()) {
        let said = install::install(&pod, Path::new(folder))?;
        pod.log.line(format!("agent {name}: {said}"));
    }
    let has_key = pod.var("LITELLM_API_KEY").is_some_and(|key| !key.is_empty());
    if !has_key && !pod.has(&mutant::AGENT_NO_WARNING) {
        pod.log.line(format!(
            "agent {name}: warning: LITELLM_API_KEY is not set: model calls will get 401 until the secret \
             cloud-codex-{name}-litellm-key is there and the pod has been started again"
        ));
    }
    if pod.has(&mutant::AGENT_WAITS_FOR_AUTH_JSON) {
        while !home.join("auth.json").exists() {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = pod.stop.cancelled() => return Ok(()),
            }
        }
    }
    pod.log.line(format!("agent {name}: ready"));
    pod.stop.cancelled().await;
    Ok(())
}

/// A name goes into a path.
fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Writes a file of the volume anew, or, as a mutant, only where there is none.
async fn put(pod: &Pod, folder: &Path, name: &str, text: String, keeps: &mutant::Mutant) -> Result<(), ComponentError> {
    let wrong = |error: std::io::Error| ComponentError(format!("writing {}: {error}", folder.join(name).display()));
    std::fs::create_dir_all(folder).map_err(wrong)?;
    let folder = Folder::at(folder);
    if pod.has(keeps) && folder.has(name) {
        return Ok(());
    }
    folder.replace(name, text.into_bytes(), PRIVATE).await.map_err(wrong)
}

/// What codex is told.
///
/// Seen with codex 0.171.0: with `model_provider` and `env_key` it sends nothing but `POST BASE_URL/responses`,
/// with the key as bearer token. It tries a refused call six times (one that gets 503: thirty times), so the
/// retries are off: each call that a person makes is one call. Without the last lines it also looks for
/// updates, plugins, apps and a place for its metrics on the internet.
fn config(pod: &Pod) -> String {
    let base = match pod.has(&mutant::AGENT_CALLS_VENDOR) {
        true => pod.var_or("CODEX_API_BASE", "http://vendor:9400/backend-api/codex"),
        false => pod.var_or("LITELLM_BASE_URL", "http://litellm:4000/v1"),
    };
    let env_key = match pod.has(&mutant::AGENT_ENV_KEY_WRONG) {
        true => "OPENAI_API_KEY",
        false => "LITELLM_API_KEY",
    };
    let key = match pod.has(&mutant::KEY_IN_CONFIG) {
        true => format!(
            "experimental_bearer_token = {}\n",
            quoted(pod.var_or("LITELLM_API_KEY", ""))
        ),
        false => String::new(),
    };
    format!(
        "model = {model}\n\
         model_provider = \"litellm\"\n\
         check_for_update_on_startup = false\n\
         \n\
         [model_providers.litellm]\n\
         name = \"LiteLLM\"\n\
         base_url = {base}\n\
         wire_api = \"responses\"\n\
         env_key = {env_key}\n\
         {key}\
         request_max_retries = 0\n\
         stream_max_retries = 0\n\
         \n\
         [analytics]\n\
         enabled = false\n\
         \n\
         [features]\n\
         plugins = false\n\
         apps = false\n\
         \n\
         [otel]\n\
         metrics_exporter = \"none\"\n",
        model = quoted(pod.var_or("CODEX_MODEL", "gpt-5-codex")),
        base = quoted(base.trim_end_matches('/')),
        env_key = quoted(env_key),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::pod::tests::pod_at;
    use super::super::toml::texts;
    use super::*;

    #[tokio::test]
    async fn a_boot_writes_anew_and_warns_without_a_key() {
        let volume = tempfile::tempdir().expect("a folder");
        let state = volume.path().to_str().expect("text");
        let env = |key| {
            [
                ("AGENT_NAME", "nova"),
                ("RUNTIME_TOKEN", "cm_agent_1"),
                ("STATE_DIR", state),
                ("HOME", state),
                ("LITELLM_API_KEY", key),
            ]
        };
        let config = volume.path().join(".codex/config.toml");
        fs::create_dir(volume.path().join(".codex")).expect("made");
        fs::write(&config, "model_provider = \"openai\"\n").expect("written");
        for (key, warns) in [("", true), ("sk-1", false)] {
            let (pod, mut log) = pod_at([127, 0, 0, 1], &env(key));
            let stop = pod.stop.clone();
            let agent = tokio::spawn(run(pod));
            let mut warned = false;
            loop {
                let line = log.recv().await.expect("it says that it is ready");
                warned |= line.contains("warning: LITELLM_API_KEY");
                assert!(!line.contains("cm_agent_1"), "{line}");
                if line.ends_with("ready") {
                    break;
                }
            }
            stop.cancel();
            agent.await.expect("no panic").expect("it ends well");
            assert_eq!(warned, warns);
            let texts = texts(&fs::read_to_string(&config).expect("a config"));
            assert_eq!(texts["model_provider"], "litellm");
            assert_eq!(texts["model_providers.litellm.base_url"], "http://litellm:4000/v1");
            assert_eq!(texts["model_providers.litellm.wire_api"], "responses");
            assert_eq!(texts["model_providers.litellm.env_key"], "LITELLM_API_KEY");
        }
        let token = fs::read_to_string(volume.path().join(".commonly/tokens/nova.json")).expect("a token");
        assert_eq!(token, r#"{"token":"cm_agent_1"}"#);
        assert!(!volume.path().join(".codex/auth.json").exists());
    }

    #[tokio::test]
    async fn without_its_token_it_does_not_boot() {
        let refused = run(pod_at([127, 0, 0, 1], &[("AGENT_NAME", "nova")]).0).await;
        assert!(refused.is_err_and(|why| why.to_string().contains("RUNTIME_TOKEN")));
        let env = [("AGENT_NAME", "../x"), ("RUNTIME_TOKEN", "t")];
        assert!(run(pod_at([127, 0, 0, 1], &env).0).await.is_err());
    }
}
