//! From a parsed command line to an exit code: the runtime, signals, limits, and which command runs.
//!
//! `main` is a few lines, and what waits is polled here: the compiler then makes the machine code of the
//! whole program with the library, once for the program and all tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Cli, ColorName, Command, ListFormat, command_line, selection};
use crate::cli::command_line::NothingToDo;
use crate::cli::exit::UsageError;
use crate::cli::log;
use crate::cli::process::Process;
use crate::redact::Redactor;
use crate::report::{Color, ConsoleSettings, Verbosity};
use crate::{cli, scenario};

/// Exit code of a wrong command line or file.
const USAGE: u8 = 2;
/// Exit code of what could not be told.
const COULD_NOT_TELL: u8 = 3;

/// What only `main` reads.
pub struct Start {
    /// The environment's variables that are text; what isn't is no variable of the platform's.
    pub environment: BTreeMap<String, String>,
    /// The file that this process runs; why that isn't known otherwise.
    pub binary: Result<PathBuf, String>,
    /// The current folder, where it is known.
    pub folder: Option<PathBuf>,
    pub version: &'static str,
    pub commit: Option<&'static str>,
}

/// A worker thread's stack: that of a main thread. A scenario is one nested future, which without optimisation takes more
/// than the usual 2 MiB. Only what is used of it is memory.
const STACK: usize = 8 << 20;

/// Runs the command that the arguments name, behind the program's own name, to its end; returns the process's exit code.
pub fn dispatch(arguments: Vec<OsString>, start: &Start) -> u8 {
    let cli = match command_line::parse(arguments, start) {
        Ok(cli) => cli,
        Err(NothingToDo::Settings(error)) => return say(USAGE, &error.to_string()),
        Err(NothingToDo::Arguments(error)) => {
            // Help, or what is wrong; where that goes is closed, there is nobody to tell.
            let _closed = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(USAGE);
        }
    };
    // One provider for the process; a second installation is refused, and there is none.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let descriptors = raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return say(COULD_NOT_TELL, &format!("starting the runtime: {error}")),
    };
    let code = runtime.block_on(run(cli, start, descriptors));
    // Tasks that were aborted need no time; a blocked thread must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code.unwrap_or_else(|error| say(USAGE, &error.to_string()))
}

fn say(code: u8, message: &str) -> u8 {
    let _closed = writeln!(std::io::stderr(), "gauntlet: {message}");
    code
}

