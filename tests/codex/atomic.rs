//! What the kernel tells a watcher of `auth.json` while it rotates.

use std::mem::MaybeUninit;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::rotators::{login, put};
use crate::binary::{Running, folder, gauntlet, until};

/// All that happens to the name until the file has been written so often.
fn happens(mutants: &str, rotations: usize) -> ReadFlags {
    let folder = folder();
    for account in ["1", "2"] {
        let file = format!("auth-{account}.json");
        put(folder.path(), &file, &login(&format!("acct-{account}")));
    }
    let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).expect("a queue");
    let changes = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
    let changes = changes | WatchFlags::DELETE | WatchFlags::MOVE;
    inotify::add_watch(&queue, folder.path(), changes).expect("it is watched");
    let mut command = gauntlet();
    command
        .args(["platform", "codex-auth-rotator"])
        .env("CHATGPT_AUTH_DIR", folder.path())
        .env("CODEX_ROTATION_INTERVAL_SEC", "0.001")
        .env("CODEX_ROTATION_POLL_SEC", "0.001")
        .env("GAUNTLET_MUTANTS", mutants);
    let rotator = Running::start(&mut command).expect("gauntlet starts");
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut events = Reader::new(&queue, &mut buffer);
    let (mut seen, mut times) = (ReadFlags::empty(), 0);
    until("it is written so often", || {
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => panic!("reading events: {error}"),
            };
            let kinds = event.events();
            assert!(!kinds.contains(ReadFlags::QUEUE_OVERFLOW), "some were lost");
            if event.file_name().is_some_and(|name| name.to_bytes() == b"auth.json") {
                seen |= kinds;
                times += usize::from(kinds.intersects(ReadFlags::MOVED_TO | ReadFlags::CLOSE_WRITE));
            }
        }
        match times >= rotations {
            true => Ok(()),
            false => Err(format!("{times} times: {}", rotator.stderr())),
        }
    });
    seen
}

#[test]
fn a_rotation_moves_a_whole_file_to_the_visible_name() {
    assert_eq!(happens("", 200), ReadFlags::MOVED_TO);
    let in_place = happens("auth-json-in-place", 5);
    assert!(in_place.contains(ReadFlags::MODIFY), "{in_place:?}");
    let removed = happens("auth-json-removed-first", 5);
    assert!(removed.contains(ReadFlags::DELETE), "{removed:?}");
}
