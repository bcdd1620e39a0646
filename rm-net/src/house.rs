//! The one timer of a domain: deadlines of requests, and what is to be done now and then.
//!
//! **Invariant.** While a request waits, this task runs; where it ends with its runtime, the requests end too.
//! Nobody else would end them: locks may be used from any runtime, and outlive this one.

use std::sync::Arc;
use std::time::Duration;

use rm_core::front::Host;

use crate::hub::Hub;

/// A runtime's timer may stand still while the machine sleeps: so it is set to this at most.
const NAP: Duration = Duration::from_millis(500);

/// Idle resources vanish this often.
const SWEEP: Duration = Duration::from_secs(1);

/// Runs until nobody uses the domain. `now_and_then` is called about once a second.
pub(crate) async fn keep(hub: Arc<Hub>, mut now_and_then: impl FnMut() + Send) {
    let _end = EndOfService(&hub);
    let mut sweep_at = hub.now().after(SWEEP);
    loop {
        // Not held while waiting: the domain ends when its users let it go.
        let Some(domain) = hub.domain() else {
            return;
        };
        let now = hub.now();
        domain.on_deadline(now);
        if now >= sweep_at {
            domain.sweep();
            now_and_then();
            sweep_at = now.after(SWEEP);
        }
        let due = domain.next_deadline().unwrap_or(sweep_at).min(sweep_at);
        drop(domain);
        let left = due.since(hub.now()).min(NAP);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = hub.timer.notified() => {}
        }
    }
}

/// Shuts the domain down when its timer ends: nobody would tell a request that its time is over, and nobody
/// read what a server says.
struct EndOfService<'a>(&'a Hub);

impl Drop for EndOfService<'_> {
    fn drop(&mut self) {
        // Where it ended because nobody uses the domain, there is none.
        if let Some(domain) = self.0.domain() {
            domain.shut_down();
        }
    }
}
