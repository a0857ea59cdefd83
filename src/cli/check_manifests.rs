//! `gauntlet check-manifests`: checks rendered manifests against the contracts, as far as possible before anything
//! runs.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::conclude::tell;
use super::target::installation::kubeconfig;
use super::{ListFormat, TargetName, profile};
use crate::cli::exit::UsageError;
use crate::manifests::{self, Finding, Manifests, Verdict};
use crate::world::installation::{InstallationError, Place, connect};

#[derive(Clone, Debug, Args)]
pub struct CheckManifests {
    /// Rendered manifests, as `helm template` prints them; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The installation's names [default: the contracts' names]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Set a name on top of the profile: secret.name=my-env
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Also ask a cluster's API server whether it accepts each object; nothing is applied
    #[arg(long)]
    pub server_dry_run: bool,
    /// The kubeconfig of that cluster [default: $KUBECONFIG, or kubectl's]
    #[arg(long, value_name = "FILE", requires = "server_dry_run")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, requires = "server_dry_run")]
    pub context: Option<String>,
    /// The namespace of objects without one [default: the context's]
    #[arg(long, short, value_name = "NAME", requires = "server_dry_run")]
    pub namespace: Option<String>,
}

/// Exit codes, as `--help` has them.
const PASSED: u8 = 0;
const FAILED: u8 = 1;
const COULD_NOT_TELL: u8 = 3;
const NOTHING: u8 = 4;

/// Judges manifests; returns what is to be printed, and the exit code. `variable` gives variables of the environment.
pub async fn check_manifests(
    options: &CheckManifests,
    input: impl Read,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, u8), UsageError> {
    // Names are those of an installation, whatever the reference platform could be called.
    let profile = profile::effective(options.profile.as_deref(), &options.set, TargetName::Cluster)?.profile;
    let paths = options.files.iter().map(PathBuf::as_path);
    let manifests = manifests::read(paths, input).map_err(|problems| UsageError(problems.render()))?;
    let mut findings = manifests::check(&manifests, &profile.names);
    let mut asked = Ok(());
    if options.server_dry_run {
        asked = dry_run(options, &manifests, variable)
            .await
            .map(|found| findings.extend(found));
    }
    let text = match options.format {
        ListFormat::Text => text(&findings, &manifests),
        ListFormat::Json => json(&findings, &manifests),
    };
    let has = |verdict: Verdict| findings.iter().any(|finding| finding.verdict == verdict);
    if let Err(why) = &asked {
        tell(&why.to_string());
    }
    let code = match () {
        () if has(Verdict::Fail) => FAILED,
        () if asked.is_err() => COULD_NOT_TELL,
        () if has(Verdict::Pass) => PASSED,
        () => {
            tell("there is nothing in these manifests that a contract could be judged by; nothing was judged");
            NOTHING
        }
    };
    Ok((text, code))
}

async fn dry_run(
    options: &CheckManifests,
    manifests: &Manifests,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Finding>, NotAsked> {
    let place = Place {
        kubeconfig: kubeconfig(options.kubeconfig.as_deref(), variable),
        context: options.context.clone(),
        namespace: options.namespace.clone(),
    };
    let cluster = connect(&place).await?;
    manifests::dry_run(manifests, &cluster.client, &cluster.namespace)
        .await
        .map_err(|error| NotAsked::Masked(manifests.mask(&error.to_string())))
}

/// The API server could not be asked: that says nothing of the manifests.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// What came back, the manifests' secrets masked; the error itself would show them.
    #[error("{0}")]
    Masked(String),
}

/// How many findings have each verdict.
#[derive(Clone, Copy, Debug, Serialize)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    documents: usize,
    files: usize,
}

impl Counts {
    fn of(findings: &[Finding], manifests: &Manifests) -> Counts {
        let count = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Counts {
            passed: count(Verdict::Pass),
            failed: count(Verdict::Fail),
            skipped: count(Verdict::Skip),
            documents: manifests.documents.len(),
            files: manifests.files,
        }
    }
}

/// A line for each rule that is kept or can't be told, what is wrong with its place, and a line of counts.
fn text(findings: &[Finding], manifests: &Manifests) -> String {
    let mut out = String::new();
    let of = |verdict: Verdict| findings.iter().filter(move |finding| finding.verdict == verdict);
    for finding in of(Verdict::Pass).chain(of(Verdict::Skip)) {
        let verdict = finding.verdict.name().to_uppercase();
        let (subject, message) = (subject(finding), &finding.problem.message);
        out.push_str(&format!(" {verdict} {}{subject}: {message}\n", finding.rule));
    }
    for finding in of(Verdict::Fail) {
        out.push_str(&format!(
            " FAIL {}{}\n\n{}\n",
            finding.rule,
            subject(finding),
            finding.problem.render()
        ));
    }
    let counts = Counts::of(findings, manifests);
    let plural = |n: usize, word: &str| match n {
        1 => format!("1 {word}"),
        n => format!("{n} {word}s"),
    };
    out.push_str(&format!(
        "{} passed, {} failed, {} skipped: {} in {}\n",
        counts.passed,
        counts.failed,
        counts.skipped,
        plural(counts.documents, "object"),
        plural(counts.files, "file"),
    ));
    // Names in manifests can hold, by escapes, what a terminal would obey.
    out.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

/// ` (Deployment litellm)`.
fn subject(finding: &Finding) -> String {
    let subject = finding.subject.as_ref();
    subject.map_or_else(String::new, |subject| format!(" ({subject})"))
}

/// A finding as JSON has it.
#[derive(Serialize)]
struct Entry<'f> {
    rule: &'f str,
    verdict: &'f str,
    subject: Option<&'f str>,
    message: &'f str,
    help: Option<&'f str>,
    file: Option<&'f str>,
    line: Option<u32>,
    column: Option<u32>,
}

impl<'f> From<&'f Finding> for Entry<'f> {
    fn from(finding: &'f Finding) -> Entry<'f> {
        let problem = &finding.problem;
        let has_place = problem.has_place();
        Entry {
            rule: finding.rule,
            verdict: finding.verdict.name(),
            subject: finding.subject.as_deref(),
            message: &problem.message,
            help: problem.help.as_deref(),
            file: has_place.then_some(problem.source.name.as_str()),
            line: has_place.then_some(problem.span.line),
            column: has_place.then_some(problem.span.column),
        }
    }
}

fn json(findings: &[Finding], manifests: &Manifests) -> String {
    #[derive(Serialize)]
    struct Judged<'f> {
        findings: Vec<Entry<'f>>,
        counts: Counts,
    }
    let judged = Judged {
        findings: findings.iter().map(Entry::from).collect(),
        counts: Counts::of(findings, manifests),
    };
    // Texts and numbers: there is nothing in it that could not be written.
    serde_json::to_string_pretty(&judged).unwrap_or_default() + "\n"
}
