//! The rules of a node: which identity may do what with which resources.
//!
//! There are two lists. What an *allow* rule names is allowed, unless a *deny* rule names it too; everything else is
//! forbidden. The order of rules means nothing. So a rule says the same wherever it stands, files of rules can be joined, one
//! more deny rule can only take away, and one more allow rule can only give.
//!
//! Without any rule everything is allowed to everybody whom the transport lets in ([`Rules::open`]).
//!
//! A rule with names or types is about resources. One with neither is about everything, the node itself included.
//!
//! Rules bound what is *asked of this node*: they say nothing of what those do with it who got it. Whoever may borrow may lend
//! on, so a node in the middle of a tree has rules of its own for those below, and counts as one identity above.

use core::fmt;

use thiserror::Error;

use super::identity::{Identity, is_unprintable};
use crate::id::{NAME_BYTES_MAX, Note, Party, ResourceKey, TypeId};
use crate::message::{Blocker, BlockerKind};

/// The most rules of one node: each question goes through all of them.
pub const RULES_MAX: usize = 1_024;

/// The most identities, names or types in one rule.
pub const ENTRIES_MAX: usize = 256;

/// How much of a resource a request or a loan takes, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "types say which of the two, and rules go by it"
)]
pub enum Access {
    /// It keeps nobody out who asks for the same: to read.
    Share,
    /// It does: to write.
    Exclusive,
}

/// What somebody can be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Borrow what shuts nobody out who does the same ([`Access::Share`]).
    Read,
    /// Borrow anything. It includes `Read`.
    Write,
    /// Ask what there is, who holds it and who waits.
    Inspect,
    /// Give orders: release by force, drain.
    Operate,
    /// Be another member of the cluster.
    Member,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Inspect,
        Self::Operate,
        Self::Member,
    ];

    /// What it is called in rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Inspect => "inspect",
            Self::Operate => "operate",
            Self::Member => "member",
        }
    }

    /// Whether a rule that allows `self` allows `asked`.
    fn gives(self, asked: Self) -> bool {
        self == asked || (self == Self::Write && asked == Self::Read)
    }

    /// Whether a rule that denies `self` denies `asked`: who may not read may not write.
    fn takes(self, asked: Self) -> bool {
        self == asked || (self == Self::Read && asked == Self::Write)
    }
}

impl From<Access> for Action {
    fn from(access: Access) -> Self {
        match access {
            Access::Share => Self::Read,
            Access::Exclusive => Self::Write,
        }
    }
}

/// What something is done to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is nothing else")]
pub enum Target<'a> {
    /// The node as a whole.
    Node,
    /// One resource.
    Resource(TypeId, &'a ResourceKey),
}

/// Whom a rule is about: an identity, or all that start or end in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(String),
    StartsWith(String),
    EndsWith(String),
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let is_bad =
            text.is_empty() || text.len() > NAME_BYTES_MAX || text.contains(is_unprintable);
        let pattern = match (text.strip_suffix('*'), text.strip_prefix('*')) {
            (Some(start), _) => Self::StartsWith(start.into()),
            (None, Some(end)) => Self::EndsWith(end.into()),
            (None, None) => Self::Exact(text.into()),
        };
        let has_another = pattern.text().contains('*');
        (!is_bad && !has_another).then_some(pattern)
    }

    fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::StartsWith(text) | Self::EndsWith(text) => text,
        }
    }

    fn matches(&self, identity: &str) -> bool {
        match self {
            Self::Exact(text) => identity == text,
            Self::StartsWith(start) => identity.starts_with(start.as_str()),
            Self::EndsWith(end) => identity.ends_with(end.as_str()),
        }
    }

    /// Whether it matches whatever `other` matches.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(text)) => self.matches(text),
            (Self::StartsWith(_), Self::StartsWith(text)) => self.matches(text),
            (Self::EndsWith(_), Self::EndsWith(text)) => self.matches(text),
            _ => self.text().is_empty() && !matches!(self, Self::Exact(_)),
        }
    }
}

/// One rule, of either list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    who: Vec<Pattern>,
    /// Prefixes of names; none: any name.
    names: Vec<Vec<u8>>,
    /// None: any type.
    types: Vec<TypeId>,
    what: Vec<Action>,
}

