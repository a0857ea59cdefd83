//! `gauntlet.toml` as it is written: found, and read with the place of each key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::report::one_line;
use crate::scenario::read_file;
use crate::yaml::{Problem, Source, Span};

/// The file's name.
pub const NAME: &str = "gauntlet.toml";

/// A file of settings.
pub struct File {
    pub source: Arc<Source>,
    /// What a relative path in it is below: nothing where that is the current folder.
    pub folder: PathBuf,
    /// What stands above all tables.
    pub of_all: Vec<Entry>,
    /// The commands' tables.
    pub tables: Vec<Table>,
}

/// A table: the settings of a command.
pub struct Table {
    pub name: String,
    pub span: Span,
    pub entries: Vec<Entry>,
}

/// A key with its value.
pub struct Entry {
    pub key: String,
    pub at_key: Span,
    pub value: Value,
    pub at_value: Span,
}

/// A value, with what it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Switch(bool),
    One(String),
    Several(Vec<String>),
    /// A table, a date: no flag has such a value.
    Other,
}

/// The file that counts in a folder: its own, or that of the nearest folder above. Relative to it.
pub fn find(folder: &Path) -> Option<PathBuf> {
    let mut way = PathBuf::new();
    for above in folder.ancestors() {
        if above.join(NAME).is_file() {
            return Some(way.join(NAME));
        }
        way.push("..");
    }
    None
}

/// Reads a file.
///
/// # Errors
/// It can't be read, or is no TOML.
pub fn read(path: &Path) -> Result<File, Problem> {
    let source = read_file(path)?;
    let parsed = DeTable::parse(&source.text).map_err(|error| {
        let span = Span::of(&source, error.span().unwrap_or(0..0));
        Problem::new(&source, span, one_line(error.message()))
    })?;
    let (mut of_all, mut tables) = (Vec::new(), Vec::new());
    for (key, value) in parsed.get_ref().iter() {
        let name = key.get_ref().to_string();
        let span = Span::of(&source, key.span());
        match value.get_ref() {
            DeValue::Table(table) => tables.push(Table {
                name,
                span,
                entries: entries(&source, table),
            }),
            found => of_all.push(Entry {
                key: name,
                at_key: span,
                value: read_value(found),
                at_value: Span::of(&source, value.span()),
            }),
        }
    }
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    drop(parsed);
    Ok(File {
        source,
        folder,
        of_all,
        tables,
    })
}

fn entries(source: &Source, table: &DeTable<'_>) -> Vec<Entry> {
    let entries = table.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        at_key: Span::of(source, key.span()),
        value: read_value(value.get_ref()),
        at_value: Span::of(source, value.span()),
    });
    entries.collect()
}

fn read_value(found: &DeValue<'_>) -> Value {
    match found {
        DeValue::Boolean(on) => Value::Switch(*on),
        DeValue::Array(list) => {
            let texts: Option<Vec<String>> = list.iter().map(|item| scalar(item.get_ref())).collect();
            texts.map_or(Value::Other, Value::Several)
        }
        other => scalar(other).map_or(Value::Other, Value::One),
    }
}

fn scalar(found: &DeValue<'_>) -> Option<String> {
    match found {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_above_is_found() {
        let root = tempfile::tempdir().expect("a folder");
        let below = root.path().join("a/b");
        std::fs::create_dir_all(&below).expect("made");
        assert_eq!(find(&below), None);
        std::fs::write(root.path().join(NAME), "").expect("written");
        assert_eq!(find(&below), Some("../../gauntlet.toml".into()));
        std::fs::write(below.join(NAME), "").expect("written");
        assert_eq!(find(&below), Some(NAME.into()));
    }

    #[test]
    fn values_with_their_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let text =
            "color = \"never\"\n\n[run]\njobs = 3\nquiet = true\nset = [\"a=b\", 'c=d']\npartition = 2026-01-02\n";
        std::fs::write(&path, text).expect("written");
        let file = read(&path).expect("good");
        assert_eq!(file.of_all[0].value, Value::One("never".into()));
        let [run] = file.tables.as_slice() else {
            panic!("one table")
        };
        let values: Vec<&Value> = run.entries.iter().map(|entry| &entry.value).collect();
        let several = Value::Several(vec!["a=b".into(), "c=d".into()]);
        assert_eq!(
            values,
            [&Value::One("3".into()), &Value::Switch(true), &several, &Value::Other]
        );
        assert_eq!((run.entries[1].at_key.line, run.entries[1].at_value.column), (5, 9));
    }
}
