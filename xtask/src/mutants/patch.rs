//! The file of one mutant: a comment header that says what is broken and who must notice, then a diff for `git apply`.

use std::fs;
use std::path::{Path, PathBuf};

/// One seeded mutant.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Patch {
    /// The file's name without `.patch`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// The header of the file.
    pub(crate) header: Header,
}

/// What a mutant says about itself.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// What the patch breaks, in a sentence.
    pub(crate) what: String,
    /// The test that must fail, as arguments of cargo.
    pub(crate) caught_by: Test,
    /// The rule of the protocol or of the code that the patch takes away.
    pub(crate) rule: String,
}

/// A test as arguments of cargo, split where its build can be told from its run.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    task: &'static [&'static str],
    rest: Vec<String>,
}

impl Test {
    /// What a mutant may name: both know `--no-run`, so that a mutant which no longer compiles is told from a caught one.
    const TASKS: [&[&str]; 2] = [&["test"], &["xtask", "loom"]];

    fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let task = Self::TASKS.into_iter().find(|task| words.starts_with(task));
        let task = task.ok_or("`caught-by` must start with `test` or `xtask loom`")?;
        let rest = &words[task.len()..];
        if rest.is_empty() {
            return Err("`caught-by` must name one test".into());
        }
        Ok(Self {
            task,
            rest: rest.iter().map(ToString::to_string).collect(),
        })
    }

    /// The arguments that run it.
    pub(crate) fn run(&self) -> Vec<&str> {
        self.task
            .iter()
            .copied()
            .chain(self.rest.iter().map(String::as_str))
            .collect()
    }

    /// The arguments that build it only.
    pub(crate) fn build(&self) -> Vec<&str> {
        let task = self.task.iter().copied();
        task.chain(["--no-run"])
            .chain(self.rest.iter().map(String::as_str))
            .collect()
    }
}

impl Header {
    /// Reads the `# key: value` lines before the diff.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut what, mut caught_by, mut rule) = (None, None, None);
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            let (key, value) = line
                .split_once(':')
                .ok_or(format!("`#{line}` is not of the form `# key: value`"))?;
            let slot = match key.trim() {
                "what" => &mut what,
                "caught-by" => &mut caught_by,
                "rule" => &mut rule,
                other => {
                    return Err(format!(
                        "unknown key `{other}`: there are what, caught-by and rule"
                    ));
                }
            };
            if slot.replace(value.trim()).is_some() {
                return Err(format!("`{}` is given twice", key.trim()));
            }
        }
        if !text.lines().any(|line| line.starts_with("+++ ")) {
            return Err("no diff follows the header".into());
        }
        let given = |slot: Option<&str>, key: &str| match slot {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(format!("the header has no `# {key}: ..`")),
        };
        let caught_by = Test::parse(&given(caught_by, "caught-by")?)?;
        Ok(Self {
            what: given(what, "what")?,
            caught_by,
            rule: given(rule, "rule")?,
        })
    }
}

/// Reads the mutants in `folder` by name: those in `names`, or all of them when it is empty.
///
/// # Errors
///
/// When a file is malformed, a name unknown, or the folder holds no mutant at all: a check of nothing would pass.
pub(crate) fn load(folder: &Path, names: &[String]) -> Result<Vec<Patch>, String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut patches = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let header =
            Header::parse(&text).map_err(|reason| format!("{}: {reason}", path.display()))?;
        patches.push(Patch { name, path, header });
    }
    patches.sort_by(|a, b| a.name.cmp(&b.name));
    if patches.is_empty() {
        return Err(format!("{} holds no mutant", folder.display()));
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| patches.iter().all(|patch| patch.name != **name))
    {
        let known: Vec<&str> = patches.iter().map(|patch| patch.name.as_str()).collect();
        return Err(format!(
            "there is no mutant `{unknown}`; there are {}",
            known.join(", ")
        ));
    }
    patches.retain(|patch| names.is_empty() || names.contains(&patch.name));
    Ok(patches)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "# what: credit is granted twice\n\
        # caught-by: test -p rm-core --lib ledger::conserves\n\
        # rule: each credit is in one place: always\n";
    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    fn error(header: &str) -> String {
        Header::parse(&format!("{header}{DIFF}")).expect_err("the header is malformed")
    }

    #[test]
    fn the_header_says_what_is_broken_and_who_must_notice() {
        let header = Header::parse(&format!("{HEADER}{DIFF}")).expect("the header is well-formed");
        assert_eq!(header.what, "credit is granted twice");
        assert_eq!(header.rule, "each credit is in one place: always");
        assert_eq!(
            header.caught_by.run(),
            ["test", "-p", "rm-core", "--lib", "ledger::conserves"]
        );
    }

    #[test]
    fn the_build_of_a_test_stops_before_its_run() {
        for (text, build) in [
            ("test -p a b -- --exact", "test --no-run -p a b -- --exact"),
            ("xtask loom cancel", "xtask loom --no-run cancel"),
        ] {
            let test = Test::parse(text).expect("both tasks can be built without a run");
            assert_eq!(test.build().join(" "), build);
            assert_eq!(test.run().join(" "), text);
        }
    }

    #[test]
    fn a_command_whose_build_cannot_be_told_from_its_run_is_refused() {
        for text in ["run -p a", "xtask mutants", "cargo test -p a", "test", ""] {
            assert!(Test::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_missing_doubled_or_unknown_key_is_named() {
        assert_eq!(
            error("# what: x\n# caught-by: test a\n"),
            "the header has no `# rule: ..`"
        );
        assert_eq!(
            error("# what:\n# caught-by: test a\n# rule: r\n"),
            "the header has no `# what: ..`"
        );
        assert_eq!(error("# what: x\n# what: y\n"), "`what` is given twice");
        assert_eq!(
            error("# who: x\n"),
            "unknown key `who`: there are what, caught-by and rule"
        );
        assert_eq!(
            error("# what\n"),
            "`# what` is not of the form `# key: value`"
        );
    }

    #[test]
    fn a_header_without_a_diff_is_refused() {
        assert_eq!(
            Header::parse(HEADER),
            Err("no diff follows the header".into())
        );
    }

    #[test]
    fn a_line_of_the_diff_is_not_taken_for_the_header() {
        let text = format!("{HEADER}{DIFF}# what: twice\n");
        assert!(Header::parse(&text).is_ok());
    }
}
