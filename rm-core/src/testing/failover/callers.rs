//! Callers: they ask, hold, look whether they still hold, write and read values, and let go.
//!
//! They use a domain by its public face, and poll its futures by hand.

use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use super::checks::Oracle;
use super::driver::{Fault, Outbox};
use super::plan::Plan;
use crate::credit::Level as _;
use crate::front::{Acquire, AcquireError, Ask, Domain, Door, Handle, Held, Patience};
use crate::id::ResourceKey;
use crate::resource::ResourceType;
use crate::testing::random::Random;
use crate::time::Time;

/// Whether any future of a process is to be polled.
#[derive(Debug, Default)]
pub(super) struct Bell(AtomicBool);

impl Bell {
    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    pub(super) fn has_rung(&self) -> bool {
        // Relaxed: one thread.
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What all callers share.
pub(super) struct Stage<'a, T: ResourceType> {
    pub(super) now: Time,
    pub(super) plan: &'a Plan<T>,
    pub(super) keys: &'a [ResourceKey],
    pub(super) random: &'a mut Random,
    pub(super) oracle: &'a mut Oracle<T>,
    pub(super) out: &'a mut Outbox,
    /// Nobody begins to ask any more.
    pub(super) is_closing: bool,
}

/// What a caller does.
pub(super) enum Caller<T: ResourceType> {
    Idle(Time),
    Asking(Asking<T>),
    Holding(Holding<T>),
}

pub(super) struct Asking<T: ResourceType> {
    future: Acquire<T, Handle<T>>,
    pub(super) resource: usize,
    credit: T::Credit,
    pub(super) since: Time,
    /// When it loses its patience.
    drop_at: Time,
    /// It asked for an answer in good time.
    is_bounded: bool,
}

pub(super) struct Holding<T: ResourceType> {
    pub(super) held: Held<T, Handle<T>>,
    pub(super) resource: usize,
    pub(super) credit: T::Credit,
    until: Time,
    look_at: Time,
    wrote: Option<u64>,
}

impl<T: ResourceType> Caller<T> {
    /// When it does something by itself, in true time.
    pub(super) fn next_at(&self, is_closing: bool) -> Time {
        match self {
            Self::Idle(_) if is_closing => Time::MAX,
            Self::Idle(at) => *at,
            Self::Asking(asking) => asking.drop_at,
            Self::Holding(holding) => holding.until.min(holding.look_at),
        }
    }

    pub(super) const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    /// It holds no longer than a moment from now.
    pub(super) fn hurry(&mut self, now: Time) {
        if let Self::Holding(holding) = self {
            holding.until = holding.until.min(now.after(Duration::from_millis(10)));
        }
    }

    /// It does what is due, and looks for an outcome.
    pub(super) fn step(
        &mut self,
        name: (usize, usize),
        domain: &Domain,
        waker: &Waker,
        stage: &mut Stage<'_, T>,
    ) -> Result<(), Fault> {
        match self {
            Self::Idle(at) if stage.now >= *at && !stage.is_closing => {
                *self = ask(name, domain, stage)?;
                self.poll(name, waker, stage)
            }
            Self::Idle(_) => Ok(()),
            Self::Asking(asking) if stage.now >= asking.drop_at => {
                stage.out.note(|| format!("  caller {name:?} gives up"));
                *self = rest(stage);
                Ok(())
            }
            Self::Asking(_) => self.poll(name, waker, stage),
            Self::Holding(holding) => {
                if holding.step(name, stage)? {
                    *self = rest(stage);
                }
                Ok(())
            }
        }
    }