impl Rule {
    /// A rule about all resources of all types, and the node itself. An identity with a `*` in front or at the end stands for
    /// all that end or start so; `*` alone for everybody.
    ///
    /// # Errors
    /// [`BadRule`] where there is nobody or nothing in it, or too much, or an identity makes no sense.
    pub fn new<S: AsRef<str>>(
        who: impl IntoIterator<Item = S>,
        what: impl IntoIterator<Item = Action>,
    ) -> Result<Self, BadRule> {
        let pattern = |text: S| {
            let text = text.as_ref();
            let bad = || BadRule::Identity { text: text.into() };
            Pattern::parse(text).ok_or_else(bad)
        };
        let who = who
            .into_iter()
            .map(pattern)
            .collect::<Result<Vec<_>, _>>()?;
        let what = what.into_iter().collect::<Vec<_>>();
        check_count("who", who.len())?;
        if what.is_empty() {
            return Err(BadRule::Empty { key: "what" });
        }
        Ok(Self {
            who,
            names: Vec::new(),
            types: Vec::new(),
            what,
        })
    }

    /// The same about resources whose names start with one of `prefixes` only.
    ///
    /// # Errors
    /// [`BadRule`] where there are none, too many, or one that is empty or longer than a name.
    pub fn names<B: AsRef<[u8]>>(
        mut self,
        prefixes: impl IntoIterator<Item = B>,
    ) -> Result<Self, BadRule> {
        let prefixes = prefixes.into_iter().map(|prefix| prefix.as_ref().to_vec());
        self.names = prefixes.collect();
        check_count("names", self.names.len())?;
        let lengths = self.names.iter().map(Vec::len);
        match lengths
            .into_iter()
            .find(|len| *len == 0 || *len > NAME_BYTES_MAX)
        {
            Some(bytes) => Err(BadRule::Name { bytes }),
            None => Ok(self),
        }
    }

    /// The same about resources of these types only.
    ///
    /// # Errors
    /// [`BadRule`] where there are none or too many.
    pub fn types(mut self, types: impl IntoIterator<Item = TypeId>) -> Result<Self, BadRule> {
        self.types = types.into_iter().collect();
        check_count("types", self.types.len())?;
        Ok(self)
    }

    fn is_about(&self, identity: &Identity, target: Target<'_>) -> bool {
        let covers = match target {
            Target::Node => self.names.is_empty() && self.types.is_empty(),
            Target::Resource(type_id, key) => {
                let is_named = |prefix: &Vec<u8>| key.as_bytes().starts_with(prefix);
                (self.types.is_empty() || self.types.contains(&type_id))
                    && (self.names.is_empty() || self.names.iter().any(is_named))
            }
        };
        covers && self.who.iter().any(|who| who.matches(identity.as_str()))
    }

    fn allows(&self, identity: &Identity, asked: Action, target: Target<'_>) -> bool {
        self.what.iter().any(|what| what.gives(asked)) && self.is_about(identity, target)
    }

    fn denies(&self, identity: &Identity, asked: Action, target: Target<'_>) -> bool {
        self.what.iter().any(|what| what.takes(asked)) && self.is_about(identity, target)
    }

    /// Whether, as a deny rule, it leaves nothing of what `allow` allows.
    fn takes_all_of(&self, allow: &Self) -> bool {
        let who = allow
            .who
            .iter()
            .all(|who| self.who.iter().any(|own| own.covers(who)));
        let starts = |name: &Vec<u8>| self.names.iter().any(|own| name.starts_with(own));
        let names =
            self.names.is_empty() || (!allow.names.is_empty() && allow.names.iter().all(starts));
        let has = |type_id| self.types.contains(type_id);
        let types =
            self.types.is_empty() || (!allow.types.is_empty() && allow.types.iter().all(has));
        // What `Write` gives beside itself goes with it only if reading is denied.
        let given = allow.what.iter().flat_map(|what| match what {
            Action::Write => [Action::Write, Action::Read],
            other => [*other, *other],
        });
        let mut given = given;
        let what = given.all(|given| self.what.iter().any(|own| own.takes(given)));
        who && names && types && what
    }
}

