//! `gauntlet schema`: the JSON Schemas of what gauntlet reads and writes, for editors and programs.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use crate::{expected, profile, report, scenario};

#[derive(Clone, Debug, Args)]
pub struct Schema {
    /// Which document
    #[arg(value_enum, default_value_t)]
    pub document: Document,
}

/// A kind of document that gauntlet reads or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Document {
    #[default]
    Scenario,
    Profile,
    ExpectedFailures,
    /// The JSON report
    Report,
}

/// Writes the schema of a kind of document.
pub fn schema(document: Document, out: &mut impl Write) -> io::Result<()> {
    let schema = match document {
        Document::Scenario => scenario::schema(),
        Document::Profile => profile::schema(),
        Document::ExpectedFailures => expected::schema(),
        Document::Report => return out.write_all(report::schema().as_bytes()),
    };
    serde_json::to_writer_pretty(&mut *out, &schema)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_schemas_are_current() {
        for (document, path) in [
            (Document::Scenario, "scenarios/scenario.schema.json"),
            (Document::Profile, "docs/profile.schema.json"),
            (Document::ExpectedFailures, "docs/expected-failures.schema.json"),
            (Document::Report, "docs/report.schema.json"),
        ] {
            let committed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
            let mut current = Vec::new();
            schema(document, &mut current).expect("writing to memory");
            assert!(
                committed.unwrap_or_default().as_bytes() == current,
                "{path} is not current: make schema"
            );
        }
    }
}
