//! What the examples of this crate run on: a domain in one process, without a network.

use core::future::Future;
use core::task::{Context, Poll, Waker};
use std::pin::pin;
use std::sync::Arc;

use rm_core::front::{Domain, DomainSettings, Host, Role};
use rm_core::id::PeerId;
use rm_core::owner::Settings;
use rm_core::session::packet::Item;
use rm_core::time::Time;

use crate::RwLockType;

/// A node that is alone in the world, and for which no time passes.
#[derive(Debug)]
struct Alone;

impl Host for Alone {
    fn now(&self) -> Time {
        Time::ZERO
    }

    fn stamp_now(&self) -> Time {
        Time::ZERO
    }

    fn queue(&self, _: PeerId, _: Item) {}

    fn flush(&self, _: PeerId) {}

    fn rearm(&self) {}
}

/// A domain that is the root of every RW lock.
#[must_use]
pub fn domain() -> Domain {
    let settings = DomainSettings::new("example", Settings::default());
    let role = Role::Root {
        epoch: 1,
        grace: false,
    };
    Domain::new(settings, role, Arc::new(Alone)).with_type(RwLockType::default())
}

/// Polls a future that never waits.
///
/// # Panics
/// If it waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the example waits for something that does not come"),
    }
}
