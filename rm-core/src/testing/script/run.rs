//! Playing a script on a cluster.

use core::cmp::Ordering;
use core::fmt;
use std::thread;

use super::step::{self, Expectation, Place, Rank, Row, Step, Why};
use super::{Failure, Marked, Script};
use crate::credit::{Credit, Level as _};
use crate::error::Denied;
use crate::id::Note;
use crate::message::Blocker;
use crate::resource::ResourceType;
use crate::testing::cluster::{Age, Asked, Cluster, Options, Outcome};

/// Why a script does not go on: what should have been, and what was.
struct Unmet {
    expected: String,
    found: String,
}

/// Plays a script to its end, or to where it goes another way.
pub(super) fn run<T: ResourceType>(script: &Script<T>) -> Result<Cluster<T>, Failure> {
    let mut play = Play {
        script,
        cluster: Cluster::new(&script.resource_type, script.tree.clone(), script.policy),
        asked: Vec::new(),
        arrived: 0,
    };
    let mut mark = Mark(Marked {
        text: script.text.clone(),
        line: 0,
    });
    for placed in &script.steps {
        mark.0.line = placed.line;
        if let Err(Unmet { expected, found }) = play.step(&placed.step) {
            return Err(Failure {
                line: placed.line,
                expected,
                found,
                script: mark.0.clone(),
                books: play.cluster.to_string(),
            });
        }
    }
    Ok(play.cluster)
}

/// Shows where a script was when an invariant broke.
struct Mark(Marked);

impl Drop for Mark {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("an invariant broke here:\n\n{}", self.0);
        }
    }
}

/// A script in the middle.
struct Play<'a, T: ResourceType> {
    script: &'a Script<T>,
    cluster: Cluster<T>,
    /// The requests made so far.
    asked: Vec<Asked>,
    /// Messages since they were last counted.
    arrived: usize,
}

