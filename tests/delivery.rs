//! How gauntlet gets to where it is used: the steps of pipelines, the Job, the image, the bill of materials.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gauntlet::scenario::Scenario;
use gauntlet::steps::{Reach, verb};
use gauntlet::vocabulary::{Intrusion, Level, names};
use gauntlet::world::access::Ask;
use serde_json::Value;

use crate::binary::{MINE, Ran, folder, gauntlet, json, without_surroundings};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const ACTION: &str = include_str!("../action.yml");

const GITLAB: &str = include_str!("../deploy/gitlab.yml");

const JOB: &str = include_str!("../deploy/job.yaml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// A shell with gauntlet on PATH.
fn shell(name: &str, flags: &[&str], script: &str, folder: &Path) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_gauntlet")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = without_surroundings(Command::new(name));
    command
        .current_dir(folder)
        .args(flags)
        .args(["-c", script])
        .env("PATH", format!("{}:{path}", program.display()));
    command
}

/// The step `run` of the action with these arguments, as GitHub's runner carries it out; and what it says to later steps.
fn action(arguments: &str, folder: &Path) -> (Ran, String) {
    let action = yaml(ACTION);
    let step = &action["runs"]["steps"][0];
    assert_eq!(step["id"], "run");
    assert_eq!(step["shell"], "bash");
    let filled = |text: &str| {
        let inputs = action["inputs"].as_object().expect("inputs");
        inputs.iter().fold(text.to_owned(), |text, (name, input)| {
            let value = match name.as_str() {
                "arguments" => arguments,
                _ => input["default"].as_str().expect("a default"),
            };
            text.replace(&format!("${{{{ inputs.{name} }}}}"), value)
        })
    };
    let script = step["run"].as_str().expect("a script");
    // What a caller gives must not become a part of the script.
    assert!(!script.contains("${{"), "{script}");
    let flags = ["--noprofile", "--norc", "-eo", "pipefail"];
    let mut command = shell("bash", &flags, script, folder);
    for (name, value) in step["env"].as_object().expect("variables") {
        command.env(name, filled(value.as_str().expect("a text")));
    }
    let output = folder.join("output");
    std::fs::write(&output, "").expect("written");
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_OUTPUT", &output)
        .env("GITHUB_STEP_SUMMARY", folder.join("summary.md"));
    let ran = Ran::of(command.output().expect("bash starts"));
    (ran, std::fs::read_to_string(output).expect("its output"))
}

/// The template's job with these arguments, as GitLab's runner carries it out.
fn gitlab(arguments: &str, folder: &Path) -> Ran {
    let template = yaml(GITLAB);
    let script = template[".gauntlet"]["script"][0].as_str().expect("a script");
    let mut command = shell("sh", &["-e"], script, folder);
    command.env("GAUNTLET_ARGUMENTS", arguments);
    Ran::of(command.output().expect("sh starts"))
}

