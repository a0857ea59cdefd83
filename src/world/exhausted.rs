//! Which resource ran out when the harness could not open a connection or a file.
//!
//! That says nothing about the platform: the harness could not tell.

use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rustix::io::Errno;

/// Something that a client needs and that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    #[error(
        "this process has no file descriptor left (EMFILE): raise the limit, as with `ulimit -n 20000`, or run fewer \
         scenarios at once with `--jobs`"
    )]
    Descriptors,
    #[error(
        "this machine has no file descriptor left (ENFILE): raise `sysctl fs.file-max`, or run fewer scenarios at once \
         with `--jobs`"
    )]
    DescriptorsOfAll,
    #[error(
        "this machine has no port left to connect from (EADDRNOTAVAIL): widen `sysctl net.ipv4.ip_local_port_range`, \
         or run fewer scenarios at once with `--jobs`"
    )]
    Ports,
    #[error(
        "this machine has no room left for what goes over the network (ENOBUFS): run fewer scenarios at once with \
         `--jobs`"
    )]
    Buffers,
    #[error("this machine has no memory left (ENOMEM): run fewer scenarios at once with `--jobs`")]
    Memory,
}

/// The resource that ran out last, and when.
static LAST: Mutex<Option<(Timestamp, Exhausted)>> = Mutex::new(None);

impl Exhausted {
    /// The resource that ran out, according to an error or one of its causes.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Exhausted> {
        let mut next = Some(error);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            let found = io.and_then(Errno::from_io_error).and_then(Exhausted::of_errno);
            if found.is_some() {
                return found;
            }
            next = match io.and_then(io::Error::get_ref) {
                // Its own `source` passes over the error that it holds.
                Some(held) => Some(held as &(dyn Error + 'static)),
                None => error.source(),
            };
        }
        None
    }

    fn of_errno(errno: Errno) -> Option<Exhausted> {
        match errno {
            Errno::MFILE => Some(Exhausted::Descriptors),
            Errno::NFILE => Some(Exhausted::DescriptorsOfAll),
            Errno::ADDRNOTAVAIL => Some(Exhausted::Ports),
            Errno::NOBUFS => Some(Exhausted::Buffers),
            Errno::NOMEM => Some(Exhausted::Memory),
            _ => None,
        }
    }

    /// As [`Exhausted::of`], and kept for [`Exhausted::since`]. What works beside the steps, as the ways to pods and
    /// the embedded cluster's listener do, meets it where a step only sees that nobody answers; and what one
    /// scenario's step lacks, the other scenarios and their embedded platforms lack too.
    pub fn note(error: &(dyn Error + 'static)) -> Option<Exhausted> {
        let found = Exhausted::of(error)?;
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some((Timestamp::now(), found));
        Some(found)
    }

    /// The resource that has run out since then.
    pub fn since(since: Timestamp) -> Option<Exhausted> {
        let last = *LAST.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| *at >= since).map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(Errno, Exhausted); 5] = [
        (Errno::MFILE, Exhausted::Descriptors),
        (Errno::NFILE, Exhausted::DescriptorsOfAll),
        (Errno::ADDRNOTAVAIL, Exhausted::Ports),
        (Errno::NOBUFS, Exhausted::Buffers),
        (Errno::NOMEM, Exhausted::Memory),
    ];

    /// What a library wraps an error in.
    #[derive(Debug, thiserror::Error)]
    #[error("a client's error")]
    struct Wrapped(#[source] Box<dyn Error + Send + Sync>);

    #[test]
    fn it_is_found_however_deep_it_lies() {
        for (errno, found) in ALL {
            let io = || io::Error::from(errno);
            assert_eq!(Exhausted::of(&io()), Some(found));
            assert_eq!(Exhausted::of(&Wrapped(io().into())), Some(found));
            assert_eq!(Exhausted::of(&Wrapped(Wrapped(io().into()).into())), Some(found));
            // TLS hands on the error of the connection below it so.
            assert_eq!(Exhausted::of(&io::Error::other(io())), Some(found));
            assert_eq!(Exhausted::of(&io::Error::other(Wrapped(io().into()))), Some(found));
            assert_eq!(Exhausted::of(&kube::Error::Service(io().into())), Some(found));
            let websocket = tokio_tungstenite::tungstenite::Error::Io(io());
            assert_eq!(Exhausted::of(&websocket), Some(found));
        }
    }

    #[test]
    fn what_the_other_side_does_is_none() {
        for errno in [
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::PIPE,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
        ] {
            assert_eq!(Exhausted::of(&Wrapped(io::Error::from(errno).into())), None, "{errno}");
        }
        // No number of the system's: a text alone is not believed, since a server may write one.
        let said = io::Error::other("Too many open files (os error 24)");
        assert_eq!(Exhausted::of(&said), None);
        assert_eq!(Exhausted::of(&io::Error::from(io::ErrorKind::AddrNotAvailable)), None);
    }

    #[test]
    fn what_was_noted_is_known_to_whoever_began_before() {
        let before = Timestamp::now();
        assert_eq!(Exhausted::note(&io::Error::from(Errno::CONNRESET)), None);
        assert_eq!(
            Exhausted::note(&io::Error::from(Errno::MFILE)),
            Some(Exhausted::Descriptors)
        );
        // Other tests of this process may note something else meanwhile.
        assert!(Exhausted::since(before).is_some());
        assert_eq!(Exhausted::since(Timestamp::MAX), None);
    }

    #[test]
    fn what_is_said_of_it() {
        let told: Vec<String> = ALL.iter().map(|(_, found)| found.to_string()).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        this process has no file descriptor left (EMFILE): raise the limit, as with `ulimit -n 20000`, or run fewer scenarios at once with `--jobs`
        this machine has no file descriptor left (ENFILE): raise `sysctl fs.file-max`, or run fewer scenarios at once with `--jobs`
        this machine has no port left to connect from (EADDRNOTAVAIL): widen `sysctl net.ipv4.ip_local_port_range`, or run fewer scenarios at once with `--jobs`
        this machine has no room left for what goes over the network (ENOBUFS): run fewer scenarios at once with `--jobs`
        this machine has no memory left (ENOMEM): run fewer scenarios at once with `--jobs`
        ");
    }
}
