//! Why a debtor does not hand credit straight to the next one.
//!
//! A write that goes from one client to another takes four one-way messages: the want, the recall, the return, the grant.
//! Three would do if the debtor sent the credit to the next one itself, and word of it to the creditor. This is a model of
//! that, small enough to be explored to its end: a creditor, two debtors `a` and `b`, one unit of credit, their leases,
//! messages that take any time or never come, and clocks that are exact (so nothing found here is a matter of drift).
//!
//! What it shows:
//!
//! * [`Rule::OwnLease`]: what is handed over runs on the receiver's own lease. Then word of it is lost with `a`, the
//!   creditor waits for the lease of `a` and lends the unit again, and `b` goes on renewing its own: two holders.
//! * [`Rule::Remainder`]: it runs on what was left of the sender's lease, until the creditor has confirmed it. Only
//!   durations can be sent, and a message may be under way for longer than what it says was left: two holders.
//! * [`Rule::Confirmed`]: the receiver uses it only after the creditor has said that it knows. That is safe, and takes
//!   four messages again.
//!
//! What would be safe in three is a lease between the two debtors, that is a session, opened beforehand, between any two
//! clients that might ever want the same lock; and clients would take credit from clients, so each could forge it. Where
//! two are so near, one of them borrows from the other to begin with: that is a node in the middle of the tree.

use std::collections::{BTreeMap, VecDeque};

/// A lease, in steps of the clock.
const LEASE: u8 = 2;

/// The clock stops here: longer runs show nothing new.
const END: u8 = 5;

/// Under which right the receiver uses what was handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    OwnLease,
    Remainder,
    Confirmed,
}

/// A message; each may be under way for any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mail {
    /// `b` to the creditor: I want it.
    Want,
    /// The creditor to `a`: give it to `b`.
    Recall,
    /// `a` to `b`: here it is; so much of my lease was left when I sent it.
    Handed { left: u8 },
    /// `a` to the creditor: `b` has it.
    Word,
    /// The creditor to `b`: I know.
    Confirm,
    /// A debtor to the creditor: extend my lease, which then counts from when this was sent.
    Renew { of: Debtor, sent: u8 },
    /// The answer.
    Extended { of: Debtor, sent: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Debtor {
    A,
    B,
}

/// Whom the creditor has lent the unit, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Book {
    LentToA,
    LentToB,
    /// It is back, so anybody else may be using it now.
    LentAgain,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    now: u8,
    book: Book,
    /// When the creditor takes back what each has.
    take_back: [u8; 2],
    /// Until when each trusts its lease.
    trusted: [u8; 2],
    a_holds: bool,
    /// `b` has the unit, and may use it until then; `None` in it: by its own lease.
    b_has: Option<Option<u8>>,
    is_confirmed: bool,
    b_wants: bool,
    /// Sorted: any of them may come next.
    under_way: Vec<Mail>,
}

impl World {
    fn new() -> Self {
        Self {
            now: 0,
            book: Book::LentToA,
            take_back: [LEASE; 2],
            trusted: [LEASE; 2],
            a_holds: true,
            b_has: None,
            is_confirmed: false,
            b_wants: true,
            under_way: Vec::new(),
        }
    }

    fn send(&mut self, mail: Mail) {
        self.under_way.push(mail);
        self.under_way.sort();
    }

    fn b_uses_it(&self, rule: Rule) -> bool {
        let is_own = self.now < self.trusted[Debtor::B as usize];
        match (rule, self.b_has) {
            (_, None) => false,
            (Rule::Confirmed, Some(_)) => self.is_confirmed && is_own,
            (_, Some(None)) => is_own,
            (_, Some(Some(until))) if !self.is_confirmed => self.now < until,
            (_, Some(Some(_))) => is_own,
        }
    }

    fn has_two_holders(&self, rule: Rule) -> bool {
        let a_uses_it = self.a_holds && self.now < self.trusted[Debtor::A as usize];
        let b_uses_it = self.b_uses_it(rule);
        a_uses_it && b_uses_it || self.book == Book::LentAgain && (a_uses_it || b_uses_it)
    }

