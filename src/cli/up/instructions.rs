//! The printed instructions for reaching a running platform.

use std::collections::BTreeMap;
use std::path::Path;

use crate::vocabulary::Contract;

/// The names of a platform: `secret.name` → `litellm-env`.
pub type Names = BTreeMap<String, String>;

/// The commands that reach a platform whose API is at an address. `before` is what the address takes.
pub fn commands(contract: Contract, names: &Names, kubeconfig: &Path, before: &[String], address: &str) -> String {
    let name = |of: &str| names.get(of).map(String::as_str).unwrap_or_default();
    let read = |variable: &str, secret: &str, key: &str| {
        let (secret, key) = (name(secret), name(key));
        format!("{variable}=$(kubectl get secret {secret} -o jsonpath='{{.data.{key}}}' | base64 -d)")
    };
    let mut lines = vec![
        format!("export KUBECONFIG={}", kubeconfig.display()),
        "kubectl get pods".to_owned(),
    ];
    lines.extend(before.iter().cloned());
    match contract {
        Contract::HarnessToken => lines.extend([
            read("HARNESS_AUTH_TOKEN", "secret.name", "secret.key"),
            read("MASTER_KEY", "secret.name", "secret.master-key"),
            format!(
                "curl -H \"Authorization: Bearer $MASTER_KEY\" {address}{}/agents",
                name("api.path")
            ),
        ]),
        Contract::AgentService => lines.extend([
            format!(
                "export {}",
                read("AUTH_JWT_SECRET", "jwt.secret-name", "jwt.secret-key")
            ),
            format!(
                "curl -i -H \"Authorization: Bearer $(gauntlet jwt REGULAR)\" {address}{}",
                name("agents.path")
            ),
        ]),
        Contract::CodexAuth => lines.extend([
            format!(
                "kubectl exec -it deploy/{} -c {} -- {} 1",
                name("litellm.deployment"),
                name("codex.container"),
                name("login.script")
            ),
            read("LITELLM_MASTER_KEY", "litellm.key-secret", "litellm.secret-key"),
            format!("curl -H \"Authorization: Bearer $LITELLM_MASTER_KEY\" {address}/v1/models"),
        ]),
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// What a person should know before they use `kubectl exec` on a platform of this process.
pub const ON_THIS_MACHINE: &str = "\
`kubectl exec` and `kubectl cp` act on this machine: pods here have no files and processes of their own,
so a command runs as your user, and what it writes, deletes or ends is your machine's.
";

/// A command that keeps a port of this machine leading to a deployment. A port-forward ends with the pod
/// that it leads to, as in a rollout: it is begun again then, until `kill %1`.
pub fn port_forward(deployment: &str, port: &str) -> String {
    format!("while :; do kubectl port-forward deployment/{deployment} {port}:{port}; sleep 1; done &")
}

/// A line for each door, its address behind its name.
pub fn doors(doors: &[(&str, String)]) -> String {
    let width = doors.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, address): &(&str, String)| format!("{name:width$}  {address}\n");
    doors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::names;

    #[test]
    fn what_reaches_an_agent_service() {
        let forward = [port_forward("gateway", "8000")];
        let told = commands(
            Contract::AgentService,
            &names::contract(),
            Path::new("k.yaml"),
            &forward,
            "http://127.0.0.1:8000",
        );
        let want = "  export KUBECONFIG=k.yaml
  kubectl get pods
  while :; do kubectl port-forward deployment/gateway 8000:8000; sleep 1; done &
  export AUTH_JWT_SECRET=$(kubectl get secret agent-service-env -o jsonpath='{.data.AUTH_JWT_SECRET}' | base64 -d)
  curl -i -H \"Authorization: Bearer $(gauntlet jwt REGULAR)\" http://127.0.0.1:8000/api/agents
";
        assert_eq!(told, want);
        let doors = doors(&[("nginx", "http://a".into()), ("service", "http://b".into())]);
        assert_eq!(doors, "nginx    http://a\nservice  http://b\n");
    }
}
