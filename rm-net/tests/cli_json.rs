//! What the commands print with `--json` is what `rmctl schema` says; and what else follows from the flags: completions, manual
//! pages.
#![cfg(feature = "cli")]

mod support;

use serde_json::Value;

use self::support::{Daemon, Running, code, finish, objects, rmctl, stderr, stdout};

/// The schemas of what a command prints; of `""`, of what all print on standard error.
fn schemas(command: &str) -> Vec<Value> {
    let output = finish(rmctl(&["schema"]));
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    let mut shapes = objects(&output);
    shapes.retain(|shape| shape["command"] == command);
    shapes
        .into_iter()
        .map(|mut shape| shape["schema"].take())
        .collect()
}

/// What is wrong with a value, by as much of JSON Schema as is used here. Fields that the schema does not know are wrong.
fn faults(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(of) = schema["$ref"].as_str() {
        let pointer = of.trim_start_matches('#');
        let mut target = root.pointer(pointer).expect("a definition").clone();
        // What stands beside a reference adds to it.
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            target["properties"][name] = property.clone();
        }
        faults(root, &target, value, path, found);
        return;
    }
    for choice in ["oneOf", "anyOf"] {
        let Some(variants) = schema[choice].as_array() else {
            continue;
        };
        let fits = |variant: &&Value| {
            let mut wrong = Vec::new();
            faults(root, variant, value, path, &mut wrong);
            wrong.is_empty()
        };
        if !variants.iter().any(|variant| fits(&variant)) {
            found.push(format!("{path}: {value} is none of the variants"));
        }
    }
    if schema
        .get("const")
        .is_some_and(|constant| constant != value)
    {
        found.push(format!("{path}: {value} is not {}", schema["const"]));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => Vec::new(),
        kind => vec![kind.clone()],
    };
    let is = |kind: &Value| match kind.as_str() {
        Some("array") => value.is_array(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        _ => false,
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        found.push(format!("{path}: {value} is no {}", schema["type"]));
    }
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            faults(
                root,
                &schema["items"],
                item,
                &format!("{path}[{index}]"),
                found,
            );
        }
    }
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if name.as_str().is_some_and(|name| value.get(name).is_none()) {
            found.push(format!("{path}: {name} is missing"));
        }
    }
    for (name, inside) in value.as_object().into_iter().flatten() {
        match properties.get(name) {
            Some(property) => faults(root, property, inside, &format!("{path}.{name}"), found),
            None => found.push(format!("{path}: {name} is not documented")),
        }
    }
}

fn check(command: &str, schemas: &[Value], object: &Value) {
    let tries = schemas.iter().map(|schema| {
        let mut found = Vec::new();
        faults(schema, schema, object, command, &mut found);
        found
    });
    let fewest = tries.min_by_key(Vec::len).expect("a schema");
    assert_eq!(fewest, [""; 0], "{object}");
}

#[test]
fn each_command_prints_what_its_schema_says() {
    let daemon = Daemon::start_with(&["--name", "n1"]);
    let _holder = daemon.hold(&["-s", "--label", "nightly", "x"], "read line");
    let waits = ["lock", "--label", "resize", "x", "--", "true"];
    let _waiter = Running::start(daemon.rmctl(&waits));
    for args in [
        &["ls"][..],
        &["show", "x"],
        &["show", "unknown"],
        &["why", "x"],
        &["why", "unknown"],
        &["tree"],
        &["top", "--interval", "50ms"],
        &["watch", "--until", "held", "x"],
        &["wait", "y"],
        &["status"],
        &["members"],
        &["doctor", "--watch", "0"],
        &["release", "--force", "--reason", "r", "x"],
        &["bench", "--seconds", "0.2"],
        &["demo", "--seconds", "1"],
    ] {
        let schemas = schemas(args[0]);
        assert!(!schemas.is_empty(), "{args:?} has no schema");
        let mut all = vec!["--json"];
        all.extend_from_slice(args);
        let output = daemon.run(&all);
        let printed = objects(&output);
        assert!(!printed.is_empty(), "{args:?}: {}", stderr(&output));
        for object in &printed {
            check(args[0], &schemas, object);
        }
    }
}

#[test]
fn a_hold_tells_of_its_beginning_and_its_end_as_documented() {
    let daemon = Daemon::start();
    let mut hold = Running::start(daemon.rmctl(&["--json", "hold", "x", "y"]));
    let schemas = schemas("hold");
    for event in ["held", "released"] {
        let line = hold.lines.next().expect("an event");
        let object: Value = serde_json::from_str(&line).expect("an object");
        assert_eq!(object["event"], event);
        check("hold", &schemas, &object);
        hold.close_stdin();
    }
}

#[test]
fn a_drain_tells_how_it_goes_as_documented() {
    let daemon = Daemon::start_with(&["--name", "n1"]);
    // So that it takes a while, and tells how it goes.
    let _holder = daemon.hold(&["x"], "read line");
    let output = daemon.run(&["--json", "drain", "--timeout", "500ms", "n1"]);
    let schemas = schemas("drain");
    let events = objects(&output);
    assert!(!events.is_empty(), "{}", stderr(&output));
    for event in &events {
        check("drain", &schemas, event);
    }
}

#[test]
fn errors_and_notices_are_as_documented() {
    let schemas = schemas("");
    let daemon = Daemon::start();
    let _holder = daemon.hold(&["nightly"], "read line");
    for args in [
        &["--json", "lock", "-n", "nightly", "--", "true"][..],
        &["--json", "why", "nigthly"],
        &["--json", "wait", "-w", "0", "nightly"],
        &["--json", "nonsense"],
    ] {
        let errors = stderr(&daemon.run(args));
        let mut lines = errors.lines();
        let line = lines.next().unwrap_or_else(|| panic!("{args:?} complains"));
        let object: Value = serde_json::from_str(line).expect("an object");
        check("stderr", &schemas, &object);
    }
}

#[test]
fn the_schema_of_one_command_can_be_asked_for_and_an_unknown_one_is_refused() {
    let output = finish(rmctl(&["schema", "ls"]));
    assert_eq!(objects(&output).len(), 1);
    let output = finish(rmctl(&["schema", "nonsense"]));
    assert_eq!(code(&output), Some(64));
    assert!(
        stderr(&output).contains("these do: hold"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn shells_get_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = finish(rmctl(&["completions", shell]));
        assert_eq!(code(&output), Some(0), "{shell}");
        let script = stdout(&output);
        assert!(
            script.contains("members") && script.contains("endpoints"),
            "{shell}"
        );
        assert!(
            !script.contains("demo-server"),
            "{shell} offers internal commands"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_each_command_and_for_the_daemon() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("text");
    assert_eq!(code(&finish(rmctl(&["man", path]))), Some(0));
    let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
    assert!(page("rmctl.1").contains("rmctl"));
    assert!(page("rmctl-why.1").contains("who waits for whom"));
    assert!(page("rmd.1").contains("drain"));
    assert!(!dir.path().join("rmctl-__exec.1").exists());
    let refused = finish(rmctl(&["man", "/nowhere/at/all"]));
    assert_eq!(code(&refused), Some(71));
    assert!(
        stderr(&refused).contains("name a directory"),
        "{}",
        stderr(&refused)
    );
}
