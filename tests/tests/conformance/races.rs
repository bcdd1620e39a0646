//! The lock manager of the VMS line (`dlm`), groups F and G: notices that cross, requests that are given up.

use rm_core::credit::Credit as _;
use rm_core::front::Patience;
use rm_core::id::GroupId;
use rm_core::policy::Policy;
use rm_core::testing::cluster::{Asked, Cluster, Options};
use rm_core::testing::explore::Tree;
use rm_core::testing::fresh_seed;
use rm_rwlock::credit::{RwCredit, RwLockType};

use crate::{ALL, NONE, READ, play};

#[test]
fn dlm_f1_a_holder_is_told_once_of_those_who_wait_for_the_same_and_again_of_one_who_waits_for_more()
{
    play(
        "
        tree T; A, B < T
        H at A: write; settle; expect H told of nobody
        R1 at B: read; settle; expect H told of R1
        R2 at B: read; settle; expect H told of nobody
        W at T: write; settle; expect H told of W
        V at T: write; settle; expect H told of nobody
        ",
    );
}

#[test]
fn dlm_f2_a_holder_that_gave_way_by_itself_is_asked_for_nothing() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        R at B: read; deliver B -> T        # the recall is under way
        H reduces to read; settle
        expect H holds read, R holds, A not recalled, H told of nobody
        ",
    );
}

#[test]
fn dlm_f4_a_recall_that_follows_its_grant_finds_the_holder() {
    play(
        "
        tree T; A, B < T
        first at A: write; second at B: write
        deliver A -> T; deliver B -> T
        deliver T -> A; expect first holds, A not recalled, first told of nobody
        deliver T -> A
        expect first holds, A recalled, second waits, messages 4, first told of second
        ",
    );
}

#[test]
fn dlm_f5_g13_a_recall_that_crosses_what_it_asks_for_takes_nothing_twice() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        R at B: write; deliver B -> T
        H releases; A returns spare; settle
        expect R holds, A not recalled, messages 6
        expect books T: lent all; B: held all
        ",
    );
}

#[test]
fn dlm_g1_whoever_waits_behind_a_request_that_is_cancelled_is_next() {
    play(
        "
        tree T; A, B < T
        H at T: read; W at A: write; R at B: read; settle; expect W and R wait
        W cancels; settle; expect R holds
        H, R release; settle
        expect books T: cached all - read, lent read; B: cached read
        ",
    );
}

#[test]
fn dlm_g2_a_conversion_that_is_cancelled_leaves_the_hold_as_it_was() {
    play(
        "
        tree T; A, B < T
        U at A: upgradable; R at B: read; settle
        U converts to write; settle; expect U waits, B recalled
        U cancels; settle; expect U holds upgradable, R holds, B not recalled
        late at T: read; expect late holds
        ",
    );
}

#[test]
fn dlm_g3_a_grant_that_a_cancellation_crosses_is_cached_and_one_that_came_first_is_held() {
    play(
        "
        tree T; A < T
        R at A: write; deliver A -> T; R cancels; settle
        expect books T: lent all; A: cached all
        ",
    );
    play(
        "
        tree T; A < T
        R at A: write; settle; expect R holds
        R releases; settle
        expect books T: lent all; A: cached all
        ",
    );
}

#[test]
fn dlm_g4_a_request_that_is_cancelled_before_its_want_arrives_leaves_no_want_behind() {
    play(
        "
        tree T; A < T
        H at T: write
        R at A: write; R cancels; settle
        H releases; settle; expect T caches all, messages 2
        ",
    );
}

#[test]
fn dlm_g7_a_request_that_is_given_up_and_made_again_at_once_is_granted() {
    play(
        "
        tree T; A < T
        first at A: write; first cancels
        second at A: write; second cancels
        third at A: write; settle
        expect third holds
        expect books T: lent all; A: held all
        ",
    );
}

#[test]
fn dlm_g8_a_release_ends_a_conversion_too_and_one_that_was_granted_is_not_given_up() {
    play(
        "
        tree T; A, B < T
        U at A: upgradable; R at B: read; settle
        U converts to write; settle
        U releases; settle
        expect B not recalled, R holds, A borrows upgradable
        ",
    );
    play(
        "
        tree T; A < T
        U at A: upgradable; R at T: read; settle
        U converts to write; settle
        R releases; settle; expect U holds write
        U releases; expect A caches all
        ",
    );
}