    fn poll(
        &mut self,
        name: (usize, usize),
        waker: &Waker,
        stage: &mut Stage<'_, T>,
    ) -> Result<(), Fault> {
        let Self::Asking(asking) = self else {
            return Ok(());
        };
        let Poll::Ready(outcome) =
            Pin::new(&mut asking.future).poll(&mut Context::from_waker(waker))
        else {
            return Ok(());
        };
        let waited = stage.now.since(asking.since);
        match outcome {
            Ok(held) => {
                let (resource, credit) = (asking.resource, asking.credit.clone());
                if !asking.is_bounded {
                    stage.out.counts.on_wait(waited);
                }
                stage.out.note(|| {
                    let token = held.fence();
                    format!("  caller {name:?} holds {credit:?} of {resource}, token {token:#x}")
                });
                *self = Self::Holding(begin(held, resource, credit, stage)?);
                Ok(())
            }
            Err(why) => {
                stage
                    .out
                    .note(|| format!("  caller {name:?} is denied: {why}"));
                stage.out.counts.denied += 1;
                let is_expected = match &why {
                    AcquireError::SessionLost(_) => true,
                    AcquireError::Timeout { .. }
                    | AcquireError::Busy { .. }
                    | AcquireError::Unavailable => asking.is_bounded,
                    _ => false,
                };
                *self = rest(stage);
                if is_expected {
                    return Ok(());
                }
                Err(Fault(format!("caller {name:?} is denied: {why}")))
            }
        }
    }
}

fn rest<T: ResourceType>(stage: &mut Stage<'_, T>) -> Caller<T> {
    let think = stage.plan.think.draw(stage.random);
    Caller::Idle(stage.now.after(think))
}

fn ask<T: ResourceType>(
    name: (usize, usize),
    domain: &Domain,
    stage: &mut Stage<'_, T>,
) -> Result<Caller<T>, Fault> {
    let resource = stage.random.below(stage.keys.len() as u64) as usize;
    let handle = domain.resource::<T>(&stage.keys[resource]);
    let handle = handle.map_err(|why| Fault(format!("no resource: {why}")))?;
    let level = (stage.plan.ask)(stage.random);
    let credit = level.draw(handle.capital());
    let mut ask = Ask::new(level);
    let mut drop_at = Time::MAX;
    match stage.random.below(16) {
        0 => ask = ask.patience(Patience::Try),
        1 => {
            let most = Duration::from_millis(1 + stage.random.below(10_000));
            ask = ask.patience(Patience::AtMost(most));
        }
        2 => drop_at = stage.now.after(stage.plan.think.draw(stage.random)),
        _ => {}
    }
    if stage.random.percent(50) {
        let door = [
            (Door::Shared, T::shared(handle.capital())),
            (Door::Sole, T::sole(handle.capital())),
        ];
        let mut doors = door.into_iter();
        let found = doors.find(|(_, level)| level.as_ref() == Some(&ask.level));
        if let Some((door, _)) = found {
            ask = ask.door(door);
        }
    }
    stage.out.counts.asked += 1;
    stage
        .out
        .note(|| format!("  caller {name:?} asks {resource} for {:?}", ask.level));
    let is_bounded = ask.patience != Patience::Forever;
    Ok(Caller::Asking(Asking {
        future: Acquire::new(handle, ask),
        resource,
        credit,
        since: stage.now,
        drop_at,
        is_bounded,
    }))
}

fn begin<T: ResourceType>(
    held: Held<T, Handle<T>>,
    resource: usize,
    credit: T::Credit,
    stage: &mut Stage<'_, T>,
) -> Result<Holding<T>, Fault> {
    stage.out.counts.granted += 1;
    stage
        .oracle
        .on_grant(stage.now, resource, &credit, held.fence())?;
    if let Ok(value) = held.value() {
        stage
            .oracle
            .on_read(resource, value.as_deref(), &mut stage.out.counts)?;
    }
    let mut wrote = None;
    if credit == *held.resource().capital() && stage.random.percent(60) {
        let number = stage.oracle.fresh_value();
        if held.set_value(number.to_le_bytes()).is_ok() {
            wrote = Some(number);
            stage.out.note(|| format!("    and writes {number}"));
        }
    }
    let span = if stage.is_closing {
        Duration::from_millis(10)
    } else {
        stage.plan.hold.draw(stage.random)
    };
    Ok(Holding {
        held,
        resource,
        credit,
        until: stage.now.after(span),
        look_at: stage.now.after(stage.plan.look.draw(stage.random)),
        wrote,
    })
}

impl<T: ResourceType> Holding<T> {
    /// Returns whether it is over.
    fn step(&mut self, name: (usize, usize), stage: &mut Stage<'_, T>) -> Result<bool, Fault> {
        let is_due = stage.now >= self.until || stage.now >= self.look_at;
        if !is_due {
            return Ok(false);
        }
        self.look_at = stage.now.after(stage.plan.look.draw(stage.random));
        if !self.held.is_valid() {
            stage
                .out
                .note(|| format!("  caller {name:?} finds its hold of {} lost", self.resource));
            stage.out.counts.lost += 1;
            if stage.plan.keeps_holds && name.0 >= stage.plan.members {
                return Err(Fault(format!("the client {name:?} lost a hold")));
            }
            return Ok(true);
        }
        if stage.now < self.until {
            return Ok(false);
        }
        stage
            .out
            .note(|| format!("  caller {name:?} lets go of {}", self.resource));
        if let Some(number) = self.wrote {
            stage.oracle.on_written(stage.now, self.resource, number);
        }
        Ok(true)
    }
}
