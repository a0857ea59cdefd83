//! Completions and man pages, as shells and `man` take them.

use std::process::Command;

use crate::binary::{folder, run_in};

fn script(shell: &str) -> String {
    let folder = folder();
    let ran = run_in(folder.path(), &["completions", shell]).exits(0);
    assert_eq!(ran.stderr, "");
    ran.stdout
}

/// What bash offers behind `words`, of which the last is under way.
fn offered(words: &[&str]) -> Vec<String> {
    let script = script("bash");
    let [.., before, last] = words else {
        panic!("a command, and what is typed behind it")
    };
    let typed: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_gauntlet gauntlet '{last}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        typed.join(" "),
        words.len() - 1,
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &ask])
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let offered = String::from_utf8(output.stdout).expect("UTF-8");
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(offered(&["gauntlet", "expl"]), ["explain"]);
    assert_eq!(offered(&["gauntlet", "run", "--fail"]), ["--fail-fast"]);
    assert_eq!(
        offered(&["gauntlet", "run", "--level", ""]),
        ["core", "extended", "all"]
    );
    assert_eq!(
        offered(&["gauntlet", "prove", "--target", ""]),
        ["embedded", "kind"],
        "of prove, not of run"
    );
}

#[test]
fn zsh_and_fish_are_told_of_every_command() {
    let (zsh, fish) = (script("zsh"), script("fish"));
    assert!(zsh.starts_with("#compdef gauntlet\n"), "{zsh}");
    assert!(fish.contains("complete -c gauntlet"), "{fish}");
    for command in ["run", "check-manifests", "doctor", "completions"] {
        for script in [&zsh, &fish] {
            assert!(script.contains(command), "{command} in\n{script}");
        }
    }
}

/// The commands that `gauntlet --help` shows.
fn commands() -> Vec<String> {
    let folder = folder();
    let help = run_in(folder.path(), &["--help"]).exits(0).stdout;
    let (_, behind) = help.split_once("\nCommands:\n").expect("commands");
    let (commands, _) = behind.split_once("\n\n").expect("options behind them");
    let commands = commands.lines().filter(|line| !line.starts_with("   "));
    let names = commands.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn a_man_page_for_each_command() {
    let folder = folder();
    let ran = run_in(folder.path(), &["man", "--dir", "share/man1"]).exits(0);
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    assert_eq!(ran.stdout, format!("{} pages in share/man1\n", commands.len() + 1));
    let read = |name: &str| {
        let file = folder.path().join("share/man1").join(name);
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    for command in &commands {
        let page = read(&format!("gauntlet-{command}.1"));
        let printed = run_in(folder.path(), &["man", command]).exits(0).stdout;
        assert_eq!(printed, page, "{command}");
    }
    let whole = read("gauntlet.1");
    assert_eq!(run_in(folder.path(), &["man"]).exits(0).stdout, whole);
    assert!(whole.contains("could not tell"), "the exit codes in\n{whole}");
    let head = format!(".TH gauntlet-run 1 \"\" \"gauntlet {}\"", env!("CARGO_PKG_VERSION"));
    // roff has hyphens escaped.
    let run = read("gauntlet-run.1");
    assert!(run.contains(&head), "{head} in\n{run}");
    let run = run.replace("\\-", "-");
    for flag in ["--expected-failures", "--partition", "--allow-partial"] {
        assert!(run.contains(flag), "{flag} in\n{run}");
    }
}

#[test]
fn one_page_or_all_of_them() {
    let folder = folder();
    let ran = run_in(folder.path(), &["man", "run", "--dir", "pages"]).exits(2);
    assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    assert!(!folder.path().join("pages").exists());
}
