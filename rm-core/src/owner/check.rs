//! What is true of an owner after every input.

use super::{Asker, Owner, Upstream, sum};
use crate::credit::Credit;
use crate::resource::{Lending, ResourceType};

impl<T: ResourceType> Owner<T> {
    /// Asserts every invariant of one owner.
    ///
    /// # Panics
    /// If one does not hold: a bug of the framework or of the type's algebra.
    pub fn check(&self) {
        self.check_books();
        self.check_lists();
        self.check_orphan();
        self.check_tenure();
        self.check_value();
        self.check_colour();
    }

    /// Each unit is in exactly one place.
    fn check_books(&self) {
        let empty = T::Credit::empty;
        let held = self
            .holds
            .iter()
            .fold(empty(), |total, (_, hold)| sum(&total, &hold.credit));
        let lent = self
            .debtors
            .values()
            .fold(empty(), |total, d| sum(&total, &d.loan));
        assert_eq!(lent, self.lent, "the loans add up to what is lent");
        let all = sum(&sum(&held, &lent), &self.cached);
        assert_eq!(
            all, self.borrowed,
            "held, lent and cached add up to what is borrowed"
        );
        assert!(
            self.capital.covers(&self.borrowed),
            "nobody has more than the capital"
        );
        if self.is_root() {
            let is_whole = T::LENDING == Lending::UsedUp || self.borrowed == self.capital;
            assert!(
                is_whole || self.is_gathering(),
                "an active root has the capital"
            );
            assert!(
                self.recall.is_empty() && self.wants.is_empty(),
                "a root has no creditor"
            );
        }
        if let Upstream::Debtor { peer: None, .. } = self.upstream {
            assert!(
                T::LENDING == Lending::UsedUp || self.borrowed.is_empty() || self.is_orphan(),
                "only an orphan is borrowed without a session"
            );
        }
    }

    /// What a debtor has that no root of the present view has answered for.
    fn check_orphan(&self) {
        let Some(orphan) = &self.orphan else {
            return;
        };
        assert!(!self.is_root(), "a root claims nothing");
        assert!(
            T::LENDING == Lending::Loaned,
            "what was given for good is not claimed"
        );
        assert!(
            self.recall.is_empty() && !self.is_revoked,
            "an orphan cannot shrink"
        );
        assert_eq!(
            self.present_loan(),
            Some(orphan.loan),
            "it has the name of the last loan"
        );
        assert_eq!(
            orphan.claim.is_some(),
            self.creditor().is_some(),
            "what is to be claimed is claimed as soon as there is somebody to claim it of"
        );
    }

    /// A root that may say nothing, and what is left to do since it became one.
    fn check_tenure(&self) {
        if self.is_gathering() {
            let is_empty = self.borrowed.is_empty() && self.holds.is_empty();
            assert!(
                is_empty && self.debtors.values().all(|d| d.id.is_none()),
                "nothing is lent or held before there is a book"
            );
        }
        for (peer, debtor) in &self.debtors {
            let asks = || self.waiting.iter().any(|w| w.asker.debtor() == Some(*peer));
            assert!(
                debtor.absent.is_none() || (self.is_root() && debtor.sent.is_empty() && !asks()),
                "who is absent is neither heard nor asked"
            );
        }
        if let Some(left) = &self.succession {
            assert!(self.is_root(), "only a root succeeds another");
            assert!(
                left.claims.is_empty() || self.is_silent(),
                "a root that may speak has answered all claims"
            );
            let peers = || left.claims.iter().map(|recorded| recorded.peer);
            let is_one = |peer| peers().filter(|other| *other == peer).count() == 1;
            assert!(peers().all(is_one), "one claim of each session is recorded");
            assert!(
                left.bars.windows(2).all(|pair| pair[0] < pair[1]),
                "bars are in order"
            );
            assert!(
                !left.claims.is_empty() || !left.bars.is_empty(),
                "a succession that is over is gone"
            );
        }
    }

    fn check_lists(&self) {
        let sorted = self
            .waiting
            .windows(2)
            .all(|pair| pair[0].order < pair[1].order);
        assert!(sorted, "requests wait in order");
        assert!(
            !self.is_winding_up() || self.waiting.is_empty(),
            "nothing waits at an owner that winds up"
        );
        for waiting in &self.waiting {
            match waiting.asker {
                Asker::Convert(token) => {
                    assert!(self.holds.get(token).is_some(), "only a holder converts");
                }
                Asker::Debtor(peer, _) => {
                    assert!(
                        self.debtors.contains_key(&peer),
                        "a debtor that waits is in the book"
                    );
                }
                Asker::Local(token) => {
                    assert!(self.holds.get(token).is_none(), "who waits does not hold");
                }
            }
        }
        let waits = |order| {
            self.waiting
                .binary_search_by_key(&order, |w| w.order)
                .is_ok()
        };
        assert!(
            self.wants.iter().all(|w| waits(w.order)),
            "only what waits is wanted"
        );
        let sorted = self
            .recall
            .windows(2)
            .all(|pair| pair[0].step.order < pair[1].step.order);
        assert!(sorted, "steps are in order");
        let recalling = self.debtors.values().filter(|d| !d.sent.is_empty()).count();
        assert_eq!(
            recalling, self.recalling as usize,
            "the count of recalled debtors is right"
        );
        let unlent = self.debtors.values().filter(|d| d.id.is_none()).count();
        assert_eq!(
            unlent, self.unlent as usize,
            "the count of debtors without a loan is right"
        );
        for debtor in self.debtors.values() {
            assert_eq!(
                debtor.loan.is_empty(),
                debtor.id.is_none(),
                "a loan has a name"
            );
            let unmet = debtor
                .sent
                .iter()
                .all(|step| !step.keep.covers(&debtor.loan));
            assert!(unmet, "a met step is forgotten");
        }
    }

    /// Asserts that a walk would end no request. Recalls for younger ones can wait: the oldest goes before them.
    #[cfg(debug_assertions)]
    pub(super) fn check_nothing_to_decide(&self, now: crate::time::Time) {
        use super::Spare;
        use crate::effect::{Effect, Effects};
        use crate::message::Message;

        let (mut twin, mut fx) = (self.clone(), Effects::new());
        twin.balance(now, Spare::Keep, &mut fx);
        let recalls = |effect: &Effect<_>| {
            let Effect::Send { message, .. } = effect else {
                return false;
            };
            matches!(message, Message::Recall { .. })
        };
        assert!(
            fx.as_slice().iter().all(recalls),
            "a return that is only collected decides nothing: {fx:?}"
        );
    }
}