impl<T: ResourceType> Play<'_, T> {
    fn step(&mut self, step: &Step<T>) -> Result<(), Unmet> {
        match step {
            Step::Acquire { node, ask, options } => self.acquire(*node, ask, options)?,
            Step::Books(rows) => self.books(rows)?,
            Step::Cache { node, credit } => self.cache(*node, credit)?,
            Step::Cancel(request) => {
                self.check_waits(*request)?;
                self.cluster.cancel(self.asked[*request]);
            }
            Step::Convert {
                request,
                to,
                patience,
            } => {
                self.check_holds(*request)?;
                self.check_does_not_wait(*request)?;
                let asked = self.asked[*request];
                self.cluster.convert(asked, to.clone(), *patience);
            }
            Step::Deliver { from, to } => {
                if self.cluster.under_way(*from, *to) == 0 {
                    let (from, to) = (self.node(*from), self.node(*to));
                    let expected = format!("a message is under way from {from} to {to}");
                    return Err(unmet(expected, "there is none"));
                }
                self.cluster.deliver(*from, *to);
                self.arrived += 1;
            }
            Step::DeliverAll => self.arrived += self.cluster.deliver_all(),
            Step::Expect(expectation) => self.expect(expectation)?,
            Step::LoseSession(node) => self.cluster.lose(*node),
            Step::Pass(span) => self.cluster.advance(*span),
            Step::Reduce { request, keep } => self.reduce(*request, keep)?,
            Step::Release(request) => {
                self.check_holds(*request)?;
                self.cluster.release(self.asked[*request]);
            }
            Step::ReturnSpare(node) => self.cluster.return_spare(*node),
            Step::Settle => self.arrived += self.cluster.settle(),
            Step::ShutDown(node) => self.cluster.shut_down(*node),
            Step::WindUp(node) => self.cluster.wind_up(*node),
        }
        Ok(())
    }

    fn acquire(
        &mut self,
        node: usize,
        ask: &T::Level,
        options: &step::Options,
    ) -> Result<(), Unmet> {
        let options = Options {
            patience: options.patience,
            age: self.age(options.rank)?,
            label: Some(self.script.requests[self.asked.len()].clone()),
            group: options.group,
            gives_way: options.gives_way,
        };
        let asked = self.cluster.request(node, ask.clone(), options);
        self.asked.push(asked);
        Ok(())
    }

    fn age(&self, rank: Rank) -> Result<Age, Unmet> {
        Ok(match rank {
            Rank::AsOldAs(other) => Age::AsOldAs(self.asked[other]),
            Rank::OlderThan(other) => {
                let asked = self.asked[other];
                if !self.cluster.can_be_older(asked) {
                    let expected =
                        format!("one more request is older than {}", self.request(other));
                    return Err(unmet(expected, "there is no room for it"));
                }
                Age::OlderThan(asked)
            }
            Rank::Youngest => Age::Youngest,
        })
    }

    fn cache(&mut self, node: usize, credit: &T::Credit) -> Result<(), Unmet> {
        self.cluster.settle();
        let asked = self.cluster.acquire(node, T::Level::of(credit));
        self.cluster.settle();
        if !self.cluster.holds(asked) {
            let expected = format!("{} can have {credit:?}", self.node(node));
            return Err(unmet(expected, self.describe(asked)));
        }
        self.cluster.release(asked);
        self.cluster.settle();
        Ok(())
    }

    fn reduce(&mut self, request: usize, keep: &T::Credit) -> Result<(), Unmet> {
        self.check_holds(request)?;
        self.check_does_not_wait(request)?;
        let held = self.cluster.held(self.asked[request]);
        if !held.covers(keep) {
            let expected = format!("{} has {keep:?} to keep", self.request(request));
            return Err(unmet(expected, format!("it holds {held:?}")));
        }
        self.cluster.reduce(self.asked[request], keep);
        Ok(())
    }

    fn check_holds(&self, request: usize) -> Result<(), Unmet> {
        self.check(self.cluster.holds(self.asked[request]), request, "holds")
    }

    fn check_waits(&self, request: usize) -> Result<(), Unmet> {
        self.check(self.cluster.waits(self.asked[request]), request, "waits")
    }

    fn check_does_not_wait(&self, request: usize) -> Result<(), Unmet> {
        let is_met = !self.cluster.waits(self.asked[request]);
        self.check(is_met, request, "does not convert already")
    }

    fn check(&self, is_met: bool, request: usize, what: &str) -> Result<(), Unmet> {
        if is_met {
            return Ok(());
        }
        let expected = format!("{} {what}", self.request(request));
        Err(unmet(expected, self.describe(self.asked[request])))
    }

    fn expect(&mut self, expectation: &Expectation<T::Credit>) -> Result<(), Unmet> {
        match expectation {
            Expectation::Behind { request, other } => self.behind(*request, *other),
            Expectation::Denied { request, why } => {
                let denial = self.cluster.denial(self.asked[*request]);
                let is_met = denial.is_some_and(|denied| is(denied, *why));
                self.check(is_met, *request, &format!("is denied: {why:?}"))
            }
            Expectation::Granted(requests) => self.granted(requests),
            Expectation::Holds { request, credit } => {
                self.check_holds(*request)?;
                let held = self.cluster.held(self.asked[*request]);
                let is_met = credit.as_ref().is_none_or(|credit| *credit == held);
                self.check(is_met, *request, &format!("holds {credit:?}"))
            }
            Expectation::Lost(request) => {
                let outcome = self.cluster.outcome(self.asked[*request]);
                self.check(matches!(outcome, Outcome::Lost(_)), *request, "is lost")
            }
            Expectation::Leaving { node, was_told } => {
                let found = self.cluster.take_leaving(*node) > 0;
                let what = format!("whether {} is told that credit leaves is", self.node(*node));
                same(&what, was_told, &found)
            }
            Expectation::Messages(count) => {
                let arrived = core::mem::take(&mut self.arrived);
                same("so many messages arrived", count, &arrived)
            }
            Expectation::Place {
                node,
                place,
                credit,
            } => {
                let books = self.cluster.books(*node);
                let found = match place {
                    Place::Borrowed => books.borrowed,
                    Place::Cached => books.cached,
                    Place::Held => books.held,
                    Place::Lent => books.lent,
                };
                same(
                    &format!("{place:?} at {} is", self.node(*node)),
                    credit,
                    &found,
                )
            }
            Expectation::Recalled { node, is_recalled } => {
                let found = self.cluster.is_recalled(*node);
                same(
                    &format!("whether {} is recalled is", self.node(*node)),
                    is_recalled,
                    &found,
                )
            }
            Expectation::WoundUp { node, is_wound_up } => {
                let found = self.cluster.is_wound_up(*node);
                same(
                    &format!("whether {} has wound up is", self.node(*node)),
                    is_wound_up,
                    &found,
                )
            }
            Expectation::Tokens { first, is, second } => self.tokens(*first, *is, *second),
            Expectation::Told { request, of } => {
                let found = self.cluster.take_notices(self.asked[*request]);
                let found = self.names(&self.numbers(&found));
                let what = format!("{} is told of", self.request(*request));
                same(&what, &self.names(of), &found)
            }
            Expectation::Waits(request) => self.check_waits(*request),
        }
    }

    fn behind(&self, request: usize, other: usize) -> Result<(), Unmet> {
        let blockers: &[Blocker] = match self.cluster.denial(self.asked[request]) {
            Some(
                Denied::Busy { blockers }
                | Denied::Timeout { blockers, .. }
                | Denied::WouldDeadlock { blockers },
            ) => blockers,
            _ => &[],
        };
        let labels = blockers
            .iter()
            .filter_map(|blocker| blocker.note.as_deref());
        let labels: Vec<_> = labels.map(|Note { label, .. }| label.as_str()).collect();
        if labels.contains(&self.request(other)) {
            return Ok(());
        }
        let (request, other) = (self.request(request), self.request(other));
        let expected = format!("{request} is denied because of {other}");
        Err(unmet(expected, format!("those in its way are {labels:?}")))
    }

    fn granted(&self, requests: &[usize]) -> Result<(), Unmet> {
        let mut found = Vec::new();
        let all = self.numbers(self.cluster.granted()).into_iter();
        for request in all.filter(|request| requests.contains(request)) {
            // A conversion is granted after its request was: the last grant counts.
            found.retain(|&other| other != request);
            found.push(request);
        }
        let what = "these are granted in this order:";
        same(what, &self.names(requests), &self.names(&found))
    }

    /// Those of them that have names.
    fn numbers(&self, asked: &[Asked]) -> Vec<usize> {
        let number = |one: &Asked| self.asked.iter().position(|known| known == one);
        asked.iter().filter_map(number).collect()
    }

    fn names(&self, requests: &[usize]) -> Vec<&str> {
        requests.iter().map(|&one| self.request(one)).collect()
    }

    fn tokens(&self, first: usize, is: Ordering, second: usize) -> Result<(), Unmet> {
        let fence = |request: usize| self.cluster.fence(self.asked[request]);
        if let (Some(one), Some(other)) = (fence(first), fence(second))
            && one.cmp(&other) == is
        {
            return Ok(());
        }
        let expected = format!(
            "the token of {} is {is:?} than, or to, that of {}",
            self.request(first),
            self.request(second)
        );
        Err(unmet(
            expected,
            format!("they are {:?} and {:?}", fence(first), fence(second)),
        ))
    }

    /// What is not said is nothing.
    fn books(&self, rows: &[Row<T::Credit>]) -> Result<(), Unmet> {
        for node in 0..self.cluster.size() {
            let empty = T::Credit::empty();
            let row = rows.iter().find(|row| row.node == node);
            let said = row.map_or([&empty; 3], |row| [&row.cached, &row.held, &row.lent]);
            let books = self.cluster.books(node);
            let found = [&books.cached, &books.held, &books.lent];
            let what = format!("cached, held and lent at {} are", self.node(node));
            same(&what, &said, &found)?;
        }
        Ok(())
    }

    fn describe(&self, asked: Asked) -> String {
        let held = self.cluster.held(asked);
        let converts = match self.cluster.conversion(asked) {
            None => String::new(),
            Some(Outcome::Denied(why)) => format!(", and its conversion was denied: {why}"),
            Some(Outcome::Waits) => ", and its conversion waits".into(),
            Some(Outcome::Holds | Outcome::Lost(_) | Outcome::Over) => {
                ", and its conversion is over".into()
            }
        };
        match self.cluster.outcome(asked) {
            Outcome::Denied(why) => format!("it was denied: {why}"),
            Outcome::Holds => format!("it holds {held:?}{converts}"),
            Outcome::Lost(why) => format!("it was lost: {why}"),
            Outcome::Over => "it is over".into(),
            Outcome::Waits => "it waits".into(),
        }
    }

    fn node(&self, node: usize) -> &str {
        self.cluster.tree().name(node)
    }

    fn request(&self, request: usize) -> &str {
        &self.script.requests[request]
    }
}

fn is(denied: &Denied, why: Why) -> bool {
    match denied {
        Denied::Busy { .. } => why == Why::Busy,
        Denied::Refused => why == Why::Refused,
        Denied::ShuttingDown => why == Why::Shutdown,
        Denied::Timeout { .. } => why == Why::Timeout,
        Denied::WouldDeadlock { .. } => why == Why::Deadlock,
        // No owner has rules.
        Denied::NotAllowed { .. } => false,
        // A front says this, when it gives an outcome to a caller.
        Denied::Lost(_) => false,
    }
}

fn same<V: PartialEq + fmt::Debug>(what: &str, expected: &V, found: &V) -> Result<(), Unmet> {
    if expected == found {
        return Ok(());
    }
    Err(unmet(
        format!("{what} {expected:?}"),
        format!("found {found:?}"),
    ))
}

fn unmet(expected: impl Into<String>, found: impl Into<String>) -> Unmet {
    Unmet {
        expected: expected.into(),
        found: found.into(),
    }
}
