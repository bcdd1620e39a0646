//! What the programs print: text for people, or JSON for programs, one object a line.
//!
//! A reader that closes the pipe early (`rmctl ls | head`) has seen enough: that is no error.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{Exit, Failure};

/// Styles, for terminals: [`line`] and [`complain`] strip them where there is none, or where `NO_COLOR` is set.
pub(crate) const GOOD: &str = "\u{1b}[1;32m";
pub(crate) const BAD: &str = "\u{1b}[1;31m";
pub(crate) const PLAIN: &str = "\u{1b}[0m";

/// How to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
    /// Notices are not printed: something else has the terminal.
    is_quiet: bool,
}

/// An error as JSON.
#[derive(JsonSchema, Serialize)]
pub(super) struct ErrorLine<'a> {
    /// What happened.
    error: &'a str,
    /// What to do about it; null where the error says so.
    hint: Option<&'a str>,
}

/// What is going on, as JSON.
#[derive(JsonSchema, Serialize)]
pub(super) struct NoticeLine<'a> {
    /// What is going on, or what to think of when reading the result.
    notice: &'a str,
}

impl Output {
    /// `json`: whether `--json` was given.
    pub(crate) const fn new(json: bool) -> Self {
        Self {
            is_json: json,
            is_quiet: false,
        }
    }

    /// The same without notices, for who draws on the terminal.
    pub(crate) const fn quiet(self) -> Self {
        Self {
            is_quiet: true,
            ..self
        }
    }

    /// Whether JSON is wanted.
    pub(crate) const fn is_json(self) -> bool {
        self.is_json
    }

    /// Prints `text`, or `object` where JSON is wanted.
    pub(crate) fn print<T: Serialize>(
        self,
        object: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.is_json {
            line(&json(object))
        } else {
            line(&text())
        }
    }

    /// A line about what is going on, to standard error: text, or `{"notice": ..}`.
    pub(crate) fn notice(self, program: &str, text: &str) {
        if self.is_quiet {
            return;
        }
        if self.is_json {
            complain(&json(&NoticeLine { notice: text }));
        } else {
            complain(&format!("{program}: {text}"));
        }
    }

    /// Reports a failure to standard error.
    pub(crate) fn fail(self, program: &str, failure: &Failure) {
        if self.is_json {
            complain(&json(&ErrorLine {
                error: &failure.error,
                hint: failure.hint.as_deref(),
            }));
            return;
        }
        complain(&format!("{BAD}{program}:{PLAIN} {}", failure.error));
        if let Some(hint) = &failure.hint {
            complain(&format!("{program}: {hint}"));
        }
    }

    /// The exit code of the program, after the report of a failure.
    pub(crate) fn finish(self, program: &str, done: Result<Exit, Failure>) -> ExitCode {
        let exit = done.unwrap_or_else(|failure| {
            self.fail(program, &failure);
            failure.exit
        });
        exit.into()
    }
}

/// An object as one line of JSON.
pub(crate) fn json<T: Serialize>(object: &T) -> String {
    serde_json::to_string(object).expect("our own structs have string keys and no failing parts")
}

/// A line on standard output, at once. Styles are stripped where nobody can see them.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::system("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// A line on standard error. If nobody can hear it, there is nobody to tell.
pub(crate) fn complain(text: &str) {
    drop(writeln!(anstream::stderr(), "{text}"));
}

/// A name for people and for JSON: readable bytes as they are, the others as `\xNN`.
pub(crate) fn readable(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(is_unseen) && !text.contains('\\') => text.into(),
        _ => name.escape_ascii().to_string(),
    }
}

/// Whether a character is not seen, or changes how others are: control characters, those of format (Unicode's category Cf,
/// such as the direction of writing and joiners of no width), and separators of lines and paragraphs.
pub(crate) const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'..='\u{e007f}'
    )
}

/// Text that a stranger chose, such as a label: without what is not seen, and control characters, which a terminal would
/// obey.
pub(crate) fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unseen(character) {
            tamed.extend(character.escape_default());
        } else {
            tamed.push(character);
        }
    }
    tamed
}

/// The bytes of a name in hexadecimal.
pub(crate) fn hex(name: &[u8]) -> String {
    let mut text = String::with_capacity(2 * name.len());
    for byte in name {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// A span for people: two significant parts at most.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span < Duration::from_millis(1) => format!("{} us", span.as_micros()),
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Milliseconds for JSON.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Rows in columns, each as wide as its widest cell; the last is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for (column, cell) in row.iter().enumerate() {
            let is_last = column + 1 == row.len();
            let pad = if is_last { 0 } else { widths[column] + 2 };
            write!(text, "{cell:<pad$}").expect("a string takes everything");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_names_stay_and_others_are_escaped_without_ambiguity() {
        assert_eq!(readable("büro/42".as_bytes()), "büro/42");
        assert_eq!(readable(b"a\xff\n"), "a\\xff\\n");
        assert_eq!(readable(br"a\xff"), r"a\\xff");
        assert_eq!(hex(b"a\xff"), "61ff");
    }

    #[test]
    fn a_label_cannot_drive_the_terminal() {
        assert_eq!(tame("ok \u{1b}[2Jgone"), "ok \\u{1b}[2Jgone");
        assert_eq!(
            tame("a\u{202e}b\u{200b}\u{2028}"),
            "a\\u{202e}b\\u{200b}\\u{2028}"
        );
        assert_eq!(readable("a\u{202e}b".as_bytes()), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(span(Duration::from_micros(7)), "7 us");
        assert_eq!(span(Duration::from_millis(7)), "7 ms");
        assert_eq!(span(Duration::from_millis(7_700)), "7.7 s");
        assert_eq!(span(Duration::from_secs(77)), "1 min 17 s");
        assert_eq!(span(Duration::from_secs(7_777)), "2 h 9 min");
        assert_eq!(span(Duration::from_secs(777_777)), "9 d 0 h");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["NAME", "HELD"], ["volumes/42", "1"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        assert_eq!(table(&rows), "NAME        HELD\nvolumes/42  1");
    }
}
