//! What is said of files that are wrong: one file for each kind of message, and beside the
//! snapshot's picture the plain line.

use std::path::Path;

use gauntlet::scenario::load_sources;
use gauntlet::yaml::{Problems, Source};

/// Loads a file as if it lay in a folder of scenarios: a file's path is its id.
fn problems_of(path: &Path) -> Problems {
    let text = std::fs::read_to_string(path).expect("the file can be read");
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let source = Source::new(format!("errors/messages/{name}"), text);
    load_sources(&[source]).expect_err("a file with something wrong in it")
}

#[test]
fn messages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario_errors");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("scenario_errors");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in files {
            let name = path
                .file_stem()
                .expect("a file has a name")
                .to_string_lossy()
                .into_owned();
            let problems = problems_of(&path);
            let shown = format!("{}\n{}", problems.render(), problems.render_plain());
            insta::assert_snapshot!(name, shown);
        }
    });
}

#[test]
fn too_large() {
    let text = format!("title: {}\n", "x".repeat(300 * 1024));
    let problems = load_sources(&[Source::new("large.yaml", text)]).expect_err("too large");
    assert_eq!(
        problems.render_plain(),
        "large.yaml:1:1: the file has 307208 bytes; at most 262144 are read\n"
    );
}

#[test]
fn problems_of_all_files_at_once() {
    let files = ["unknown-key.yaml", "bad-duration.yaml"];
    let sources = files.map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/scenario_errors")
            .join(name);
        let text = std::fs::read_to_string(path).expect("the file can be read");
        Source::new(format!("errors/messages/{name}"), text)
    });
    let problems = load_sources(&sources).expect_err("both are wrong");
    assert_eq!(problems.summary(), "4 problems in 2 files");
}
