use super::*;

use futures_util::SinkExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachedProcess, TerminalSize};

async fn with_pod() -> (Cluster, Api<Pod>) {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let mut shell = pod("shell", &["wait"]);
    shell["spec"]["containers"][0]["env"] = json!([{ "name": "TOKEN", "value": "a b" }]);
    create(&pods, shell).await;
    running(&pods, "shell").await;
    (cluster, pods)
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    tokio::time::timeout(LIMIT, from.unwrap().read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    text
}

async fn status(process: &mut AttachedProcess) -> Status {
    let status = process.take_status().unwrap();
    tokio::time::timeout(LIMIT, status).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_command_has_the_environment_and_says_how_it_ended() {
    let (cluster, pods) = with_pod().await;
    let both = AttachParams::default();
    let mut process = pods
        .exec(
            "shell",
            ["sh", "-c", "echo \"$TOKEN in $HOSTNAME\"; echo no >&2; exit 3"],
            &both,
        )
        .await
        .unwrap();
    assert_eq!(read(process.stdout()).await, "a b in shell\n");
    assert_eq!(read(process.stderr()).await, "no\n");
    let ended = status(&mut process).await;
    assert_eq!(ended.reason.as_deref(), Some("NonZeroExitCode"));
    let cause = &ended.details.unwrap().causes.unwrap()[0];
    assert_eq!(
        (cause.reason.as_deref(), cause.message.as_deref()),
        (Some("ExitCode"), Some("3"))
    );

    let mut process = pods.exec("shell", ["env"], &both).await.unwrap();
    let env = read(process.stdout()).await;
    let mut names: Vec<&str> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["HOME", "HOSTNAME", "PATH", "TOKEN"],
        "nothing of this process's own"
    );
    assert_eq!(status(&mut process).await.status.as_deref(), Some("Success"));

    let mut process = pods.exec("shell", ["no-such-program"], &both).await.unwrap();
    let failed = status(&mut process).await;
    assert_eq!(
        (failed.code, failed.reason.as_deref()),
        (Some(500), Some("InternalError"))
    );
    assert!(failed.message.unwrap().contains("executable file not found in $PATH"));

    let error = pods.exec("nobody", ["env"], &both).await.err().unwrap();
    assert_eq!(code(error), (404, "NotFound".into()));
    let error = pods
        .exec("shell", ["env"], &both.container("other"))
        .await
        .err()
        .unwrap();
    assert_eq!(code(error), (400, "BadRequest".into()));
    cluster.stop().await;
}

#[tokio::test]
async fn input_is_read_to_its_end() {
    let (cluster, pods) = with_pod().await;
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = pods.exec("shell", ["wc", "-c"], &params).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    let text = vec![b'x'; 300_000];
    stdin.write_all(&text).await.unwrap();
    stdin.shutdown().await.unwrap();
    assert_eq!(read(process.stdout()).await.trim(), "300000");
    assert_eq!(status(&mut process).await.status.as_deref(), Some("Success"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_and_takes_keystrokes() {
    let (cluster, pods) = with_pod().await;
    let mut process = pods
        .exec("shell", ["sh"], &AttachParams::interactive_tty())
        .await
        .unwrap();
    let size = TerminalSize { width: 123, height: 45 };
    process.terminal_size().unwrap().send(size).await.unwrap();
    let (mut stdin, mut stdout) = (process.stdin().unwrap(), process.stdout().unwrap());
    let mut screen = String::new();
    let mut see = async |wanted: &str| {
        let mut buffer = [0; 1024];
        while !screen.contains(wanted) {
            let read = tokio::time::timeout(LIMIT, stdout.read(&mut buffer)).await;
            let count = read.unwrap_or_else(|_| panic!("no {wanted:?} in {screen:?}")).unwrap();
            assert_ne!(count, 0, "ended without {wanted:?}: {screen:?}");
            screen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    // The size comes on a channel of its own, so the shell may be there before it.
    let script = "until [ \"$(stty size)\" = '45 123' ]; do :; done; echo $((40+2))\n";
    stdin.write_all(script.as_bytes()).await.unwrap();
    see("42").await;

    stdin.write_all(b"exit 7\n").await.unwrap();
    let ended = status(&mut process).await;
    assert_eq!(ended.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("7"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_command_runs_in_the_container_that_is_named() {
    let cluster = cluster().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let container = |name: &str| json!({ "name": name, "image": "test", "args": ["wait"], "env": [{ "name": "WHO", "value": name }] });
    let several = json!({
        "metadata": { "name": "several" },
        "spec": {
            "initContainers": [{ "name": "seed", "image": "test", "args": ["log", "seeded"] }],
            "containers": [container("proxy"), container("rotator"), container("cli")],
        },
    });
    create(&pods, several).await;
    running(&pods, "several").await;
    for name in ["proxy", "rotator", "cli"] {
        let params = AttachParams::default().container(name);
        let mut process = pods.exec("several", ["sh", "-c", "echo $WHO"], &params).await.unwrap();
        assert_eq!(read(process.stdout()).await, format!("{name}\n"));
    }

    let params = AttachParams::interactive_tty().container("cli");
    let mut process = pods.exec("several", ["sh"], &params).await.unwrap();
    let size = TerminalSize { width: 123, height: 45 };
    process.terminal_size().unwrap().send(size).await.unwrap();
    let script = "until [ \"$(stty size)\" = '45 123' ]; do :; done; echo \"=$WHO=\"; exit\n";
    process.stdin().unwrap().write_all(script.as_bytes()).await.unwrap();
    let screen = read(process.stdout()).await;
    assert!(screen.contains("=cli="), "{screen:?}");

    let message = async |params: AttachParams| match pods.exec("several", ["env"], &params).await.err().unwrap() {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("not an answer of the API: {other}"),
    };
    // The API chooses none: kubectl does, by the annotation or the first.
    assert_eq!(
        message(AttachParams::default()).await,
        (
            400,
            "a container name must be specified for pod several, choose one of: [proxy rotator cli] or one of the init containers: [seed]"
                .to_string()
        )
    );
    assert_eq!(
        message(AttachParams::default().container("other")).await,
        (400, "container other is not valid for pod several".to_string())
    );
    // One that has ended is there, and runs nothing.
    assert_eq!(message(AttachParams::default().container("seed")).await.0, 500);
    cluster.stop().await;
}

/// Starts a command that tells its process's number and then never ends.
async fn endless(pods: &Api<Pod>, params: &AttachParams) -> (AttachedProcess, i32) {
    started(pods, params, "echo $$; sleep 1000 & while :; do sleep 1000; done").await
}

/// Starts a script that tells its process's number first.
async fn started(pods: &Api<Pod>, params: &AttachParams, script: &str) -> (AttachedProcess, i32) {
    // Tests may themselves run under `nohup`, and what is ignored then can't be trapped.
    let command = ["env", "--default-signal=HUP", "sh", "-c", script];
    let mut process = pods.exec("shell", command, params).await.unwrap();
    let mut stdout = process.stdout().unwrap();
    let mut text = String::new();
    while !text.ends_with('\n') {
        let mut byte = [0];
        tokio::time::timeout(LIMIT, stdout.read_exact(&mut byte))
            .await
            .unwrap()
            .unwrap();
        text.push(char::from(byte[0]));
    }
    (process, text.trim().parse().unwrap())
}

/// Waits until nobody of a process's group runs; who is dead but not yet buried doesn't.
async fn ended(group: i32) {
    let runs = || {
        std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
            let fields: Vec<&str> = fields.split_whitespace().collect();
            matches!(fields.as_slice(), [state, _, of, ..]
                if !matches!(*state, "Z" | "X") && *of == group.to_string())
        })
    };
    let gone = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
}

#[tokio::test]
async fn a_command_ends_with_its_connection_its_pod_or_the_cluster() {
    let (cluster, pods) = with_pod().await;
    let pipes = AttachParams::default();
    let terminal = AttachParams::default().tty(true).stderr(false);
    for params in [&pipes, &terminal] {
        let (process, group) = endless(&pods, params).await;
        process.abort();
        drop(process);
        ended(group).await;
    }

    // One that never reads: what waits to be sent hides the end of the connection.
    let (mut process, group) = endless(&pods, &AttachParams::default().stdin(true)).await;
    let mut stdin = process.stdin().unwrap();
    let stuck = async {
        // A machine may take its time for a write; one that is stuck takes for ever.
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), stdin.write_all(&[b'x'; 4096])).await {
            written.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, stuck)
        .await
        .expect("there is an end to what is taken");
    process.abort();
    drop((process, stdin));
    ended(group).await;

    let (mut process, group) = endless(&pods, &pipes).await;
    pods.delete("shell", &DeleteParams::default()).await.unwrap();
    let killed = status(&mut process).await;
    assert_eq!(
        killed.details.unwrap().causes.unwrap()[0].message.as_deref(),
        Some("137")
    );
    ended(group).await;

    until(pods.clone(), "shell", |pod| pod.is_none()).await;
    create(&pods, pod("shell", &["wait"])).await;
    running(&pods, "shell").await;
    let (_process, group) = endless(&pods, &terminal).await;
    cluster.stop().await;
    ended(group).await;
}

/// As on a node: who is told can tidy up, and who doesn't listen ends with the container.
#[tokio::test]
async fn a_terminal_that_is_closed_is_hung_up() {
    let (cluster, pods) = with_pod().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let written = async |name: &str| {
        let there = async {
            while !file(name).exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(LIMIT, there).await.expect(name);
    };
    let terminal = AttachParams::default().tty(true).stderr(false);
    let script = format!(
        "trap 'echo > {}; exit' HUP; echo $$; while :; do sleep 0.01; done",
        file("told").display()
    );
    let (process, group) = started(&pods, &terminal, &script).await;
    drop(process);
    written("told").await;
    ended(group).await;

    // It goes on when its terminal takes nothing any more.
    let script = format!(
        "trap '' HUP; echo $$; while echo on 2>/dev/null; do sleep 0.01; done; echo > {}; while :; do sleep 1000; done",
        file("stays").display()
    );
    let (process, group) = started(&pods, &terminal, &script).await;
    drop(process);
    written("stays").await;
    pods.delete("shell", &DeleteParams::default()).await.unwrap();
    ended(group).await;
    cluster.stop().await;
}
