//! What an `expect` says.

use core::cmp::Ordering;

use super::parse::{Parser, Subjects, singular};
use super::step::{Expectation, Place, Step, Why};
use super::tokens::{Reading, Tokens, list};
use crate::resource::ResourceType;

impl<T: ResourceType> Parser<'_, T> {
    /// One or more, with commas between them.
    pub(super) fn expectations(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        loop {
            match tokens.peek() {
                Some("books") => {
                    tokens.next();
                    let name = tokens.name("the name of a node")?;
                    let row = self.row(name, tokens)?;
                    // Each comma after it is its own, so it is the last.
                    return self.push(Step::Books(vec![row]));
                }
                Some("granted") => self.grants(tokens)?,
                Some("messages") => {
                    tokens.next();
                    let count = tokens.number()?;
                    let count =
                        usize::try_from(count).map_err(|_| "so many messages there are not")?;
                    self.expect(Expectation::Messages(count))?;
                }
                Some("tokens") => self.tokens(tokens)?,
                _ => self.of_subjects(tokens)?,
            }
            if !tokens.take(",") {
                return Ok(());
            }
        }
    }

    fn expect(&mut self, expectation: Expectation<T::Credit>) -> Reading<()> {
        self.push(Step::Expect(expectation))
    }

    /// `granted A then B`.
    fn grants(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let requests = self.names_in_order(tokens)?;
        self.expect(Expectation::Granted(requests))
    }

    /// `A then B`.
    fn names_in_order(&self, tokens: &mut Tokens<'_>) -> Reading<Vec<usize>> {
        let mut requests = Vec::new();
        loop {
            let name = tokens.name("the name of a request")?;
            let request = self.request(name)?;
            if requests.contains(&request) {
                return Err(format!("`{name}` stands there twice"));
            }
            requests.push(request);
            if !tokens.take("then") {
                return Ok(requests);
            }
        }
    }

    /// `tokens A < B = C`.
    fn tokens(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        tokens.next();
        let name = tokens.name("the name of a request")?;
        let mut first = self.request(name)?;
        loop {
            let is = match tokens.peek() {
                Some("<") => Ordering::Less,
                Some("=") => Ordering::Equal,
                _ => return Err(format!("`<` or `=` is expected {}", tokens.place())),
            };
            tokens.next();
            let name = tokens.name("the name of a request")?;
            let second = self.request(name)?;
            self.expect(Expectation::Tokens { first, is, second })?;
            if !matches!(tokens.peek(), Some("<" | "=")) {
                return Ok(());
            }
            first = second;
        }
    }

    /// `A and B hold read`, `T lends 2 read`.
    fn of_subjects(&mut self, tokens: &mut Tokens<'_>) -> Reading<()> {
        let mut names = vec![tokens.name("an expectation")?];
        while tokens.take("and") {
            names.push(tokens.name("a name")?);
        }
        // What is said of several is read once for each.
        let said = tokens.clone();
        match self.subjects(&names)? {
            Subjects::Nodes(nodes) => {
                for node in nodes {
                    *tokens = said.clone();
                    let expectation = self.of_node(node, tokens)?;
                    self.expect(expectation)?;
                }
            }
            Subjects::Requests(requests) => {
                for request in requests {
                    *tokens = said.clone();
                    let expectation = self.of_request(request, tokens)?;
                    self.expect(expectation)?;
                }
            }
        }
        Ok(())
    }

    fn of_node(&self, node: usize, tokens: &mut Tokens<'_>) -> Reading<Expectation<T::Credit>> {
        let place = match tokens.next().map(singular) {
            Some("borrow") => Place::Borrowed,
            Some("cache") => Place::Cached,
            Some("hold") => Place::Held,
            Some("lend") => Place::Lent,
            Some("not") if tokens.take("told") => {
                let was_told = false;
                return Ok(Expectation::Leaving { node, was_told });
            }
            Some("not") if tokens.take("wound") => {
                tokens.expect("up")?;
                let is_wound_up = false;
                return Ok(Expectation::WoundUp { node, is_wound_up });
            }
            Some("wound") => {
                tokens.expect("up")?;
                let is_wound_up = true;
                return Ok(Expectation::WoundUp { node, is_wound_up });
            }
            Some("not") => {
                tokens.expect("recalled")?;
                let is_recalled = false;
                return Ok(Expectation::Recalled { node, is_recalled });
            }
            Some("told") => {
                let was_told = true;
                return Ok(Expectation::Leaving { node, was_told });
            }
            Some("recalled") => {
                let is_recalled = true;
                return Ok(Expectation::Recalled { node, is_recalled });
            }
            _ => {
                let verbs = "`borrows`, `caches`, `holds`, `lends`, `recalled`, `told`, `wound up`, or `not` one of the last three";
                return Err(format!(
                    "of a node, or of several with `and`, is expected: {verbs}"
                ));
            }
        };
        let credit = self.language.amount(tokens)?;
        Ok(Expectation::Place {
            node,
            place,
            credit,
        })
    }

    fn of_request(
        &self,
        request: usize,
        tokens: &mut Tokens<'_>,
    ) -> Reading<Expectation<T::Credit>> {
        Ok(match tokens.next().map(singular) {
            Some("behind") => {
                let other = tokens.name("the name of a request")?;
                let other = self.request(other)?;
                Expectation::Behind { request, other }
            }
            Some("denied") => {
                let said = Why::ALL
                    .into_iter()
                    .find(|(word, _)| Some(*word) == tokens.peek());
                let Some((_, why)) = said else {
                    let words = list(Why::ALL.map(|(word, _)| word));
                    return Err(format!("a reason is expected {}: {words}", tokens.place()));
                };
                tokens.next();
                Expectation::Denied { request, why }
            }
            Some("hold") => {
                let ends = matches!(tokens.peek(), None | Some(","));
                let credit = (!ends).then(|| self.language.amount(tokens)).transpose()?;
                Expectation::Holds { request, credit }
            }
            Some("lost") => Expectation::Lost(request),
            Some("told") => {
                tokens.expect("of")?;
                let of = if tokens.take("nobody") {
                    Vec::new()
                } else {
                    self.names_in_order(tokens)?
                };
                Expectation::Told { request, of }
            }
            Some("wait") => Expectation::Waits(request),
            _ => {
                let verbs = "`holds`, `waits`, `denied REASON`, `lost`, `behind REQUEST` or `told of REQUEST`";
                return Err(format!(
                    "of a request, or of several with `and`, is expected: {verbs}"
                ));
            }
        })
    }
}
