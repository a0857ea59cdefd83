//! The documentation site: what the program tells of itself is on its pages, links lead somewhere, and the committed pages
//! say what there is.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gauntlet::steps::VERBS;

use crate::binary::{Ran, folder, run_in, without_surroundings};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the pages are made of.
const SOURCES: [&str; 10] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "action.yml",
    "benches",
    "deploy",
    "docs",
    "profiles",
    "scenarios",
    "tests",
];

/// Makes the pages of a clone into a folder.
fn generated(clone: &Path, book: &Path) -> Ran {
    let mut command = without_surroundings(Command::new("python3"));
    command
        .arg("-B")
        .arg(clone.join("docs/generate"))
        .arg(env!("CARGO_BIN_EXE_gauntlet"))
        .arg(book);
    Ran::of(command.output().expect("python3 starts"))
}

fn page(book: &Path, name: &str) -> String {
    std::fs::read_to_string(book.join("src").join(name)).expect(name)
}

#[test]
fn the_pages_tell_of_every_verb_scenario_and_mutant() {
    let folder = folder();
    let book = folder.path();
    generated(Path::new(ROOT), book).exits(0);
    let language = page(book, "language.md");
    for verb in VERBS {
        let (_, section) = language
            .split_once(&format!("\n### {}\n", verb.name))
            .unwrap_or_else(|| panic!("no verb {}", verb.name));
        let section = section.split("\n## ").next().unwrap_or_default();
        let section = section.split("\n### ").next().unwrap_or_default();
        assert!(
            section.contains(&format!("| `{}` (required)", verb.name)),
            "{}: {section}",
            verb.name
        );
        for phrase in verb.phrases {
            let pattern = format!("| `{}` | ", phrase.pattern);
            assert!(section.contains(&pattern), "{}: no phrase {pattern}", verb.name);
        }
        // Of what nothing can be expected no field is of use.
        let fields = section
            .lines()
            .find(|line| line.starts_with("Fields of its observation: "));
        for field in verb.fields {
            let said = fields.is_some_and(|fields| fields.contains(&format!("`{field}`")));
            assert!(
                said || section.contains("Nothing can be expected of it."),
                "{}: no field {field}",
                verb.name
            );
        }
    }
    for scenario in gauntlet::scenario::load(None).expect("the built-in scenarios") {
        let group: Vec<&str> = scenario.id.split('/').take(2).collect();
        let rules = page(book, &format!("rules/{}.md", group.join("/")));
        let (_, section) = rules
            .split_once(&format!("## {}\n", scenario.id))
            .unwrap_or_else(|| panic!("no scenario {}", scenario.id));
        let section = section.split("\n## ").next().unwrap_or_default();
        assert!(
            section.contains(&format!("\nid: {}\n", scenario.id)),
            "{}: its file",
            scenario.id
        );
        for mutant in gauntlet::platform::mutant::all().filter(|mutant| mutant.row == scenario.row()) {
            assert!(
                section.contains(&format!("`{}`: ", mutant.name)),
                "{}: no mutant {}",
                scenario.id,
                mutant.name
            );
        }
    }
    let mutants = page(book, "mutants.md");
    for mutant in gauntlet::platform::mutant::all() {
        assert!(mutants.contains(&format!("| `{}` | ", mutant.name)), "{}", mutant.name);
    }
    let contents = page(book, "SUMMARY.md");
    for listed in contents.split("](").skip(1) {
        let (name, _) = listed.split_once(')').expect("a link ends");
        assert!(!page(book, name).is_empty(), "{name}");
    }
    assert!(!contents.contains("<!--"), "{contents}");
}

#[test]
fn what_leads_nowhere_and_what_nobody_explains_is_refused() {
    let folder = folder();
    let clone = folder.path().join("clone");
    std::fs::create_dir(&clone).expect("made");
    let copied = Command::new("cp")
        .arg("-r")
        .args(SOURCES)
        .arg(&clone)
        .current_dir(ROOT)
        .status()
        .expect("cp starts");
    assert!(copied.success());
    let book = folder.path().join("book");
    generated(&clone, &book).exits(0);
    let append = |name: &str, text: &str| {
        let file = clone.join(name);
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, before + text).expect("written");
    };
    append(
        "docs/start.md",
        "\n[a](nowhere.md) [b](targets.md#nothing) [c](../scenarios/none.yaml)\n",
    );
    append("docs/alone.md", "# A page that the contents don't list\n");
    let ran = generated(&clone, &book).exits(1);
    assert_eq!(
        ran.stderr,
        "docs/SUMMARY.md doesn't list alone.md\n\
         docs/start.md: the link nowhere.md leads nowhere\n\
         docs/start.md: the link targets.md#nothing leads nowhere\n\
         docs/start.md: the link ../scenarios/none.yaml leads nowhere\n"
    );
    append("tests/profiles/new.snap", "---\nsource: x\n---\ngauntlet: a message\n");
    let ran = generated(&clone, &book).exits(1);
    assert_eq!(
        ran.stderr,
        "docs/remedies.yaml has no line for tests/profiles/new.snap\n"
    );
}