    /// Every next world, and what led to it.
    fn successors(&self, rule: Rule) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        let mut add = |what: String, change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            next.push((what, world));
        };
        if self.now < END {
            add("the clock goes on".into(), &|world| {
                world.now += 1;
                let holder = match world.book {
                    Book::LentToA => Debtor::A,
                    Book::LentToB => Debtor::B,
                    Book::LentAgain => return,
                };
                // Trust ends before the wait: who takes back does so when the debtor has stopped.
                if world.now >= world.take_back[holder as usize] {
                    world.book = Book::LentAgain;
                }
            });
        }
        if self.b_wants {
            add("b wants it".into(), &|world| {
                world.b_wants = false;
                world.send(Mail::Want);
            });
        }
        for of in [Debtor::A, Debtor::B] {
            let renew = Mail::Renew { of, sent: self.now };
            let has_asked = self.under_way.iter().any(|mail| {
                matches!(mail, Mail::Renew { of: other, .. } | Mail::Extended { of: other, .. } if *other == of)
            });
            if !has_asked && self.now < self.trusted[of as usize] {
                add(format!("{of:?} renews"), &|world| world.send(renew));
            }
        }
        for (index, &mail) in self.under_way.iter().enumerate() {
            add(format!("{mail:?} comes"), &|world| {
                world.under_way.remove(index);
                world.take(mail, rule);
            });
        }
        next
    }

    fn take(&mut self, mail: Mail, rule: Rule) {
        match mail {
            Mail::Want if self.book == Book::LentToA => self.send(Mail::Recall),
            Mail::Recall => {
                let left = self.trusted[Debtor::A as usize].saturating_sub(self.now);
                if self.a_holds && left > 0 {
                    self.a_holds = false;
                    self.send(Mail::Handed { left });
                    self.send(Mail::Word);
                }
            }
            Mail::Handed { left } => {
                let until = (rule == Rule::Remainder).then_some(self.now + left);
                self.b_has = Some(until);
            }
            Mail::Word if self.book == Book::LentToA => {
                self.book = Book::LentToB;
                self.send(Mail::Confirm);
            }
            Mail::Confirm => self.is_confirmed = true,
            Mail::Renew { of, sent } => {
                self.take_back[of as usize] = self.now + LEASE;
                self.send(Mail::Extended { of, sent });
            }
            Mail::Extended { of, sent } => {
                let trusted = &mut self.trusted[of as usize];
                // What was lost stays lost.
                if self.now < *trusted {
                    *trusted = (*trusted).max(sent + LEASE);
                }
            }
            Mail::Want | Mail::Word => {}
        }
    }
}

/// What exploring every interleaving showed.
struct Shown {
    worlds: usize,
    /// The shortest way to two holders.
    two_holders: Option<Vec<String>>,
    /// The shortest way to a use by `b`.
    used: Option<Vec<String>>,
}

fn explore(rule: Rule) -> Shown {
    let mut seen = BTreeMap::from([(World::new(), None::<(World, String)>)]);
    let mut next = VecDeque::from([World::new()]);
    let mut shown = Shown {
        worlds: 0,
        two_holders: None,
        used: None,
    };
    while let Some(world) = next.pop_front() {
        shown.worlds += 1;
        if shown.used.is_none() && world.b_uses_it(rule) {
            shown.used = Some(way(&seen, &world));
        }
        if world.has_two_holders(rule) {
            shown.two_holders = Some(way(&seen, &world));
            return shown;
        }
        for (what, successor) in world.successors(rule) {
            if !seen.contains_key(&successor) {
                seen.insert(successor.clone(), Some((world.clone(), what)));
                next.push_back(successor);
            }
        }
    }
    shown
}

fn way(seen: &BTreeMap<World, Option<(World, String)>>, world: &World) -> Vec<String> {
    let mut way = Vec::new();
    let mut world = world;
    while let Some((before, what)) = &seen[world] {
        way.push(what.clone());
        world = before;
    }
    way.reverse();
    way
}

fn messages(way: &[String]) -> usize {
    way.iter().filter(|step| step.ends_with("comes")).count()
}

#[test]
fn on_its_own_lease_what_was_handed_over_outlives_the_word_of_it() {
    let shown = explore(Rule::OwnLease);
    let way = shown.two_holders.expect("it is not safe");
    assert!(
        way.iter().all(|step| step != "Word comes"),
        "the word is what is missing: {way:?}"
    );
    assert_eq!(messages(&shown.used.expect("b gets it")), 3);
}

#[test]
fn what_was_left_of_a_lease_is_longer_once_it_was_under_way() {
    let shown = explore(Rule::Remainder);
    let way = shown.two_holders.expect("it is not safe");
    assert!(way.len() > 3, "{way:?}");
}

#[test]
fn what_the_creditor_confirms_is_safe_and_takes_four_messages() {
    let shown = explore(Rule::Confirmed);
    assert_eq!(shown.two_holders, None);
    assert!(shown.worlds > 1_000, "all of it: {} worlds", shown.worlds);
    assert_eq!(
        messages(&shown.used.expect("b gets it")),
        5,
        "want, recall, word, confirmation; and beside them the credit"
    );
}
