//! How many connections each address has, so that one of them does not have all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::OF_ONE_ADDRESS_MAX;

/// Those that are connected. No more addresses than connections.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<BTreeMap<IpAddr, usize>>);

/// One connection. It is not counted any more when this is dropped.
#[derive(Debug)]
pub(super) struct Caller {
    callers: Arc<Callers>,
    address: IpAddr,
}

impl Callers {
    /// Counts another connection from `address`; `None`: it has as many as it may.
    pub(super) fn admit(callers: &Arc<Self>, address: IpAddr) -> Option<Caller> {
        let address = address.to_canonical();
        let mut counts = callers.counts();
        let count = counts.entry(address).or_default();
        if *count == OF_ONE_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        let callers = Arc::clone(callers);
        Some(Caller { callers, address })
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut counts = self.callers.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_and_what_it_closes_is_its_again() {
        let callers = Arc::default();
        let (one, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let admit = |address| Callers::admit(&callers, address);
        let mut open: Vec<_> = std::iter::from_fn(|| admit(one)).take(1_000).collect();
        assert_eq!(open.len(), OF_ONE_ADDRESS_MAX);
        assert!(admit(other).is_some());
        open.pop();
        open.push(admit(one).expect("there is room again"));
        assert!(admit(one).is_none());
        drop(open);
        assert!(callers.counts().is_empty());
    }
}
