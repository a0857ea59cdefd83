//! Markdown, for a CI summary or a comment on a change.

use super::{failures, plan, what};
use crate::load::cluster::{TITLE as PODS, TargetSide};
use crate::load::http::{COLUMNS, HttpResult, TITLE};
use crate::load::objective::Kept;
use crate::load::recorder::Example;
use crate::load::result::LoadResult;
use crate::load::summary::{closed, fan_out, generator, latencies, milliseconds, platform, share, titled, word};
use crate::report::{cell, code, escape, fence};

/// Lines shown of what a server said.
const EXCERPT: usize = 20;

pub fn render(result: &LoadResult) -> String {
    let mut text = format!(
        "# gauntlet load: {}\n\n{} in {:.1} s: {}, at {}\n\n",
        result.verdict.word(),
        result.verdict.word(),
        result.ended,
        escape(&what(result)),
        code(&result.load.target),
    );
    for reason in &result.reasons {
        text += &format!("- {}\n", escape(reason));
    }
    if !result.reasons.is_empty() {
        text.push('\n');
    }
    if let Some(closed) = closed(result) {
        text += &format!("{}\n\n", escape(closed));
    }
    text += &objectives(result);
    text += &counts(result);
    text += &table(result);
    text += &failed(result);
    text += &examples(&result.examples);
    text += &result.http.as_ref().map(http).unwrap_or_default();
    text += &format!("Generator: {}\n\n", escape(&generator(result)));
    if let Some(counted) = &result.platform {
        text += &format!("Platform: {}\n\n", escape(&platform(counted)));
    }
    text += &result.target_side.as_ref().map(pods).unwrap_or_default();
    let plan: Vec<String> = plan(result)
        .iter()
        .map(|(name, value)| format!("{name}: {}", escape(value)))
        .collect();
    text + &format!("<sub>{}</sub>\n", plan.join(", "))
}

fn objectives(result: &LoadResult) -> String {
    if result.objectives.is_empty() {
        return String::new();
    }
    let mut text = String::from("| objective | | found |\n|---|---|---|\n");
    for judged in &result.objectives {
        let word = match judged.kept {
            Kept::Yes => word(judged, result.verdict).to_owned(),
            _ => format!("**{}**", word(judged, result.verdict)),
        };
        text += &format!("| {} | {word} | {} |\n", cell(&judged.objective), escape(&judged.found));
    }
    text + "\n"
}

fn counts(result: &LoadResult) -> String {
    let counts = &result.counts;
    let mut text = format!(
        "{} attempted: {} opened, {} refused, {} failed; most open at once {}. Of those opened {} lost, {} stuck in \
         closing. {} echoes: {} not answered.",
        counts.attempted,
        counts.opened,
        counts.refused,
        counts.failed,
        result.most_open,
        counts.lost,
        counts.stuck,
        counts.echoes_sent,
        counts.echoes_unanswered,
    );
    if counts.probes > 0 {
        text += &format!(
            " {} without the right token: {} refused with 401, {} opened, {} otherwise.",
            counts.probes, counts.probes_refused, counts.probes_opened, counts.probes_otherwise
        );
    }
    if let Some(fanned) = &result.fan_out {
        text += &format!(" Fan-out: {}.", fan_out(fanned));
    }
    text + "\n\n"
}

fn table(result: &LoadResult) -> String {
    let mut text = format!(
        "| {} | count | p50 | p90 | p99 | p99.9 | max |\n|---|--:|--:|--:|--:|--:|--:|\n",
        titled("latency", result)
    );
    let head = text.len();
    for (name, latency) in latencies(result) {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            escape(&name),
            latency.count,
            milliseconds(latency.p50),
            milliseconds(latency.p90),
            milliseconds(latency.p99),
            milliseconds(latency.p999),
            milliseconds(latency.max)
        );
    }
    match text.len() == head {
        true => String::new(),
        false => text + "\n",
    }
}

fn failed(result: &LoadResult) -> String {
    let mut text = String::new();
    for (title, failures, of) in failures(result) {
        text += &format!("| {} | count | share |\n|---|--:|--:|\n", title.to_lowercase());
        for (failure, count) in failures {
            text += &format!(
                "| {} | {count} | {} |\n",
                cell(failure),
                share(failure, *count, of, result)
            );
        }
        text.push('\n');
    }
    text
}

fn examples(examples: &[Example]) -> String {
    if examples.is_empty() {
        return String::new();
    }
    let mut text = format!("<details>\n<summary>Examples ({})</summary>\n\n", examples.len());
    for example in examples {
        text += &format!(
            "At {:.3} s, attach {}: {}\n\n",
            example.at,
            escape(&example.attach),
            escape(&example.failure)
        );
        if let Some(said) = &example.said {
            let lines: Vec<&str> = said.lines().take(EXCERPT).collect();
            text += &fence("text", &lines.join("\n"));
        }
    }
    text + "</details>\n\n"
}

