//! One line of the result.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::output::{BAD, GOOD, PLAIN, tame};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not for everybody.
    Warn,
    /// Something does not work, or a promise rests on what is not so.
    Fail,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub(in crate::cli) struct Finding {
    /// How bad it is.
    pub(super) level: Level,
    /// What was looked at, such as `clock`.
    pub(super) check: &'static str,
    /// Where: an address, or `this machine`, or `all`.
    pub(super) subject: String,
    /// What was found, in words.
    pub(super) text: String,
    /// What to change; empty where nothing is wrong.
    pub(super) advice: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, subject: &str, text: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            check,
            subject: subject.into(),
            text: text.into(),
            advice: String::new(),
        }
    }

    /// Something is not as it should be, and that is to be changed.
    pub(super) fn bad(
        level: Level,
        check: &'static str,
        subject: &str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level,
            advice: advice.into(),
            ..Self::ok(check, subject, text)
        }
    }

    /// For people.
    pub(super) fn in_words(&self) -> String {
        let (style, level) = match self.level {
            Level::Ok => (GOOD, "ok  "),
            Level::Warn => (BAD, "warn"),
            Level::Fail => (BAD, "FAIL"),
        };
        let (check, subject, text) = (self.check, tame(&self.subject), tame(&self.text));
        let mut line = format!("{style}{level}{PLAIN}  {check:<11}  {subject}: {text}");
        if !self.advice.is_empty() {
            write!(line, "\n      -> {}", tame(&self.advice)).expect("a string takes everything");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_says_what_to_change_and_a_server_cannot_drive_the_terminal() {
        let bad = Finding::bad(Level::Fail, "reach", "h:1", "no \u{1b}[2J", "start it");
        let text = bad.in_words();
        assert!(text.contains("FAIL"), "{text}");
        assert!(text.ends_with("-> start it"), "{text}");
        assert!(!text.contains("\u{1b}[2J"), "{text}");
    }
}
