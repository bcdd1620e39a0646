//! The file with the rules of a server: who may do what. TOML, in sections `[[allow]]` and `[[deny]]`.
//!
//! ```toml
//! [[allow]]
//! who = ["spiffe://prod/web-*"]   # an identity, or its start or end with one *
//! what = ["write", "inspect"]     # read, write (with read), inspect, operate, member
//! names = ["volumes/"]            # how the names of resources start; left out: all, and the server itself
//! types = ["rw-lock"]             # left out: all
//! ```
//!
//! What is wrong with it is said with file, line, and what to do. Nothing is passed over: a word that nobody knows might
//! be a rule that somebody relies on.

use std::fmt::Display;
use std::path::Path;

use rm_core::access::{Action, BadRule, BadRules, Rule, Rules};
use rm_core::id::TypeId;
use serde::Deserialize;
use toml::Spanned;

use super::exit::{Exit, Failure};
use super::text_file;
use crate::types::Types;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    allow: Vec<Spanned<Section>>,
    #[serde(default)]
    deny: Vec<Spanned<Section>>,
}

/// One rule as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    who: Vec<String>,
    what: Vec<Word>,
    names: Option<Vec<String>>,
    types: Option<Vec<String>>,
}

/// An action.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Read,
    Write,
    Inspect,
    Operate,
    Member,
}

impl From<Word> for Action {
    fn from(word: Word) -> Self {
        match word {
            Word::Read => Self::Read,
            Word::Write => Self::Write,
            Word::Inspect => Self::Inspect,
            Word::Operate => Self::Operate,
            Word::Member => Self::Member,
        }
    }
}

/// Why a section is no rule.
enum Wrong {
    Rule(BadRule),
    Type { name: String },
}

impl From<BadRule> for Wrong {
    fn from(bad: BadRule) -> Self {
        Self::Rule(bad)
    }
}

/// The rules in a file. A file without any allows nothing, so it is refused.
///
/// # Errors
/// Where it cannot be read, or does not say what rules can say.
pub(crate) fn read(path: &Path, types: &Types) -> Result<Rules, Failure> {
    let hint = "name another file with --rules or RM_RULES";
    let text = text_file::read(path, "rules", hint)?;
    parse(path, &text, types)
}

fn parse(path: &Path, text: &str, types: &Types) -> Result<Rules, Failure> {
    let complain = |at: usize, error: &dyn Display| {
        let line = line_of(text, at);
        let error = format_args!("{}:{line}: {error}", path.display());
        Failure::new(Exit::CONFIG, error)
    };
    let document: Document = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        complain(at, &error.message())
            .hint("a rule is [[allow]] or [[deny]] with who, what, and perhaps names and types")
    })?;
    let allow_at: Vec<_> = document
        .allow
        .iter()
        .map(|rule| rule.span().start)
        .collect();
    let rules_of = |sections: Vec<Spanned<Section>>| {
        let rule = |section: Spanned<Section>| {
            let at = section.span().start;
            rule(section.into_inner(), types).map_err(|wrong| match wrong {
                Wrong::Rule(bad) => complain(at, &bad).hint("see docs/SECURITY.md"),
                Wrong::Type { name } => {
                    let names = types.names().collect::<Vec<_>>().join(", ");
                    complain(
                        at,
                        &format_args!("there is no type '{}'", name.escape_debug()),
                    )
                    .hint(format!("the types are: {names}"))
                }
            })
        };
        sections
            .into_iter()
            .map(rule)
            .collect::<Result<Vec<_>, _>>()
    };
    let (allow, deny) = (rules_of(document.allow)?, rules_of(document.deny)?);
    if allow.is_empty() && deny.is_empty() {
        return Err(complain(
            0,
            &"there are no rules, and a file of rules allows nothing else",
        )
        .hint("add an [[allow]] section, or leave --rules out to allow everything"));
    }
    Rules::new(allow, deny).map_err(|bad| {
        let number = match bad {
            BadRules::Twice { number, .. } | BadRules::Unreachable { number, .. } => number,
            _ => 1,
        };
        let at = allow_at.get(number - 1).copied().unwrap_or(0);
        complain(at, &bad).hint("see docs/SECURITY.md")
    })
}

fn rule(section: Section, types: &Types) -> Result<Rule, Wrong> {
    let what = section.what.into_iter().map(Action::from);
    let mut rule = Rule::new(section.who, what)?;
    if let Some(names) = section.names {
        rule = rule.names(names)?;
    }
    if let Some(names) = section.types {
        let id = |name: String| types.id_of(&name).ok_or(Wrong::Type { name });
        let ids = names
            .into_iter()
            .map(id)
            .collect::<Result<Vec<TypeId>, _>>()?;
        rule = rule.types(ids)?;
    }
    Ok(rule)
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use rm_core::access::{Identity, Target};
    use rm_core::id::ResourceKey;

    use super::*;

    fn rules(text: &str) -> Result<Rules, String> {
        parse(Path::new("rules.toml"), text, &Types::default()).map_err(|failure| {
            assert_eq!(failure.exit, Exit::CONFIG);
            assert!(failure.hint.is_some(), "{}", failure.error);
            failure.error
        })
    }

    #[test]
    fn a_file_says_what_rules_can_say() {
        let text = "\
[[allow]]
who = [\"unix:uid=1000\"]
what = [\"write\", \"inspect\"]
names = [\"volumes/\"]
types = [\"rw-lock\"]

[[deny]]
who = [\"*\"]
what = [\"read\"]
names = [\"volumes/secret\"]
";
        let rules = rules(text).unwrap();
        let may = |name: &str| {
            let key = ResourceKey::new(name.as_bytes()).unwrap();
            let volume = Target::Resource(TypeId(1), &key);
            rules
                .check(&Identity::unix(1000), Action::Write, volume)
                .is_ok()
        };
        assert!(may("volumes/1") && !may("volumes/secret/1") && !may("other"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |text: &str| rules(text).unwrap_err();
        let one = |keys: &str| error(&format!("\n[[allow]]\n{keys}\n"));
        assert!(error("").starts_with("rules.toml:1: there are no rules"));
        assert!(
            error("[[alow]]\nwho = [\"a\"]\n").starts_with("rules.toml:1: unknown field `alow`")
        );
        let key = one("who = [\"a\"]\nwhat = [\"read\"]\nname = [\"x\"]");
        assert!(
            key.starts_with("rules.toml:5: unknown field `name`"),
            "{key}"
        );
        let word = one("who = [\"a\"]\nwhat = [\"reed\"]");
        assert!(
            word.starts_with("rules.toml:4: unknown variant `reed`"),
            "{word}"
        );
        let kind = one("who = [\"a\"]\nwhat = [\"read\"]\ntypes = [\"mutex\"]");
        assert_eq!(kind, "rules.toml:2: there is no type 'mutex'");
        let star = one("who = [\"a*b\"]\nwhat = [\"read\"]");
        assert!(star.starts_with("rules.toml:2: `a*b` in `who`"), "{star}");
    }

    #[test]
    fn a_rule_that_allows_nothing_is_told_with_its_line() {
        let all = "who = [\"*\"]\nwhat = [\"write\", \"read\"]\n";
        let text = format!("[[deny]]\n{all}\n[[allow]]\n{all}");
        let error = rules(&text).unwrap_err();
        assert!(
            error.starts_with("rules.toml:5: [[allow]] rule 1 allows nothing"),
            "{error}"
        );
    }
}
