//! Bytes both ways until one side ends, or until neither sends for too long.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// What cuts a tunnel.
#[derive(Clone, Copy)]
pub enum Cut {
    /// No byte in either direction for this long.
    Idle(Duration),
    /// This age, whatever is said: the mutant `idle-counts-from-start`.
    Age(Duration),
    Never,
}

/// Connects two streams until both directions are over or the tunnel is cut.
pub async fn run(a: impl AsyncRead + AsyncWrite, b: impl AsyncRead + AsyncWrite, cut: Cut) {
    let (mut from_a, mut to_a) = tokio::io::split(a);
    let (mut from_b, mut to_b) = tokio::io::split(b);
    let last = Mutex::new(Instant::now());
    let both = async { tokio::join!(copy(&mut from_a, &mut to_b, &last), copy(&mut from_b, &mut to_a, &last)) };
    let watchdog = async {
        match cut {
            Cut::Never => std::future::pending().await,
            Cut::Age(age) => tokio::time::sleep(age).await,
            Cut::Idle(timeout) => loop {
                let deadline = *last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) + timeout;
                if deadline <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(deadline).await;
            },
        }
    };
    // What came in time counts, also where a busy machine looks at the clock late.
    tokio::select! {
        biased;
        _ = both => {}
        () = watchdog => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    last: &Mutex<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        *last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Instant::now();
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quiet_tunnel_is_cut_and_one_that_talks_is_not() {
        let ((client, outer), (inner, backend)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let idle = Duration::from_secs(1);
        let talk = async {
            let (mut client, mut backend) = (client, backend);
            let mut byte = [0];
            let start = Instant::now();
            let mut last = start;
            let mut turn = 0;
            // Longer than the timeout in all, shorter at a time.
            while start.elapsed() < idle.mul_f32(1.2) {
                tokio::time::sleep(idle / 10).await;
                let (from, to) = if turn % 2 == 0 {
                    (&mut client, &mut backend)
                } else {
                    (&mut backend, &mut client)
                };
                last = Instant::now();
                from.write_all(b"x").await.expect("a tunnel that talks is open");
                to.read_exact(&mut byte).await.expect("and hands on what is said");
                turn += 1;
            }
            assert_eq!(client.read(&mut byte).await.expect("an end"), 0);
            assert!(last.elapsed() >= idle);
        };
        // Who talks comes first: on a machine that stands still for a while, both are late.
        tokio::join!(biased; talk, run(outer, inner, Cut::Idle(idle)));
    }

    #[tokio::test]
    async fn an_end_goes_through() {
        let ((mut client, outer), (inner, mut backend)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let tunnel = run(outer, inner, Cut::Never);
        let talk = async {
            client.write_all(b"bye").await.expect("open");
            client.shutdown().await.expect("open");
            let mut said = String::new();
            backend.read_to_string(&mut said).await.expect("open");
            assert_eq!(said, "bye");
            drop(backend);
        };
        tokio::join!(tunnel, talk);
    }
}
