//! What an echo costs the load engine beside a bare epoll client: one that does nothing but the system calls.
//!
//! Both type at the same sandbox, as often, in turns; processor time is this process's, of the steady part alone,
//! over the echoes that came back. README.md beside this file says more.

mod door;

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use gauntlet::load::{Control, Cost, Ending, frames};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// What the bare client types, as long as the engine's echo.
const TYPED: &[u8; 13] = b"thirteen byte";

/// Bytes that come back for it: a frame without a mask.
const ECHO: u64 = 2 + TYPED.len() as u64;

/// The frame with the prompt that a sandbox sends first.
const PROMPT: usize = 4;

/// What is read at once, and taken of events, as the engine has it.
const READ: usize = 64 * 1024;
const EVENTS: usize = 1024;

/// Attaches that the engine opens in a second.
const RATE: f64 = 1000.0;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

const ROUNDS: usize = 3;

/// What the engine may cost: in all, as a multiple of the bare client; and in user mode, in µs.
const MOST_RATIO: f64 = 1.3;
const MOST_USER: f64 = 3.0;

type Wrong = Box<dyn Error>;

/// What an echo costs the load engine beside a bare epoll client.
#[derive(Parser)]
struct Flags {
    /// Terminals that are open at once
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How often each types
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = length)]
    every: Duration,
    /// What is measured of each round
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = length)]
    lasts: Duration,
    /// The program whose `platform sandbox` is typed at
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_gauntlet"))]
    sandbox: PathBuf,
    /// End with 1 where the engine costs more than it may
    #[arg(long)]
    check: bool,
    /// What cargo says to every bench.
    #[arg(long = "bench", hide = true)]
    _bench: bool,
}

fn length(text: &str) -> Result<Duration, String> {
    gauntlet::vocabulary::duration::parse(text)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| format!("not {}", gauntlet::vocabulary::duration::FORM))
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match measure(&flags) {
        Ok(within) if within || !flags.check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::from(3)
        }
    }
}

/// Measures and prints; says whether the engine costs no more than it may.
fn measure(flags: &Flags) -> Result<bool, Wrong> {
    raise_descriptors();
    // As the engine does: else a wait is fifty microseconds longer.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let sandbox = Sandbox::start(&flags.sandbox)?;
    println!(
        "{} connections, each with an echo every {:?}, measured for {:?}; µs of processor time per echo\n",
        flags.connections, flags.every, flags.lasts
    );
    println!("round         bare      user    engine      user     ratio");
    let (mut bare, mut engine) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let of_bare = bare_client(sandbox.address, flags)?;
        let of_engine = engine_itself(sandbox.address, flags)?;
        print(&round.to_string(), of_bare, of_engine);
        bare.push(of_bare);
        engine.push(of_engine);
    }
    let (bare, engine) = (Figure::median(&bare), Figure::median(&engine));
    print("median", bare, engine);
    let mut within = true;
    if engine.all / bare.all > MOST_RATIO {
        println!("\nthe engine costs more than {MOST_RATIO} times the bare client");
        within = false;
    }
    if engine.user > MOST_USER {
        println!("\nthe engine costs more than {MOST_USER} µs in user mode");
        within = false;
    }
    Ok(within)
}

fn print(round: &str, bare: Figure, engine: Figure) {
    println!(
        "{round:<8}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
        bare.all,
        bare.user,
        engine.all,
        engine.user,
        engine.all / bare.all
    );
}

/// Microseconds of processor time per echo.
#[derive(Clone, Copy)]
struct Figure {
    all: f64,
    /// Of it, in user mode.
    user: f64,
}

impl Figure {
    fn new(before: &Cost, after: &Cost, echoes: u64) -> Result<Figure, Wrong> {
        if echoes == 0 {
            return Err("no echo came back".into());
        }
        let used = after.since(before);
        let per_echo = |time: Duration| time.as_secs_f64() * 1e6 / echoes as f64;
        Ok(Figure {
            all: per_echo(used.processor()),
            user: per_echo(used.user),
        })
    }

    /// Each part's own.
    fn median(of: &[Figure]) -> Figure {
        let median = |part: fn(&Figure) -> f64| {
            let mut parts: Vec<f64> = of.iter().map(part).collect();
            parts.sort_by(f64::total_cmp);
            parts[parts.len() / 2]
        };
        Figure {
            all: median(|figure| figure.all),
            user: median(|figure| figure.user),
        }
    }
}

/// The load engine, as `gauntlet load` runs it.
fn engine_itself(address: SocketAddr, flags: &Flags) -> Result<Figure, Wrong> {
    let plan = door::plan(address, flags.connections, RATE, flags.every, flags.lasts);
    let outcome = gauntlet::load::run(&plan, &Control::default())?;
    let recorder = outcome.recorder;
    let whole = outcome.ending == Ending::Complete && recorder.counts.opened == u64::from(flags.connections);
    if !whole || recorder.counts.errors() > 0 {
        return Err(format!(
            "the engine's load went wrong: {:?}, {:?}",
            recorder.counts, recorder.failures
        )
        .into());
    }
    let (held, after) = outcome
        .costs
        .held
        .zip(outcome.costs.after)
        .ok_or("the engine's cost can't be told")?;
    // There are no errors: each of them came back.
    Figure::new(&held, &after, recorder.steady_echoes)
}

