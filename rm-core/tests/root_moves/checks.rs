//! What must be true of the moving resource: at any time, and where nothing can happen any more.

use rm_core::credit::Credit as _;
use rm_rwlock::RwCredit;

use crate::world::{World, capital};

impl World {
    /// A writer's token is above all, a reader's above every writer's.
    pub(crate) fn on_token(&mut self, fence: u64) -> Result<(), String> {
        let (writers, all) = &mut self.tokens;
        let is_writer = !fence.is_multiple_of(2);
        if fence <= *writers || (is_writer && fence <= *all) {
            return Err(format!("token {fence:#x} after {writers:#x} and {all:#x}"));
        }
        *all = (*all).max(fence);
        if is_writer {
            *writers = fence;
        }
        Ok(())
    }

    /// What is true at any time.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut trusted = RwCredit::empty();
        for debtor in &self.debtors {
            debtor.owner.check();
            trusted = trusted
                .join(debtor.owner.borrowed())
                .filter(|all| capital().covers(all))
                .ok_or("more is trusted than there is")?;
        }
        for lender in &self.lenders {
            if let Some(owner) = &lender.owner {
                owner.check();
            }
        }
        Ok(())
    }

    /// What is true when nothing can happen any more.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        for (index, debtor) in self.debtors.iter().enumerate() {
            if debtor.current.is_some() || debtor.owner.has_claim() {
                return Err(format!("debtor {index} waits for ever"));
            }
        }
        let last = self.root(self.last_epoch());
        let owner = self.lenders[last].owner.as_ref();
        let owner = owner.ok_or("the last root has no book")?;
        if owner.is_gathering() {
            return Err("the last root never became active".into());
        }
        for (index, debtor) in self.debtors.iter().enumerate() {
            let (_, peer) = self.peers(index, last);
            let lent = owner.loan(peer).copied().unwrap_or_else(RwCredit::empty);
            if lent != *debtor.owner.borrowed() {
                return Err(format!("debtor {index} is lent {lent:?}, and has another"));
            }
        }
        let all = owner.loans().count();
        let here = self.debtors.iter();
        let known = here.filter(|debtor| !debtor.owner.borrowed().is_empty());
        if all != known.count() {
            return Err("something is lent to nobody".into());
        }
        Ok(())
    }
}