/// The codes of `--help` are those that the documents explain, in the same order.
#[test]
fn every_exit_code_is_explained() {
    let folder = folder();
    let help = run_in(folder.path(), &["--help"]).exits(0).stdout;
    let (_, codes) = help.split_once("Exit codes:\n").expect("the exit codes");
    let codes: Vec<&str> = codes
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(codes.len(), 7, "{help}");
    for name in ["README.md", "docs/exit-codes.md"] {
        let document = std::fs::read_to_string(Path::new(ROOT).join(name)).expect(name);
        let (_, table) = document.split_once("\n| exit code |").expect(name);
        let rows = table.lines().skip(2).take_while(|line| line.starts_with("| "));
        let explained: Vec<&str> = rows.filter_map(|row| row.split_whitespace().nth(1)).collect();
        assert_eq!(explained, codes, "{name}");
    }
}

/// Profiles that pages show whole are good ones.
#[test]
fn profiles_that_are_shown_are_accepted() {
    let folder = folder();
    let mut shown = 0;
    for name in [
        "docs/start.md",
        "docs/profiles.md",
        "docs/targets.md",
        "docs/installations/docker-compose.md",
    ] {
        let document = std::fs::read_to_string(Path::new(ROOT).join(name)).expect(name);
        for block in document.split("\n```yaml\n").skip(1) {
            let (block, _) = block.split_once("\n```").expect("a block ends");
            if block.contains("apiVersion: ") && block.contains("\nkind: Profile\n") {
                shown += 1;
                std::fs::write(folder.path().join("shown.yaml"), format!("{block}\n")).expect("written");
                let ran = run_in(folder.path(), &["check", "shown.yaml"]);
                assert_eq!(ran.code, Some(0), "{name}: {}{}", ran.stdout, ran.stderr);
            }
        }
    }
    assert_eq!(shown, 4);
}

/// The picture of a terminal with this text.
fn picture(text: &str, further: &[&str]) -> Ran {
    let mut child = without_surroundings(Command::new("python3"))
        .arg("-B")
        .arg(Path::new(ROOT).join("docs/picture"))
        .args(further)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(text.as_bytes()).expect("written");
    drop(input);
    Ran::of(child.wait_with_output().expect("it ends"))
}

/// The lines of text in a picture.
fn lines_of(picture: &str) -> Vec<String> {
    let texts = picture.lines().filter(|line| line.starts_with("  <text "));
    let line = |text: &str| -> String {
        let pieces = text.split("<tspan ").skip(1);
        let inner = pieces.filter_map(|piece| piece.split_once('>')?.1.split_once("</tspan>"));
        let text: String = inner.map(|(text, _)| text).collect();
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    texts.map(line).collect()
}

#[test]
fn a_picture_has_the_texts_colours_and_nothing_that_breaks_it() {
    let plain = " PASS [  0.057s] a/b/c\n── FAIL a/b/c ──\n  <b> & co\n";
    let drawn = picture(plain, &["--command", "gauntlet run"]).exits(0).stdout;
    assert_eq!(
        lines_of(&drawn),
        [
            "$ gauntlet run",
            " PASS [  0.057s] a/b/c",
            "── FAIL a/b/c ──",
            "  <b> & co"
        ]
    );
    assert!(drawn.contains("<tspan class=\"green\" "), "{drawn}");
    assert!(drawn.contains("<tspan class=\"red\" "), "{drawn}");
    let colored = picture("\x1b[1;35mERROR\x1b[0m x\x1b[2K\n", &[]).exits(0).stdout;
    assert_eq!(lines_of(&colored), ["ERROR x"]);
    assert!(colored.contains("<tspan class=\"magenta\" "), "{colored}");
    let cut = picture("0123456789\n", &["--columns", "5"]).exits(0).stdout;
    assert_eq!(lines_of(&cut), ["0123…"]);
    let part = picture("a\nb\nc\n", &["--from", "b", "--lines", "1"]).exits(0).stdout;
    assert_eq!(lines_of(&part), ["b"]);
    picture("\n", &[]).exits(1);
    picture("a\n", &["--from", "b"]).exits(1);
}

/// `make picture` renews it.
#[test]
fn the_readmes_picture_is_what_gauntlet_prints() {
    let picture = std::fs::read_to_string(Path::new(ROOT).join("docs/run.svg")).expect("the picture");
    let drawn = lines_of(&picture);
    let command = "$ gauntlet run 'harness-token/token/refuse[balancer]' --mutant empty-token-opens";
    assert_eq!(drawn[0], command);
    let arguments = [
        "run",
        "harness-token/token/refuse[balancer]",
        "--mutant",
        "empty-token-opens",
        "--seed",
        "1",
    ];
    let folder = folder();
    let printed = run_in(folder.path(), &arguments).exits(1).stdout;
    // The time of the run, and the session that it made.
    let changing = regex::Regex::new(r"[0-9]{8}T[0-9]{6}Z|\b[0-9a-f]{16}\b").expect("a pattern");
    let same = |line: &str| changing.replace_all(line, "…").trim_end().to_owned();
    let printed: Vec<String> = printed.lines().map(same).collect();
    for line in &drawn[1..] {
        let left_out = line.trim() == "…";
        assert!(
            left_out || printed.contains(&same(line)),
            "gauntlet prints no line {line:?}; it prints\n{}",
            printed.join("\n")
        );
    }
}