#[test]
fn the_action_passes_where_the_run_does() {
    let folder = folder();
    let (ran, output) = action(&format!("--scenarios '{MINE}' mine/token/quick"), folder.path());
    let ran = ran.exits(0);
    assert!(
        ran.stdout.starts_with("::notice title=gauntlet::PASSED: "),
        "{}",
        ran.stdout
    );
    assert_eq!(output, "exit-code=0\nreport=reports/latest/report.json\n");
    let report = json(&folder.path().join("reports/latest/report.json"));
    assert_eq!(report["summary"]["pass"], 1, "{report}");
    for name in ["reports/latest/junit.xml", "reports/latest/report.html", "summary.md"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn the_action_fails_where_the_run_does_and_tells_its_exit_code() {
    let folder = folder();
    let (ran, output) = action(&format!("--scenarios \"{MINE}\" mine/token/wrong"), folder.path());
    let ran = ran.exits(1);
    assert!(ran.stdout.contains("\n::error file="), "{}", ran.stdout);
    assert!(output.starts_with("exit-code=1\n"), "{output}");
    // Of what gauntlet refuses too.
    let (ran, output) = action("--no-such-flag", folder.path());
    ran.exits(2);
    assert!(output.starts_with("exit-code=2\n"), "{output}");
}

#[test]
fn arguments_of_pipelines_are_words_and_no_commands() {
    let folder = folder();
    let evil = "'mine/*/none' $(touch evil) `touch evil` ; touch evil";
    let (ran, _) = action(evil, folder.path());
    ran.exits(2);
    gitlab(evil, folder.path()).exits(2);
    assert!(!folder.path().join("evil").exists(), "a command was carried out");
}

#[test]
fn the_template_of_gitlab_ends_as_the_run_does() {
    for (id, code) in [("mine/token/quick", 0), ("mine/token/wrong", 1)] {
        let folder = folder();
        gitlab(&format!("--scenarios '{MINE}' {id}"), folder.path()).exits(code);
        let kept = &yaml(GITLAB)[".gauntlet"]["artifacts"];
        let junit = kept["reports"]["junit"].as_str().expect("a path");
        let junit = std::fs::read_to_string(folder.path().join(junit)).expect("the JUnit report");
        assert!(junit.contains(id), "{junit}");
        let reports = kept["paths"][0].as_str().expect("a path");
        assert!(folder.path().join(reports).join("latest/report.html").exists());
    }
}

/// The objects of the Job's file, by kind.
fn of_job(kind: &str) -> Value {
    let mut objects = JOB.split("\n---\n").map(yaml);
    objects
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind}"))
}

/// What the scenarios of the Job ask of the cluster, as `kubectl` has it.
fn asked_by_the_job() -> BTreeSet<String> {
    let scenarios = gauntlet::scenario::load(None).expect("the built-in scenarios");
    let of_the_job = |scenario: &&Scenario| {
        scenario.contract() == "harness-token" && scenario.level == Level::Core && scenario.intrusion <= Intrusion::Use
    };
    let mut asks = BTreeSet::from([Ask::ReadSecret]);
    for scenario in scenarios.iter().filter(of_the_job) {
        for step in scenario.steps.iter().chain(&scenario.finally) {
            match verb(step.verb).expect("a verb").reach {
                Reach::Open => {}
                Reach::Api | Reach::Door { .. } => asks.extend([Ask::FindPods, Ask::Forward]),
                Reach::Cluster(of) => asks.extend(of(&step.args)),
            }
        }
    }
    let contract = names::contract();
    let permissions = asks.into_iter().flat_map(|ask| ask.permissions(&contract));
    permissions.map(|permission| permission.to_string()).collect()
}

#[test]
fn the_jobs_role_is_the_smallest() {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let role = of_job("Role");
    let mut given = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        let group = texts(&rule["apiGroups"]).concat();
        let group = if group.is_empty() { group } else { format!(".{group}") };
        let names = texts(&rule["resourceNames"]);
        for resource in texts(&rule["resources"]) {
            for verb in texts(&rule["verbs"]) {
                let permission = format!("{verb} {resource}{group}");
                match names.as_slice() {
                    [] => {
                        given.insert(permission);
                    }
                    names => given.extend(names.iter().map(|name| format!("{permission} {name}"))),
                }
            }
        }
    }
    assert_eq!(given, asked_by_the_job());
}

