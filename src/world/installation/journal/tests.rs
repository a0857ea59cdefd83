use super::*;

fn head() -> Head {
    Head {
        run: "r1".into(),
        started: "2026-01-01T00:00:00Z".into(),
        cluster: None,
        names: BTreeMap::new(),
        roads: BTreeMap::new(),
        secrets: BTreeMap::new(),
        operations: BTreeMap::new(),
        folder: PathBuf::new(),
        ca: None,
        insecure: false,
    }
}

fn session(id: &str) -> Entry {
    Entry::Session { id: id.into() }
}

#[test]
fn what_was_noted_is_read_again_less_what_is_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("journals");
    assert_eq!(Journal::left(&folder).expect("none"), Vec::<PathBuf>::new());
    let journal = Journal::create(&folder, head()).expect("made");
    journal.note(session("a")).expect("noted");
    journal.note(Entry::WarmPods { names: vec![] }).expect("noted");
    journal.note(Entry::Undone).expect("noted");
    journal.note(session("b")).expect("noted");
    journal.note(Entry::SessionDeleted { id: "a".into() }).expect("noted");
    let left = Journal::left(&folder).expect("listed");
    assert_eq!(left, std::slice::from_ref(&journal.path));
    let busy = Journal::open(&left[0]).err().expect("its run goes on").to_string();
    assert!(busy.ends_with("its run is still in progress"), "{busy}");
    drop(journal);
    let again = Journal::open(&left[0]).expect("read").expect("a head");
    assert_eq!((again.entries(), &again.head), (vec![session("b")], &head()));
    again.remove().expect("removed");
    assert!(Journal::left(&folder).expect("none").is_empty());
}

#[test]
fn a_line_that_is_cut_short_is_of_nothing_that_was_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::create(folder.path(), head()).expect("made");
    journal.note(session("a")).expect("noted");
    let path = journal.path.clone();
    drop(journal);
    let whole = std::fs::read_to_string(&path).expect("text");
    for cut in 1..=whole.lines().last().expect("a line").len() {
        std::fs::write(&path, &whole[..whole.len() - cut]).expect("written");
        let again = Journal::open(&path).expect("read").expect("a head");
        assert!(again.entries().is_empty());
        again.note(session("b")).expect("noted");
        drop(again);
        assert_eq!(
            Journal::open(&path).expect("read").expect("a head").entries(),
            [session("b")]
        );
    }
    std::fs::write(&path, format!("nonsense\n{whole}")).expect("written");
    assert!(Journal::open(&path).is_err());
}

#[test]
fn one_without_a_head_is_of_a_run_that_changed_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.jsonl");
    for text in ["", "{\"run\":"] {
        std::fs::write(&path, text).expect("written");
        assert!(Journal::open(&path).expect("read").is_none());
        assert!(!path.exists());
    }
}

/// A device that is always full.
#[test]
fn what_could_not_be_written_is_an_error_and_no_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::create(folder.path(), head()).expect("made");
    journal.lock().file = OpenOptions::new().append(true).open("/dev/full").expect("opened");
    let error = journal.note(session("a")).expect_err("it is full").to_string();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(journal.entries().is_empty());
    follow(&mut journal.lock().entries, session("b"));
    journal.note_done(Entry::SessionDeleted { id: "b".into() });
    assert!(journal.entries().is_empty());
}

#[test]
fn sessions_that_are_being_made() {
    let mut entries = Vec::new();
    let begun = |entries: &[Entry]| entries.iter().filter(|entry| **entry == Entry::SessionBegun).count();
    for entry in [
        Entry::SessionBegun,
        Entry::SessionBegun,
        Entry::Session { id: "a".into() },
    ] {
        follow(&mut entries, entry);
    }
    assert_eq!(begun(&entries), 1);
    // Putting back what else was changed answers nothing.
    follow(&mut entries, Entry::Undone);
    assert_eq!(begun(&entries), 1);
    follow(&mut entries, Entry::SessionNotMade);
    assert_eq!(entries, [Entry::Session { id: "a".into() }]);
}
