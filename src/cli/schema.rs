//! `gauntlet schema`: the JSON Schema of scenario files, for editors.

use std::io::{self, Write};

use crate::scenario;

/// Writes the schema of scenario files.
pub fn schema(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &scenario::schema())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_schema_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/scenario.schema.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let mut current = Vec::new();
        super::schema(&mut current).expect("writing to memory");
        assert!(
            committed.as_bytes() == current,
            "scenarios/scenario.schema.json is not current: gauntlet schema > scenarios/scenario.schema.json"
        );
    }
}