/// Without a kubeconfig and outside a pod it says so: every flag before that was understood.
#[test]
fn the_jobs_arguments_are_gauntlets() {
    let job = of_job("Job");
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let folder = folder();
    std::fs::create_dir(folder.path().join("profile")).expect("made");
    let profile = "apiVersion: gauntlet/v1\nkind: Profile\nroads: { direct: port-forward, proxy: port-forward }\n";
    std::fs::write(folder.path().join("profile/profile.yaml"), profile).expect("written");
    let here = |path: &str| format!("={}/{path}/", folder.path().display());
    let arguments = container["args"].as_array().expect("arguments").iter().map(|argument| {
        let argument = argument.as_str().expect("a text");
        argument
            .replace("=/work/", &here("work"))
            .replace("=/profile/", &here("profile"))
    });
    let output = gauntlet()
        .current_dir(folder.path())
        .env_remove("KUBECONFIG")
        .env("HOME", folder.path())
        .args(arguments)
        .output()
        .expect("gauntlet starts");
    let ran = Ran::of(output).exits(3);
    assert!(ran.stderr.contains("this isn't a pod of a cluster"), "{}", ran.stderr);
    // What it writes lies on volumes, since nothing else can be written to.
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
    let mounted: Vec<&str> = mounts.filter_map(|mount| mount["mountPath"].as_str()).collect();
    assert_eq!(mounted, ["/work", "/tmp", "/profile"]);
}

#[test]
fn the_image_is_built_by_the_rust_that_is_needed_of_what_is_there() {
    let dockerfile = include_str!("../Dockerfile");
    let manifest = include_str!("../Cargo.toml");
    let needed = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("the Rust that is needed");
    let image = format!("ARG RUST_IMAGE=rust:{}-", needed.trim_matches('"'));
    assert!(dockerfile.contains(&image), "the Dockerfile has no {image}");
    for line in dockerfile.lines() {
        if let Some(copied) = line.strip_prefix("COPY --from=build /build/") {
            let (from, _) = copied.split_once(' ').expect("a source and a destination");
            let built = from.starts_with("target/");
            assert!(built || Path::new(ROOT).join(from).exists(), "{from} isn't there");
        }
    }
}

#[test]
fn the_bill_of_materials_has_what_the_program_is_built_of() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = Command::new(cargo)
        .current_dir(ROOT)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--no-default-features", "--filter-platform", &platform])
        .output()
        .expect("cargo starts");
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let mut script = Command::new("python3")
        .args(["-B", ".ci/sbom", "Cargo.lock"])
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = script.stdin.take().expect("a pipe");
    let feeding = std::thread::spawn(move || input.write_all(&metadata.stdout));
    let output = script.wait_with_output().expect("it ends");
    feeding.join().expect("it doesn't panic").expect("all is read");
    assert!(output.status.success());
    let bill: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["name"], "gauntlet");
    let lock = include_str!("../Cargo.lock");
    let components = bill["components"].as_array().expect("components");
    for component in components {
        let text = |key: &str| component[key].as_str().expect("a text");
        let locked = format!("name = \"{}\"\nversion = \"{}\"\n", text("name"), text("version"));
        let (_, behind) = lock.split_once(&locked).expect("it is in Cargo.lock");
        let entry = behind.split("\n\n").next().unwrap_or_default();
        let checksum = component["hashes"][0]["content"].as_str().expect("a checksum");
        assert!(entry.contains(&format!("checksum = \"{checksum}\"")), "{component}");
    }
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(has("kube") && has("ring"), "what the program is made of");
    assert!(
        !has("criterion") && !has("insta") && !has("goose"),
        "what only tests have"
    );
}

/// A command of the Makefile that a document names is there.
#[test]
fn every_make_that_is_named_is_there() {
    let makefile = include_str!("../Makefile");
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/delivery.md",
        "docs/start.md",
        "docs/figures.md",
    ];
    for document in documents {
        let text = std::fs::read_to_string(Path::new(ROOT).join(document)).expect(document);
        for named in text.split("`make ").skip(1).chain(text.split("$ make ").skip(1)) {
            let end = |character: char| !(character.is_ascii_lowercase() || character == '-');
            let target = named.split(end).next().unwrap_or_default();
            assert!(
                makefile.contains(&format!("\n{target}: ")),
                "{document}: `make {target}` isn't in the Makefile"
            );
        }
    }
}
