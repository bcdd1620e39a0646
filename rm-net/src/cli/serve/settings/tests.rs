//! One rule each. The environment of the test process is left alone: nothing here is set there.

use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::*;

/// Every key, commented; users start from it.
const EXAMPLE: &str = include_str!("../../../../../packaging/rmd.toml");

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, flags: &[&str]) -> Result<Settings, Refused> {
    let file = file(text);
    let mut argv: Vec<OsString> = vec!["rmd".into(), "--config".into(), file.path().into()];
    argv.extend(flags.iter().map(OsString::from));
    Settings::load(&argv)
}

fn refused(text: &str, flags: &[&str]) -> Failure {
    match load(text, flags) {
        Err(Refused::Config(failure)) => {
            assert_eq!(failure.exit, Exit::CONFIG);
            assert!(failure.hint.is_some(), "{}", failure.error);
            failure
        }
        other => panic!("{other:?}"),
    }
}

fn of<'a>(settings: &'a Settings, key: &str) -> &'a Told {
    let mut told = settings.told().iter();
    told.find(|told| told.key == key).unwrap()
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_what_is_built_in() {
    let settings = load("lease = \"9s\"\nname = \"n\"\n", &["--lease", "7s"]).unwrap();
    assert_eq!(settings.args.lease, Duration::from_secs(7));
    assert_eq!(of(&settings, "lease").source, Source::Flag);
    assert_eq!(settings.args.name.as_deref(), Some("n"));
    let Source::File { line, .. } = of(&settings, "name").source else {
        panic!("{:?}", of(&settings, "name"));
    };
    assert_eq!(line, 2);
    let drain = of(&settings, "drain-timeout");
    assert_eq!(
        (drain.value.as_deref(), &drain.source),
        (Some("5s"), &Source::Default)
    );
}

#[test]
fn numbers_switches_and_lists_are_what_flags_would_be() {
    let text = "insecure = true\nlease = 9\ncreditor = [\"a:1\", \"b:2\"]\n";
    let settings = load(text, &[]).unwrap();
    assert!(settings.args.tls.insecure);
    assert_eq!(settings.args.lease, Duration::from_secs(9));
    assert_eq!(settings.args.creditor, ["a:1", "b:2"]);
    assert_eq!(of(&settings, "creditor").value.as_deref(), Some("a:1,b:2"));
    assert!(!load("insecure = false\n", &[]).unwrap().args.tls.insecure);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_known_ones() {
    let failure = refused("name = \"n\"\nleese = \"9s\"\n", &[]);
    assert!(
        failure.error.ends_with(":2: there is no setting leese"),
        "{}",
        failure.error
    );
    let hint = failure.hint.unwrap();
    assert!(hint.contains("lease, "), "{hint}");
    let failure = refused("[etcd]\nca-file = \"x\"\n", &[]);
    assert!(
        failure
            .error
            .ends_with(":2: there is no setting ca-file in [etcd]")
    );
    // How to run once is no setting.
    refused("json = true\n", &[]);
}

#[test]
fn a_value_that_cannot_be_is_refused_with_its_line_even_where_a_flag_wins() {
    for (text, why) in [
        (
            "lease = \"soon\"",
            ":1: lease cannot be so: not a span of time",
        ),
        (
            "weight = 17",
            ":1: weight cannot be so: 17 is not in 1..=16",
        ),
        ("lease = true", ":1: lease needs one text or number"),
        ("insecure = \"yes\"", ":1: insecure needs true or false"),
        ("name = [\"a\", \"b\"]", ":1: name needs one text or number"),
        ("creditor = []", ":1: creditor needs a text, or a list"),
        ("log-format = \"xml\"", ":1: log-format cannot be so"),
    ] {
        let failure = refused(text, &["--lease", "7s"]);
        assert!(failure.error.contains(why), "{}", failure.error);
    }
}

#[test]
fn what_does_not_go_together_is_refused_wherever_it_comes_from() {
    let failure = refused("coordinator = \"etcd=h:1\"\n", &["--creditor", "a:1"]);
    assert!(
        failure.error.contains("cannot be used with"),
        "{}",
        failure.error
    );
    let failure = refused("[etcd]\ncert = \"c\"\nkey = \"k\"\n", &[]);
    assert!(failure.error.contains("--etcd-ca"), "{}", failure.error);
}

#[test]
fn the_file_may_bring_what_the_flags_lack() {
    let text = "[etcd]\nca = \"a\"\nkey = \"k\"\n";
    let settings = load(text, &["--etcd-cert", "c"]).unwrap();
    assert_eq!(settings.args.cluster.etcd_ca, Some("a".into()));
}

#[test]
fn flags_that_make_no_sense_by_themselves_are_a_matter_of_usage() {
    assert!(matches!(
        load("", &["--leese", "7s"]),
        Err(Refused::Usage(_))
    ));
    assert!(matches!(
        load("", &["--lease", "soon"]),
        Err(Refused::Usage(_))
    ));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let argv = ["rmd", "--config", "/nowhere/rmd.toml"].map(OsString::from);
    let Err(Refused::Config(failure)) = Settings::load(&argv) else {
        panic!("it was read")
    };
    assert!(failure.error.contains("/nowhere/rmd.toml"));
}

#[test]
fn what_changed_is_found_by_its_value_and_not_by_its_line() {
    let old = load("lease = \"9s\"\n", &[]).unwrap();
    let new = load("\nlease = \"9s\"\nlog = \"debug\"\n", &[]).unwrap();
    let changed: Vec<_> = old.changed(&new).collect();
    assert_eq!(changed.len(), 1);
    assert_eq!((&*changed[0].key, changed[0].is_live()), ("log", true));
}

/// The keys of the example, whether or not they are commented out.
fn example_keys() -> Vec<String> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = format!("{name}-");
        } else if let Some((key, _)) = line.split_once(" = ")
            && !key.contains(' ')
        {
            found.push(format!("{section}{key}"));
        }
    }
    found
}

#[cfg(all(feature = "etcd", feature = "http"))]
#[test]
fn the_example_has_every_key_and_no_other() {
    let command = Rmd::command();
    let mut known: Vec<_> = keys(&command).filter_map(Arg::get_long).collect();
    let mut found = example_keys();
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, known);
}

#[cfg(all(feature = "etcd", feature = "http"))]
#[test]
fn the_example_is_right_as_it_is_and_shows_what_is_built_in() {
    let settings = load(EXAMPLE, &[]).unwrap();
    let changed: Vec<_> = settings.told().iter().collect();
    assert!(changed.iter().all(|told| told.source == Source::Default));
    // Its values are the built-in ones where there are such.
    let built_in = load("", &[]).unwrap();
    for line in EXAMPLE.lines().filter_map(|line| line.strip_prefix('#')) {
        let Some((key, value)) = line.split_once(" = ") else {
            continue;
        };
        let told = built_in.told().iter().find(|told| told.key == key);
        if let Some(built_in) = told.and_then(|told| told.value.as_deref()) {
            assert_eq!(value.trim_matches('"'), built_in, "{key}");
        }
    }
}

#[cfg(all(feature = "etcd", feature = "http"))]
#[test]
fn the_settings_in_the_operators_guide_are_right() {
    let guide = include_str!("../../../../../docs/OPERATIONS.md");
    let blocks = guide.split("```toml\n").skip(1);
    let texts: Vec<_> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(!texts.is_empty());
    for text in texts {
        load(text, &[]).unwrap();
    }
}