fn check_count(key: &'static str, count: usize) -> Result<(), BadRule> {
    match count {
        0 => Err(BadRule::Empty { key }),
        1..=ENTRIES_MAX => Ok(()),
        _ => Err(BadRule::TooMany { key }),
    }
}

/// A rule that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadRule {
    /// A list with nothing in it would match nothing.
    #[error("`{key}` is empty: name something, or leave the rule out")]
    Empty {
        /// Which.
        key: &'static str,
    },
    /// A list that is too long.
    #[error("`{key}` has more than {ENTRIES_MAX} entries: make two rules of it")]
    TooMany {
        /// Which.
        key: &'static str,
    },
    /// No identity, and no pattern of identities.
    #[error(
        "`{}` in `who` can match nobody: write an identity, or its start or end with one `*`, such as `spiffe://prod/*`",
        .text.escape_debug()
    )]
    Identity {
        /// What stood there.
        text: String,
    },
    /// A prefix that no name has, or every name.
    #[error(
        "a prefix in `names` has {bytes} bytes: write 1 to {NAME_BYTES_MAX}, or leave `names` out to mean every resource"
    )]
    Name {
        /// How long it is.
        bytes: usize,
    },
}

/// The two lists. Cheap to ask, and not changed any more: whoever wants other rules makes others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    is_closed: bool,
}

impl Rules {
    /// No rules: everything is allowed to everybody whom the transport lets in.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// These rules. If there are none at all, that is [`open`](Self::open).
    ///
    /// # Errors
    /// [`BadRules`] where there are too many, deny rules with nothing that is allowed, or an allow rule that allows nothing.
    pub fn new(allow: Vec<Rule>, deny: Vec<Rule>) -> Result<Self, BadRules> {
        let count = allow.len() + deny.len();
        if count > RULES_MAX {
            return Err(BadRules::TooMany { count });
        }
        if allow.is_empty() && !deny.is_empty() {
            return Err(BadRules::NothingAllowed);
        }
        for (index, rule) in allow.iter().enumerate() {
            let number = index + 1;
            if let Some(same) = allow[..index].iter().position(|other| other == rule) {
                return Err(BadRules::Twice {
                    number,
                    same: same + 1,
                });
            }
            if let Some(deny) = deny.iter().position(|deny| deny.takes_all_of(rule)) {
                return Err(BadRules::Unreachable {
                    number,
                    deny: deny + 1,
                });
            }
        }
        Ok(Self {
            is_closed: count > 0,
            allow,
            deny,
        })
    }

    /// Whether everything is allowed, because there are no rules.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !self.is_closed
    }

    /// Whether `identity` may do `action` to `target`.
    ///
    /// # Errors
    /// [`Forbidden`], which says why not.
    pub fn check(
        &self,
        identity: &Identity,
        action: Action,
        target: Target<'_>,
    ) -> Result<(), Forbidden> {
        if self.is_open() {
            return Ok(());
        }
        let forbidden = |deny| Forbidden {
            identity: identity.clone(),
            action: Some(action),
            deny,
        };
        let denied = |rule: &Rule| rule.denies(identity, action, target);
        if let Some(index) = self.deny.iter().position(denied) {
            return Err(forbidden(Some(index + 1)));
        }
        let is_allowed = self
            .allow
            .iter()
            .any(|rule| rule.allows(identity, action, target));
        is_allowed.then_some(()).ok_or_else(|| forbidden(None))
    }

    /// Whether `identity` may do `action` to anything at all.
    ///
    /// # Errors
    /// [`Forbidden`] where no rule allows it for anything.
    pub fn check_any(&self, identity: &Identity, action: Action) -> Result<(), Forbidden> {
        let gives = |rule: &Rule| {
            rule.what.iter().any(|what| what.gives(action))
                && rule.who.iter().any(|who| who.matches(identity.as_str()))
        };
        if self.is_open() || self.allow.iter().any(gives) {
            return Ok(());
        }
        Err(Forbidden {
            identity: identity.clone(),
            action: Some(action),
            deny: None,
        })
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.allow.len() + self.deny.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_open()
    }

    /// How much of a resource `identity` may have.
    #[must_use]
    pub fn allowance(&self, identity: &Identity, type_id: TypeId, key: &ResourceKey) -> Allowance {
        let target = Target::Resource(type_id, key);
        match self.check(identity, Action::Write, target) {
            Ok(()) => Allowance::Everything,
            Err(no_write) => match self.check(identity, Action::Read, target) {
                Ok(()) => Allowance::Shares(no_write),
                Err(no_read) => Allowance::Nothing(no_read),
            },
        }
    }

    /// Whether `identity` may come in at all: some rule allows it something.
    ///
    /// # Errors
    /// [`Forbidden`] where none does.
    pub fn admit(&self, identity: &Identity) -> Result<(), Forbidden> {
        let is_known = |rule: &Rule| rule.who.iter().any(|who| who.matches(identity.as_str()));
        if self.is_open() || self.allow.iter().any(is_known) {
            return Ok(());
        }
        Err(Forbidden {
            identity: identity.clone(),
            action: None,
            deny: None,
        })
    }
}

