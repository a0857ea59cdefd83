use proptest::prelude::*;

use super::*;

fn decode(pieces: &[&[u8]]) -> String {
    let mut decoder = Decoder::default();
    let mut text = String::new();
    for piece in pieces {
        decoder.room()[..piece.len()].copy_from_slice(piece);
        text += &decoder.take(piece.len());
    }
    text
}

proptest! {
    /// However the bytes are cut, the text is whole and no frame is too long.
    #[test]
    fn cut_characters_are_mended(text in "\\PC{0,200}", cuts in proptest::collection::vec(1usize..7, 0..200)) {
        let mut rest = text.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(decode(&pieces), text);
    }

    #[test]
    fn any_bytes_become_text(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..20)) {
        let mut decoder = Decoder::default();
        for piece in &pieces {
            decoder.room()[..piece.len()].copy_from_slice(piece);
            prop_assert!(decoder.take(piece.len()).chars().count() <= piece.len() + 3);
        }
        prop_assert!(decoder.pending < 4);
    }

    #[test]
    fn frames_are_short_and_complete(text in "[a-zäöü€😀]{0,9000}") {
        let frames = frames(&text);
        prop_assert!(frames.iter().all(|frame| !frame.is_empty() && frame.chars().count() <= FRAME));
        prop_assert_eq!(frames.iter().map(|frame| frame.as_str()).collect::<String>(), text);
    }
}

fn published(texts: impl IntoIterator<Item = String>) -> String {
    let output = Mutex::new(Output {
        scrollback: String::new(),
        live: None,
    });
    let mut published = 0;
    for text in texts {
        published += text.len();
        publish(&output, text);
        // However much is cut off, the scrollback stays, less a line at most.
        assert!(lock(&output).scrollback.len() > published.min(SCROLLBACK).saturating_sub(40));
    }
    output.into_inner().expect("nobody panicked").scrollback
}

#[test]
fn the_scrollback_is_bounded() {
    let kept = published((0..200).map(|_| "ä".repeat(FRAME / 2)));
    assert!(kept.len() <= 2 * SCROLLBACK);
}

#[test]
fn the_scrollback_is_whole_up_to_its_bound() {
    assert_eq!(published(["x".repeat(2 * SCROLLBACK)]).len(), 2 * SCROLLBACK);
    assert_eq!(published(["x".repeat(2 * SCROLLBACK), "x".into()]).len(), SCROLLBACK);
}

#[test]
fn what_is_cut_off_ends_with_its_line() {
    let lines = || (0..10_000).map(|number| format!("line {number:4} ends here\n"));
    let kept = published(lines());
    let all: String = lines().collect();
    assert!(all.ends_with(&kept));
    assert!(kept.starts_with("line "), "{}", &kept[..40]);
    assert!(kept.len() <= 2 * SCROLLBACK);
}

/// A program may ignore the end of its terminal, and its jobs may have groups of their own.
#[tokio::test]
async fn nothing_outlives_its_terminal() {
    let job = |what: &str| format!("sh -c 'trap \"\" HUP; echo {what} $$; sleep 1000'");
    let stubborn = format!(
        "trap '' HUP; echo shell $$; set -m; {} & {}",
        job("background"),
        job("job")
    );
    let (terminal, pids) = started(&stubborn, &["shell ", "background ", "job "]).await;
    drop(terminal);
    gone(&pids).await;
}

#[tokio::test]
async fn a_shell_that_ends_takes_its_jobs_along() {
    let short = "set -m; sh -c 'trap \"\" HUP; echo job $$; sleep 1000' & read line";
    let (terminal, pids) = started(short, &["job "]).await;
    terminal.keys("\r".into()).await;
    gone(&pids).await;
    assert!(!terminal.is_running());
}

/// A terminal with what a script starts, once that has said its numbers.
async fn started(script: &str, names: &[&str]) -> (Terminal, Vec<i32>) {
    let command = ["sh", "-c", script].map(str::to_owned);
    let terminal = Terminal::start(&command, &super::super::super::pod::tests::pod(&[])).expect("started");
    let pid = |scrollback: &str, what: &str| -> Option<i32> {
        let line = scrollback.lines().find_map(|line| line.strip_prefix(what))?;
        line.trim().parse().ok()
    };
    let mut feed = terminal.follow();
    let pids = loop {
        let scrollback = terminal.scrollback();
        let pids: Vec<i32> = names.iter().filter_map(|name| pid(&scrollback, name)).collect();
        if pids.len() == names.len() {
            break pids;
        }
        feed.next().await.expect("it runs");
    };
    (terminal, pids)
}

async fn gone(pids: &[i32]) {
    let started = std::time::Instant::now();
    for pid in pids {
        let pid = Pid::from_raw(*pid).expect("a process");
        while rustix::process::test_kill_process(pid).is_ok() {
            assert!(
                started.elapsed() < std::time::Duration::from_secs(30),
                "{pid:?} lives on"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
