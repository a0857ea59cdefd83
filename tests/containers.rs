//! Real gateways before the agent service: nginx and Envoy, as containers of this machine's engine.
//!
//! What goes wrong is tried with an engine of the tests' own. The ignored tests need a real one (`make test-kind`), and
//! images: GAUNTLET_NGINX_IMAGE and GAUNTLET_ENVOY_IMAGE, or the default ones. Where they are not there, those tests say
//! so and are skipped; with `CI` set that is an error.

mod engine;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, mpsc};

use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json as report, until};
use engine::{Answer, Engine, json, written};
use rustix::process::Signal;

const IMAGE: [&str; 2] = ["--nginx-image", "nginx:here"];

/// Runs a scenario through nginx, by the engine at this address.
#[track_caller]
fn refused(host: &str, further: &[&str]) -> String {
    let folder = folder();
    let mut command = gauntlet();
    command.current_dir(folder.path()).env("DOCKER_HOST", host).args([
        "run",
        "agent-service/jwt/none",
        "--gateway",
        "nginx",
        "--gateway-in",
        "container",
    ]);
    let ran = Ran::of(command.args(further).output().expect("gauntlet starts")).exits(3);
    assert_eq!(ran.stdout, "", "nothing was run");
    ran.stderr
}

/// An engine that has an image, and makes a container of it that is called `made`.
fn makes(asked: &str) -> Option<Answer> {
    Some(match asked {
        asked if asked.starts_with("GET /_ping") => (200, "text/plain", b"OK".to_vec()),
        asked if asked.starts_with("GET /images/") => json(200, "{}"),
        asked if asked.starts_with("GET /networks") => json(200, r#"[{"Name":"host","Id":"host","Driver":"host"}]"#),
        asked if asked.starts_with("POST /containers/create") => json(201, r#"{"Id":"made","Warnings":[]}"#),
        asked if asked.starts_with("DELETE /containers/") => json(204, ""),
        _ => return None,
    })
}

#[test]
fn without_an_engine_nothing_is_run() {
    let folder = folder();
    let host = format!("unix://{}/nobody.sock", folder.path().display());
    let said = refused(&host, &[]);
    assert!(said.starts_with("gauntlet: no container engine answers: "), "{said}");
    let help = "; `--gateway-in container` needs Docker Engine on this machine\ngauntlet: nothing was run\n";
    assert!(said.ends_with(help), "{said}");
}

#[test]
fn an_image_that_is_not_there_is_named_and_not_pulled() {
    let folder = folder();
    let engine = Engine::start(folder.path(), |asked| match asked {
        asked if asked.starts_with("GET /_ping") => (200, "text/plain", b"OK".to_vec()),
        _ => json(404, r#"{"message":"No such image: nginx:stable"}"#),
    });
    assert_eq!(
        refused(&engine.host, &[]),
        "gauntlet: the image nginx:stable is not on this machine; `docker pull nginx:stable` gets it, and \
         `--nginx-image` names another\ngauntlet: nothing was run\n"
    );
    assert!(!engine.was_asked("POST "), "{:?}", engine.asked());
}

#[test]
fn a_container_that_can_not_be_started_is_removed() {
    let folder = folder();
    let engine = Engine::start(folder.path(), |asked| {
        makes(asked).unwrap_or_else(|| json(400, r#"{"message":"no nginx in it"}"#))
    });
    let said = refused(&engine.host, &IMAGE);
    let began = "gauntlet: starting `nginx` as a container of nginx:here: ";
    assert!(said.starts_with(began) && said.contains("no nginx in it"), "{said}");
    assert!(engine.was_asked("POST /containers/made/start"), "{:?}", engine.asked());
    assert!(
        engine.was_asked("DELETE /containers/gauntlet-nginx-"),
        "{:?}",
        engine.asked()
    );
}

#[test]
fn a_container_that_ends_shows_what_it_wrote_and_is_removed() {
    let folder = folder();
    let engine = Engine::start(folder.path(), |asked| match makes(asked) {
        Some(answer) => answer,
        None if asked.starts_with("POST /containers/made/start") => json(204, ""),
        None if asked.starts_with("GET /containers/made/logs") && asked.contains("stderr=true") => {
            written("nginx: [emerg] unknown directive\n")
        }
        None if asked.starts_with("GET /containers/made/logs") => written(""),
        None => json(
            200,
            r#"{"Id":"made","State":{"Status":"exited","Running":false,"ExitCode":1}}"#,
        ),
    });
    assert_eq!(
        refused(&engine.host, &IMAGE),
        "gauntlet: `nginx`, a container of nginx:here, ended before it took requests:\n  nginx: [emerg] unknown \
         directive\ngauntlet: nothing was run\n"
    );
    assert!(engine.was_asked("DELETE /containers/made"), "{:?}", engine.asked());
}

/// Interrupted while the engine makes it, the container is removed once it is made.
#[test]
fn interrupted_while_it_is_made_it_leaves_no_container() {
    let folder = folder();
    let (made, waits) = mpsc::channel();
    let waits = Mutex::new(waits);
    let engine = Engine::start(folder.path(), move |asked| {
        if asked.starts_with("POST /containers/create") {
            waits.lock().expect("not poisoned").recv().expect("the test goes on");
        }
        match makes(asked) {
            Some(answer) => answer,
            None if asked.starts_with("POST /containers/made/start") => json(204, ""),
            None => json(200, r#"{"Id":"made","State":{"Status":"running","Running":true}}"#),
        }
    });
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .env("DOCKER_HOST", &engine.host)
        .args(["run", "agent-service/jwt/none", "--gateway", "nginx"])
        .args(["--gateway-in", "container"])
        .args(IMAGE);
    let mut running = Running::start(&mut command).expect("it starts");
    until("the engine is asked for a container", || {
        match engine.was_asked("POST /containers/create") {
            true => Ok(()),
            false => Err(format!("{:?}\n{}", engine.asked(), running.stderr())),
        }
    });
    running.signal(Signal::INT);
    made.send(()).expect("the engine waits");
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert!(engine.was_asked("DELETE /containers/made"), "{:?}", engine.asked());
}

#[test]
fn flags_that_mean_nothing() {
    let folder = folder();
    let said = |arguments: &[&str]| crate::binary::run_in(folder.path(), arguments).exits(2).stderr;
    assert_eq!(
        said(&["run", "--target", "kind", "--gateway-in", "container"]),
        "gauntlet: --gateway-in is of the target embedded, and the target is kind; did you mean `--target embedded`?\n"
    );
    assert_eq!(
        said(&["run", "--gateway-in", "process", "--nginx-image", "x"]),
        "gauntlet: --nginx-image is of the target kind, and the target is embedded; did you mean `--target kind`?\n"
    );
}

/// Asks the real engine.
fn docker(arguments: &[&str]) -> Option<Output> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    output.status.success().then_some(output)
}

/// The flags for the image of a gateway, which is there; says so and gives none where it isn't.
fn image(gateway: &str) -> Option<[String; 2]> {
    let (variable, default) = match gateway {
        "nginx" => ("GAUNTLET_NGINX_IMAGE", "nginx:stable"),
        _ => ("GAUNTLET_ENVOY_IMAGE", "envoyproxy/envoy:v1.36-latest"),
    };
    let image = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    if docker(&["image", "inspect", &image]).is_some() {
        return Some([format!("--{gateway}-image"), image]);
    }
    let missing = format!("{gateway} as a container: no engine here has {image}; {variable} names another");
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    println!("skipped: {missing}");
    None
}

/// The containers of gateways, those that ended too, whose names begin so.
fn containers(beginning: &str) -> Vec<String> {
    let filter = format!("name=^{beginning}");
    let listed = docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).expect("an engine");
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn contained(folder: &Path, arguments: &[&str], image: &[String; 2]) -> Ran {
    let mut command = gauntlet();
    command
        .current_dir(folder)
        .args(arguments)
        .args(["--gateway-in", "container"])
        .args(image);
    Ran::of(command.output().expect("gauntlet starts"))
}

/// All of the contract holds through a gateway in a container, and defects of its configuration are noticed.
#[track_caller]
fn holds(gateway: &str, mutants: &str) {
    let Some(image) = image(gateway) else { return };
    let folder = folder();
    let run = ["run", "agent-service", "--level", "all", "--gateway", gateway];
    let run = [&run[..], &["--report", "json=r.json"]].concat();
    contained(folder.path(), &run, &image).exits(0);
    let report = report(&folder.path().join("r.json"));
    let runs = report["scenarios"].as_array().expect("a list").iter();
    let through = runs.filter(|run| run["parameters"]["road"] == gateway).count();
    assert!(through > 50, "{through} runs through {gateway}");
    let prove = ["prove", "agent-service", "--gateway", gateway, "--mutant", mutants];
    let proved = contained(folder.path(), &prove, &image).exits(0);
    let all = mutants.split(',').count();
    let said = format!("{all} mutants: {all} dead, 0 survived");
    assert!(proved.stdout.contains(&said), "{}", proved.stdout);
}

#[test]
#[ignore = "needs a container engine: `make test-kind`"]
fn nginx_holds() {
    holds("nginx", "nginx-open-on-error,nginx-email-not-set,nginx-query-in-log");
}

#[test]
#[ignore = "needs a container engine: `make test-kind`"]
fn envoy_holds() {
    holds(
        "envoy",
        "envoy-open-on-error,envoy-user-headers-appended,envoy-token-in-log",
    );
}

/// Nothing is left when a run ends, also where it is interrupted.
#[test]
#[ignore = "needs a container engine: `make test-kind`"]
fn interrupted_it_leaves_no_container() {
    let Some(image) = image("nginx") else { return };
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .env("TMPDIR", folder.path())
        .args(["run", "agent-service", "--gateway", "nginx", "--repeat", "1000"])
        .args(["--gateway-in", "container"])
        .args(&image);
    let mut running = Running::start(&mut command).expect("it starts");
    until("scenarios pass", || {
        let out = running.stdout();
        out.contains(" PASS ")
            .then_some(())
            .ok_or_else(|| out + &running.stderr())
    });
    let beginning = format!("gauntlet-nginx-{}-", running.child.id());
    assert_eq!(containers(&beginning).len(), 1, "nginx runs");
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert_eq!(containers(&beginning), Vec::<String>::new());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != "reports")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
