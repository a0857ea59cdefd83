//! The shell without a process of its own: texts, and what they become.

use std::ffi::OsString;
use std::fs;

use proptest::prelude::*;

use super::builtin::formatted;
use super::syntax::{SyntaxError, parse};
use super::{Shell, Streams};

/// Output and exit code of a text. `F` in it is an empty folder of its own.
fn run(text: &str, arguments: &[&str]) -> (String, u8) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".output");
    let output = fs::File::create(&path).unwrap();
    let streams = Streams(std::array::from_fn(|_| output.try_clone().unwrap().into()));
    let env =
        [("PATH", "/usr/bin:/bin"), ("SPACED", " a  b ")].map(|(name, value)| (OsString::from(name), value.into()));
    let mut shell = Shell::new(&env);
    shell.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let place = folder.path().to_str().unwrap();
    let code = shell.whole(&text.replace('F', place), &streams);
    (fs::read_to_string(&path).unwrap().replace(place, "F"), code)
}

#[track_caller]
fn says(text: &str, expected: &str) {
    assert_eq!(run(text, &["one", "two  words"]), (expected.to_owned(), 0), "{text}");
}

#[test]
fn words_and_quotes() {
    says("echo a   b # c", "a b\n");
    says(
        r#"echo 'a  $b' "a \"b\" \\ \x" a\ \ b '' c"#,
        "a  $b a \"b\" \\ \\x a  b  c\n",
    );
    says("a=1; echo $a ${a}2 \"$a\" '$a' $b- $ \"$\"", "1 12 1 $a - $ $\n");
    says(
        "echo $SPACED; echo \"$SPACED\"; echo x${SPACED}y",
        "a b\n a  b \nx a b y\n",
    );
    says("a='b c' ; b=$a ; echo \"$b\"", "b c\n");
    says("echo a \\\n b;echo c\r\necho d", "a b\nc\nd\n");
    says("HOME=/h; echo ~ ~/x a~ '~'", "/h /h/x a~ ~\n");
}

#[test]
fn parameters() {
    says("echo $# $1 \"$2\" $2 $0 ${3}", "2 one two  words two words sh\n");
    says("for a in \"$@\"; do echo \"<$a>\"; done", "<one>\n<two  words>\n");
    says(
        "for a do echo \"<$a>\"; done; shift; echo \"x$@y\"",
        "<one>\n<two  words>\nxtwo  wordsy\n",
    );
    says("shift; \"$@\" || echo $?", "sh: two  words: not found\n127\n");
    says("shift 2; echo $# \"$@\"", "0\n");
}

#[test]
fn lists() {
    says("true && echo a || echo b; false && echo c || echo d", "a\nd\n");
    says("false; echo $?; true; echo $?", "1\n0\n");
    says("false ||\n echo a &&\n\n echo b", "a\nb\n");
    assert_eq!(run("false", &[]).1, 1);
    assert_eq!(run("exit 7; echo no", &[]), (String::new(), 7));
    assert_eq!(run("/bin/sh -c 'exit 9'", &[]).1, 9);
    assert_eq!(run("/bin/sh -c 'kill -9 $$'", &[]).1, 137);
    assert_eq!(run("false\n\n# nothing more\n", &[]).1, 1);
}

#[test]
fn variables_of_programs() {
    says(
        "a=1; printenv a || echo none; export a; printenv a; a=2 printenv a; echo $a",
        "none\n1\n2\n1\n",
    );
    says("export b=x; unset b; printenv b || echo none", "none\n");
}

#[test]
fn files_and_streams() {
    says(
        "echo a > F/x; echo b >> F/x; cat < F/x; cat F/x >F/y 2>&1; cat F/y",
        "a\nb\na\nb\n",
    );
    says(
        "echo 1 >F/b; echo 2 >F/a; echo F/? F/[b] 'F/?' F/none* F/.n*",
        "F/a F/b F/b F/? F/none* F/.n*\n",
    );
    says("for f in F/none*; do cat <$f; echo $?; done 2>/dev/null; true", "1\n");
    says(
        "cat < F/none || echo $?",
        "sh: F/none: No such file or directory (os error 2)\n1\n",
    );
    says(
        "for a in 1 2; do for b in x y; do echo $a$b; done; done > F/o; cat F/o",
        "1x\n1y\n2x\n2y\n",
    );
}

#[test]
fn what_it_does_not_have_is_told_before_anything_runs() {
    for (text, what) in [
        ("echo a; echo b | cat", "a pipe (|)"),
        ("sleep 1 &", "a command in the background (&)"),
        ("(echo a)", "a subshell or function"),
        ("f() echo a", "a subshell or function"),
        ("echo $(date)", "a command's output or arithmetic (`$(`)"),
        ("echo \"`date`\"", "a command's output (`)"),
        ("echo ${a:-b}", "`${a:-b}`"),
        ("if true; then echo a; fi", "`if`"),
        ("cat <<END", "`<<`"),
        ("echo $!", "`$!`"),
        ("echo a 3>&1", "the stream 3"),
        ("cd ~root", "`~NAME`"),
    ] {
        assert_eq!(parse(text), Err(SyntaxError::Unsupported(what.into())), "{text}");
        assert_eq!(run(text, &[]), (String::new(), 2), "{text}");
    }
    says("trap '' HUP || echo $?", "sh: trap is not supported\n2\n");
}

#[test]
fn cut_off_input_is_not_wrong_input() {
    for text in [
        "echo 'a",
        "echo \"a",
        "echo a \\",
        "a &&",
        "for a in b",
        "for a in b; do echo a",
        "for",
        "echo ${a",
    ] {
        assert!(
            matches!(parse(text), Err(SyntaxError::Incomplete(_))),
            "{text:?}: {:?}",
            parse(text)
        );
    }
    for text in [
        "; a",
        "a ;; b",
        "done",
        "for a in b; echo",
        "for a in b; do c && done",
        "echo a >;",
        "for 1 in a; do b; done",
    ] {
        assert!(
            matches!(parse(text), Err(SyntaxError::Unexpected(_))),
            "{text:?}: {:?}",
            parse(text)
        );
    }
}

#[test]
fn printf_formats() {
    let format = |format: &str, arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        formatted(format, &arguments)
    };
    assert_eq!(format(r"%s=%d%%\n", &["a", "1", "b", "2"]).unwrap(), "a=1%\nb=2%\n");
    assert_eq!(format(r"a\tb\\", &["unused"]).unwrap(), "a\tb\\");
    assert_eq!(format("%s-%d", &[]).unwrap(), "-0");
    assert_eq!(format("%5s", &[]).unwrap_err(), "%5 is not supported");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\\n\\räß$'\"\\\\;&|<>(){}]{0,60}") {
        let _answer = parse(&text);
    }

    #[test]
    fn what_is_quoted_stays_as_it_is(text in "[^\\x00'F]{0,40}") {
        prop_assert_eq!(run(&format!("printf %s '{text}'"), &[]), (text, 0));
    }
}