async fn run(cli: Cli, start: &Start, descriptors: Option<u64>) -> Result<u8, UsageError> {
    let color = color(cli.color, &start.environment);
    let process = |stop, quiet, verbose| process(start, descriptors, color, stop, quiet, verbose);
    match cli.command {
        Command::Run(options) => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            let process = process(on_signals()?, options.quiet, options.verbose > 0);
            let process = logging(process, options.verbose)?;
            cli::run::run(*options, scenarios, process).await
        }
        Command::Watch(options) => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            // No log of what gauntlet does: it would know the secrets of no round but the first.
            let process = process(on_signals()?, options.quiet, false);
            cli::watch::watch(*options, scenarios, process).await
        }
        Command::List(options) => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            let chosen = selection::select(&scenarios, &options.selection.selectors, options.level)?.scenarios;
            let out = &mut std::io::stdout().lock();
            shown(match options.format {
                ListFormat::Text => cli::list::text(chosen, out),
                ListFormat::Json => cli::list::json(chosen, out),
            })
        }
        Command::Check(options) => {
            let checked = cli::check::check(&options.files, &mut std::io::stdout().lock());
            match checked {
                Ok(Err(problems)) => Err(UsageError(problems.render())),
                Ok(Ok(())) => Ok(0),
                Err(error) => shown(Err(error)),
            }
        }
        Command::CheckManifests(options) => {
            let variable = |name: &str| start.environment.get(name).cloned();
            let input = std::io::stdin();
            let (text, code) = cli::check_manifests::check_manifests(&options, input, &variable).await?;
            shown(std::io::stdout().lock().write_all(text.as_bytes())).map(|_| code)
        }
        Command::Explain(options) => {
            let scenarios = scenarios(options.scenarios.as_deref())?;
            let ids = || scenarios.iter().map(|scenario| scenario.id.as_str());
            let found = scenarios
                .iter()
                .find(|scenario| scenario.id == options.id)
                .ok_or_else(|| {
                    let below = format!("{}/", options.id.trim_end_matches('/'));
                    let near = crate::vocabulary::similar::nearest(&options.id, ids());
                    let hint = match (ids().any(|id| id.starts_with(&below)), near) {
                        (true, _) => format!("; `gauntlet list {}` shows those below it", options.id),
                        (false, Some(near)) => format!("; did you mean {near}?"),
                        (false, None) => String::new(),
                    };
                    UsageError(format!("there is no scenario {}{hint}", options.id))
                })?;
            shown(cli::explain::explain(found, &mut std::io::stdout().lock()))
        }
        Command::Schema(options) => shown(cli::schema::schema(options.document, &mut std::io::stdout().lock())),
        Command::Completions(options) => {
            let script = cli::completions::completions(options.shell, command_line::command(start));
            shown(std::io::stdout().lock().write_all(&script))
        }
        Command::Man(options) => {
            let command = command_line::command(start);
            let out = &mut std::io::stdout().lock();
            match options.dir {
                Some(folder) => {
                    let pages = cli::man::write(&folder, command)?;
                    shown(writeln!(out, "{pages} pages in {}", folder.display()))
                }
                None => shown(out.write_all(&cli::man::page(options.page.as_deref(), command)?)),
            }
        }
        Command::Prove(options) => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            let process = logging(process(on_signals()?, options.quiet, false), 0)?;
            cli::prove::run(options, scenarios, process).await
        }
        Command::Load(options) => {
            let process = logging(process(on_signals()?, options.door.quiet, false), 0)?;
            cli::load::run(*options, process).await
        }
        Command::LoadWorker => Ok(cli::load::work().await),
        Command::LoadHttpWorker => Ok(cli::load::work_http().await),
        Command::Capacity(options) => {
            let process = logging(process(on_signals()?, options.door.quiet, false), 0)?;
            cli::capacity::run(*options, process).await
        }
        Command::Compare(options) => {
            let (text, code) = cli::compare::compare(&options)?;
            shown(std::io::stdout().lock().write_all(text.as_bytes())).map(|_| code)
        }
        Command::Show(options) => {
            let console = process(CancellationToken::new(), false, false).console;
            let (printed, code) = cli::show::show(&options, &console)?;
            shown(std::io::stdout().lock().write_all(&printed)).map(|_| code)
        }
        Command::Mutants(options) => {
            let scenarios = scenarios(options.scenarios.as_deref())?;
            let mutants = cli::mutants::chosen(&scenarios, &options.selectors)?;
            let out = &mut std::io::stdout().lock();
            shown(match options.format {
                ListFormat::Text => cli::mutants::text(&mutants, out),
                ListFormat::Json => cli::mutants::json(&mutants, out),
            })
        }
        Command::Tags(options) => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            let all = cli::LevelName::All;
            let chosen = selection::select(&scenarios, &options.selection.selectors, all)?.scenarios;
            let tags = cli::tags::tags(&chosen);
            let out = &mut std::io::stdout().lock();
            shown(match options.format {
                ListFormat::Text => cli::tags::text(&tags, out),
                ListFormat::Json => cli::tags::json(&tags, out),
            })
        }
        Command::Up(options) => {
            let process = process(on_signals()?, false, false);
            cli::up::up(options, process, std::io::stdout()).await
        }
        Command::Jwt(options) => {
            let variable = |name: &str| start.environment.get(name).cloned();
            shown(cli::jwt::jwt(&options, variable, &mut std::io::stdout().lock())?)
        }
        Command::Init(options) => {
            let process = process(CancellationToken::new(), false, false);
            cli::init::init(&options, &process, std::io::stdin().lock()).await
        }
        Command::Doctor(options) if !options.is_of_machine() => {
            let scenarios = scenarios(options.selection.scenarios.as_deref())?;
            let process = process(on_signals()?, false, false);
            cli::survey::run(*options, &scenarios, &process, &mut std::io::stdout()).await
        }
        Command::Doctor(options) => {
            options.check()?;
            let process = process(CancellationToken::new(), false, false);
            let told = cli::doctor::doctor(&process, &mut std::io::stdout()).await;
            match told {
                Ok(code) => Ok(code),
                Err(error) => shown(Err(error)),
            }
        }
        Command::Recover(options) => {
            let process = process(on_signals()?, false, false);
            cli::recover::recover(options, process, std::io::stdout()).await
        }
        Command::Down(options) => Ok(cli::up::down(&options).await),
        Command::Status(options) => Ok(cli::up::status(&options, std::io::stdout()).await),
        Command::Platform(options) => cli::platform::run(&options, start.environment.clone(), on_signals()?).await,
    }
}

fn scenarios(folder: Option<&Path>) -> Result<Vec<scenario::Scenario>, UsageError> {
    scenario::load(folder).map_err(|problems| UsageError(problems.render()))
}

/// The exit code of a command that only shows something. A reader who went away (`| head`) is no error.
fn shown(printed: std::io::Result<()>) -> Result<u8, UsageError> {
    match printed {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(UsageError(format!("writing to standard output: {error}")))
        }
        _ => Ok(0),
    }
}

