//! Views: who may be the root of what.
//!
//! A *view* is the list of the cluster's members in one epoch, as the coordinator keeps it. From it every node works
//! out, alone and alike, which member is the root of a resource: the one with the largest hash of its name and the
//! resource's (rendezvous hashing, Thaler and Ravishankar 1998). So a member that joins takes over only what it wins,
//! one that goes gives up only what it had, and one that restarts under its name gets its resources back.
//!
//! # Invariants
//!
//! * Members are in the order of their names, and no two have the same name or the same registration.
//! * Only a member's name and weight decide what it is the root of, and whether it is leaving. Its registration tells
//!   its lives apart: the books of one life are never those of another.
//! * There is at most one view of an epoch.

use core::fmt;
use core::time::Duration;

use smallvec::SmallVec;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::id::{BadName, NodeId, ResourceKey, TypeId};
use crate::session::lease::{BadLease, LeaseTerms};

/// The most members that a view may have.
pub const MEMBERS_MAX: usize = 64;
/// The largest weight of a member. Each step of weight costs one more hash for each resource that is looked up.
pub const WEIGHT_MAX: u32 = 16;
/// The longest address of a member, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;

/// One life of one member, as its creditor's side: what a session's debtor borrows from.
///
/// A node that is registered anew has new books, and is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct RootId {
    /// Which node.
    pub node: NodeId,
    /// Its registration: a number that the coordinator gives once.
    pub reg: u64,
}

/// Whether a member may be the root of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the wire carries it")]
pub enum MemberState {
    /// It may.
    #[default]
    Full,
    /// It hands over what it was the root of, and goes.
    Leaving,
}

/// One member of a view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the wire carries each field")]
pub struct Member {
    /// Its configured name, 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Its registration.
    pub reg: u64,
    /// Where others reach it, such as `10.0.0.1:7600`.
    pub address: String,
    /// Whether it may be the root of resources.
    pub state: MemberState,
    /// Its share of the resources, beside the others': 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

impl Member {
    /// Its life.
    #[must_use]
    pub fn id(&self) -> RootId {
        RootId {
            node: NodeId::of_name(&self.name),
            reg: self.reg,
        }
    }

    /// How it bids for a resource: the largest bid makes it the root.
    fn bid(&self, type_id: TypeId, key: &ResourceKey) -> u64 {
        let bid = |step: u32| {
            let mut bytes: SmallVec<[u8; 128]> = SmallVec::new();
            bytes.extend_from_slice(&self.name);
            bytes.push(0);
            bytes.extend_from_slice(&step.to_le_bytes());
            bytes.extend_from_slice(&type_id.0.to_le_bytes());
            bytes.extend_from_slice(key.as_bytes());
            xxh3_64(&bytes)
        };
        (0..self.weight).map(bid).max().unwrap_or_default()
    }
}

/// The cluster's members in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    epoch: u32,
    /// The first epoch of the cluster.
    founded: u32,
    lease: LeaseTerms,
    members: Vec<Member>,
}

