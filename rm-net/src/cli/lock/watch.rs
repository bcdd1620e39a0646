//! When to warn, end or kill the command: one decision over how long the locks are still good.
//!
//! **Invariants.** The command is told to end an eighth of a lease before the locks are lost, and killed when they
//! are: nobody else can have them before. Time comes in as an argument. It is asked for at least every
//! 250 ms, whatever the runtime's timers say: those stand still while the machine sleeps.

use std::time::Duration;

use rustix::process::Signal;

use crate::cli::args::OnLost;

/// The longest time between two looks.
const LOOK_MAX: Duration = Duration::from_millis(250);
/// The shortest: a timer is no more exact.
const LOOK_MIN: Duration = Duration::from_millis(1);

/// How the locks of a running command are.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    on_lost: OnLost,
    // How long before the end the command is warned.
    margin: Duration,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Good,
    AboutToBeLost,
    Lost,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// What the command's process group gets.
    pub(super) signal: Option<Signal>,
    /// What people are told.
    pub(super) notice: &'static str,
}

impl Watch {
    /// For locks under a lease of this length.
    pub(super) fn new(on_lost: OnLost, lease: Duration) -> Self {
        Self {
            on_lost,
            margin: lease / 8,
            stage: Stage::Good,
        }
    }

    /// Whether the locks were lost, or were about to be and the command was told to end.
    pub(super) fn is_lost(&self) -> bool {
        self.stage != Stage::Good
    }

    /// Whether the locks were lost for good: nothing can change any more.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Lost
    }

    /// What to do now that the locks are good for `left`; `None`: for ever.
    pub(super) fn look(&mut self, left: Option<Duration>) -> Option<Action> {
        let stage = match left {
            Some(Duration::ZERO) => Stage::Lost,
            Some(left) if left <= self.margin => Stage::AboutToBeLost,
            _ => Stage::Good,
        };
        if stage < self.stage {
            // The server is back. But a command that was told to end was told for good.
            let may_go_on = self.on_lost == OnLost::Notify && self.stage != Stage::Lost;
            if may_go_on {
                self.stage = stage;
            }
            return None;
        }
        if stage == self.stage {
            return None;
        }
        self.stage = stage;
        Some(self.action())
    }

    fn action(&self) -> Action {
        let is_lost = self.stage == Stage::Lost;
        let signal = match self.on_lost {
            OnLost::Kill if is_lost => Some(Signal::KILL),
            OnLost::Kill | OnLost::Term => Some(Signal::TERM),
            OnLost::Notify => None,
        };
        let notice = match (self.on_lost, is_lost) {
            (OnLost::Kill, true) => "the lock is lost: killing the command",
            (OnLost::Term, true) => "the lock is lost: the command was told to end",
            (OnLost::Notify, true) => "the lock is lost: the command goes on without it",
            (OnLost::Kill | OnLost::Term, false) => {
                "the server does not answer and the lock is about to be lost: telling the command to end"
            }
            (OnLost::Notify, false) => {
                "the server does not answer and the lock is about to be lost"
            }
        };
        Action { signal, notice }
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self, left: Option<Duration>) -> Duration {
        let left = left.unwrap_or(LOOK_MAX);
        let to_next = match self.stage {
            Stage::Good => left.saturating_sub(self.margin),
            Stage::AboutToBeLost => left,
            Stage::Lost => LOOK_MAX,
        };
        to_next.clamp(LOOK_MIN, LOOK_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(8);

    fn secs(secs: f64) -> Option<Duration> {
        Some(Duration::from_secs_f64(secs))
    }

    fn signal(watch: &mut Watch, left: Option<Duration>) -> Option<Signal> {
        watch.look(left).and_then(|action| action.signal)
    }

    #[test]
    fn a_command_gets_term_an_eighth_before_the_end_and_kill_at_the_end_each_once() {
        let mut watch = Watch::new(OnLost::Kill, LEASE);
        assert_eq!(signal(&mut watch, secs(1.1)), None);
        assert!(!watch.is_lost());
        assert_eq!(signal(&mut watch, secs(1.0)), Some(Signal::TERM));
        assert_eq!(signal(&mut watch, secs(0.5)), None);
        assert_eq!(signal(&mut watch, secs(0.0)), Some(Signal::KILL));
        assert_eq!(signal(&mut watch, secs(0.0)), None);
        assert!(watch.is_lost());
    }

    #[test]
    fn a_command_whose_lock_is_found_lost_is_killed_at_once() {
        let mut watch = Watch::new(OnLost::Kill, LEASE);
        assert_eq!(signal(&mut watch, secs(0.0)), Some(Signal::KILL));
    }

    #[test]
    fn with_term_nothing_is_killed() {
        let mut watch = Watch::new(OnLost::Term, LEASE);
        assert_eq!(signal(&mut watch, secs(0.5)), Some(Signal::TERM));
        assert_eq!(signal(&mut watch, secs(0.0)), Some(Signal::TERM));
    }

    #[test]
    fn with_notify_people_are_told_and_a_server_that_comes_back_in_time_is_forgiven() {
        let mut watch = Watch::new(OnLost::Notify, LEASE);
        assert_eq!(
            watch.look(secs(0.5)).map(|action| action.signal),
            Some(None)
        );
        assert!(watch.is_lost());
        assert_eq!(watch.look(secs(8.0)), None);
        assert!(!watch.is_lost());
        assert!(watch.look(secs(0.0)).is_some());
        assert!(watch.is_lost());
    }

    #[test]
    fn a_command_that_was_told_to_end_counts_as_lost_even_if_the_server_comes_back() {
        let mut watch = Watch::new(OnLost::Kill, LEASE);
        assert_eq!(signal(&mut watch, secs(0.5)), Some(Signal::TERM));
        assert_eq!(watch.look(secs(8.0)), None);
        assert!(watch.is_lost());
    }

    #[test]
    fn locks_without_a_lease_are_good_for_ever() {
        let mut watch = Watch::new(OnLost::Kill, LEASE);
        assert_eq!(watch.look(None), None);
        assert!(!watch.is_lost());
    }

    #[test]
    fn the_next_look_is_when_something_is_due_and_never_later_than_250_ms() {
        let mut watch = Watch::new(OnLost::Kill, LEASE);
        assert_eq!(watch.pause(secs(8.0)), LOOK_MAX);
        assert_eq!(watch.pause(secs(1.1)), Duration::from_millis(100));
        watch.look(secs(0.9));
        assert_eq!(watch.pause(secs(0.05)), Duration::from_millis(50));
        assert_eq!(watch.pause(secs(0.0)), LOOK_MIN);
    }
}
