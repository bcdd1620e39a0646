//! The ways between neighbours.

use super::script::Tree;

/// A way between two neighbours, in one direction: `2 * (debtor - 1)`, and one more if it goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub(super) debtor: usize,
    pub(super) is_down: bool,
}

impl Channel {
    pub(super) const fn of(index: usize) -> Self {
        Self {
            debtor: index / 2 + 1,
            is_down: index % 2 == 1,
        }
    }

    pub(super) const fn up(debtor: usize) -> usize {
        2 * (debtor - 1)
    }

    pub(super) const fn down(debtor: usize) -> usize {
        2 * (debtor - 1) + 1
    }

    /// Who sends on it, and who receives.
    pub(super) fn ends(self, tree: &Tree) -> (usize, usize) {
        let creditor = tree.creditor(self.debtor);
        if self.is_down {
            (creditor, self.debtor)
        } else {
            (self.debtor, creditor)
        }
    }
}
