//! `FORMAT[=FILE]`: which report is wanted, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For a person, on standard output.
    Console,
    /// JUnit XML, for CI servers.
    Junit,
    /// For programs, and to run again what failed.
    Json,
    /// For a CI summary or a comment.
    Markdown,
}

impl Format {
    /// All formats, in the order of the documentation.
    pub const ALL: [Format; 4] = [Format::Console, Format::Junit, Format::Json, Format::Markdown];

    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Console => "console",
            Format::Junit => "junit",
            Format::Json => "json",
            Format::Markdown => "markdown",
        }
    }

    /// The file in the run's folder that it goes to unless told otherwise; none for the console.
    pub fn file_name(self) -> Option<&'static str> {
        match self {
            Format::Console => None,
            Format::Junit => Some("junit.xml"),
            Format::Json => Some("report.json"),
            Format::Markdown => Some("report.md"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A report that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportSpec {
    pub format: Format,
    pub to: Destination,
}

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The file of the format's name in the run's folder; of the console, where it prints anyway.
    Own,
    Stdout,
    File(PathBuf),
}

impl ReportSpec {
    /// Whether standard output is to have this report and nothing else.
    pub(super) fn takes_stdout(&self) -> bool {
        self.format != Format::Console && self.to == Destination::Stdout
    }
}

impl fmt::Display for ReportSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Destination::Own => write!(f, "{}", self.format),
            Destination::Stdout => write!(f, "{}=-", self.format),
            Destination::File(file) => write!(f, "{}={}", self.format, file.display()),
        }
    }
}

/// Why a text is no [`ReportSpec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("there is no report format `{given}`{hint} (there are {})", known())]
    Unknown { given: String, hint: String },
    #[error("`{format}=` names no file; leave the `=` out for {}", default_of(.format))]
    NoFile { format: Format },
}

/// What to say of two reports that would be one another's end: both to one file, or to standard output.
pub fn clash(specs: &[ReportSpec]) -> Option<String> {
    let place = |spec: &ReportSpec| match &spec.to {
        Destination::Own => (Some(spec.format), None),
        Destination::Stdout => (None, None),
        Destination::File(file) => (None, Some(normal(file))),
    };
    specs.iter().enumerate().find_map(|(index, second)| {
        let first = specs[..index].iter().find(|first| place(first) == place(second))?;
        Some(match &second.to {
            Destination::Own => format!("`--report {second}` is given twice"),
            Destination::Stdout => format!(
                "`--report {first}` and `--report {second}` would both go to standard output; give one of them a file"
            ),
            Destination::File(file) => format!(
                "`--report {first}` and `--report {second}` would be one file, {}; give each a file of its own",
                file.display()
            ),
        })
    })
}

/// A path by which the same file is told, as far as the path tells.
fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            component => normal.push(component),
        }
        normal
    })
}

fn known() -> String {
    Format::ALL.map(Format::name).join(", ")
}

fn default_of(format: &Format) -> String {
    match format.file_name() {
        Some(name) => format!("{name} in the run's folder"),
        None => "standard output".to_owned(),
    }
}

impl FromStr for ReportSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<ReportSpec, SpecError> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (name, Some(file)),
            None => (text, None),
        };
        let format = Format::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| SpecError::Unknown {
                given: name.to_owned(),
                hint: nearest(name),
            })?;
        let to = match file {
            None => Destination::Own,
            Some("") => return Err(SpecError::NoFile { format }),
            Some("-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Destination::Stdout,
            Some(file) => Destination::File(file.into()),
        };
        Ok(ReportSpec { format, to })
    }
}

/// `; did you mean …?` where one format's name is near; other tools' names count too.
fn nearest(given: &str) -> String {
    const ALSO: [(&str, Format); 5] = [
        ("md", Format::Markdown),
        ("xml", Format::Junit),
        ("terminal", Format::Console),
        ("text", Format::Console),
        ("stdout", Format::Console),
    ];
    let given = given.to_ascii_lowercase();
    Format::ALL
        .map(|f| (f.name(), f))
        .into_iter()
        .chain(ALSO)
        .map(|(name, format)| (strsim::damerau_levenshtein(&given, name), format))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, format)| format!("; did you mean `{format}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        match text.parse::<ReportSpec>() {
            Ok(spec) => spec.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn formats_and_files() {
        assert_eq!(parse("console"), "console");
        assert_eq!(parse("console=out.txt"), "console=out.txt");
        assert_eq!(parse("junit"), "junit");
        assert_eq!(parse("json=-"), "json=-");
        assert_eq!(parse("json=/dev/stdout"), "json=-");
        assert_eq!(parse("markdown=a=b.md"), "markdown=a=b.md");
    }

    #[test]
    fn reports_that_would_be_one_file() {
        let clash = |specs: &[&str]| {
            let specs: Vec<ReportSpec> = specs.iter().map(|text| text.parse().expect("good")).collect();
            clash(&specs)
        };
        assert_eq!(
            clash(&["console", "json", "junit", "markdown", "json=other.json"]),
            None
        );
        let said = clash(&["console", "json", "console"]);
        assert_eq!(said.as_deref(), Some("`--report console` is given twice"));
        insta::assert_snapshot!(
            clash(&["json=a/r", "junit=./a/b/../r"]).unwrap_or_default(),
            @"`--report json=a/r` and `--report junit=./a/b/../r` would be one file, ./a/b/../r; give each a file of its own"
        );
        assert!(clash(&["json", "json"]).is_some());
        assert_eq!(clash(&["console", "json=-", "junit=./-"]), None);
        insta::assert_snapshot!(
            clash(&["json=-", "junit=/dev/stdout"]).unwrap_or_default(),
            @"`--report json=-` and `--report junit=-` would both go to standard output; give one of them a file"
        );
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        insta::assert_snapshot!(parse("jnuit=x"), @"error: there is no report format `jnuit`; did you mean `junit`? (there are console, junit, json, markdown)");
        insta::assert_snapshot!(parse("md"), @"error: there is no report format `md`; did you mean `markdown`? (there are console, junit, json, markdown)");
        insta::assert_snapshot!(parse("spreadsheet"), @"error: there is no report format `spreadsheet` (there are console, junit, json, markdown)");
        insta::assert_snapshot!(parse("json="), @"error: `json=` names no file; leave the `=` out for report.json in the run's folder");
    }
}
