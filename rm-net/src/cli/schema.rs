//! What the objects of `--json` look like: `rmctl schema`, and `docs/JSON.md`, which is what it prints as a page.
//!
//! Both are made from the structs that are printed, so they cannot say anything else. A test compares the page with the
//! file, and another one the output of each command with its schema.

use std::fmt::Write as _;

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Map, Value};

use super::args::{SchemaArgs, SchemaFormat};
use super::exit::{Exit, Failure};
use super::{bench, demo, doctor, drain, hold, inspect, members, output, release};
use super::{serve, status, top, tree, wait, watch, why};

/// One kind of object.
#[derive(Serialize)]
struct Shape {
    /// Who prints it; empty: each command, on standard error.
    command: &'static str,
    /// How many, and when.
    when: &'static str,
    schema: Value,
}

fn shape<T: JsonSchema>(command: &'static str, when: &'static str) -> Shape {
    Shape {
        command,
        when,
        schema: schema_for!(T).to_value(),
    }
}

/// All kinds, in the order of `rmctl --help`.
fn shapes() -> Vec<Shape> {
    vec![
        shape::<hold::Event>("hold", "one when something happens to the locks"),
        shape::<inspect::SummaryLine>("ls", "one for each lock"),
        shape::<inspect::ShowLine>("show", "one for each type that has the name"),
        shape::<why::WhyLine>("why", "one for each type that has the name"),
        shape::<tree::BranchLine<'_>>("tree", "one for each node, after the one above it"),
        shape::<top::sample::TopLine>("top", "one"),
        shape::<watch::WatchLine<'_>>("watch", "one at first, and one at each change"),
        shape::<wait::FreeLine>("wait", "one at the end, if the lock is free"),
        shape::<status::StatusLine>("status", "one for each server"),
        shape::<members::MembersLine>("members", "one"),
        shape::<release::ReleaseLine>("release", "one"),
        shape::<drain::Event>("drain", "one when something changed, and one at the end"),
        shape::<doctor::finding::Finding>("doctor", "one for each thing that was looked at"),
        shape::<bench::Report>("bench", "one"),
        shape::<demo::verdict::Verdict>("demo", "one"),
        shape::<serve::event::Event>("rmd", "one when it is ready, and one at the end"),
        shape::<output::ErrorLine<'_>>("", "one if the command failed, on standard error"),
        shape::<output::NoticeLine<'_>>("", "any number, on standard error"),
    ]
}

pub(crate) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let mut shapes = shapes();
    if let Some(of) = &args.of {
        let known: Vec<_> = shapes.iter().map(|shape| shape.command).collect();
        if of.is_empty() || !known.contains(&of.as_str()) {
            let error = format_args!("'{of}' prints no JSON");
            let known: Vec<_> = known
                .into_iter()
                .filter(|known| !known.is_empty())
                .collect();
            return Err(
                Failure::new(Exit::USAGE, error).hint(format!("these do: {}", known.join(", ")))
            );
        }
        shapes.retain(|shape| shape.command == of);
    }
    match args.format {
        SchemaFormat::Json => {
            for shape in &shapes {
                output::line(&output::json(shape))?;
            }
        }
        SchemaFormat::Markdown => output::line(page(&shapes).trim_end())?,
    }
    Ok(Exit::OK)
}

const INTRODUCTION: &str = "\
# JSON

What the commands of `rmctl`, and `rmd`, print with `--json`: one object a line, on standard output. This page is what
`rmctl schema --format markdown` prints; `rmctl schema` prints the same as JSON Schema, for validators and generators.

**What stays.** A field keeps its name, its type and its meaning from version to version, and a value of a closed list its
meaning. New fields may be added to an object, new values to a list, and new objects to a stream of events: readers
ignore what they do not know. What has to go is announced in the change log a version before.

**Units** are in the names: `_ms` milliseconds, `_us` microseconds, `_ns` nanoseconds, `_bytes` bytes. Numbers are whole, but for
rates. Names of locks
can be any bytes, so they are there twice: readable, and in hexadecimal. Lists may be empty; what is not known is
null, or an empty string where the table says so.
";