#[test]
fn dlm_g9_a_release_is_over_at_once_although_nothing_was_heard_of_it() {
    play(
        "
        tree T; A, B < T
        H at A: write; settle
        R at B: write; deliver B -> T
        H releases; again at A: write
        expect again holds          # the recall has not arrived
        again releases; settle
        expect R holds, granted H then again then R, tokens H < again < R
        ",
    );
}

#[test]
fn dlm_g10_the_answer_to_a_request_that_is_over_is_dropped() {
    play(
        "
        tree T; A < T
        H at T: write
        R at A: try write; deliver A -> T; R cancels; settle
        H releases; settle
        expect books T: cached all
        ",
    );
}

/// A small generator: the whole run follows from its seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % bound
    }
}

/// How many times each thing happened, to show that the storm tries all.
#[derive(Debug, Default)]
struct Tally {
    cancelled: u32,
    converted: u32,
    denied: u32,
    granted: u32,
    reduced: u32,
}

/// One thing happens to one of 16 requests of one resource.
fn stir(
    lock: &mut Cluster<RwLockType>,
    asked: &mut Vec<Asked>,
    random: &mut Random,
    tally: &mut Tally,
) {
    let modes = [NONE, READ, READ, RwCredit::UPGRADABLE, ALL];
    if asked.len() < 16 {
        let (node, mode) = (random.below(lock.size()), modes[random.below(modes.len())]);
        let options = Options {
            patience: [Patience::Forever, Patience::Forever, Patience::Try][random.below(3)],
            group: (random.below(4) == 0).then_some(GroupId(1)),
            ..Options::default()
        };
        asked.push(lock.request(node, mode, options));
    }
    let index = random.below(asked.len());
    let one = asked[index];
    match (lock.holds(one), lock.waits(one), random.below(4)) {
        (true, false, 0) => {
            lock.convert(one, modes[random.below(modes.len())], Patience::Forever);
            tally.converted += 1;
        }
        (true, false, 1) => {
            let keep = lock.held(one).meet(&READ);
            lock.reduce(one, &keep);
            tally.reduced += 1;
        }
        (true, _, 2) => {
            lock.release(one);
            asked.swap_remove(index);
        }
        (_, true, 3) => {
            lock.cancel(one);
            tally.cancelled += 1;
        }
        (false, false, _) => {
            tally.denied += u32::from(lock.denial(one).is_some());
            asked.swap_remove(index);
        }
        _ => {
            lock.deliver_all();
        }
    }
}

/// Lets all that hold release until nobody holds or waits.
fn calm(lock: &mut Cluster<RwLockType>, asked: &[Asked]) {
    for _ in 0..=asked.len() {
        lock.settle();
        for &one in asked {
            if lock.holds(one) {
                lock.release(one);
            }
        }
    }
}

#[test]
fn dlm_g15_after_a_storm_on_16_resources_nobody_holds_and_all_credit_is_there() {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("RM_SEED={}", self.0);
            }
        }
    }
    let seed = Seed(fresh_seed());
    let mut random = Random(seed.0);
    let mut tally = Tally::default();
    for resource in 0..16 {
        let tree = [Tree::star(3), Tree::chain(3)][resource % 2].clone();
        let policy = [Policy::Exact, Policy::slice(4), Policy::Max][resource % 3];
        let mut lock = Cluster::new(&RwLockType::default(), tree, policy);
        let mut asked = Vec::new();
        for _ in 0..500 {
            stir(&mut lock, &mut asked, &mut random, &mut tally);
        }
        calm(&mut lock, &asked);
        // Of a chain the last one first.
        for node in (1..lock.size()).rev() {
            lock.return_spare(node);
            lock.settle();
        }
        let is_over = |&one: &Asked| !lock.holds(one) && !lock.waits(one);
        assert!(asked.iter().all(is_over), "{lock}");
        assert_eq!(lock.books(0).cached, ALL, "{lock}");
        tally.granted += lock.granted().len() as u32;
    }
    let Tally {
        cancelled,
        converted,
        denied,
        granted,
        reduced,
    } = tally;
    let all = [cancelled, converted, denied, granted, reduced];
    assert!(all.iter().all(|&count| count > 100), "{all:?}");
}