/// A view that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadView {
    /// A member's address is empty or too long.
    #[error("the address of member {member} has {bytes} bytes: give 1 to {ADDRESS_BYTES_MAX}")]
    Address {
        /// Whose.
        member: String,
        /// How long it is.
        bytes: usize,
    },
    /// The lease cannot be one.
    #[error(transparent)]
    Lease(#[from] BadLease),
    /// A member's name cannot be one.
    #[error("a member's name cannot be used: {0}")]
    Name(#[from] BadName),
    /// Too many members.
    #[error("the view has {count} members, and at most {MEMBERS_MAX} are possible")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Two members have one name or one registration.
    #[error("two members are called {member}, or have its registration")]
    Twice {
        /// The second.
        member: String,
    },
    /// A weight is out of bounds.
    #[error("member {member} has the weight {weight}: give 1 to {WEIGHT_MAX}")]
    Weight {
        /// Whose.
        member: String,
        /// What was given.
        weight: u32,
    },
}

impl View {
    /// The view of `epoch`. The members may come in any order.
    ///
    /// # Errors
    /// Where it cannot be one: see [`BadView`].
    pub fn new(epoch: u32, lease: Duration, mut members: Vec<Member>) -> Result<Self, BadView> {
        if members.len() > MEMBERS_MAX {
            let count = members.len();
            return Err(BadView::TooMany { count });
        }
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let mut regs: Vec<_> = members.iter().map(|member| member.reg).collect();
        regs.sort_unstable();
        regs.dedup();
        let is_twice = members.windows(2).find(|pair| pair[0].name == pair[1].name);
        if is_twice.is_some() || regs.len() < members.len() {
            let second = is_twice.map_or(&members[0], |pair| &pair[1]);
            let member = text(&second.name);
            return Err(BadView::Twice { member });
        }
        for member in &members {
            BadName::check(&member.name)?;
            let name = || text(&member.name);
            if !(1..=WEIGHT_MAX).contains(&member.weight) {
                let (member, weight) = (name(), member.weight);
                return Err(BadView::Weight { member, weight });
            }
            if !(1..=ADDRESS_BYTES_MAX).contains(&member.address.len()) {
                let (member, bytes) = (name(), member.address.len());
                return Err(BadView::Address { member, bytes });
            }
        }
        let lease = LeaseTerms::new(lease)?;
        Ok(Self {
            epoch,
            founded: 0,
            lease,
            members,
        })
    }

    /// The same of a cluster whose first view was that of the epoch `founded`. Where nothing is said of it, there were
    /// others before.
    #[must_use]
    pub const fn founded_in(mut self, founded: u32) -> Self {
        self.founded = founded;
        self
    }

    /// The first epoch of the cluster; 0 where that is not known.
    #[must_use]
    pub const fn founded(&self) -> u32 {
        self.founded
    }

    /// Whether it is the cluster's first, so that nobody can trust anything from before.
    #[must_use]
    pub const fn is_founding(&self) -> bool {
        self.founded == self.epoch
    }

    /// Its number: one more for each view.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The cluster's lease.
    #[must_use]
    pub const fn lease(&self) -> LeaseTerms {
        self.lease
    }

    /// All members, by name.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with that life, if it is one.
    #[must_use]
    pub fn member(&self, id: RootId) -> Option<&Member> {
        self.members.iter().find(|member| member.id() == id)
    }

    /// Whether that life is a member.
    #[must_use]
    pub fn has(&self, id: RootId) -> bool {
        self.member(id).is_some()
    }

    /// The root of a resource: of the members that are not leaving, the one with the largest bid, and of equal ones the
    /// first by name. `None` where there is none.
    #[must_use]
    pub fn root(&self, type_id: TypeId, key: &ResourceKey) -> Option<&Member> {
        let mut best: Option<(u64, &Member)> = None;
        let full = |member: &&Member| member.state == MemberState::Full;
        if let [lone] = self.members.as_slice() {
            return Some(lone).filter(full);
        }
        for member in self.members.iter().filter(full) {
            let bid = member.bid(type_id, key);
            if best.is_none_or(|(most, _)| bid > most) {
                best = Some((bid, member));
            }
        }
        best.map(|(_, member)| member)
    }

    /// The life that is the root of a resource.
    #[must_use]
    pub fn root_id(&self, type_id: TypeId, key: &ResourceKey) -> Option<RootId> {
        self.root(type_id, key).map(Member::id)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view {} of", self.epoch)?;
        for member in &self.members {
            write!(f, " {}#{}", text(&member.name), member.reg)?;
            if member.state == MemberState::Leaving {
                write!(f, " (leaving)")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}#{}", self.node.0, self.reg)
    }
}

fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn member(name: &str, reg: u64) -> Member {
        Member {
            name: name.into(),
            reg,
            address: "127.0.0.1:1".into(),
            state: MemberState::Full,
            weight: 1,
        }
    }

    fn view(members: Vec<Member>) -> View {
        View::new(1, LEASE, members).unwrap()
    }

    fn roots(view: &View) -> Vec<String> {
        let name = |index: u32| {
            let key = ResourceKey::new(format!("lock/{index}").as_bytes()).unwrap();
            text(&view.root(TypeId(1), &key).unwrap().name)
        };
        (0..3_000).map(name).collect()
    }

    #[test]
    fn a_join_moves_only_what_the_newcomer_wins() {
        let before = roots(&view(vec![member("a", 1), member("b", 2)]));
        let after = roots(&view(vec![member("a", 1), member("b", 2), member("c", 3)]));
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        let moved: Vec<_> = moved.map(|(_, new)| new.as_str()).collect();
        assert!(moved.iter().all(|&new| new == "c"));
        assert!((800..1_200).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn a_leaving_member_is_the_root_of_nothing_and_the_others_keep_theirs() {
        let before = roots(&view(vec![member("a", 1), member("b", 2), member("c", 3)]));
        let mut leaving = member("c", 3);
        leaving.state = MemberState::Leaving;
        let after = roots(&view(vec![member("a", 1), member("b", 2), leaving]));
        assert!(after.iter().all(|root| root != "c"));
        let kept = before.iter().zip(&after);
        assert!(
            kept.filter(|(old, _)| *old != "c")
                .all(|(old, new)| old == new)
        );
    }

    #[test]
    fn a_restarted_member_gets_its_resources_back() {
        let before = roots(&view(vec![member("a", 1), member("b", 2)]));
        let after = roots(&view(vec![member("b", 9), member("a", 1)]));
        assert_eq!(before, after);
    }

    #[test]
    fn a_member_of_weight_3_beside_one_of_weight_1_has_three_quarters() {
        let mut heavy = member("a", 1);
        heavy.weight = 3;
        let roots = roots(&view(vec![heavy, member("b", 2)]));
        let share = roots.iter().filter(|root| *root == "a").count();
        assert!((2_100..2_400).contains(&share), "{share}");
    }

    #[test]
    fn the_bid_is_the_hash_that_other_implementations_work_out_too() {
        let mut bytes = b"node-1\0".to_vec();
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(7_u32.to_le_bytes());
        bytes.extend(b"volumes/42");
        let key = ResourceKey::new(b"volumes/42").unwrap();
        let bid = member("node-1", 1).bid(TypeId(7), &key);
        assert_eq!(bid, xxh3_64(&bytes));
    }

    #[test]
    fn two_members_of_one_name_or_registration_are_no_view() {
        for pair in [
            [member("a", 1), member("a", 2)],
            [member("a", 1), member("b", 1)],
        ] {
            let bad = View::new(1, LEASE, pair.to_vec()).unwrap_err();
            assert!(matches!(bad, BadView::Twice { .. }), "{bad}");
        }
    }

    #[test]
    fn names_weights_addresses_and_numbers_have_limits() {
        let mut heavy = member("a", 1);
        heavy.weight = WEIGHT_MAX + 1;
        let mut nowhere = member("a", 1);
        nowhere.address.clear();
        let crowd = |index: u64| member(&format!("n{index}"), index);
        let crowd: Vec<_> = (0..=MEMBERS_MAX as u64).map(crowd).collect();
        for members in [vec![heavy], vec![nowhere], vec![member("", 1)], crowd] {
            assert!(View::new(1, LEASE, members).is_err());
        }
    }
}
