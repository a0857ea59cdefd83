use super::super::finding::{Verdict, found_in, verdicts};
use super::*;

const GOOD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: litellm, labels: { app: litellm } }
spec:
  replicas: 1
  strategy: { type: Recreate }
  template:
    metadata: { labels: { app: litellm } }
    spec:
      initContainers:
        - name: codex-auth-seed
          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth }]
      containers:
        - name: litellm
          readinessProbe: { httpGet: { path: /health/readiness, port: 4000 } }
          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth }]
        - name: codex-auth-rotator
          env: [{ name: CODEX_ROTATION_INTERVAL_SEC, value: "3600" }]
          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth }]
        - name: codex-cli
          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth/ }]
      volumes:
        - { name: chatgpt-auth, persistentVolumeClaim: { claimName: litellm-chatgpt-auth } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: litellm-chatgpt-auth }
spec: { accessModes: [ReadWriteOnce] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: cloud-codex-ada }
spec:
  template:
    spec:
      containers:
        - name: agent
          env:
            - { name: LITELLM_API_KEY, valueFrom: { secretKeyRef: { name: cloud-codex-ada-litellm-key, key: k, optional: true } } }
            - { name: RUNTIME, valueFrom: { secretKeyRef: { name: cloud-codex-ada-token, key: t } } }
          volumeMounts: [{ name: state, mountPath: /state }]
      volumes:
        - { name: state, persistentVolumeClaim: { claimName: cloud-codex-ada-state } }
"#;

fn found(text: &str) -> Vec<Finding> {
    found_in(text, check)
}

/// The failures of the good manifests with one thing changed.
#[track_caller]
fn changed(from: &str, to: &str) -> Vec<(&'static str, String)> {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    let failed = found(&GOOD.replace(from, to)).into_iter();
    let failed = failed.filter(|finding| finding.verdict == Verdict::Fail);
    failed.map(|finding| (finding.rule, finding.problem.message)).collect()
}

/// One failure, of this rule and with this in its message.
#[track_caller]
fn breaks(rule: Rule, from: &str, to: &str, says: &str) {
    let failed = changed(from, to);
    let [(broken, message)] = failed.as_slice() else {
        panic!("not one failure: {failed:?}");
    };
    assert_eq!(*broken, rule.id, "{message}");
    assert!(message.contains(says), "{message}");
}

#[test]
fn good_manifests() {
    for finding in found(GOOD) {
        assert_eq!(finding.verdict, Verdict::Pass, "{}", finding.problem);
    }
    assert_eq!(found(GOOD).len(), 10);
}

#[test]
fn the_cli_as_an_init_container() {
    let cli =
        "        - name: codex-cli\n          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth/ }]\n";
    let without = GOOD.replace(cli, "");
    let as_init = without.replace(
        "      containers:\n        - name: litellm\n",
        &format!("{cli}      containers:\n        - name: litellm\n"),
    );
    let failed: Vec<Finding> = found(&as_init)
        .into_iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].rule, shape::SHAPE.id);
    assert_eq!(
        failed[0].problem.message,
        "codex-cli is an init container: it never ends, so the pod would stay at Init:1/2"
    );
    let sidecar = as_init.replace(
        "- name: codex-cli\n",
        "- name: codex-cli\n          restartPolicy: Always\n",
    );
    assert!(
        found(&sidecar)
            .iter()
            .any(|finding| finding.problem.message.contains("would not hold the pod up"))
    );

    let both = GOOD.replace(
        "      containers:\n        - name: litellm\n",
        &format!("{cli}      containers:\n        - name: litellm\n"),
    );
    let found = found(&both);
    let failed: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].problem.message,
        "codex-cli is among the containers and among the init containers"
    );
    assert!(failed[0].problem.related.is_some());
}

#[test]
fn containers_that_are_missing_or_too_many() {
    let seed = "- name: codex-auth-seed";
    let other = "- name: other\n        - name: codex-auth-seed";
    breaks(shape::SHAPE, seed, other, "init container other isn't in");
    let mounts = "\n          volumeMounts: [{ name: chatgpt-auth, mountPath: /chatgpt-auth }]\n        ";
    let twice = format!("{seed}{mounts}{seed}");
    breaks(shape::SHAPE, seed, &twice, "a second container is called");
    let missing = changed(seed, "- name: codex-auth-sead");
    assert_eq!(missing[0].1, "there is no init container codex-auth-seed");
    assert_eq!(missing[1].1, "an init container codex-auth-sead isn't in the contract");
    let rotator = changed("- name: codex-auth-rotator", "- name: rotator");
    assert!(
        rotator
            .iter()
            .any(|(_, message)| message == "there is no container codex-auth-rotator")
    );
}

#[test]
fn mounts_that_are_missing_or_wrong() {
    let path = "mountPath: /chatgpt-auth/ }";
    breaks(
        shape::MOUNTS,
        path,
        "mountPath: /auth }",
        "codex-cli mounts chatgpt-auth at another path",
    );
    breaks(
        shape::MOUNTS,
        path,
        "mountPath: /chatgpt-auth, subPath: x }",
        "by subPath",
    );
    breaks(
        shape::MOUNTS,
        path,
        "mountPath: /chatgpt-auth, readOnly: true }",
        "read-only",
    );
    breaks(
        shape::MOUNTS,
        path,
        "mountPath: /chatgpt-auth, readOnly: 'true' }",
        "neither true nor false",
    );
    let mount = "[{ name: chatgpt-auth, mountPath: /chatgpt-auth/ }]";
    breaks(shape::MOUNTS, mount, "[]", "codex-cli does not mount");
    breaks(
        shape::MOUNTS,
        mount,
        "[{ name: other, mountPath: /chatgpt-auth }]",
        "another volume",
    );
    breaks(
        shape::MOUNTS,
        "- { name: chatgpt-auth, pers",
        "- { name: other, pers",
        "declares no volume",
    );
}

