//! `docs/SECURITY.md` names a test for each attack: here is looked whether each of them exists.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The files and the names in the last column of the tables.
fn named(text: &str) -> Vec<(String, String)> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let last = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let quoted = last.filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
    let pairs = quoted.filter_map(|test| test.split_once(".rs: "));
    pairs
        .map(|(file, name)| (format!("{file}.rs"), name.to_owned()))
        .collect()
}

#[test]
fn each_attack_has_the_test_that_the_list_names() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/SECURITY.md")).expect("it is there");
    let named = named(&text);
    assert!(named.len() >= 40, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(file, name)| {
            let source = fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
            !source.contains(&format!("fn {name}()"))
        })
        .collect();
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn every_row_about_an_attack_names_one() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/SECURITY.md")).expect("it is there");
    let attacks = text.split("## Attacks").nth(1).expect("the list");
    let attacks = attacks.split("\n## ").next().expect("its end");
    let rows = attacks.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|row| !row.starts_with("| attack |")).count();
    assert_eq!(rows, named(attacks).len(), "a row without a test");
}
