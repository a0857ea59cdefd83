//! The printed instructions for reaching a running platform.

use std::collections::BTreeMap;
use std::path::Path;

use crate::vocabulary::Contract;

/// The names of a platform: `secret.name` → `litellm-env`.
pub type Names = BTreeMap<String, String>;

/// The commands that reach a platform whose doors are at these addresses: that of its API first, and of codex-auth
/// the vendor's behind it. `before` is what the addresses take.
pub fn commands(
    contract: Contract,
    names: &Names,
    kubeconfig: &Path,
    before: &[String],
    addresses: &[String],
) -> String {
    let address = |at: usize| addresses.get(at).map(String::as_str).unwrap_or_default();
    let (address, vendor) = (address(0), address(1));
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
            "# meanwhile, in another terminal, with the code that it shows in the place of CODE:".to_owned(),
            format!("curl -d '{{\"user_code\":\"CODE\",\"account\":\"acct-1\"}}' {vendor}/control/approve"),
            "# and when it has ended:".to_owned(),
            format!(
                "kubectl exec deploy/{} -c {} -- ls -l {}",
                name("litellm.deployment"),
                name("codex.container"),
                name("auth.path")
            ),
            format!(
                "kubectl logs deploy/{} -c {}",
                name("litellm.deployment"),
                name("rotator.container")
            ),
            format!(
                "kubectl exec deploy/{}{} -- codex exec --skip-git-repo-check \"say hello\"",
                name("agent.prefix"),
                name("agent.name")
            ),
            format!("curl {vendor}/control/records"),
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
            &["http://127.0.0.1:8000".to_owned()],
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
