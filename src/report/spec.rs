//! `FORMAT[=FILE]`: which report is wanted, and where.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The formats in which a command can report.
pub trait Formats: Copy + PartialEq + fmt::Debug + 'static {
    /// All of them, in the order of the documentation.
    const KNOWN: &'static [Self];

    /// Their aliases.
    const ALSO: &'static [(&'static str, Self)];

    /// As the user writes it.
    fn name(self) -> &'static str;

    /// Where it goes unless told otherwise, in words.
    fn own_place(self) -> String;

    /// Where it goes unless told otherwise.
    fn own_destination(self) -> Destination {
        Destination::Own
    }
}

/// How a report of a run is written.
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
    /// A page to keep.
    Html,
    /// For what collects findings of many tools.
    Sarif,
    /// The Test Anything Protocol, version 13.
    Tap,
    /// Commands that GitHub Actions makes annotations of, on standard output.
    Github,
    /// For a metrics system.
    OpenMetrics,
}

impl Format {
    /// All formats, in the order of the documentation.
    pub const ALL: [Format; 9] = [
        Format::Console,
        Format::Junit,
        Format::Json,
        Format::Markdown,
        Format::Html,
        Format::Sarif,
        Format::Tap,
        Format::Github,
        Format::OpenMetrics,
    ];

    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Console => "console",
            Format::Junit => "junit",
            Format::Json => "json",
            Format::Markdown => "markdown",
            Format::Html => "html",
            Format::Sarif => "sarif",
            Format::Tap => "tap",
            Format::Github => "github",
            Format::OpenMetrics => "openmetrics",
        }
    }

    /// The file in the run's folder that it goes to unless told otherwise; none for what is printed.
    pub fn file_name(self) -> Option<&'static str> {
        match self {
            Format::Console | Format::Github => None,
            Format::Junit => Some("junit.xml"),
            Format::Json => Some("report.json"),
            Format::Markdown => Some("report.md"),
            Format::Html => Some("report.html"),
            Format::Sarif => Some("gauntlet.sarif"),
            Format::Tap => Some("report.tap"),
            Format::OpenMetrics => Some("metrics.txt"),
        }
    }
}

impl Formats for Format {
    const KNOWN: &'static [Format] = &Format::ALL;

    // Other tools' names.
    const ALSO: &'static [(&'static str, Format)] = &[
        ("md", Format::Markdown),
        ("xml", Format::Junit),
        ("terminal", Format::Console),
        ("text", Format::Console),
        ("stdout", Format::Console),
        ("htm", Format::Html),
        ("github-actions", Format::Github),
        ("prometheus", Format::OpenMetrics),
    ];

    fn name(self) -> &'static str {
        Format::name(self)
    }

    fn own_place(self) -> String {
        match self.file_name() {
            Some(name) => format!("{name} in the run's folder"),
            None => "standard output".to_owned(),
        }
    }

    fn own_destination(self) -> Destination {
        match self {
            Format::Github => Destination::Stdout,
            _ => Destination::Own,
        }
    }
}

/// A report that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec<F> {
    pub format: F,
    pub to: Destination,
}

/// A report of a run that was asked for.
pub type ReportSpec = Spec<Format>;

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The format's own place: a file in the run's folder; of the console, where it prints anyway.
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

impl<F: Formats> Spec<F> {
    /// As a command line has it: a file's name may be no text.
    ///
    /// # Errors
    /// As of [`Spec::from_str`].
    pub fn of_argument(argument: OsString) -> Result<Spec<F>, SpecError> {
        if let Some(text) = argument.to_str() {
            return text.parse();
        }
        let mut parts = argument.as_bytes().splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let spec: Spec<F> = name.parse()?;
        Ok(match parts.next() {
            Some(file) => Spec {
                to: Destination::File(OsStr::from_bytes(file).into()),
                ..spec
            },
            None => spec,
        })
    }
}

impl<F: Formats> fmt::Display for Spec<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.format.name();
        match &self.to {
            Destination::Own => f.write_str(name),
            Destination::Stdout => write!(f, "{name}=-"),
            Destination::File(file) => write!(f, "{name}={}", file.display()),
        }
    }
}

