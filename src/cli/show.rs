//! `gauntlet show`: a JSON report in another format.

use std::path::PathBuf;

use clap::Args;

use super::conclude::tell;
use crate::cli::exit::UsageError;
use crate::report::{
    Color, ConsoleSettings, Destination, Format, Report, ReportSpec, Spec, clash, show as render, write_file,
};

/// The exit code where a report could not be written.
const NOT_WRITTEN: u8 = 3;

#[derive(Clone, Debug, Args)]
pub struct Show {
    /// The JSON report of a run
    #[arg(value_name = "REPORT")]
    pub file: PathBuf,
    /// The format, as that of `gauntlet run`; to standard output, or to =FILE [default: console]
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = super::report_spec::<Format>())]
    pub report: Vec<ReportSpec>,
    /// Print all facts on the console, not only those that differ between roads
    #[arg(long)]
    pub facts: bool,
}

/// Writes the files; gives what is to be printed, and the exit code.
pub fn show(options: &Show, console: &ConsoleSettings) -> Result<(Vec<u8>, u8), UsageError> {
    let mut specs: Vec<ReportSpec> = options.report.iter().map(placed).collect();
    if let Some(clash) = clash(&specs) {
        return Err(UsageError(clash));
    }
    if specs.is_empty() {
        specs.push(Spec {
            format: Format::Console,
            to: Destination::Stdout,
        });
    }
    let report = Report::read(&options.file).map_err(|error| UsageError(error.to_string()))?;
    let (mut printed, mut code) = (Vec::new(), 0);
    for spec in &specs {
        let console = ConsoleSettings {
            color: match spec.to {
                Destination::Stdout => console.color,
                _ => Color::Never,
            },
            facts: options.facts,
            ..console.clone()
        };
        let written = render(&report, spec.format, &console).and_then(|bytes| match &spec.to {
            Destination::File(file) => write_file(file, &bytes),
            Destination::Own | Destination::Stdout => {
                printed.extend(bytes);
                Ok(())
            }
        });
        if let Err(error) = written {
            tell(&format!("{spec}: {error}"));
            code = NOT_WRITTEN;
        }
    }
    Ok((printed, code))
}

/// There is no run that would have a folder.
fn placed(spec: &ReportSpec) -> ReportSpec {
    let to = match &spec.to {
        Destination::Own => Destination::Stdout,
        to => to.clone(),
    };
    ReportSpec { to, ..spec.clone() }
}
