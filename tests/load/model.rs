//! The closed model, named as such, and names that are resolved once or by each attach.

use super::{Door, load, of_the_reference, ran, result};
use crate::binary::{folder, run_in};

/// Also of two workers, who share what may be opened at once.
#[test]
fn a_load_of_the_closed_model_says_so_everywhere() {
    let folder = folder();
    let reports = "--report html --report markdown --report junit";
    for workers in ["1", "2"] {
        let arguments = format!(
            "-n 40 --hold 1s --echo-every 50ms --model closed --concurrency 4 --workers {workers} {reports} \
             --objective echo.count>=40 --objective errors==0"
        );
        let ran = of_the_reference(folder.path(), &arguments).exits(0);
        let result = result(folder.path());
        assert_eq!(
            (result["load"]["model"].as_str(), result["load"]["arrivals"].as_str()),
            (Some("closed"), Some("4 at once"))
        );
        let counts = &result["counts"];
        assert_eq!(counts["opened"].as_u64(), Some(40), "{counts}");
        assert_eq!(result["platform"]["opened"].as_u64(), Some(40));
        assert_eq!(counts["echoesSent"], counts["echoesAnswered"], "{counts}");
        // Nothing is late that is on no schedule.
        assert!(result["latencies"].get("lag").is_none(), "{}", result["latencies"]);
        assert_eq!(result["generator"]["saturated"], false);
        for part in [
            "40 attaches, 4 at once (closed model), held 1 s, an echo 50.0 ms after each answer",
            "  generator  no schedule, and so no lag",
        ] {
            assert!(ran.stdout.contains(part), "{part}\nin\n{}", ran.stdout);
        }
        for file in ["load.html", "load.md", "load-junit.xml"] {
            let report = std::fs::read_to_string(folder.path().join(file)).expect(file);
            assert!(report.contains("closed model"), "{file}: {report}");
        }
    }
}

#[test]
fn what_has_no_meaning_in_a_model_is_refused() {
    let folder = folder();
    let closed = ["--model", "closed", "--concurrency", "4"];
    let cases: [(&[&str], &str); 8] = [
        (&["--concurrency", "4"], "did you mean `--model closed`?"),
        (
            &["--model", "closed", "--ramp", "50/s"],
            "--model closed requires --concurrency",
        ),
        (&["--concurrency", "4", "--ramp", "50/s"], "cannot be used with"),
        (&["--sessions", "2"], "--model closed and --sessions exclude each other"),
        (
            &["--fan-out", "--terminal", "shared"],
            "--model closed and --fan-out exclude each other",
        ),
        (
            &["--workers", "5"],
            "--concurrency 4: each of 5 workers opens at least one",
        ),
        (
            &["--objective", "lag.p99 < 5ms"],
            "--objective lag.p99 < 5ms: the closed model has no schedule",
        ),
        (
            &["--abort-on", "lag.p99 > 5ms"],
            "--abort-on lag.p99 > 5ms: the closed model has no schedule",
        ),
    ];
    for (number, (arguments, said)) in cases.into_iter().enumerate() {
        let model = if number < 3 { &closed[..0] } else { &closed[..] };
        let ran = run_in(folder.path(), &[&["load"], model, arguments].concat()).exits(2);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

/// `127.1` is a name to whoever reads addresses, and leads to this machine without a name server.
#[test]
fn a_name_is_resolved_as_often_as_was_asked_for() {
    let folder = folder();
    let door = Door::open(&[]);
    let named = format!("ws://127.1:{}/tty", door.port);
    let latencies = |url: &str, arguments: &[&str]| {
        let all = [&["-n", "20", "--hold", "500ms", "--echo-every", "200ms"], arguments].concat();
        ran(load(folder.path(), url, &all)).exits(0);
        result(folder.path())["latencies"].clone()
    };
    let each = latencies(&named, &["--resolve", "each"]);
    assert!(each["resolve"]["count"].as_u64() >= Some(20), "{each}");
    // Those without the right token, too.
    assert_eq!(each["resolve"]["count"], each["connect"]["count"], "{each}");
    for workers in ["1", "2"] {
        let once = latencies(&named, &["--workers", workers]);
        assert_eq!(once["resolve"]["count"].as_u64(), Some(1), "{workers}: {once}");
    }
    let literal = latencies(&door.url(), &[]);
    assert!(literal.get("resolve").is_none(), "{literal}");
}

#[test]
fn an_address_is_not_resolved() {
    let folder = folder();
    let arguments = ["--resolve", "each"];
    let address = ran(load(folder.path(), "ws://127.0.0.1:1/tty", &arguments)).exits(2);
    let said = "--resolve each: 127.0.0.1 is an address, and only names are resolved";
    assert!(address.stderr.contains(said), "{}", address.stderr);
    let reference = run_in(folder.path(), &["load", "--resolve", "each"]).exits(2);
    assert!(
        reference.stderr.contains("--resolve each requires --url"),
        "{}",
        reference.stderr
    );
}
