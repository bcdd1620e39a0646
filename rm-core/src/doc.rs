//! What examples of lock types run on: a node in one process, without a network.

use core::future::Future;
use core::task::{Context, Poll, Waker};
use std::pin::pin;
use std::sync::Arc;

use crate::front::{Domain, DomainSettings, Host, Role};
use crate::id::PeerId;
use crate::owner::Settings;
use crate::session::packet::Item;
use crate::time::Time;

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

/// The domain of a node that is the root of every resource, without types.
#[must_use]
pub fn domain() -> Domain {
    let settings = DomainSettings::new("example", Settings::default());
    let role = Role::Root {
        epoch: 1,
        grace: false,
    };
    Domain::new(settings, role, Arc::new(Alone))
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
