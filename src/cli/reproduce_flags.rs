//! The flags needed to repeat a run, for the command shown with a failure.

use std::path::Path;

use super::{Run, TargetName};
use crate::runner::context::Flags;
use crate::steps::shell::quoted;
use crate::vocabulary::{Intrusion, duration};

/// Flags of a run that decide what its scenarios meet, as a shell takes them, and what other commands need to
/// meet the same. Level, mutants and seed are not among them: they are the runner's to say.
pub fn flags(options: &Run) -> Flags {
    let mut flags = Flags::default();
    let target = &options.target;
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
        add(&mut [&mut *run, &mut *kubectl], "kubeconfig", &path(file));
    }
    if let Some(file) = &target.ca {
        add(&mut [&mut *run], "ca", &path(file));
        add(&mut [&mut *curl], "cacert", &path(file));
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
    if let Some(folder) = &options.selection.scenarios {
        add(&mut [&mut *run], "scenarios", &path(folder));
    }
    if let Some(file) = &options.profile {
        add(&mut [&mut *run, &mut *up], "profile", &path(file));
    }
    if let Some(folder) = &options.reports {
        add(&mut [&mut *run], "reports", &path(folder));
    }
    for setting in &options.set {
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

fn path(path: &Path) -> String {
    path.display().to_string()
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
