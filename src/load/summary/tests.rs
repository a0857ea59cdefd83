//! What a summary says, and when.

use super::*;
use crate::load::result::{FannedOut, Verdict};
use crate::load::sample;

#[test]
fn an_interrupted_load_has_things_under_way() {
    let mut result = sample::passed();
    let whole = summary(&result);
    assert!(!whole.contains("still"), "{whole}");
    assert!(whole.contains("\n  kept  errors == 0  (0)\n"), "{whole}");
    result.verdict = Verdict::Interrupted;
    result.counts.closed = 965;
    result.counts.lost = 3;
    result.counts.stuck = 2;
    result.counts.echoes_answered = 900;
    result.counts.echoes_unanswered = 4;
    let text = summary(&result);
    for part in [
        "of those opened 965 were closed from here, 3 lost before, 2 stuck in closing, 30 still open\n",
        "  echoes    1000 sent, 900 answered, 4 not, 96 still awaited\n",
        "\n  not broken so far  errors == 0  (0)\n",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn one_is_one() {
    let mut result = sample::measured([1000], []);
    result.counts.probes = 1;
    result.counts.probes_refused = 1;
    let text = summary(&result);
    for part in [
        "\n1 attach at 500/s, ",
        "of those opened 1 was closed from here, ",
        "  probes    1 attach without the right token: 1 refused with 401, ",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn what_came_while_the_platform_changed_stands_apart() {
    let mut result = sample::passed();
    assert!(!summary(&result).contains("meanwhile"));
    result.counts.unsettled = 5;
    result.counts.unsettled_opened = 3;
    result.counts.unsettled_refused = 2;
    result.counts.probes_cut = 1;
    let text = summary(&result);
    for part in [
        " otherwise, 1 cut off while the platform changed\n",
        "  meanwhile 5 attaches with the right token while the platform changed: 3 opened, 2 refused with 401, 0 \
         otherwise\n",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn what_came_to_all_has_a_line() {
    let mut result = sample::passed();
    result.fan_out = Some(FannedOut {
        typed: 20,
        frames_per_key: 50.5,
        deliveries: 1000,
        delivered: 999,
    });
    let line = "  fan-out   20 keys typed by one of them: 999 of 1000 deliveries, 50.5 frames for each\n";
    assert!(summary(&result).contains(line), "{}", summary(&result));
}

#[test]
fn failures_of_echoes_are_a_share_of_echoes() {
    let mut result = sample::measured(sample::rising().take(10), sample::rising());
    result.counts.attempted = 10;
    result.failures.insert("timed out: echo".into(), 50);
    result.failures.insert("echo: another answer".into(), 10);
    result.failures.insert("timed out: upgrade".into(), 5);
    let text = summary(&result);
    for part in [
        " 50  timed out: echo  (5.0 % of the echoes)\n",
        " 10  echo: another answer  (1.0 % of the echoes)\n",
        " 5  timed out: upgrade  (50.0 %)\n",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
}

#[test]
fn few_attaches_do_not_tell_what_one_takes() {
    let mut result = sample::passed();
    result.generator.bytes_per_attach = Some(20_000.0);
    for (open, said) in [(99, false), (100, true)] {
        result.most_open = open;
        assert_eq!(
            generator(&result).contains("20.00 KB for each that is held"),
            said,
            "{open}"
        );
    }
}

#[test]
fn the_targets_pods_stand_behind_the_generator() {
    let text = summary(&sample::passed().with_target_side(Some(sample::target_side())));
    let part = "\n  Pods of the target: those of namespace agents with app in (web, worker)\n    \
                web-1     2.5 s of processor, 51.0 MB at most, 3 processes, 120 descriptors at most, 1 RESTART\n    \
                worker-1  descriptors not told, no restart\n              \
                node <a> did not answer\n";
    assert!(text.contains(part), "{text}");
}

#[test]
fn the_http_side_stands_apart_with_its_model() {
    let text = summary(&sample::passed().with_http(sample::opened()));
    for part in [
        "\n  HTTP side (closed model): 5 users for 12.5 s, each waits for its answer: \
         http://127.0.0.1:4000/api/v1/managed_agents and http://127.0.0.1:8080/api/agents\n",
        "  200: 3, 401: 7\n",
        "    at 0.250 s, GET /api/agents/models with a JWT with a wrong signature, answered with 200: a shut door \
         opened\n",
        "\nFAILED in 12.5 s\n  HTTP side: a shut door opened 3 times, ",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
    assert!(!summary(&sample::passed()).contains("HTTP side"));
}

#[test]
fn the_closed_model_is_named_wherever_its_figures_stand() {
    let text = summary(&sample::closed());
    for part in [
        "\n1000 attaches, 10 at once (closed model), held 10 s, an echo 1500 ms after each answer: ws://",
        "\n  closed model: the next attach or echo begins only after an answer, ",
        "\n  (closed model)     count ",
        "\n  generator  no schedule, and so no lag\n",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
    assert!(!summary(&sample::passed()).contains("closed model"));
}

/// As it may be bytes of any kind: the result as JSON is where they are kept.
#[test]
fn what_a_server_said_is_shown_in_short() {
    let mut result = sample::failed();
    result.examples[0].said = Some(format!("HTTP/1.1 500 No\r\n\r\n\u{1b}[2J{}", "\u{1}x".repeat(2000)));
    let text = summary(&result);
    let begins = "\n      | HTTP/1.1 500 No\n      | \\u{1b}[2J\\u{1}x";
    assert!(text.contains(begins), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{1}'), "{text}");
    let mut shown = text.lines().filter(|line| line.starts_with("      | "));
    assert!(shown.all(|line| line.chars().count() <= 8 + 200), "{text}");
    assert!(text.contains("…\n"), "{text}");
}
