//! What peers and a driver say around a change of root.

use std::sync::Arc;

use rm_core::book::{Inherited, Lessee, Opening};
use rm_core::credit::{Colour, Credit as _};
use rm_core::error::LostReason;
use rm_core::event::Event;
use rm_core::id::{LoanId, Party, PeerId};
use rm_core::message::{Claim, Claimed, Message, Unclaimed};
use rm_core::owner::Owner;
use rm_rwlock::{RwCredit, RwLockType};

use crate::random::Random;
use crate::{DEBTORS, capital};

/// Stands for somebody absent.
pub(crate) const ABSENT: u64 = 1_000;

/// A claim, or an answer to one, of an epoch near the present one.
pub(crate) fn message(random: &mut Random, loan: LoanId, epoch: u32) -> Message<RwCredit> {
    let epoch = (epoch + random.below(3) as u32).saturating_sub(1);
    match random.below(5) {
        0 | 1 => Message::Claim(Claim {
            epoch,
            loan,
            amount: random.credit(),
            fence: random.fence(),
            value: random.value(),
            colour: random.one_in(5).then_some(Colour(1)),
        }),
        2 => Message::Claimed(Claimed {
            epoch,
            old: loan,
            loan: LoanId {
                epoch: epoch + 1,
                counter: random.below(4) as u32,
            },
            fence: random.fence(),
            limit: random.fence(),
            value: random.value(),
        }),
        3 => Message::Unclaimed {
            epoch,
            old: loan,
            why: random.pick(&[Unclaimed::Again, Unclaimed::Refused]),
        },
        _ => Message::Revoke {
            loan,
            reason: "hostile".into(),
        },
    }
}

/// What a correct driver does.
pub(crate) fn driver(
    random: &mut Random,
    owner: &Owner<RwLockType>,
    epoch: u32,
) -> Event<RwLockType> {
    let peer = random.one_in(2).then(|| PeerId(random.below(DEBTORS)));
    let reason: Arc<str> = "operator".into();
    match random.below(6) {
        0 if !owner.is_root() => Event::RootMoved,
        1 if !owner.is_root() => Event::OrphanLost {
            why: LostReason::LeaseExpired,
        },
        2 if !owner.is_root() => Event::View { epoch },
        0 if owner.is_gathering() => Event::Activate {
            epoch,
            opening: opening(random),
        },
        0 | 1 => Event::Suspend,
        2 | 3 => Event::Resume,
        4 => Event::CloseLoans { peer, reason },
        _ => Event::Revoke { peer, reason },
    }
}

fn opening(random: &mut Random) -> Opening<RwCredit> {
    if random.one_in(2) {
        return Opening::unknown(PeerId(ABSENT), capital());
    }
    let lessees = [Lessee::Party(Party::default()), Lessee::Unknown];
    let mut opening = Opening::free();
    for peer in 0..random.below(3) {
        opening.loans.push(Inherited {
            peer: PeerId(ABSENT + peer),
            lessee: random.pick(&lessees),
            credit: random.credit(),
            id: LoanId::default(),
            limit: random.fence(),
        });
    }
    opening.fence = random.below(1 << 32);
    opening.value = random.value();
    opening.waiting = (0..random.below(3)).map(|_| random.order()).collect();
    if opening.is_sound(&capital()) {
        opening
    } else {
        Opening::unknown(PeerId(ABSENT), capital().less(&RwCredit::READ))
    }
}
