//! The tokens of a step, and reading them one after the other.
//!
//! A token is one of `,` `:` `<` `=` `+` `-` `->`, or a run of other characters without a blank. Errors are
//! sentences without the line, which the parser knows.

use core::time::Duration;

/// What cannot be read, as a sentence.
pub(super) type Reading<V> = Result<V, String>;

/// Words that mean something in every script, so that no node, request or amount has them for a name.
pub(super) const KEYWORDS: [&str; 29] = [
    "all", "and", "as", "at", "behind", "books", "cached", "deliver", "denied", "expect", "giving",
    "granted", "held", "in", "lent", "messages", "nobody", "not", "nothing", "older", "policy",
    "settle", "than", "then", "tokens", "told", "tree", "try", "within",
];

/// Whether a token stands for itself and separates others.
fn is_mark(c: char) -> bool {
    matches!(c, ',' | ':' | '<' | '=' | '+' | '-')
}

/// Whether `text` is one token that may be a name.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| !is_mark(c) && !c.is_whitespace() && c != ';' && c != '#';
    text.chars().all(is_plain)
        && text.starts_with(|c: char| !c.is_ascii_digit() && c != '>')
        && !KEYWORDS.contains(&text)
}

/// The tokens of one step.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(step: &'a str) -> Self {
        Self { rest: step.trim() }
    }

    /// The next one, which stays.
    pub(super) fn peek(&self) -> Option<&'a str> {
        let first = self.rest.chars().next()?;
        let end = if self.rest.starts_with("->") {
            2
        } else if is_mark(first) {
            first.len_utf8()
        } else {
            let ends = |c: char| is_mark(c) || c.is_whitespace();
            self.rest.find(ends).unwrap_or(self.rest.len())
        };
        Some(&self.rest[..end])
    }

    /// Takes the next one.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let token = self.peek()?;
        self.rest = self.rest[token.len()..].trim_start();
        Some(token)
    }

    /// Takes the next one if it is `token`.
    pub(super) fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek() == Some(token);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Takes the next one, which is `token`.
    pub(super) fn expect(&mut self, token: &str) -> Reading<()> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("`{token}` is expected {}", self.place()))
    }

    /// Takes the next one, which is a name.
    pub(super) fn name(&mut self, what: &str) -> Reading<&'a str> {
        match self.peek() {
            Some(name) if is_name(name) => {
                self.next();
                Ok(name)
            }
            Some(word) if KEYWORDS.contains(&word) => Err(format!(
                "{what} is expected {}: that word means something in every script, and names nothing",
                self.place()
            )),
            _ => Err(format!("{what} is expected {}", self.place())),
        }
    }

    /// Takes the next one, which is a whole number.
    pub(super) fn number(&mut self) -> Reading<u64> {
        let number = self.peek().and_then(|token| token.parse().ok());
        let number =
            number.ok_or_else(|| format!("a whole number is expected {}", self.place()))?;
        self.next();
        Ok(number)
    }

    /// Takes the next two, which are a span of time.
    pub(super) fn duration(&mut self) -> Reading<Duration> {
        let number = self.number()?;
        let units = "a unit of time, `ms`, `s` or `min`, is expected";
        let duration = match self.peek() {
            Some("ms") => Some(Duration::from_millis(number)),
            Some("s") => Some(Duration::from_secs(number)),
            Some("min") => number.checked_mul(60).map(Duration::from_secs),
            _ => return Err(format!("{units} {}", self.place())),
        };
        self.next();
        duration.ok_or_else(|| format!("{number} minutes are more than time can be"))
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Reading<()> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(format!(
                "the step ends before `{token}`: `;` begins the next one"
            )),
        }
    }

    /// Where the next one is, for a sentence.
    pub(super) fn place(&self) -> String {
        match self.peek() {
            Some(token) => format!("instead of `{token}`"),
            None => "at the end of the step".into(),
        }
    }
}

/// `names`, for a sentence.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none so far".into()
    } else {
        names.join(", ")
    }
}
