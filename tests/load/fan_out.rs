//! One types, and all who share the terminal have to see it.

use super::{of_the_reference, result};
use crate::binary::{folder, run_in};

#[test]
fn a_key_comes_to_all_who_share_the_terminal() {
    let folder = folder();
    let arguments = "-n 30 --hold 1900ms --echo-every 200ms --terminal shared --fan-out";
    let ran = of_the_reference(folder.path(), arguments).exits(0);
    let result = result(folder.path());
    let fan_out = &result["fanOut"];
    assert_eq!(
        (
            fan_out["typed"].as_u64(),
            fan_out["deliveries"].as_u64(),
            fan_out["delivered"].as_u64()
        ),
        (Some(10), Some(300), Some(300)),
        "{fan_out}"
    );
    assert!(fan_out["framesPerKey"].as_f64() >= Some(30.0), "{fan_out}");
    let latencies = &result["latencies"];
    assert_eq!(latencies["delivery"]["count"].as_u64(), Some(300), "{latencies}");
    assert_eq!(latencies["fan-out"]["count"].as_u64(), Some(10), "{latencies}");
    // The last one is no earlier than the others.
    assert_eq!(latencies["fan-out"]["max"], latencies["delivery"]["max"], "{latencies}");
    let line = "  fan-out   10 keys typed by one of them: 300 of 300 deliveries, ";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
}

/// The first 32 see it, and the eight who came after them don't.
#[test]
fn a_terminal_that_leaves_some_out_is_found() {
    let folder = folder();
    let arguments = "-n 40 --hold 900ms --echo-every 200ms --deadline 3s --terminal shared --fan-out \
                     --mutant fan-out-to-few";
    let ran = of_the_reference(folder.path(), arguments).exits(1);
    let result = result(folder.path());
    let counts = &result["counts"];
    assert_eq!(
        (
            counts["keysTyped"].as_u64(),
            counts["delivered"].as_u64(),
            counts["undelivered"].as_u64()
        ),
        (Some(5), Some(160), Some(40)),
        "{counts}"
    );
    assert!(result["latencies"].get("fan-out").is_none(), "{}", result["latencies"]);
    assert!(ran.stdout.contains("fan-out: a key did not come"), "{}", ran.stdout);
}

#[test]
fn what_shares_no_terminal_is_said() {
    let folder = folder();
    for (arguments, said) in [
        (
            &["--terminal", "own"][..],
            "--fan-out: all attaches have to be at one terminal: --terminal shared",
        ),
        (
            &["--terminal", "shared", "--workers", "2"],
            "--fan-out and --workers exclude each other",
        ),
        (&["--sessions", "2"], "--fan-out and --sessions exclude each other"),
        (
            &["--terminal", "shared", "--echo-every", "never"],
            "--fan-out: with `--echo-every never` nobody types",
        ),
    ] {
        let ran = run_in(folder.path(), &[&["load", "--fan-out"][..], arguments].concat()).exits(2);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}