/// Why a text is no [`Spec`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("there is no report format `{given}`{hint} (there are {known})")]
    Unknown { given: String, hint: String, known: String },
    #[error("`{format}=` names no file; leave the `=` out for {own}")]
    NoFile { format: &'static str, own: String },
}

/// The message about two reports that would overwrite each other: to one file, or to standard output.
pub fn clash<F: Formats>(specs: &[Spec<F>]) -> Option<String> {
    let place = |spec: &Spec<F>| match &spec.to {
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

/// Whether two paths are of one file, as far as the paths tell.
pub fn same_file(one: &Path, other: &Path) -> bool {
    normal(one) == normal(other)
}

/// A normalised path, to recognise the same file.
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

impl<F: Formats> FromStr for Spec<F> {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Spec<F>, SpecError> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (name, Some(file)),
            None => (text, None),
        };
        let format = F::KNOWN
            .iter()
            .copied()
            .find(|format| format.name() == name)
            .ok_or_else(|| SpecError::Unknown {
                given: name.to_owned(),
                hint: nearest::<F>(name),
                known: F::KNOWN
                    .iter()
                    .map(|format| format.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })?;
        let to = match file {
            None => format.own_destination(),
            Some("") => {
                return Err(SpecError::NoFile {
                    format: format.name(),
                    own: format.own_place(),
                });
            }
            Some("-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Destination::Stdout,
            Some(file) => Destination::File(file.into()),
        };
        Ok(Spec { format, to })
    }
}

/// `; did you mean …?` where one format's name is near; other tools' names count too.
fn nearest<F: Formats>(given: &str) -> String {
    let given = given.to_ascii_lowercase();
    let known = F::KNOWN.iter().map(|format| (format.name(), *format));
    known
        .chain(F::ALSO.iter().copied())
        .map(|(name, format)| (strsim::damerau_levenshtein(&given, name), format))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, format)| format!("; did you mean `{}`?", format.name()))
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
        assert_eq!(parse("github"), "github=-");
        assert_eq!(parse("github=commands.txt"), "github=commands.txt");
        for format in Format::ALL {
            let spec: ReportSpec = format.name().parse().expect("a format");
            assert_eq!((spec.format, spec.to), (format, format.own_destination()));
        }
    }

    #[test]
    fn a_file_whose_name_is_no_text() {
        let spec = ReportSpec::of_argument(OsStr::from_bytes(b"json=r\xff=.json").to_owned()).expect("good");
        assert_eq!(spec.to, Destination::File(OsStr::from_bytes(b"r\xff=.json").into()));
        assert!(ReportSpec::of_argument(OsStr::from_bytes(b"jnuit=\xff").to_owned()).is_err());
        assert!(ReportSpec::of_argument(OsStr::from_bytes(b"\xff").to_owned()).is_err());
        let text = ReportSpec::of_argument("junit=a".into()).expect("good");
        assert_eq!(text.to_string(), "junit=a");
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
        assert!(clash(&["json=-", "github"]).is_some());
        insta::assert_snapshot!(
            clash(&["json=-", "junit=/dev/stdout"]).unwrap_or_default(),
            @"`--report json=-` and `--report junit=-` would both go to standard output; give one of them a file"
        );
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        insta::assert_snapshot!(parse("jnuit=x"), @"error: there is no report format `jnuit`; did you mean `junit`? (there are console, junit, json, markdown, html, sarif, tap, github, openmetrics)");
        insta::assert_snapshot!(parse("md"), @"error: there is no report format `md`; did you mean `markdown`? (there are console, junit, json, markdown, html, sarif, tap, github, openmetrics)");
        insta::assert_snapshot!(parse("spreadsheet"), @"error: there is no report format `spreadsheet` (there are console, junit, json, markdown, html, sarif, tap, github, openmetrics)");
        insta::assert_snapshot!(parse("json="), @"error: `json=` names no file; leave the `=` out for report.json in the run's folder");
    }
}