/// All kinds, for people.
fn page(shapes: &[Shape]) -> String {
    let mut text = String::from(INTRODUCTION);
    let mut last = None;
    for shape in shapes {
        if last != Some(shape.command) {
            let title = match shape.command {
                "" => "Errors and notices".to_owned(),
                "rmd" => "`rmd`".to_owned(),
                command => format!("`rmctl {command}`"),
            };
            let _ = write!(text, "\n## {title}\n");
            last = Some(shape.command);
        }
        let about = text_of(&shape.schema);
        let _ = write!(text, "\n{about} There is {}.\n", shape.when);
        let definitions = shape.schema.get("$defs").and_then(Value::as_object);
        let page = Page {
            definitions: definitions.cloned().unwrap_or_default(),
        };
        page.object(&shape.schema, &mut text);
    }
    text
}

/// The first paragraph of a description, in one line.
fn text_of(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    let text = text.unwrap_or_default().split("\n\n").next();
    text.unwrap_or_default().replace('\n', " ")
}

struct Page {
    definitions: Map<String, Value>,
}

impl Page {
    /// The table of an object, or one for each of its variants.
    fn object(&self, schema: &Value, text: &mut String) {
        if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
            for variant in variants {
                let about = text_of(variant);
                let event = variant.pointer("/properties/event/const");
                let event = event.and_then(Value::as_str).unwrap_or_default();
                let _ = write!(text, "\n`\"event\": \"{event}\"`: {about}\n");
                self.table(variant, text);
            }
        } else {
            self.table(schema, text);
        }
    }

    fn table(&self, schema: &Value, text: &mut String) {
        let mut rows = String::new();
        self.rows("", schema, &mut rows);
        if !rows.is_empty() {
            let _ = write!(text, "\n| field | type | |\n|---|---|---|\n{rows}");
        }
    }

    fn rows(&self, prefix: &str, schema: &Value, rows: &mut String) {
        let schema = self.resolved(schema);
        if let Some(of) = schema.get("$ref") {
            self.rows(prefix, &serde_json::json!({ "$ref": of }), rows);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if property.get("const").is_some() {
                continue;
            }
            let kind = self.kind(property);
            let about = text_of(property);
            let _ = writeln!(rows, "| `{prefix}{name}` | {kind} | {about} |");
            let items = property.get("items").unwrap_or(property);
            let inside = self.resolved(items);
            if inside.get("properties").is_some() {
                let list = if property.get("items").is_some() {
                    "[]"
                } else {
                    ""
                };
                self.rows(&format!("{prefix}{name}{list}."), inside, rows);
            }
        }
    }

    fn kind(&self, property: &Value) -> String {
        let resolved = self.resolved(property);
        if let Some(items) = resolved.get("items") {
            return format!("list of {}", self.kind(items));
        }
        let values = resolved.get("oneOf").and_then(Value::as_array);
        if let Some(values) = values {
            let values = values.iter().filter_map(|value| value.get("const"));
            let values: Vec<_> = values
                .map(|value| format!("`{}`", value.as_str().unwrap_or_default()))
                .collect();
            return values.join(", ");
        }
        match resolved.get("type") {
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
                kinds.join(" or ")
            }
            _ => "any".into(),
        }
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let of = schema.get("$ref").and_then(Value::as_str);
        let of = of.and_then(|of| of.strip_prefix("#/$defs/"));
        of.and_then(|name| self.definitions.get(name))
            .unwrap_or(schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_code_says() {
        let file = include_str!("../../../docs/JSON.md");
        let page = page(&shapes());
        assert!(
            file.trim_end() == page.trim_end(),
            "docs/JSON.md differs: write it anew with `rmctl schema --format markdown > docs/JSON.md`"
        );
    }

    #[test]
    fn each_field_says_what_it_means() {
        fn bare(path: &str, schema: &Value, found: &mut Vec<String>) {
            match schema {
                Value::Object(map) => {
                    for (name, property) in map
                        .get("properties")
                        .and_then(Value::as_object)
                        .into_iter()
                        .flatten()
                    {
                        let is_known =
                            property.get("const").is_some() || !text_of(property).is_empty();
                        if !is_known {
                            found.push(format!("{path}.{name}"));
                        }
                    }
                    for (name, inside) in map {
                        bare(&format!("{path}.{name}"), inside, found);
                    }
                }
                Value::Array(list) => list.iter().for_each(|inside| bare(path, inside, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        for shape in shapes() {
            bare(shape.command, &shape.schema, &mut found);
        }
        assert_eq!(found, [""; 0]);
    }
}