/// What it cost the target's pods.
fn pods(side: &TargetSide) -> String {
    let mut text = format!("{PODS}: {}\n\n", escape(&side.what()));
    for (pod, cost) in side.lines() {
        let name = if pod.is_empty() {
            String::new()
        } else {
            format!("{}: ", code(pod))
        };
        text += &format!("- {name}{}\n", escape(&cost));
    }
    text + "\n"
}

/// The HTTP side: its figures are of another model, and stand apart.
fn http(side: &HttpResult) -> String {
    let mut text = format!("## {TITLE}\n\n{}\n\n", escape(&side.what()));
    if !side.requests.is_empty() {
        text += &format!(
            "| {} |\n|---|{}---|\n",
            COLUMNS.join(" | "),
            "--:|".repeat(COLUMNS.len() - 2)
        );
    }
    for row in side.rows() {
        text += &format!("| {} |\n", row.map(|cell| escape(&cell)).join(" | "));
    }
    text.push('\n');
    for (why, count) in side.failures() {
        text += &format!("- {count} times {}\n", escape(&why));
    }
    for example in &side.examples {
        text += &format!("- {}\n", escape(&example.text()));
    }
    text.trim_end().to_owned() + "\n\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sample;

    #[test]
    fn what_passed() {
        insta::assert_snapshot!(render(&sample::passed()), @r"
        # gauntlet load: PASSED

        PASSED in 12.5 s: 1000 attaches at 500/s, held 10s, an echo every 1500ms, at `ws://127.0.0.1:4096/tty`

        | objective | | found |
        |---|---|---|
        | `errors == 0` | kept | 0 |

        1000 attempted: 1000 opened, 0 refused, 0 failed; most open at once 1000. Of those opened 0 lost, 0 stuck in closing. 1000 echoes: 0 not answered. 20 without the right token: 20 refused with 401, 0 opened, 0 otherwise.

        | latency | count | p50 | p90 | p99 | p99.9 | max |
        |---|--:|--:|--:|--:|--:|--:|
        | attach | 1000 | 5.00 ms | 9.01 ms | 9.90 ms | 9.99 ms | 10.0 ms |
        | echo | 1000 | 5.00 ms | 9.01 ms | 9.90 ms | 9.99 ms | 10.0 ms |
        | steady echo | 1000 | 5.00 ms | 9.01 ms | 9.90 ms | 9.99 ms | 10.0 ms |

        Generator: lag p99 0.50 ms

        <sub>target: ws://127.0.0.1:4096/tty, attaches (-n): 1000, arrivals (--ramp): 500/s, held (--hold): 10s, an echo each (--echo-every): 1500ms, a probe each (--probe-every): never, longest phase (--deadline): 30s, seed (--seed): 7, gauntlet: 0.1.0 (0123456), started: 2026-11-29T07:00:00Z</sub>
        ");
    }

    #[test]
    fn what_failed_and_what_the_server_said_of_it() {
        let text = render(&sample::failed());
        for part in [
            "# gauntlet load: FAILED\n",
            "\n- the door opened 2 times without the right token\n",
            "| `errors == 0` | **BROKEN** | 3 |\n",
            "| `attach.p99.9 < 1s` | **NOT ENOUGH SAMPLES** | 1000 samples, and it needs 10000 |\n",
            "| failures | count | share |\n|---|--:|--:|\n| `status 503` | 3 | 0.3 % |\n",
            "At 0.500 s, attach 17: status 503\n\n```text\nHTTP/1.1 503 Busy\n",
            "At 0.750 s, attach an empty token: opened without the right token\n\n</details>\n",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
        // Nothing turns the direction of what follows.
        assert!(!text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn the_http_side_stands_apart_with_its_model() {
        let text = render(&sample::passed().with_http(sample::opened()));
        for part in [
            "\n## HTTP side (closed model)\n\n5 users for 12.5 s, each waits for its answer: ",
            "\n| request | count | right | opened | unexpected | failed | p50 | p90 | p99 | max | statuses |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
            "\n| models-bad-jwt | 10 | 7 | 3 | 0 | 0 | ",
            "\n- at 0.250 s, GET /api/agents/models with a JWT with a wrong signature, answered with 200: a shut door \
             opened\n\nGenerator: ",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn the_targets_pods_stand_behind_the_generator() {
        let text = render(&sample::passed().with_target_side(Some(sample::target_side())));
        let part = "Generator: lag p99 0.50 ms\n\n\
                    Pods of the target: those of namespace agents with app in (web, worker)\n\n\
                    - `web-1`: 2.5 s of processor, 51.0 MB at most, 3 processes, 120 descriptors at most, 1 RESTART\n\
                    - `worker-1`: descriptors not told, no restart\n";
        assert!(text.contains(part), "{text}");
        assert!(!text.contains("<a>"), "{text}");
    }

    #[test]
    fn what_a_server_says_ends_no_block() {
        let mut result = sample::failed();
        result.examples[0].said = Some("```\n</details><img src=x>".into());
        assert!(render(&result).contains("````text\n```\n</details><img src=x>\n````\n"));
    }
}
