//! What a load shows on a terminal while it runs: a block that is drawn again in place, and nothing of it at the end.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};

use pty_process::blocking::{Command, Pty, open};

use crate::binary::{folder, gauntlet_with_signals, run_in, until};

/// Rows enough that a result doesn't scroll.
const ROWS: u16 = 100;
const COLUMNS: u16 = 80;

/// gauntlet on a terminal of its own. Dropped, it is killed.
struct OnTerminal {
    child: Child,
    terminal: Arc<Pty>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl OnTerminal {
    fn start(folder: &Path, arguments: &[&str]) -> OnTerminal {
        let (pty, pts) = open().expect("a pseudo-terminal");
        pty.resize(pty_process::Size::new(ROWS, COLUMNS)).expect("resized");
        let mut command = gauntlet_with_signals();
        command.current_dir(folder).env("TERM", "xterm").args(arguments);
        let child = Command::from(command).spawn(pts).expect("gauntlet starts");
        let terminal = Arc::new(pty);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (from, into) = (terminal.clone(), written.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = (&*from).read(&mut bytes) {
                into.lock().expect("not poisoned").extend_from_slice(&bytes[..read]);
            }
        });
        OnTerminal {
            child,
            terminal,
            written,
        }
    }

    /// The rows that a person sees now.
    fn rows(&self) -> Vec<String> {
        let (rows, columns) = (ROWS.try_into().expect("some"), COLUMNS.try_into().expect("some"));
        let mut screen = vt100::Parser::new(rows, columns, 0);
        screen.process(&self.written.lock().expect("not poisoned"));
        let rows = screen.screen().rows(0, COLUMNS).map(|row| row.trim_end().to_owned());
        rows.collect()
    }

    /// Waits until a block shows that this many attaches are open, at the second second or later; gives its rows.
    fn shows_open(&self, attaches: u32) -> Vec<String> {
        let head = regex::Regex::new(&format!(
            "^ 0:(0[2-9]|[1-9][0-9]) of 0:[0-9]{{2}}, {attaches} of {attaches} open$"
        ));
        let head = head.expect("a pattern");
        let mut shown = Vec::new();
        until("the block is drawn again", || {
            shown = self.rows();
            match shown.iter().any(|row| head.is_match(row)) {
                true => Ok(()),
                false => Err(shown.join("\n")),
            }
        });
        shown
    }

    fn ends(&mut self) -> Option<i32> {
        let mut code = None;
        until("gauntlet ends", || {
            match self.child.try_wait().expect("it can be asked") {
                Some(status) => {
                    code = status.code();
                    Ok(())
                }
                None => Err(self.rows().join("\n")),
            }
        });
        code
    }

    /// Waits until this text is there, and sees that no row of a block is.
    #[track_caller]
    fn is_left_clean(&self, with: &str) {
        let mut rows = Vec::new();
        until("its last words are read", || {
            rows = self.rows();
            match rows.iter().any(|row| row.contains(with)) {
                true => Ok(()),
                false => Err(rows.join("\n")),
            }
        });
        let of_block = |row: &&String| row.starts_with(" 0:") || row.starts_with(" errors ") || row.contains("/s p50 ");
        let left: Vec<&String> = rows.iter().filter(of_block).collect();
        assert!(left.is_empty(), "{left:?} of\n{}", rows.join("\n"));
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended of itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn begins(rows: &[String], with: &str) -> usize {
    rows.iter().filter(|row| row.starts_with(with)).count()
}

const LOAD: [&str; 6] = ["load", "-n", "20", "--echo-every", "200ms", "--hold"];

#[test]
fn a_block_is_drawn_in_place_and_gone_at_the_end() {
    let folder = folder();
    let mut running = OnTerminal::start(folder.path(), &[&LOAD[..], &["4s"]].concat());
    let shown = running.shows_open(20);
    // Once each, though it has been drawn twice.
    for row in [" 0:", " attach ", " echo ", " lag ", " errors 0"] {
        assert_eq!(begins(&shown, row), 1, "{row:?} in\n{}", shown.join("\n"));
    }
    assert_eq!(running.ends(), Some(0), "{}", running.rows().join("\n"));
    running.is_left_clean("PASSED in ");
}

/// Those whom a full door refuses, while the others are held.
#[test]
fn errors_are_shown_by_kind() {
    let folder = folder();
    let limited = ["4s", "--most-attaches", "5", "--objective", "opened >= 5"];
    let mut running = OnTerminal::start(folder.path(), &[&LOAD[..], &limited].concat());
    until("errors are shown", || {
        let rows = running.rows();
        match begins(&rows, " errors 15: 15 status 503") {
            1 => Ok(()),
            _ => Err(rows.join("\n")),
        }
    });
    assert_eq!(running.ends(), Some(0), "{}", running.rows().join("\n"));
    running.is_left_clean("PASSED in ");
}

#[test]
fn nothing_of_it_is_left_by_ctrl_c() {
    let folder = folder();
    let mut running = OnTerminal::start(folder.path(), &[&LOAD[..], &["50s"]].concat());
    running.shows_open(20);
    (&*running.terminal).write_all(b"\x03").expect("typed");
    assert_eq!(running.ends(), Some(130), "{}", running.rows().join("\n"));
    running.is_left_clean("INTERRUPTED");
}

#[test]
fn a_search_shows_each_of_its_trials() {
    let folder = folder();
    let arguments = [
        "capacity", "--from", "10", "--most", "10", "--trials", "1", "--hold", "4s",
    ];
    let mut running = OnTerminal::start(folder.path(), &arguments);
    running.shows_open(10);
    assert_eq!(running.ends(), Some(0), "{}", running.rows().join("\n"));
    running.is_left_clean("capacity: at least 10 attaches");
    assert!(begins(&running.rows(), "10 attaches  kept") >= 1);
}

#[test]
fn elsewhere_nothing_is_drawn() {
    let folder = folder();
    let ran = run_in(folder.path(), &[&LOAD[..], &["2s"]].concat()).exits(0);
    assert_eq!(ran.stderr, "");
    let ran = run_in(folder.path(), &[&LOAD[..], &["6s"]].concat()).exits(0);
    assert!(ran.stderr.starts_with("     5 s      20 open "), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}
