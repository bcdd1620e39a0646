//! After the faults: everybody is granted what they wait for, and all credit goes home.

use core::time::Duration;

use super::callers::Caller;
use super::driver::Fault;
use super::network::Arrival;
use super::plan::LEASE;
use super::process::{Input, Seat};
use super::world::World;
use crate::resource::ResourceType;

/// Within this after the last fault every request is granted.
pub(super) const HEALED: Duration = Duration::from_secs(60);
/// A member that was evicted late may come back meanwhile: so often it is tried.
const HOME_MAX: usize = 3;
/// So long what is left takes to come home.
const SETTLED: Duration = Duration::from_secs(5);

impl<T: ResourceType> World<T> {
    /// All is whole: what must follow.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        let healed = self.now;
        self.out.note(|| "all is whole".into());
        self.is_closing = true;
        for process in &mut self.processes {
            if let Some(live) = &mut process.live {
                live.callers.iter_mut().for_each(|it| it.hurry(healed));
            }
        }
        self.go_on(healed.after(HEALED), |world| world.is_quiet())?;
        let waited = self.now.since(healed);
        self.out.counts.longest_healing = waited;
        if !self.is_quiet() {
            return Err(Fault(self.who_is_not_quiet()));
        }
        let mut is_home = Ok(());
        for _ in 0..HOME_MAX {
            is_home = self.bring_home();
            if is_home.is_ok() {
                break;
            }
        }
        is_home
    }

    /// What nobody knew of is over after a lease, and all that is not used goes home.
    fn bring_home(&mut self) -> Result<(), Fault> {
        self.go_on(self.now.after(LEASE * 3), Self::is_known)?;
        for process in &mut self.processes {
            if let Some(live) = &mut process.live {
                live.borrower.desk.set(process.clock, self.now);
                live.handles.iter().for_each(|handle| handle.return_spare());
                live.borrower
                    .hand_over(process.clock.read(self.now), &mut self.out)?;
            }
            process.inbox.push_back(Input::Network(Arrival::Ask {
                from: process.index,
            }));
        }
        self.go_on(self.now.after(SETTLED), |_| false)?;
        if !self.is_known() {
            return Err(Fault("a lender waits for something still".into()));
        }
        self.check_home()
    }

    /// Whether nobody asks or holds, and all members' lenders are active.
    fn is_quiet(&self) -> bool {
        self.processes.iter().all(|process| {
            let Some(live) = &process.live else {
                return false;
            };
            let is_idle = live.callers.iter().all(Caller::is_idle);
            let is_active = |it: &super::driver::Lending| it.lender.is_active();
            let lends = match live.seat {
                Seat::Client => true,
                Seat::Alone | Seat::Coordinated(_) => live.lending.as_ref().is_some_and(is_active),
            };
            is_idle && lends && live.borrower.is_settled()
        })
    }

    /// Whether no lender has anything to wait for: no debtor that nobody knows, and nobody to tell of the view.
    fn is_known(&self) -> bool {
        let lives = self.processes.iter().flat_map(|process| &process.live);
        let mut lendings = lives.filter_map(|live| live.lending.as_ref());
        let borrowers = self.processes.len();
        lendings.all(|lending| {
            // The sessions of those who died are over.
            lending.lender.next_tick().is_none() && lending.debtors() == borrowers
        })
    }

    fn who_is_not_quiet(&self) -> String {
        use core::fmt::Write as _;
        let leases = HEALED.as_secs_f64() / LEASE.as_secs_f64();
        let mut words = format!("{leases:.1} leases after all was whole:");
        for process in &self.processes {
            let name = process.name.escape_ascii();
            let Some(live) = &process.live else {
                continue;
            };
            for (number, caller) in live.callers.iter().enumerate() {
                if let Caller::Asking(asking) = caller {
                    let _ = write!(
                        words,
                        " caller ({}, {number}) waits for {} since {};",
                        process.index, asking.resource, asking.since
                    );
                }
            }
            if !live.borrower.is_settled() {
                let _ = write!(words, " {name} has no session with somebody;");
            }
            if let Some(lending) = &live.lending {
                let missing: Vec<_> = lending.lender.missing().collect();
                if !lending.lender.is_active() {
                    let _ = write!(words, " {name} is not active, it misses {missing:?};");
                }
            }
        }
        words
    }

    /// All credit is at the roots, and nothing is left of what was.
    fn check_home(&self) -> Result<(), Fault> {
        for (index, key) in self.keys.iter().enumerate() {
            let mut found = 0;
            for process in &self.processes {
                let Some(live) = &process.live else {
                    continue;
                };
                let name = process.name.escape_ascii();
                if live.handles[index].with_owner(|owner| owner.has_claim()) {
                    return Err(Fault(format!("{name} has an orphan of {index}")));
                }
                let Some(lending) = &live.lending else {
                    continue;
                };
                let view = lending.view().and_then(|view| view.root_id(T::ID, key));
                if view != Some(lending.lender.id()) {
                    continue;
                }
                found += 1;
                let root = lending.domain.resource::<T>(key);
                let root = root.map_err(|why| Fault(format!("{name}: {why}")))?;
                let what = root.with_owner(|owner| {
                    let is_home = owner.cached() == self.oracle.capital(index);
                    (!is_home || owner.is_silent()).then(|| {
                        let loans: Vec<_> = owner.loans().collect();
                        format!(
                            "of {index} {:?} are at their root {name}, {loans:?} are lent; silent: {}",
                            owner.cached(),
                            owner.is_silent()
                        )
                    })
                });
                if let Some(what) = what {
                    return Err(Fault(what));
                }
            }
            if found != 1 {
                return Err(Fault(format!("{index} has {found} roots")));
            }
        }
        Ok(())
    }
}
