//! Time of a load, in nanoseconds since it began, by the monotonic clock: steps of the wall clock don't show.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins at this moment.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    pub fn now(self) -> u64 {
        nanoseconds(self.0.elapsed())
    }

    pub fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// A duration in nanoseconds; 584 years are forever.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// All sources below a folder.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    /// Whoever reads the wall clock in the engine, or in what runs it, would measure its steps.
    #[test]
    fn nobody_in_a_load_reads_the_wall_clock() {
        // In pieces, as this is one of the sources.
        let names = [
            ["System", "Time"],
            ["UNIX_", "EPOCH"],
            ["Timestamp::", "now"],
            ["Zoned::", "now"],
            ["Utc::", "now"],
            ["ClockId::", "Realtime"],
        ]
        .map(|parts| parts.concat());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut all = sources(&root.join("load"));
        all.extend(sources(&root.join("cli/load")));
        assert!(all.len() > 50, "{all:?}");
        for path in all {
            let text = std::fs::read_to_string(&path).expect("a source");
            let read = names.iter().find(|name| text.contains(name.as_str()));
            assert_eq!(read, None, "{}", path.display());
        }
    }
}