/// How much of a resource somebody may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a creditor must handle each")]
pub enum Allowance {
    /// All of it.
    Everything,
    /// What shuts nobody out; and why no more.
    Shares(Forbidden),
    /// None; and why.
    Nothing(Forbidden),
}

impl Allowance {
    /// Whether so much may be had.
    ///
    /// # Errors
    /// Why not.
    pub const fn check(&self, access: Access) -> Result<(), &Forbidden> {
        match (self, access) {
            (Self::Everything, _) | (Self::Shares(_), Access::Share) => Ok(()),
            (Self::Shares(why), Access::Exclusive) | (Self::Nothing(why), _) => Err(why),
        }
    }

    /// The most that may be had; `None`: nothing.
    #[must_use]
    pub const fn most(&self) -> Option<Access> {
        match self {
            Self::Everything => Some(Access::Exclusive),
            Self::Shares(_) => Some(Access::Share),
            Self::Nothing(_) => None,
        }
    }
}

/// Why somebody may not do something: which rule, and whom it took them for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub struct Forbidden {
    /// Who asked.
    pub identity: Identity,
    /// What for; `None`: to come in.
    pub action: Option<Action>,
    /// The deny rule that forbids it, from 1; `None`: no rule allows it.
    pub deny: Option<usize>,
}

impl Forbidden {
    /// Which rule it was, in words.
    #[must_use]
    pub fn rule(&self) -> String {
        match self.deny {
            Some(number) => format!("[[deny]] rule {number}"),
            None => "no [[allow]] rule".into(),
        }
    }

    /// It, in the way of a request.
    pub(crate) fn blocker(&self) -> Blocker {
        Blocker {
            party: Party::default(),
            kind: BlockerKind::Rule,
            note: Some(Note::new(
                self.action(),
                &self.rule(),
                self.identity.as_str(),
            )),
        }
    }

    /// What was to be done, in words.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action.map_or("connect", Action::name)
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, deny, .. } = self;
        let (rule, action) = (self.rule(), self.action());
        match deny {
            Some(_) => write!(f, "{rule} forbids {identity} to {action}"),
            None => write!(f, "{rule} lets {identity} {action}"),
        }
    }
}

/// Rules that cannot be meant so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadRules {
    /// More than a node takes.
    #[error(
        "there are {count} rules: {RULES_MAX} are allowed, so put several identities or names into one"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Deny rules only take away.
    #[error(
        "there are only [[deny]] rules, so nothing is allowed: add an [[allow]] rule, such as who = [\"*\"]"
    )]
    NothingAllowed,
    /// A rule that stands there twice.
    #[error("[[allow]] rule {number} is the same as rule {same}: leave one out")]
    Twice {
        /// The later.
        number: usize,
        /// The earlier.
        same: usize,
    },
    /// A rule of which nothing is left.
    #[error(
        "[[allow]] rule {number} allows nothing, because [[deny]] rule {deny} denies all of it: leave one out"
    )]
    Unreachable {
        /// The allow rule.
        number: usize,
        /// The deny rule.
        deny: usize,
    },
}

#[cfg(test)]
mod tests;
