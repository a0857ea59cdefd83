//! The flags that a run must be given again to be the same: for the command that a failure is shown with.

use std::path::Path;

use super::{Run, TargetName};
use crate::scenario::{Intrusion, duration};

/// Flags of a run that decide what its scenarios meet, as a shell takes them, each with a space before it.
/// Level, mutants and seed are not among them: they are the runner's to say.
pub fn flags(options: &Run) -> String {
    let mut flags = String::new();
    let mut flag = |name: &str, value: &str| {
        flags.push_str(&format!(" --{name} {}", quoted(value)));
    };
    let path = |path: &Path| path.display().to_string();
    match options.target.target {
        TargetName::Embedded => {}
        other => flag("target", other.name()),
    }
    for (name, value) in [
        ("context", &options.target.context),
        ("namespace", &options.target.namespace),
    ] {
        if let Some(value) = value {
            flag(name, value);
        }
    }
    for (name, file) in [("kubeconfig", &options.target.kubeconfig), ("ca", &options.target.ca)] {
        if let Some(file) = file {
            flag(name, &path(file));
        }
    }
    if let Some(allow) = options.target.allow {
        flag("allow", Intrusion::from(allow).name());
    }
    // A cluster that was made for the run is gone; one that stays is to be used again.
    if let (true, Some(name)) = (options.target.kind.reuse, &options.target.kind.cluster_name) {
        flag("cluster-name", name);
    }
    if let Some(image) = &options.target.kind.image {
        flag("image", image);
    }
    if let Some(image) = &options.target.kind.base_image {
        flag("base-image", image);
    }
    if let Some(folder) = &options.selection.scenarios {
        flag("scenarios", &path(folder));
    }
    if let Some(file) = &options.profile {
        flag("profile", &path(file));
    }
    if let Some(folder) = &options.reports {
        flag("reports", &path(folder));
    }
    for setting in &options.set {
        flag("set", setting);
    }
    let gateways = &options.target.gateways;
    if let Some(gateway) = gateways.gateway {
        flag("gateway", gateway.name());
    }
    for (name, image) in [
        ("nginx-image", &gateways.nginx_image),
        ("envoy-image", &gateways.envoy_image),
    ] {
        if let Some(image) = image {
            flag(name, image);
        }
    }
    if let Some(timeout) = options.timeout {
        flag("timeout", &duration::show(timeout));
    }
    for (name, given) in [
        ("insecure", options.target.insecure),
        ("reuse", options.target.kind.reuse),
    ] {
        if given {
            flags.push_str(&format!(" --{name}"));
        }
    }
    flags
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
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
            Command::Run(options) => flags(&options),
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
