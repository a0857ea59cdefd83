use std::sync::{Arc, Mutex};

use super::*;
use crate::report::sample;

/// What a reporter has written, also when it has gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings(verbosity: Verbosity) -> ConsoleSettings {
    ConsoleSettings {
        verbosity,
        ..ConsoleSettings::default()
    }
}

fn printed(events: &[Event], settings: ConsoleSettings) -> String {
    let out = Shared::default();
    let mut console = Console::new(out.clone(), settings, sample::folder());
    for event in events {
        console.event(event).unwrap();
    }
    assert!(console.finish().unwrap().is_empty());
    out.text()
}

#[test]
fn one_failure() {
    insta::assert_snapshot!(printed(&sample::one_failure(), settings(Verbosity::Normal)));
}

/// Their explanations have scrolled away; a few runs are seen at a glance.
#[test]
fn what_did_not_pass_of_many_runs_is_named_again_beside_the_counts() {
    let mut events = sample::failing();
    let of_few = printed(&events, settings(Verbosity::Quiet));
    assert!(!of_few.contains("] harness-token/warm/stale\n"), "{of_few}");
    let Event::RunStarted(info) = &mut events[0] else {
        panic!("a run starts first");
    };
    Arc::make_mut(info).scenarios = 40;
    let of_many = printed(&events, settings(Verbosity::Quiet));
    let (_, end) = of_many.split_once(" passed, ").expect("the counts");
    let (listed, _) = end.split_once("FAILED: ").expect("the verdict");
    assert!(listed.contains("] harness-token/warm/stale\n"), "{end}");
}

#[test]
fn facts_are_printed_where_roads_differ_and_all_of_them_where_wanted() {
    let all = ConsoleSettings {
        facts: true,
        ..settings(Verbosity::Normal)
    };
    let facts = "Facts (observed, not judged):\n  token.precedence  query-wins  harness-token/token/both[proxy]\n\n";
    let printed_of = |events: &[Event], settings: &ConsoleSettings| printed(events, settings.clone());
    assert!(!printed_of(&sample::one_failure(), &settings(Verbosity::Normal)).contains("Facts"));
    assert!(printed_of(&sample::one_failure(), &all).contains(facts));
    // Roads that differ, and roads that agree.
    let differing = "\n  of 1 seen on direct, proxy, 1 with different answers\n";
    for settings in [&settings(Verbosity::Normal), &all] {
        assert!(printed_of(&sample::failing(), settings).contains(differing));
    }
    let mut events = sample::failing();
    for event in &mut events {
        if let Event::ScenarioFinished(result) = event {
            for fact in &mut Arc::make_mut(result).facts {
                fact.value = "query-wins".into();
            }
        }
    }
    assert!(!printed_of(&events, &settings(Verbosity::Normal)).contains("Roads"));
    let printed = printed_of(&events, &all);
    assert!(
        printed.contains("of 1 seen on direct, proxy, 0 with different answers\n")
            && printed.contains("token.precedence"),
        "{printed}"
    );
}

#[test]
fn everything() {
    let text = printed(&sample::failing(), settings(Verbosity::Normal));
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "no control characters of the platform's"
    );
    insta::assert_snapshot!(text);
}

#[test]
fn of_much_evidence_the_most_telling_pieces_are_named() {
    let shown = |pieces: usize| {
        let mut events = sample::one_failure();
        for event in &mut events {
            if let Event::ScenarioFinished(result) = event
                && !result.evidence.is_empty()
            {
                let result = Arc::make_mut(result);
                let piece = result.evidence[1].clone();
                result.evidence = vec![piece; pieces];
            }
        }
        let text = printed(&events, settings(Verbosity::Quiet));
        let start = text.find("  evidence  ").unwrap();
        text[start..text.find("  to see it again").unwrap()]
            .trim_end()
            .to_owned()
    };
    assert!(!shown(4).contains("more in"), "{}", shown(4));
    insta::assert_snapshot!(shown(9));
}

#[test]
fn quiet() {
    insta::assert_snapshot!(printed(&sample::passing(), settings(Verbosity::Quiet)));
}

#[test]
fn verbose() {
    insta::assert_snapshot!(printed(&sample::partial(), settings(Verbosity::Verbose)));
}

#[test]
fn interrupted() {
    insta::assert_snapshot!(printed(&sample::interrupted(), settings(Verbosity::Normal)));
}

#[test]
fn broken_off() {
    insta::assert_snapshot!(printed(&sample::broken_off(), settings(Verbosity::Normal)));
}

#[test]
fn lines_fit_unless_they_are_to_be_copied() {
    for width in [60, 80, 120] {
        let settings = ConsoleSettings {
            width,
            ..settings(Verbosity::Verbose)
        };
        for line in printed(&sample::failing(), settings).lines() {
            let to_copy = ["reports/", "kubectl", "curl", "harness-token/", "gauntlet run"];
            assert!(
                line.chars().count() <= width.max(NARROWEST) || to_copy.iter().any(|c| line.contains(c)),
                "{width}: {line}"
            );
        }
    }
}

