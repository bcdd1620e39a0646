//! What goes wrong.

use super::model::{InPause, MS};
use super::rules::Rules;
use super::{L, World};

/// What may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    All,
    /// Connections break, at any moment, and both ends learn of it soon.
    Breaks,
    None,
}

impl World {
    pub(crate) fn fault(&mut self) {
        self.fault_at = self.now + self.random.below(L);
        let now = self.now;
        if self.faults == Faults::Breaks || self.random.one_in(3) {
            return self.break_off();
        }
        let span = self.random.below(2 * L);
        match self.random.below(4) {
            0 => {
                let clock = match self.rules {
                    Rules::ClockStopsInPause => InPause::Stops,
                    _ => InPause::Runs,
                };
                self.debtor_process.pause(now, span, clock);
            }
            1 => self.creditor_process.pause(now, span, InPause::Runs),
            2 => self.cut(),
            _ => {
                let (up, down) = (self.random.one_in(2), self.random.one_in(2));
                if let Some(connection) = self.connections.last_mut() {
                    if up {
                        connection.up.stall(now + span / 2);
                    }
                    if down {
                        connection.down.stall(now + span / 2);
                    }
                }
            }
        }
    }

    /// Cuts the connection, in one direction or both; each end may learn of it, or not.
    fn cut(&mut self) {
        let Some(connection) = self.connections.last_mut() else {
            return;
        };
        let which = self.random.below(3);
        for (pipe, hit) in [
            (&mut connection.up, which != 1),
            (&mut connection.down, which != 2),
        ] {
            if hit {
                pipe.cut();
            }
            if self.random.one_in(2) {
                pipe.end_at = Some(self.now + self.random.below(3_000) * MS);
            }
        }
    }

    /// Breaks the connection, with all that is under way. Each end learns of it soon, in any order.
    ///
    /// Not before anything is trusted: until then there is nothing to go on with.
    fn break_off(&mut self) {
        let is_trusted = self.trusted.is_some();
        let Some(connection) = self.connections.last_mut().filter(|_| is_trusted) else {
            return;
        };
        for pipe in [&mut connection.up, &mut connection.down] {
            pipe.cut();
            pipe.end_at = Some(self.now + self.random.below(500) * MS);
        }
    }
}
