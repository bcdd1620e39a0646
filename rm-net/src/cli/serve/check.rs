//! `rmd --check-config`: each setting and where it comes from. Nothing is opened but the files with settings.
//!
//! JSON shape, stable: a [`Line`] for each setting.

use serde::Serialize;

use super::plan::Plan;
use super::settings::{Settings, Source, Told};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, tame};
use crate::types::Types;

/// What is printed of a setting.
#[derive(Serialize)]
struct Line<'a> {
    /// As the flag is called.
    key: &'a str,
    /// What it comes to, as text; several with commas between them. Null: nothing was said, and nothing is built in.
    value: Option<String>,
    /// `default`, `file`, `environment` or `flag`.
    source: &'static str,
    /// The file, or the variable.
    from: Option<String>,
    /// Where in the file.
    line: Option<usize>,
    /// Whether it takes effect without a restart.
    live: bool,
}

/// Prints all settings, and fails if they make no sense together.
pub(super) fn run(settings: &Settings, types: &Types, output: Output) -> Result<Exit, Failure> {
    let plan = Plan::of(&settings.args, types);
    let lines = settings.told().iter().map(|told| Line {
        value: told
            .value
            .clone()
            .or_else(|| implied(&told.key, plan.as_ref().ok())),
        ..Line::of(told)
    });
    if output.is_json() {
        for line in lines {
            output::line(&output::json(&line))?;
        }
    } else {
        let header = ["SETTING", "VALUE", "FROM"].map(String::from).to_vec();
        let rows = lines.zip(settings.told()).map(|(line, told)| {
            let value = line.value.map_or_else(|| "-".into(), |value| tame(&value));
            vec![line.key.to_owned(), value, told.source.to_string()]
        });
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
        output::line(&output::table(&rows))?;
    }
    plan.map(|_| Exit::OK)
}

/// What a setting comes to of which nothing was said.
fn implied(key: &str, plan: Option<&Plan>) -> Option<String> {
    match key {
        "name" => Some(crate::node::host_name()),
        "data-dir" => {
            let dir = plan?.data_dir.as_ref()?;
            Some(dir.display().to_string())
        }
        _ => None,
    }
}

impl<'a> Line<'a> {
    fn of(told: &'a Told) -> Self {
        let (source, from, line) = match &told.source {
            Source::Default => ("default", None, None),
            Source::File { path, line } => ("file", Some(path.display().to_string()), Some(*line)),
            Source::Environment(name) => ("environment", Some(name.clone()), None),
            Source::Flag => ("flag", None, None),
        };
        Self {
            key: &told.key,
            value: told.value.clone(),
            source,
            from,
            line,
            live: told.is_live(),
        }
    }
}