#[test]
fn no_width_is_too_small() {
    for width in 0..60 {
        let settings = ConsoleSettings {
            width,
            ..settings(Verbosity::Verbose)
        };
        assert!(printed(&sample::failing(), settings).contains("FAILED"));
    }
}

#[test]
fn colours_only_on_a_terminal_and_only_if_wanted() {
    let on = |stdout_terminal, color| ConsoleSettings {
        stdout_terminal,
        color,
        ..settings(Verbosity::Normal)
    };
    let plain = printed(&sample::one_failure(), on(false, Color::Auto));
    let colored = printed(&sample::one_failure(), on(true, Color::Auto));
    assert_eq!(printed(&sample::one_failure(), on(true, Color::Never)), plain);
    assert_eq!(printed(&sample::one_failure(), on(false, Color::Always)), colored);
    assert!(colored.contains(" \x1b[1;32mPASS\x1b[0m [  0.012s] harness-token/token/accept[direct]"));
    let codes = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    assert_eq!(codes.replace_all(&colored, ""), plain);
}

#[test]
fn the_slowest_of_many_are_named() {
    let mut events = sample::passing();
    let finished = |event: &Event| match event {
        Event::ScenarioFinished(result) => Some(Arc::clone(result)),
        _ => None,
    };
    let one = events.iter().find_map(finished).expect("it has finished");
    let others = (1..12_u64).map(|n| {
        let mut other = (*one).clone();
        other.run.repetition = Some(u32::try_from(n).unwrap());
        other.duration = std::time::Duration::from_millis(n * 1000);
        Event::ScenarioFinished(Arc::new(other))
    });
    // Before the end of the run.
    let last = events.len() - 1;
    drop(events.splice(last..last, others));
    let text = printed(&events, settings(Verbosity::Normal));
    let (_, slowest) = text.split_once("\nSlowest (5 of 12):\n").expect("a list");
    let lines: Vec<&str> = slowest.lines().take_while(|line| !line.is_empty()).collect();
    let expected = [11, 10, 9, 8, 7].map(|n| format!("  {n:>4}.000s  harness-token/token/accept[direct]#{n}"));
    assert_eq!(lines, expected);
    assert!(!printed(&events, settings(Verbosity::Quiet)).contains("Slowest"));
    assert!(!printed(&sample::failing(), settings(Verbosity::Normal)).contains("Slowest"));
}

#[test]
fn a_closed_output_is_an_error_and_no_panic() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut console = Console::new(Closed, settings(Verbosity::Normal), sample::folder());
    let error = console.event(&sample::passing()[0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn what_is_under_way_is_shown_and_taken_away() {
    let terminal = Terminal::default();
    let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
    let mut console = Console::with_live(
        terminal.clone(),
        settings(Verbosity::Normal),
        sample::folder(),
        Some(target),
    );
    let mut seen = String::new();
    for event in &sample::interrupted() {
        console.event(event).unwrap();
        // Drawing is limited in time; what matters is what stands there at last.
        console.live.iter().for_each(Live::redraw);
        seen += &format!("{}\n----\n", terminal.screen());
    }
    let time = regex::Regex::new(r"\[\d\d:\d\d:\d\d\]").unwrap();
    insta::assert_snapshot!(time.replace_all(&seen, "[TIME]"));
}

#[test]
fn a_block_is_drawn_in_place_and_taken_away() {
    let terminal = Terminal::default();
    let block = live::Block::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
    block.draw(&["one".to_owned(), "of two".to_owned()]);
    assert_eq!(terminal.screen(), "one\nof two");
    block.draw(&["another".to_owned(), "of".to_owned(), "three".to_owned()]);
    assert_eq!(terminal.screen(), "another\nof\nthree");
    drop(block);
    assert_eq!(terminal.screen(), "");
}

/// A terminal for both standard output and standard error.
#[derive(Clone)]
struct Terminal(Arc<Mutex<vt100::Parser>>);

impl Default for Terminal {
    fn default() -> Terminal {
        let (rows, columns) = (24.try_into().unwrap(), 80.try_into().unwrap());
        Terminal(Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))))
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    fn screen(&self) -> String {
        let terminal = self.0.lock().unwrap();
        let rows: Vec<String> = terminal.screen().rows(0, 80).collect();
        rows.iter()
            .map(|r| format!("{}\n", r.trim_end()))
            .collect::<String>()
            .trim_end()
            .to_owned()
    }

    fn send(&self, text: &str) -> io::Result<()> {
        let text = text.replace('\n', "\r\n");
        self.0.lock().unwrap().process(text.as_bytes());
        Ok(())
    }

    fn moved(&self, n: usize, code: char) -> io::Result<()> {
        match n {
            0 => Ok(()),
            n => self.send(&format!("\x1b[{n}{code}")),
        }
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(std::str::from_utf8(bytes).unwrap())?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl indicatif::TermLike for Terminal {
    fn width(&self) -> u16 {
        80
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'A')
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'B')
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'C')
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'D')
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.send(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.send(text)
    }
    fn clear_line(&self) -> io::Result<()> {
        self.send("\r\x1b[2K")
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
