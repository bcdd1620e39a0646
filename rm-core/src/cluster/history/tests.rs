//! What a member knows of resources without a book, from view to view.

use super::*;
use crate::view::Member;

const L: Duration = Duration::from_secs(15);
const TYPE: TypeId = TypeId(1);

fn member(name: &str, reg: u64) -> Member {
    Member {
        name: name.into(),
        reg,
        address: "127.0.0.1:1".into(),
        state: MemberState::Full,
        weight: 1,
    }
}

fn id(name: &str, reg: u64) -> RootId {
    member(name, reg).id()
}

fn view(epoch: u32, members: &[(&str, u64)]) -> Arc<View> {
    let members = members.iter().map(|&(name, reg)| member(name, reg));
    let view = View::new(epoch, L, members.collect()).unwrap();
    Arc::new(view.founded_in(1))
}

/// A resource whose root in a view of these is the last of them, and in one without it the one before, and so on.
fn key(names: &[&str]) -> ResourceKey {
    let leads = |key: &ResourceKey| {
        (1..=names.len()).all(|count| {
            let members: Vec<_> = (1..).zip(names).map(|(reg, &name)| (name, reg)).collect();
            view(9, &members[..count]).root_id(TYPE, key)
                == Some(id(names[count - 1], count as u64))
        })
    };
    let keys = (0..).map(|n: u32| ResourceKey::new(n.to_string().as_bytes()).unwrap());
    keys.into_iter().find(leads).unwrap()
}

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

/// A member that founded the cluster, and is active.
fn founder(ghosts: &mut Ghosts) -> History {
    let mut history = History::new(id("a", 1));
    history.adopt(view(1, &[("a", 1)]));
    history.activate(at(0), Vec::new(), Duration::ZERO, ghosts);
    history
}

#[test]
fn the_founder_knows_that_nothing_is_lent() {
    let history = founder(&mut Ghosts::new());
    assert_eq!(
        history.stance(at(0), TYPE, &key(&["a"])),
        Stance::Active(Absent::Free)
    );
    assert_eq!(history.grace(at(0)), Duration::ZERO);
}

#[test]
fn a_root_of_a_later_view_of_which_nobody_tells_waits_a_lease() {
    let (mut history, mut ghosts) = (History::new(id("a", 1)), Ghosts::new());
    history.adopt(view(7, &[("a", 1)]));
    let key = key(&["a"]);
    assert_eq!(history.stance(at(0), TYPE, &key), Stance::Gathering);
    history.activate(at(10), Vec::new(), Duration::ZERO, &mut ghosts);
    let until = at(10).after(LeaseTerms::wait(L));
    let stance = |now| history.stance(now, TYPE, &key);
    assert!(matches!(stance(at(11)), Stance::Active(Absent::Unknown(_, end)) if end == until));
    // Nothing is lent any more; but a value may be lost.
    assert_eq!(stance(until), Stance::Active(Absent::Doubtful));
}

#[test]
fn what_moves_to_a_newcomer_without_a_book_is_free_there_at_once() {
    let mut ghosts = Ghosts::new();
    let mut a = founder(&mut ghosts);
    let mut b = History::new(id("b", 2));
    let joined = view(2, &[("a", 1), ("b", 2)]);
    a.adopt(Arc::clone(&joined));
    b.adopt(joined);
    let moved = key(&["a", "b"]);
    assert_eq!(a.stance(at(5), TYPE, &moved), Stance::NotMine);
    assert_eq!(b.stance(at(5), TYPE, &moved), Stance::Gathering);
    let told = vec![(id("a", 1), at(5), a.reported(at(5), false))];
    b.activate(at(5), told, Duration::ZERO, &mut ghosts);
    assert_eq!(b.stance(at(5), TYPE, &moved), Stance::Active(Absent::Free));
    assert_eq!(b.grace(at(5)), Duration::ZERO);
    // And from there to the next.
    let mut c = History::new(id("c", 3));
    let third = view(3, &[("a", 1), ("b", 2), ("c", 3)]);
    a.adopt(Arc::clone(&third));
    b.adopt(Arc::clone(&third));
    c.adopt(third);
    let told = vec![
        (id("a", 1), at(6), a.reported(at(6), false)),
        (id("b", 2), at(6), b.reported(at(6), false)),
    ];
    c.activate(at(6), told, Duration::ZERO, &mut ghosts);
    let moved = key(&["a", "b", "c"]);
    assert_eq!(c.stance(at(6), TYPE, &moved), Stance::Active(Absent::Free));
}

