//! The flags needed to repeat a run, for the command shown with a failure.

use std::path::Path;
use std::time::Duration;

use super::target::TargetOptions;
use super::{Run, TargetName};
use crate::runner::context::Flags;
use crate::steps::shell::{quoted, quoted_path};
use crate::vocabulary::{Intrusion, duration};

/// Options that decide what scenarios meet.
pub struct Decisive<'o> {
    pub target: &'o TargetOptions,
    pub scenarios: Option<&'o Path>,
    pub profile: Option<&'o Path>,
    pub reports: Option<&'o Path>,
    pub set: &'o [String],
    pub timeout: Option<Duration>,
}

/// The [flags](of) of a run.
pub fn flags(options: &Run) -> Flags {
    of(&Decisive {
        target: &options.target,
        scenarios: options.selection.scenarios.as_deref(),
        profile: options.profile.as_deref(),
        reports: options.reports.as_deref(),
        set: &options.set,
        timeout: options.timeout,
    })
}

/// Flags of a run that decide what its scenarios meet, as a shell takes them, and what other commands need to
/// meet the same. Level, mutants and seed are not among them: they are the runner's to say.
pub fn of(options: &Decisive<'_>) -> Flags {
    let mut flags = Flags::default();
    let target = options.target;
    let Flags { run, up, kubectl, curl } = &mut flags;
    match target.target {
        TargetName::Embedded => {}
        other => add(&mut [&mut *run, &mut *up], "target", other.name()),
    }
    for (name, value, of_kubectl) in [
        ("context", &target.context, true),
        ("namespace", &target.namespace, false),
    ] {
        if let Some(value) = value {
            add(&mut [&mut *run], name, value);
            if of_kubectl {
                add(&mut [&mut *kubectl], name, value);
            }
        }
    }
    if let Some(file) = &target.kubeconfig {
        add_path(&mut [&mut *run, &mut *kubectl], "kubeconfig", file);
    }
    if let Some(file) = &target.ca {
        add_path(&mut [&mut *run], "ca", file);
        add_path(&mut [&mut *curl], "cacert", file);
    }
    if let Some(allow) = target.allow {
        add(&mut [&mut *run], "allow", Intrusion::from(allow).name());
    }
    if let Some(address) = target.probe_listen {
        add(&mut [&mut *run], "probe-listen", &address.to_string());
    }
    // A cluster that was made for the run is gone; one that stays is to be used again.
    if let (true, Some(name)) = (target.kind.reuse, &target.kind.cluster_name) {
        add(&mut [&mut *run, &mut *up], "cluster-name", name);
    }
    for (name, image) in [("image", &target.kind.image), ("base-image", &target.kind.base_image)] {
        if let Some(image) = image {
            add(&mut [&mut *run, &mut *up], name, image);
        }
    }
    if let Some(folder) = options.scenarios {
        add_path(&mut [&mut *run], "scenarios", folder);
    }
    if let Some(file) = options.profile {
        add_path(&mut [&mut *run, &mut *up], "profile", file);
    }
    if let Some(folder) = options.reports {
        add_path(&mut [&mut *run], "reports", folder);
    }
    for setting in options.set {
        add(&mut [&mut *run, &mut *up], "set", setting);
    }
    let gateways = &target.gateways;
    if let Some(gateway) = gateways.gateway {
        add(&mut [&mut *run], "gateway", gateway.name());
    }
    if let Some(how) = gateways.gateway_in {
        add(&mut [&mut *run, &mut *up], "gateway-in", how.name());
    }
    if let Some(codex) = &target.codex.codex {
        add(&mut [&mut *run, &mut *up], "codex", &codex.to_string());
    }
    for (name, image) in [
        ("nginx-image", &gateways.nginx_image),
        ("envoy-image", &gateways.envoy_image),
    ] {
        if let Some(image) = image {
            add(&mut [&mut *run, &mut *up], name, image);
        }
    }
    if let Some(timeout) = options.timeout {
        add(&mut [&mut *run], "timeout", &duration::show(timeout));
    }
    if target.insecure {
        run.push_str(" --insecure");
        curl.push_str(" -k");
    }
    if target.kind.reuse {
        run.push_str(" --reuse");
    }
    flags
}

/// Adds a flag to those of several commands.
fn add(commands: &mut [&mut String], name: &str, value: &str) {
    for flags in commands {
        flags.push_str(&format!(" --{name} {}", quoted(value)));
    }
}

/// The same of a flag that has a path.
fn add_path(commands: &mut [&mut String], name: &str, path: &Path) {
    for flags in commands {
        flags.push_str(&format!(" --{name} {}", quoted_path(path)));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn of(arguments: &[&str]) -> String {
        let arguments = ["gauntlet", "run"].iter().chain(arguments);
        match Cli::try_parse_from(arguments).expect("good").command {
            Command::Run(options) => flags(&options).run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_decides_what_scenarios_meet() {
        assert_eq!(of(&["a", "--level", "all", "--jobs", "3"]), "");
        let given = [
            "--set",
            "origin=https://a b",
            "--profile",
            "it's.yaml",
            "--scenarios",
            "mine",
            "--timeout",
            "1500ms",
        ];
        assert_eq!(
            of(&given),
            r" --scenarios mine --profile 'it'\''s.yaml' --set 'origin=https://a b' --timeout 1500ms"
        );
        assert_eq!(of(&["--codex", "my codex"]), " --codex 'my codex'");
        assert_eq!(
            of(&[
                "--gateway",
                "nginx",
                "--gateway-in",
                "container",
                "--nginx-image",
                "nginx:1"
            ]),
            " --gateway nginx --gateway-in container --nginx-image nginx:1"
        );
        assert_eq!(of(&["--timeout", "2m"]), " --timeout 2m");
        assert_eq!(of(&["--reports", "r", "--keep-reports", "3"]), " --reports r");
        assert_eq!(
            of(&["--target", "kind", "--image", "node:1", "--cluster-name", "a", "--keep"]),
            " --target kind --image node:1"
        );
        assert_eq!(
            of(&["--target", "kind", "--reuse", "--cluster-name", "a"]),
            " --target kind --cluster-name a --reuse"
        );
    }
}