#[test]
fn the_strategy_fits_the_volume() {
    let strategy = "  strategy: { type: Recreate }\n";
    breaks(storage::STRATEGY, strategy, "", "no strategy");
    breaks(
        storage::STRATEGY,
        strategy,
        "  strategy: { type: RollingUpdate }\n",
        "not Recreate",
    );
    let both = "  strategy: { type: Recreate, rollingUpdate: { maxSurge: 1 } }\n";
    breaks(storage::STRATEGY, strategy, both, "`rollingUpdate` beside");
    assert!(changed(strategy, "  strategy: { type: Recreate, rollingUpdate: null }\n").is_empty());
    let claim = "persistentVolumeClaim: { claimName: litellm-chatgpt-auth }";
    breaks(storage::STRATEGY, claim, "emptyDir: {}", "nothing is kept");
    let rolling = GOOD.replace(claim, "emptyDir: {}").replace(strategy, "");
    assert_eq!(verdicts(&found(&rolling), storage::STRATEGY), [Verdict::Pass]);
}

#[test]
fn the_claim() {
    let modes = "accessModes: [ReadWriteOnce]";
    breaks(
        storage::CLAIM,
        modes,
        "accessModes: [ReadWriteMany]",
        "not ReadWriteOnce",
    );
    breaks(storage::CLAIM, modes, "resources: {}", "no accessModes");
    breaks(
        storage::CLAIM,
        "persistentVolumeClaim: { claimName: litellm-chatgpt-auth }",
        "hostPath: { path: /x }",
        "neither",
    );
    let elsewhere = GOOD.replace(
        "kind: PersistentVolumeClaim\nmetadata: { name: litellm",
        "kind: PersistentVolumeClaim\nmetadata: { name: other",
    );
    assert_eq!(verdicts(&found(&elsewhere), storage::CLAIM), [Verdict::Skip]);
}

#[test]
fn replicas_interval_and_readiness() {
    breaks(REPLICAS, "replicas: 1", "replicas: 2", "`replicas` is the number 2");
    assert!(changed("  replicas: 1\n", "").is_empty());
    for wrong in ["\"0\"", "\"-1\"", "soon", "3600", "\"inf\""] {
        let value = format!("value: {wrong}");
        breaks(INTERVAL, "value: \"3600\"", &value, INTERVAL_VARIABLE);
    }
    assert!(changed("value: \"3600\"", "value: \"0.5\"").is_empty());
    breaks(
        INTERVAL,
        "env: [{ name: CODEX_ROTATION_INTERVAL_SEC, value: \"3600\" }]",
        "env: []",
        "has no variable",
    );
    breaks(READY, "/health/readiness", "/health/liveliness", "/health/liveliness");
    breaks(
        READY,
        "          readinessProbe: { httpGet: { path: /health/readiness, port: 4000 } }\n",
        "",
        "no readinessProbe",
    );
}

#[test]
fn agents_have_a_key_a_token_and_a_state() {
    breaks(agents::KEY, "key: k, optional: true", "key: k", "is not optional");
    let quoted = "neither true nor false";
    breaks(
        agents::KEY,
        "key: k, optional: true",
        "key: k, optional: 'true'",
        quoted,
    );
    breaks(agents::TOKEN, "key: t }", "key: t, optional: 'false' }", quoted);
    breaks(agents::TOKEN, "key: t }", "key: t, optional: yes }", "is optional");
    assert!(changed("key: k, optional: true", "key: k, optional: yes").is_empty());
    breaks(
        agents::KEY,
        "name: cloud-codex-ada-litellm-key",
        "name: shared-key",
        "comes from Secret shared-key",
    );
    let reference = "valueFrom: { secretKeyRef: { name: cloud-codex-ada-litellm-key, key: k, optional: true } }";
    breaks(agents::KEY, reference, "value: hunter2", "is in the manifest");
    breaks(agents::TOKEN, "key: t }", "key: t, optional: true }", "is optional");
    breaks(
        agents::TOKEN,
        "name: cloud-codex-ada-token",
        "name: other-token",
        "nothing refers to",
    );
    breaks(
        agents::STATE,
        "persistentVolumeClaim: { claimName: cloud-codex-ada-state }",
        "emptyDir: {}",
        "not in a Pers",
    );
    breaks(
        agents::STATE,
        "mountPath: /state }",
        "mountPath: /home }",
        "no container mounts",
    );
}

/// As the agent service's platform has it.
#[test]
fn a_litellm_of_another_platform() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: litellm }\n\
                spec: { template: { spec: { containers: [{ name: litellm }] } } }\n";
    assert_eq!(verdicts(&found(text), shape::SHAPE), [Verdict::Skip]);
    assert!(found(text).iter().all(|finding| finding.verdict == Verdict::Skip));
}
