//! Logs that are no pod's: those of gateways of this machine, and files that a profile names.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::context::StepContext;
use super::outcome::StepError;

/// The most bytes of a file that are read, from its end.
const READ: u64 = 64 << 20;

/// The name of each, and what it holds.
pub async fn read(context: &StepContext) -> Result<Vec<(String, String)>, StepError> {
    let gateways = context.world.gateway_logs().iter();
    let gateways = gateways.map(|(road, file)| (road.name(), file));
    let named = context.world.installation().map(|installation| &installation.logs);
    let named = named.into_iter().flatten().map(|(name, file)| (name.as_str(), file));
    let all: Vec<(&str, &PathBuf)> = gateways.chain(named).collect();
    let mut texts = Vec::new();
    for (name, file) in all {
        let name = format!("log of {name}");
        let end = end_of(file).await;
        let end = end.map_err(|error| StepError::doing(format!("reading the {name}, {}", file.display()), error))?;
        texts.push((name, String::from_utf8_lossy(&end).into_owned()));
    }
    Ok(texts)
}

/// The end of a file; all of it where it isn't long.
async fn end_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file).await?;
    let size = file.metadata().await?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(READ))).await?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("access.log");
        assert!(end_of(&file).await.is_err(), "it isn't there");
        std::fs::write(&file, "GET /tty\n").expect("written");
        assert_eq!(end_of(&file).await.expect("read"), b"GET /tty\n");
        let long = std::fs::OpenOptions::new().append(true).open(&file).expect("open");
        long.set_len(READ + 1).expect("made longer");
        let end = end_of(&file).await.expect("read");
        assert_eq!((end.len() as u64, end[0]), (READ, b'E'));
    }
}
