//! `rmd --check-config`: each setting and where it comes from. Nothing is opened but the files with settings.
//!
//! JSON shape, stable: a [`Line`] for each setting.

use serde::Serialize;

use super::plan::Plan;
use super::settings::{Settings, Source, Told};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, tame};

/// What is printed of a setting.
#[derive(Serialize)]
struct Line<'a> {
    /// As the flag is called.
    key: &'a str,
    /// As text; several with commas between them. Null: nothing was said, and nothing is built in.
    value: Option<&'a str>,
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
pub(super) fn run(settings: &Settings, output: Output) -> Result<Exit, Failure> {
    if output.is_json() {
        for told in settings.told() {
            output::line(&output::json(&Line::of(told)))?;
        }
    } else {
        let header = ["SETTING", "VALUE", "FROM"].map(String::from).to_vec();
        let rows = settings.told().iter().map(|told| {
            let value = told.value.as_deref().map_or_else(|| "-".into(), tame);
            vec![told.key.clone(), value, told.source.to_string()]
        });
        let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
        output::line(&output::table(&rows))?;
    }
    Plan::of(&settings.args).map(|_| Exit::OK)
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
            value: told.value.as_deref(),
            source,
            from,
            line,
            live: told.is_live(),
        }
    }
}
