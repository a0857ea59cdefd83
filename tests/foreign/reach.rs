//! How much of a contract can be judged on a platform that is known by its doors: the README says it of each target.

use super::{Bench, PROFILE};
use crate::binary::{Ran, gauntlet};

const README: &str = include_str!("../../README.md");

/// The secrets that a profile without operations takes from the environment.
const GIVEN: &str = "secrets: { token: { env: HARNESS_AUTH_TOKEN }, master-key: { env: MASTER_KEY }, \
                     jwt-secret: { env: AUTH_JWT_SECRET }, litellm-key: { env: LITELLM_MASTER_KEY } }\n";

/// The profile without its operations and logs.
fn doors_alone() -> String {
    let (head, rest) = PROFILE.split_once("operations:\n").expect("operations");
    let (_, routes) = rest.split_once("\nroutes:\n").expect("routes behind them");
    format!("{head}{GIVEN}routes:\n{routes}")
}

impl Bench {
    /// How many rules of a contract's core could be judged, as `doctor` says: `7 of 21`.
    fn judged(&self, roads: &[&str], contract: &str) -> String {
        let mut flags: Vec<String> = ["doctor", "--target", "url", "--profile", "p.yaml", contract]
            .map(str::to_owned)
            .to_vec();
        for (road, address) in self.doors.iter().filter(|(road, _)| roads.contains(&road.as_str())) {
            flags.extend(["--set".to_owned(), format!("road.{road}={address}")]);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let secrets = self.secrets();
        let secrets = secrets.iter().filter_map(|line| line.split_once('='));
        let mut command = self.command(gauntlet(), &flags);
        let ran = Ran::of(command.envs(secrets).output().expect("gauntlet runs"));
        let last = ran.stdout.lines().last().unwrap_or_default().to_owned();
        // `of 21 rules 7 could be judged, …`
        let words: Vec<&str> = last.split(' ').collect();
        assert!(words.len() > 4 && words[2] == "rules", "{}{}", ran.stdout, ran.stderr);
        format!("{} of {}", words[3], words[1])
    }
}

#[test]
fn the_readme_says_what_can_be_judged() {
    let bench = Bench::up();
    let doors = ["proxy", "balancer", "builtin", "service", "access-control"];
    let all = [&doors[..], &["witness", "litellm"]].concat();
    for (target, profile, roads) in [
        ("`url` with operations by command", PROFILE.to_owned(), &all[..]),
        ("`url` with doors alone", doors_alone(), &doors[..]),
    ] {
        std::fs::write(bench.folder.path().join("p.yaml"), profile).expect("written");
        let [terminals, agents] = ["harness-token", "agent-service"].map(|contract| bench.judged(roads, contract));
        let row = README.lines().find(|line| line.starts_with(&format!("| {target} |")));
        let said = format!("| {terminals} | {agents} |");
        assert!(
            row.is_some_and(|row| row.contains(&said)),
            "{target} is {said}, and the README says {row:?}"
        );
    }
}
