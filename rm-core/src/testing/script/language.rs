//! What credit is called in scripts: the words of a type, and sums of them.
//!
//! ```text
//! amount = term { ("+" | "-") term }
//! term   = "all" | "nothing" | [count] word | word argument
//! ```

use core::fmt;

use super::tokens::{Reading, Tokens, is_name, list};
use super::{Mistake, Script};
use crate::credit::{Credit, Level as _};
use crate::resource::ResourceType;
use crate::testing::any_key;

/// What a word means.
enum Meaning<C> {
    /// That much; with a count before it, so many times that much.
    Amount(C),
    /// What its argument, the token behind it, says.
    Argument {
        example: &'static str,
        read: fn(&str) -> Option<C>,
    },
}

/// The words in which scripts speak of the credit of one type.
///
/// `all` is the capital and `nothing` is nothing, for every type. The other words are told to it, each with
/// [`word`](Self::word) or [`word_with`](Self::word_with).
pub struct Language<T: ResourceType> {
    resource_type: T,
    words: Vec<(&'static str, Meaning<T::Credit>)>,
    /// Of what can be asked for and is no credit: the word, an example, and what its argument says.
    levels: Vec<LevelWord<T::Level>>,
}

type LevelWord<L> = (&'static str, &'static str, fn(&str) -> Option<L>);

impl<T: ResourceType> fmt::Debug for Language<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = self.levels.iter().map(|(name, ..)| name);
        let words: Vec<_> = self
            .words
            .iter()
            .map(|(name, _)| name)
            .chain(levels)
            .collect();
        f.debug_struct("Language")
            .field("resource_type", &self.resource_type)
            .field("words", &words)
            .finish()
    }
}

impl<T: ResourceType> Language<T> {
    /// A language with no words but `all` and `nothing`.
    #[must_use]
    pub const fn of(resource_type: T) -> Self {
        Self {
            resource_type,
            words: Vec::new(),
            levels: Vec::new(),
        }
    }

    /// The same with one more word, which means that much: `read`, or with a count `3 read`.
    ///
    /// # Panics
    /// If it is no word, or means something already.
    #[must_use]
    pub fn word(self, name: &'static str, credit: T::Credit) -> Self {
        self.with(name, Meaning::Amount(credit))
    }

    /// The same with one more word, which has one argument: `units 3`. `read` makes credit of the argument, or says
    /// that it is none; `example` is one that it takes.
    ///
    /// # Panics
    /// If it is no word, or means something already.
    #[must_use]
    pub fn word_with(
        self,
        name: &'static str,
        example: &'static str,
        read: fn(&str) -> Option<T::Credit>,
    ) -> Self {
        self.with(name, Meaning::Argument { example, read })
    }

    /// The same with one more word for what can be asked for, but is no credit: `any 3`. Like
    /// [`word_with`](Self::word_with).
    ///
    /// # Panics
    /// If it is no word, or means something already.
    #[must_use]
    pub fn level_with(
        mut self,
        name: &'static str,
        example: &'static str,
        read: fn(&str) -> Option<T::Level>,
    ) -> Self {
        self.check_unused(name);
        self.levels.push((name, example, read));
        self
    }

    fn with(mut self, name: &'static str, meaning: Meaning<T::Credit>) -> Self {
        self.check_unused(name);
        self.words.push((name, meaning));
        self
    }

    fn check_unused(&self, name: &str) {
        assert!(
            is_name(name),
            "{name:?} is no word, or has a meaning in every script"
        );
        let levels = self.levels.iter().map(|(known, ..)| *known);
        let mut known = self.words.iter().map(|(known, _)| *known).chain(levels);
        assert!(known.all(|known| known != name), "{name:?} is said already");
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// The first line that cannot be read, and why. Any text is answered so.
    pub fn parse(&self, text: &str) -> Result<Script<T>, Mistake> {
        super::parse::parse(self, text)
    }

    /// Reads a scenario and runs it.
    ///
    /// # Panics
    /// If it cannot be read, or goes another way than it says. The message has the script, the line and what was found.
    #[track_caller]
    pub fn play(&self, text: &str) {
        let script = match self.parse(text) {
            Ok(script) => script,
            Err(mistake) => panic!("{mistake}"),
        };
        if let Err(failure) = script.run() {
            panic!("{failure}");
        }
    }

    pub(super) const fn resource_type(&self) -> &T {
        &self.resource_type
    }

    /// Takes what a request asks for: an amount, or a word for a level.
    pub(super) fn ask(&self, tokens: &mut Tokens<'_>) -> Reading<T::Level> {
        let named = |name| self.levels.iter().find(|(known, ..)| Some(*known) == name);
        let Some((name, example, read)) = named(tokens.peek()) else {
            return self.amount(tokens).map(|credit| T::Level::of(&credit));
        };
        tokens.next();
        argument(name, example, *read, tokens)
    }

    /// Takes an amount.
    pub(super) fn amount(&self, tokens: &mut Tokens<'_>) -> Reading<T::Credit> {
        let mut total = self.term(tokens)?;
        loop {
            if tokens.take("+") {
                let more = self.term(tokens)?;
                total = total
                    .join(&more)
                    .ok_or("this is more than one credit can be")?;
            } else if tokens.take("-") {
                let less = self.term(tokens)?;
                if !total.covers(&less) {
                    return Err(format!("there is no {less:?} in {total:?} to take off"));
                }
                total = total.less(&less);
            } else {
                return Ok(total);
            }
        }
    }

    fn term(&self, tokens: &mut Tokens<'_>) -> Reading<T::Credit> {
        if tokens.take("nothing") {
            return Ok(T::Credit::empty());
        }
        if tokens.take("all") {
            return Ok(self.resource_type.capital(&any_key()));
        }
        let is_count = tokens
            .peek()
            .is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
        let count = if is_count {
            Some(tokens.number()?)
        } else {
            None
        };
        let named = |name| self.words.iter().find(|(known, _)| Some(*known) == name);
        let Some((name, meaning)) = named(tokens.peek()) else {
            let known = self.words.iter().map(|(name, _)| *name);
            let known = list(known.chain(["all", "nothing"]));
            return Err(format!(
                "an amount is expected {}: its words are {known}",
                tokens.place()
            ));
        };
        tokens.next();
        match (meaning, count) {
            (Meaning::Amount(credit), count) => times(credit, count.unwrap_or(1))
                .ok_or_else(|| format!("so many times `{name}` is more than one credit can be")),
            (Meaning::Argument { example, .. }, Some(_)) => Err(format!(
                "`{name}` takes no count: say it like `{name} {example}`"
            )),
            (Meaning::Argument { example, read }, None) => argument(name, example, *read, tokens),
        }
    }
}

/// Takes the argument of a word.
fn argument<V>(
    name: &str,
    example: &str,
    read: fn(&str) -> Option<V>,
    tokens: &mut Tokens<'_>,
) -> Reading<V> {
    let value = tokens.peek().and_then(read).ok_or_else(|| {
        let place = tokens.place();
        format!("`{name}` takes something like `{name} {example}`, {place}")
    })?;
    tokens.next();
    Ok(value)
}

/// `credit`, so many times.
fn times<C: Credit>(credit: &C, mut count: u64) -> Option<C> {
    let (mut total, mut power) = (C::empty(), credit.clone());
    while count > 0 {
        if count % 2 == 1 {
            total = total.join(&power)?;
        }
        count /= 2;
        if count > 0 {
            power = power.join(&power)?;
        }
    }
    Some(total)
}
