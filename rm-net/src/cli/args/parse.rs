//! How the arguments of a process become flags, and what makes a name, a type, a reason or a span of time acceptable.
//! What is wrong is said in one sentence, to people and to programs.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::Parser;
use rm_core::command::REASON_BYTES_MAX;
use rm_core::id::{BadName, ResourceKey, TypeId};
use rm_core::resource::ResourceType as _;
use rm_rwlock::RwLockType;
use rm_types::{ByteRangeType, SemaphoreType};

use crate::cli::exit::Exit;
use crate::cli::output;

/// The longest span a flag takes: a year. Longer ones are typing errors.
const SPAN_SECS_MAX: f64 = 366.0 * 86_400.0;
/// How often a server may be looked at: each look is a question to it and to all who have credit.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3_600);

/// The arguments of this process, or the code to end with after help, a version or a complaint.
pub(crate) fn parse<P: Parser>() -> Result<P, Exit> {
    P::try_parse().map_err(|error| refuse(&error))
}

/// Says what is wrong with the arguments of this process, and returns the code to end with; help and a version are
/// printed, and nothing is wrong.
pub(crate) fn refuse(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // If nobody reads it, so be it.
        drop(error.print());
        return Exit::OK;
    }
    let mut before_command = std::env::args_os().take_while(|arg| arg != "--");
    if before_command.any(|arg| arg == "--json") {
        let line = serde_json::json!({ "error": in_one_line(error), "hint": "see --help" });
        output::complain(&line.to_string());
    } else {
        drop(error.print());
    }
    Exit::USAGE
}

/// What is wrong, without the usage that follows it.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim);
    lines
        .take_while(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn parse_name(name: OsString) -> Result<ResourceKey, BadName> {
    ResourceKey::new(&name.into_vec())
}

/// A type, by name or number.
pub(super) fn parse_type(text: &str) -> Result<TypeId, &'static str> {
    match text {
        RwLockType::NAME => Ok(RwLockType::ID),
        SemaphoreType::NAME => Ok(SemaphoreType::ID),
        ByteRangeType::NAME => Ok(ByteRangeType::ID),
        number => number
            .parse()
            .map(TypeId)
            .map_err(|_| "write rw-lock, byte-range, semaphore, or the number of a type"),
    }
}

pub(super) fn parse_reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("say why: others will want to know".into());
    }
    if text.len() > REASON_BYTES_MAX {
        return Err(format!(
            "it has {} bytes: at most {REASON_BYTES_MAX}",
            text.len()
        ));
    }
    Ok(text.into())
}

/// The mode of a file, in octal: permissions alone.
pub(super) fn parse_mode(text: &str) -> Result<u32, &'static str> {
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|mode| *mode <= 0o777)
        .ok_or("write permissions in octal, such as 600, 660 or 666")
}

/// A span: a number, with `ms`, `s`, `m` or `h` behind it; seconds without.
pub(super) fn parse_span(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "not a span of time: write such as 10, 0.5, 250ms, 15s or 2m, up to a year";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(WRONG),
    };
    let number: f64 = digits.parse().map_err(|_| WRONG)?;
    let seconds = number * unit;
    // Also refuses what is no number.
    if !(0.0..=SPAN_SECS_MAX).contains(&seconds) {
        return Err(WRONG);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| WRONG)
}

/// How often something is looked at: a span within [`INTERVALS`].
pub(super) fn parse_interval(text: &str) -> Result<Duration, &'static str> {
    let span = parse_span(text)?;
    if INTERVALS.contains(&span) {
        Ok(span)
    } else {
        Err("look no more often than every 50ms, and at least once an hour")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rmctl;
    use super::*;

    #[test]
    fn a_complaint_for_programs_names_what_is_missing() {
        let complaint = |args: &[&str]| {
            let all = ["rmctl", "lock"].iter().chain(args);
            in_one_line(&Rmctl::try_parse_from(all).unwrap_err())
        };
        assert_eq!(
            complaint(&["a"]),
            "the following required arguments were not provided: <CMD>..."
        );
        let text = complaint(&["-w", "x", "a", "--", "cmd"]);
        assert!(text.starts_with("invalid value 'x' for '--wait <SECS>': not a span"));
    }

    #[test]
    fn spans_take_decimals_and_units_and_refuse_the_rest() {
        assert_eq!(parse_span("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_span("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_span("0"), Ok(Duration::ZERO));
        for bad in [
            "",
            "s",
            "-1",
            "nan",
            "inf",
            "1e300",
            "5 minutes",
            "1d",
            "üms",
        ] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
