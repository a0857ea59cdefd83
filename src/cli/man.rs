//! `gauntlet man`: a page for gauntlet, and one for each command.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use crate::cli::exit::UsageError;
use crate::vocabulary::similar::nearest;

#[derive(Clone, Debug, Args)]
pub struct Pages {
    /// The command [default: gauntlet as a whole]
    #[arg(value_name = "COMMAND")]
    pub page: Option<String>,
    /// Write the pages of gauntlet and of all its commands into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub dir: Option<PathBuf>,
}

/// A page: the file's name without its section, and its source.
struct Page {
    name: String,
    roff: Vec<u8>,
}

/// The page of a command, or gauntlet's own where none is named.
///
/// # Errors
/// There is no such command.
pub fn page(named: Option<&str>, command: clap::Command) -> Result<Vec<u8>, UsageError> {
    let command = built(command);
    let Some(name) = named else {
        return Ok(render(&command)?.roff);
    };
    match shown(&command).find(|command| command.get_name() == name) {
        Some(command) => Ok(render(command)?.roff),
        None => {
            let near = nearest(name, shown(&command).map(clap::Command::get_name));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Err(UsageError(format!("there is no command {name}{hint}")))
        }
    }
}

/// Writes all pages into a folder, which is made where it isn't there; returns how many there are.
///
/// # Errors
/// One can't be written.
pub fn write(folder: &Path, command: clap::Command) -> Result<usize, UsageError> {
    let command = built(command);
    let cannot = |path: &Path, error: &io::Error| UsageError(format!("writing {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let mut written = 0;
    for command in std::iter::once(&command).chain(shown(&command)) {
        let Page { name, roff } = render(command)?;
        let file = folder.join(format!("{name}.1"));
        std::fs::write(&file, roff).map_err(|error| cannot(&file, &error))?;
        written += 1;
    }
    Ok(written)
}

/// With the names that pages have: `gauntlet-run`.
fn built(command: clap::Command) -> clap::Command {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    command
}

/// The commands that help shows.
fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn render(command: &clap::Command) -> Result<Page, UsageError> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut roff = Vec::new();
    Man::new(command.clone())
        // Without the quotes the next argument would be taken for the date.
        .date("\"\"")
        .source(concat!("gauntlet ", env!("CARGO_PKG_VERSION")))
        .render(&mut roff)
        .map_err(|error| UsageError(format!("making the page {name}: {error}")))?;
    Ok(Page {
        name: name.to_owned(),
        roff,
    })
}