#[test]
fn what_a_dead_root_had_is_unknown_and_what_others_had_is_not() {
    let mut ghosts = Ghosts::new();
    let mut a = founder(&mut ghosts);
    a.adopt(view(2, &[("a", 1), ("b", 2)]));
    a.activate(at(1), Vec::new(), Duration::ZERO, &mut ghosts);
    a.adopt(view(3, &[("a", 1)]));
    a.activate(at(100), Vec::new(), Duration::ZERO, &mut ghosts);
    let lost = a.stance(at(100), TYPE, &key(&["a", "b"]));
    assert!(
        matches!(lost, Stance::Active(Absent::Unknown(..))),
        "{lost:?}"
    );
    let kept = (0..).map(|n: u32| ResourceKey::new(n.to_string().as_bytes()).unwrap());
    let two = view(2, &[("a", 1), ("b", 2)]);
    let kept = kept
        .into_iter()
        .find(|key| two.root_id(TYPE, key) == Some(id("a", 1)));
    let kept = a.stance(at(100), TYPE, &kept.unwrap());
    assert_eq!(kept, Stance::Active(Absent::Free));
    assert!(a.grace(at(100)) >= L);
}

#[test]
fn the_word_of_a_former_root_counts_for_nothing_once_its_successor_died() {
    let mut ghosts = Ghosts::new();
    let mut a = founder(&mut ghosts);
    let moved = key(&["a", "b"]);
    a.adopt(view(2, &[("a", 1), ("b", 2)]));
    a.activate(at(1), Vec::new(), Duration::ZERO, &mut ghosts);
    // `b` may have lent it; a node of that name with another registration is another.
    a.adopt(view(3, &[("a", 1), ("c", 3)]));
    let c = vec![(id("c", 3), at(2), Vec::new())];
    a.activate(at(2), c, Duration::ZERO, &mut ghosts);
    let back = view(3, &[("a", 1), ("c", 3)]).root_id(TYPE, &moved);
    if back == Some(id("a", 1)) {
        let stance = a.stance(at(2), TYPE, &moved);
        assert!(
            matches!(stance, Stance::Active(Absent::Unknown(..))),
            "{stance:?}"
        );
    }
    let word = a.version_without_book(TYPE, &moved);
    assert_eq!(word, 1);
}

#[test]
fn a_resource_that_went_away_and_came_back_unopened_is_still_known() {
    let mut ghosts = Ghosts::new();
    let mut a = founder(&mut ghosts);
    let moved = key(&["a", "b"]);
    a.adopt(view(2, &[("a", 1), ("b", 2)]));
    // `b` never opened its books: before it heard of `a`, the resource was taken from it.
    a.adopt(view(3, &[("a", 1)]));
    a.activate(at(9), Vec::new(), Duration::ZERO, &mut ghosts);
    // It was given to `b`, which is no member any more: it may have opened them after all.
    assert!(matches!(
        a.stance(at(9), TYPE, &moved),
        Stance::Active(Absent::Unknown(..))
    ));
}

#[test]
fn a_member_that_was_active_stays_so_over_views_that_it_skips() {
    let mut ghosts = Ghosts::new();
    let mut a = founder(&mut ghosts);
    let kept = (0..).map(|n: u32| ResourceKey::new(n.to_string().as_bytes()).unwrap());
    let two = view(5, &[("a", 1), ("b", 2)]);
    let kept = kept
        .into_iter()
        .find(|key| two.root_id(TYPE, key) == Some(id("a", 1)));
    a.adopt(two);
    assert_eq!(
        a.stance(at(1), TYPE, &kept.unwrap()),
        Stance::Active(Absent::Free)
    );
}
