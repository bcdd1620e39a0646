//! The configuration file: TOML, flattened to keys as flags have them, each with the line where it stands.
//!
//! A key of a section is the flag that begins with the section's name: `ca` in `[etcd]` is `--etcd-ca`. What is wrong
//! is an error with file, line, and what to do about it; nothing is guessed and nothing passed over.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::cli::exit::{Exit, Failure};
use crate::cli::text_file;

/// The sections. A new one needs nothing but its name here, and flags that begin with it.
pub(super) const SECTIONS: [&str; 2] = ["etcd", "tls"];

/// A configuration file that was read.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One key and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As the flag is called, without its dashes.
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Yes or no.
    Switch(bool),
    /// One value, as a flag would have it; or several.
    Words(Vec<String>),
}

impl File {
    /// Reads it.
    ///
    /// # Errors
    /// Where it cannot be read, or is no TOML, or has values of a kind that no setting has.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let hint = "name another file with --config or RM_CONFIG";
        let text = text_file::read(path, "settings", hint)?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Failure> {
        let mut file = Self {
            path: path.to_owned(),
            entries: Vec::new(),
        };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            file.complain(line_of(text, at), error.message())
                .hint("write TOML: key = \"value\", one a line")
        })?;
        for (key, value) in table.get_ref() {
            let line = line_of(text, key.span().start);
            let key = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Table(section) if SECTIONS.contains(&key) => {
                    file.add_section(key, section, text)?;
                }
                DeValue::Table(_) => {
                    let error = format_args!("there is no section '{key}'");
                    let hint = format!("the sections are [{}]", SECTIONS.join("] and ["));
                    return Err(file.complain(line, error).hint(hint));
                }
                other => file.add(key.to_owned(), other, line)?,
            }
        }
        file.entries.sort_by_key(|entry| entry.line);
        Ok(file)
    }

    fn add_section(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        text: &str,
    ) -> Result<(), Failure> {
        for (key, value) in table {
            let line = line_of(text, key.span().start);
            self.add(
                format!("{section}-{}", key.get_ref()),
                value.get_ref(),
                line,
            )?;
        }
        Ok(())
    }

    fn add(&mut self, key: String, value: &DeValue<'_>, line: usize) -> Result<(), Failure> {
        let value = match value {
            DeValue::Boolean(switch) => Value::Switch(*switch),
            DeValue::Array(several) => {
                let words = several.iter().map(|one| word(one.get_ref()));
                let words: Option<Vec<_>> = words.collect();
                Value::Words(words.ok_or_else(|| self.unusable(&key, line))?)
            }
            one => Value::Words(vec![word(one).ok_or_else(|| self.unusable(&key, line))?]),
        };
        self.entries.push(Entry { key, value, line });
        Ok(())
    }

    fn unusable(&self, key: &str, line: usize) -> Failure {
        let error = format_args!("'{key}' has a value of a kind that no setting has");
        self.complain(line, error)
            .hint("give a text, a number, true, false, or a list of texts")
    }

    /// What it says, from top to bottom. Each key is there once.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A failure that names the place.
    pub(super) fn complain(&self, line: usize, error: impl Display) -> Failure {
        Failure::new(
            Exit::CONFIG,
            format_args!("{}:{line}: {error}", self.path.display()),
        )
    }
}

/// A value as a flag would have it.
fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Entry>, String> {
        let file = File::parse(Path::new("rmd.toml"), text);
        file.map(|file| file.entries).map_err(|failure| {
            assert_eq!(failure.exit, Exit::CONFIG);
            assert!(failure.hint.is_some(), "{}", failure.error);
            failure.error
        })
    }

    fn words(key: &str, words: &[&str], line: usize) -> Entry {
        Entry {
            key: key.into(),
            value: Value::Words(words.iter().map(ToString::to_string).collect()),
            line,
        }
    }

    #[test]
    fn keys_are_flags_and_a_section_is_how_they_begin() {
        let text =
            "lease = \"9s\"\nweight = 2\ncreditor = [\"a:1\", \"b:2\"]\n\n[etcd]\nca = \"/x\"\n";
        let expected = [
            words("lease", &["9s"], 1),
            words("weight", &["2"], 2),
            words("creditor", &["a:1", "b:2"], 3),
            words("etcd-ca", &["/x"], 6),
        ];
        assert_eq!(parse(text), Ok(expected.into()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |text| parse(text).unwrap_err();
        assert!(error("a = 1\n[etcd\n").starts_with("rmd.toml:2: "));
        assert!(error("a = 1\na = 2\n").starts_with("rmd.toml:2: "));
        assert_eq!(
            error("\n[etdc]\n"),
            "rmd.toml:2: there is no section 'etdc'"
        );
        let kind = "rmd.toml:1: 'a' has a value of a kind that no setting has";
        assert_eq!(error("a = [[1]]\n"), kind);
        assert_eq!(error("a = 1979-05-27\n"), kind);
    }
}