fn bare_client(address: SocketAddr, flags: &Flags) -> Result<Figure, Wrong> {
    let own = || Cost::own().ok_or("this process's cost can't be told");
    let mut bare = Bare::open(address, flags)?;
    // Each once, as in the engine's ramp: what comes after is steady.
    let warm = bare.begun + flags.every;
    bare.type_until(warm)?;
    let (before, received) = (own()?, bare.received);
    bare.type_until(warm + flags.lasts)?;
    let (after, received) = (own()?, bare.received - received);
    bare.drain()?;
    Figure::new(&before, &after, received / ECHO)
}

/// One thread, one epoll set, one buffer: what comes is counted, and not read.
struct Bare {
    epoll: OwnedFd,
    sockets: Vec<TcpStream>,
    /// The one frame that is typed, masked.
    frame: Vec<u8>,
    buffer: Vec<u8>,
    events: Vec<Event>,
    begun: Instant,
    /// Between two frames, of whichever connections.
    gap: Duration,
    sent: u32,
    received: u64,
}

impl Bare {
    /// With all connections open.
    fn open(address: SocketAddr, flags: &Flags) -> Result<Bare, Wrong> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut sockets = Vec::new();
        for number in 0..flags.connections {
            let socket = attach(address)?;
            epoll::add(&epoll, &socket, EventData::new_u64(number.into()), EventFlags::IN)?;
            sockets.push(socket);
        }
        let mut frame = Vec::new();
        frames::write(OpCode::Data(Data::Binary), TYPED, [0x5a, 0xa5, 0x3c, 0xc3], &mut frame);
        Ok(Bare {
            epoll,
            sockets,
            frame,
            buffer: vec![0; READ],
            events: Vec::with_capacity(EVENTS),
            begun: Instant::now(),
            gap: flags.every / flags.connections,
            sent: 0,
            received: 0,
        })
    }

    /// Types on one connection after the other, evenly, and reads what comes, until this moment.
    fn type_until(&mut self, end: Instant) -> Result<(), Wrong> {
        loop {
            let due = self.begun + self.gap * self.sent;
            let (now, next) = (Instant::now(), due.min(end));
            if now < next {
                self.wait(next - now)?;
            } else if due < end {
                self.type_next()?;
            } else {
                return Ok(());
            }
        }
    }

    fn type_next(&mut self) -> Result<(), Wrong> {
        let place = self.sent as usize % self.sockets.len();
        if self.sockets[place].write(&self.frame)? < self.frame.len() {
            return Err("a connection took half a frame".into());
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits so long at most, and reads what has come.
    fn wait(&mut self, ahead: Duration) -> Result<(), Wrong> {
        let timeout = Timespec::try_from(ahead)?;
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for Event { data, .. } in self.events.drain(..) {
            match self.sockets[data.u64() as usize].read(&mut self.buffer) {
                Ok(0) => return Err("a connection has ended".into()),
                Ok(count) => self.received += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is under way: all that was typed has come back, and nothing else.
    fn drain(&mut self) -> Result<(), Wrong> {
        let typed = u64::from(self.sent) * ECHO;
        let limit = Instant::now() + PATIENCE;
        while self.received < typed && Instant::now() < limit {
            self.wait(Duration::from_millis(10))?;
        }
        if self.received != typed {
            return Err(format!("{typed} bytes were to come back, and {} did", self.received).into());
        }
        Ok(())
    }
}

/// An open terminal that has shown its prompt.
fn attach(address: SocketAddr) -> Result<TcpStream, Wrong> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "GET /tty?token={} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        door::TOKEN
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut reader = BufReader::new(&socket);
    while !answer.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut answer)? == 0 {
            return Err("the sandbox ends a handshake".into());
        }
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(format!("no terminal: {}", String::from_utf8_lossy(&answer)).into());
    }
    reader.read_exact(&mut [0; PROMPT])?;
    // Reset when it is dropped: thousands of ports would wait for a minute else.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A sandbox as a process of its own, which ends with this.
struct Sandbox {
    process: Child,
    address: SocketAddr,
    /// Kept, for what it says when it ends.
    _log: BufReader<ChildStdout>,
}

impl Sandbox {
    fn start(program: &Path) -> Result<Sandbox, Wrong> {
        let mut process = Command::new(program)
            .args(["platform", "sandbox"])
            .envs(door::ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        let log = process.stdout.take().map(BufReader::new).and_then(|mut log| {
            log.read_line(&mut line).ok()?;
            Some(log)
        });
        match (log, door::address(&line)) {
            (Some(log), Some(address)) => Ok(Sandbox {
                process,
                address,
                _log: log,
            }),
            _ => {
                end(&mut process);
                Err(format!("the sandbox doesn't start: {line}").into())
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    let _ended = process.kill();
    let _waited = process.wait();
}

/// Raises the soft limit of open files to the hard one; where that is too low, a connection fails and says so.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}
