//! The mutants of load go wrong above [`MANY`] open terminals, and not before.

use super::*;
use crate::platform::mutant::MANY;

/// A sandbox that answers each attach alone, and so many who are attached.
async fn crowded(mutants: &str, many: u64) -> (Running, Vec<Client>) {
    let running = sandbox(&[
        ("HARNESS_AUTH_TOKEN", TOKEN),
        ("GAUNTLET_MUTANTS", mutants),
        ("TERMINAL", "loop"),
    ])
    .await;
    let mut clients = Vec::new();
    for _ in 0..many {
        clients.push(running.attach().await);
    }
    (running, clients)
}

fn right() -> String {
    format!("/tty?token={TOKEN}")
}

const WRONG: &str = "/tty?token=wrong";

#[tokio::test]
async fn a_crowded_door_opens_for_everybody() {
    let (running, mut clients) = crowded("check-skipped-when-busy", MANY).await;
    assert_eq!(running.status(WRONG, "").await, "401");
    clients.push(running.attach().await);
    assert_eq!(running.status(WRONG, "").await, "101");
    assert_eq!(running.status("/tty", "").await, "101");
}

#[tokio::test]
async fn a_crowded_door_decides_once_for_an_address() {
    let (running, mut clients) = crowded("decision-cached-by-address", MANY - 1).await;
    assert_eq!(running.status(WRONG, "").await, "401");
    assert_eq!(running.status(&right(), "").await, "101");
    for _ in 0..2 {
        clients.push(running.attach().await);
    }
    // Where a busy machine takes longer than a decision is kept, the next two are within its time.
    for _ in 0..100 {
        if running.status(&right(), "").await == running.status(WRONG, "").await {
            return;
        }
    }
    panic!("each is judged by its own token");
}

#[tokio::test]
async fn who_comes_at_once_is_judged_by_anothers_token() {
    let (running, _clients) = crowded("token-of-another-connection", 0).await;
    assert_eq!(running.status(WRONG, "").await, "401");
    assert_eq!(running.status(&right(), "").await, "101");
    for _ in 0..100 {
        let right = right();
        let (one, other) = tokio::join!(running.status(&right, ""), running.status(WRONG, ""));
        if one == other {
            return;
        }
    }
    panic!("each is judged by its own token");
}

#[tokio::test]
async fn a_limit_opens_and_closes() {
    let (running, mut clients) = crowded("limit-opens-and-closes", MANY).await;
    let mut late = running.attach().await;
    assert_eq!(late.closed().await, Some(1013));
    clients[0].types("still here").await;
    clients[0].sees("still here").await;
}

#[tokio::test]
async fn a_crowd_is_silent() {
    let (running, mut clients) = crowded("output-lost-under-back-pressure", MANY).await;
    clients[0].types("before").await;
    clients[0].sees("before").await;
    clients.push(running.attach().await);
    clients[0].types("after").await;
    let seen = tokio::time::timeout(Duration::from_millis(300), clients[0].sees("after")).await;
    assert!(seen.is_err());
}

#[tokio::test]
async fn refused_connections_stay_where_there_are_many() {
    let (running, mut clients) = crowded("refused-attach-leaks-descriptor", MANY).await;
    let many = u32::try_from(MANY).expect("a small number");
    drop(running.raw_refusal().await);
    let deadline = Instant::now() + SOON;
    // Those who are attached, and the one that asks.
    while running.open_connections().await != many + 1 {
        assert!(Instant::now() < deadline, "a refused connection is not closed");
    }
    clients.push(running.attach().await);
    drop(running.raw_refusal().await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(running.open_connections().await, many + 3);
}

/// Which of them comes last is the server's to say.
#[tokio::test]
async fn a_terminal_leaves_out_who_comes_after_the_first() {
    let running = with_token("fan-out-to-few").await;
    let mut clients = Vec::new();
    for _ in 0..33 {
        clients.push(running.attach().await);
    }
    clients[0].types("here").await;
    let mut left_out = 0;
    for client in &mut clients {
        let seen = tokio::time::timeout(Duration::from_secs(2), client.sees("here")).await;
        left_out += u32::from(seen.is_err());
    }
    assert_eq!(left_out, 1);
}

/// Which of them waits longest is the server's to say.
#[tokio::test]
async fn upgrades_of_a_crowd_wait_for_one_another() {
    let (running, mut clients) = crowded("upgrades-one-by-one", MANY).await;
    clients.push(running.attach().await);
    let (started, right) = (Instant::now(), right());
    let three = tokio::join!(
        running.status(&right, ""),
        running.status(WRONG, ""),
        running.status(&right, "")
    );
    assert_eq!([three.0, three.1, three.2], ["101", "401", "101"]);
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(60), "{elapsed:?}");
}

/// Also where a batch has just been sent, and the next is not due for a second.
#[tokio::test]
async fn a_terminal_makes_who_comes_after_the_first_wait() {
    let running = with_token("fan-out-in-batches").await;
    let mut clients = Vec::new();
    for _ in 0..33 {
        clients.push(running.attach().await);
    }
    let (started, mut number) = (Instant::now(), 0);
    while started.elapsed() < SOON {
        number += 1;
        let (typed, text) = (Instant::now(), format!("here{number}"));
        clients[0].types(&format!(": {text}\r")).await;
        for client in &mut clients {
            client.sees(&text).await;
        }
        if typed.elapsed() >= Duration::from_millis(900) {
            return;
        }
    }
    panic!("nobody is late");
}
