//! Sets of scenarios: the built-in ones, a folder's, single files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use super::model::Scenario;
use super::parse::{parse_checked, parse_with_id};
use crate::file_input::{self, Refusal, because};
use crate::yaml::node::MAX_BYTES;
use crate::yaml::problem::{Problem, Problems};
use crate::yaml::{Source, Span};

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/scenarios");

/// Folders inside folders; a link that leads back up is not followed for ever.
const MAX_DEPTH: usize = 16;

/// The scenarios of a folder, or the built-in ones; or all that is wrong with all of them.
pub fn load(folder: Option<&Path>) -> Result<Vec<Scenario>, Problems> {
    match folder {
        Some(folder) => load_sources(&read_folder(folder)?),
        None => load_built_in(),
    }
}

/// The built-in scenarios. A test of this module has all of them checked, so here they are only read, and without
/// their steps: every command begins with that.
fn load_built_in() -> Result<Vec<Scenario>, Problems> {
    let read: Result<Vec<Scenario>, _> = built_in().iter().map(parse_checked).collect();
    read.map_err(Problems)
}

/// Parses sources, in their order; no two may have the same id.
pub fn load_sources(sources: &[Arc<Source>]) -> Result<Vec<Scenario>, Problems> {
    let mut scenarios = Vec::with_capacity(sources.len());
    let mut problems = Vec::new();
    let mut ids: HashMap<String, (Arc<Source>, Span)> = HashMap::new();
    for source in sources {
        match parse_with_id(source) {
            Err(found) => problems.extend(found),
            Ok((scenario, span)) => {
                let here = (Arc::clone(source), span);
                if let Some((first, at)) = ids.get(&scenario.id) {
                    let message = format!("the id `{}` is that of another scenario", scenario.id);
                    let problem = Problem::new(source, span, message).with_related(first, *at, "first here");
                    problems.push(problem);
                } else {
                    ids.insert(scenario.id.clone(), here);
                    scenarios.push(scenario);
                }
            }
        }
    }
    match problems.is_empty() {
        true => Ok(scenarios),
        false => Err(Problems(problems)),
    }
}

/// The texts of the scenarios that are compiled in, in the order of their paths.
pub fn built_in() -> Vec<Arc<Source>> {
    let mut sources = Vec::new();
    collect(&BUILT_IN, &mut sources);
    sources.sort_by(|a: &Arc<Source>, b| a.name.cmp(&b.name));
    sources
}

fn collect(dir: &Dir<'_>, sources: &mut Vec<Arc<Source>>) {
    for file in dir.files() {
        let yaml = file.path().extension().is_some_and(|extension| extension == "yaml");
        if let (true, Some(text)) = (yaml, file.contents_utf8()) {
            sources.push(Source::new(format!("scenarios/{}", file.path().display()), text));
        }
    }
    dir.dirs().for_each(|dir| collect(dir, sources));
}

/// Reads all `*.yaml` below a folder, in the order of their paths.
pub fn read_folder(folder: &Path) -> Result<Vec<Arc<Source>>, Problems> {
    let mut paths = Vec::new();
    let mut problems = Vec::new();
    walk(folder, 0, &mut paths, &mut problems);
    paths.sort();
    let mut sources = Vec::new();
    for path in &paths {
        match read_file(path) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    if paths.is_empty() && problems.is_empty() {
        let problem = unreadable(folder, "no scenario files in this folder");
        problems.push(problem.with_help("scenario files end in .yaml"));
    }
    match problems.is_empty() {
        true => Ok(sources),
        false => Err(Problems(problems)),
    }
}

/// Reads one file.
pub fn read_file(path: &Path) -> Result<Arc<Source>, Problem> {
    match file_input::read_text(path, MAX_BYTES as u64) {
        Ok(text) => Ok(Source::new(path.display().to_string(), text)),
        Err(Refusal::NotText { valid, bytes }) => {
            let good = String::from_utf8_lossy(&bytes[..valid]).into_owned();
            let source = Source::new(path.display().to_string(), good);
            let span = Span::of(&source, valid..valid);
            Err(Problem::new(&source, span, "not UTF-8 from here on"))
        }
        Err(refusal) => {
            let problem = unreadable(path, refusal.to_string());
            Err(match refusal.help() {
                Some(help) => problem.with_help(help),
                None => problem,
            })
        }
    }
}

fn walk(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(unreadable(folder, because(folder, &error))),
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => in_folder(folder, &entry),
            Err(error) => {
                problems.push(unreadable(folder, because(folder, &error)));
                continue;
            }
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            match depth < MAX_DEPTH {
                true => walk(&path, depth + 1, paths, problems),
                false => problems.push(unreadable(&path, "nested too deep: does a link lead back up?")),
            }
        } else if name.ends_with(".yaml") {
            paths.push(path);
        } else if name.ends_with(".yml") {
            let problem = unreadable(&path, "not read: scenario files end in .yaml");
            problems.push(problem.with_help("rename it"));
        }
    }
}

fn unreadable(path: &Path, message: impl Into<String>) -> Problem {
    Problem::of_file(&Source::new(path.display().to_string(), ""), message)
}

/// A path as the user would write it: what lies in `.` has no `./` before it.
fn in_folder(folder: &Path, entry: &std::fs::DirEntry) -> PathBuf {
    match folder == Path::new(".") {
        true => entry.file_name().into(),
        false => entry.path(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_scenarios_are_good() {
        let checked = load_sources(&built_in()).unwrap_or_else(|problems| panic!("{}", problems.render()));
        assert!(!checked.is_empty());
        // What is left out when they are only read changes nothing of them.
        let read = load(None).unwrap_or_else(|problems| panic!("{}", problems.render()));
        assert_eq!(format!("{read:?}"), format!("{checked:?}"));
    }

    /// It would take most of the time of `gauntlet list`.
    #[test]
    fn what_was_checked_is_not_checked_again() {
        let good = &built_in()[0];
        let wrong = Source::new("of/another/id.yaml", good.text.clone());
        assert!(parse_with_id(&wrong).is_err());
        assert!(parse_checked(&wrong).is_ok());
    }

    #[test]
    fn folders_that_hold_nothing_to_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let message = |folder: &Path| load(Some(folder)).expect_err("problems").0.remove(0).message;
        assert_eq!(message(folder.path()), "no scenario files in this folder");
        assert_eq!(message(&folder.path().join("none")), "there is no such file or folder");
        std::fs::write(folder.path().join("a.yml"), "").expect("written");
        assert!(message(folder.path()).contains("end in .yaml"));
    }

    #[test]
    fn not_utf8_has_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, b"id: x\ntitle: \xff").expect("written");
        let problems = load(Some(folder.path())).expect_err("problems");
        assert_eq!((problems.0[0].span.line, problems.0[0].span.column), (2, 8));
    }

    #[test]
    fn an_id_is_one_scenarios() {
        let text = built_in().remove(0).text.clone();
        let id = load_sources(&[Source::new(built_in()[0].name.clone(), text.clone())]).expect("good")[0]
            .id
            .clone();
        let sources = [
            Source::new(format!("a/{id}.yaml"), text.clone()),
            Source::new(format!("b/{id}.yaml"), text),
        ];
        let problems = load_sources(&sources).expect_err("a problem");
        let line = problems.render_plain();
        assert!(
            line.starts_with(&format!("b/{id}.yaml:3:5: the id `{id}` is that of another scenario")),
            "{line}"
        );
        assert!(line.contains(&format!("(first here: a/{id}.yaml:3:5)")), "{line}");
    }
}