/// Most descriptors that are asked for: children inherit the limit, and some walk all of them.
const DESCRIPTORS: u64 = 65_536;

/// Raises the soft limit of open files towards the hard one, and gives what it is now; none if there is no limit.
///
/// The soft limit is 1024 or less on many machines, for the sake of programs that use `select`.
fn raise_descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    match limit.current {
        Some(current) if current < wanted => {
            let raised = Rlimit {
                current: Some(wanted),
                ..limit
            };
            Some(setrlimit(Resource::Nofile, raised).map_or(current, |()| wanted))
        }
        current => current,
    }
}

/// Where verdicts are coloured: as the flag says, else as the environment does. Who wants no colours is heard first.
fn color(flag: ColorName, environment: &BTreeMap<String, String>) -> Color {
    let set = |name: &str| {
        environment
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    match flag {
        ColorName::Always => Color::Always,
        ColorName::Never => Color::Never,
        ColorName::Auto if set("NO_COLOR").is_some() => Color::Never,
        ColorName::Auto => match set("FORCE_COLOR") {
            Some("0" | "false") => Color::Never,
            Some(_) => Color::Always,
            None => Color::Auto,
        },
    }
}

/// The columns of a terminal; none where it is none, or doesn't know.
fn columns(terminal: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

fn process(
    start: &Start,
    descriptors: Option<u64>,
    color: Color,
    stop: CancellationToken,
    quiet: bool,
    verbose: bool,
) -> Process {
    let environment = start.environment.clone();
    let log = ConsoleSettings::default();
    let verbosity = match (quiet, verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    Process {
        stdout: Box::new(std::io::stdout()),
        console: ConsoleSettings {
            verbosity,
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            color,
            live_width: columns(std::io::stderr()).unwrap_or(log.live_width),
            ..log
        },
        processors: std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get),
        descriptors,
        stop,
        redactor: Redactor::new(),
        program: cli::platform::program(),
        binary: start.binary.clone(),
        variable: Box::new(move |name| environment.get(name).cloned()),
        started: jiff::Timestamp::now().to_string(),
        version: start.version,
        commit: start.commit,
    }
}

/// The process of a command that knows what is secret: what gauntlet itself does is told, where that was asked for.
fn logging(mut process: Process, verbose: u8) -> Result<Process, UsageError> {
    let asked = (process.variable)(log::VARIABLE);
    if let Some(levels) = log::levels(asked.as_deref(), verbose)? {
        log::begin(levels, process.redactor.clone());
        // A line that is drawn again and again would be torn apart.
        process.console.stderr_terminal = false;
    }
    Ok(process)
}

/// The first signal asks to stop; the second ends the process at once.
///
/// Only commands that look at what this gives listen: the others are ended by the signal itself.
fn on_signals() -> Result<CancellationToken, UsageError> {
    let stop = CancellationToken::new();
    let asked = Arc::new(AtomicBool::new(false));
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    // `nohup` has it ignored, and means that.
    if !ignored(SignalKind::hangup()) {
        kinds.push(SignalKind::hangup());
    }
    for kind in kinds {
        let mut signals = signal(kind).map_err(|error| UsageError(format!("listening for signals: {error}")))?;
        let (stop, asked) = (stop.clone(), asked.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // Two of different kinds may come at once, and only one of them is the first.
                if asked.swap(true, Ordering::SeqCst) || stop.is_cancelled() {
                    std::process::exit(130);
                }
                stop.cancel();
            }
        });
    }
    Ok(stop)
}

/// Whether the process was started with a signal ignored. Where that can't be told, it wasn't.
fn ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (kind.as_raw_value() - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_as_the_flag_says_and_then_the_environment() {
        let told = |flag, set: &[(&str, &str)]| {
            let set = set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            color(flag, &set.collect())
        };
        let (no, force) = (("NO_COLOR", "1"), ("FORCE_COLOR", "1"));
        assert_eq!(told(ColorName::Auto, &[]), Color::Auto);
        assert_eq!(
            told(ColorName::Auto, &[("NO_COLOR", ""), ("FORCE_COLOR", "")]),
            Color::Auto
        );
        assert_eq!(told(ColorName::Auto, &[force]), Color::Always);
        assert_eq!(told(ColorName::Auto, &[("FORCE_COLOR", "0")]), Color::Never);
        assert_eq!(told(ColorName::Auto, &[no, force]), Color::Never);
        assert_eq!(told(ColorName::Always, &[no]), Color::Always);
        assert_eq!(told(ColorName::Never, &[force]), Color::Never);
    }
}
