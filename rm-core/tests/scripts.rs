//! Scripts that are read, scripts that are not, and scripts that go another way than they say.
//!
//! What is random follows from a seed. A failure prints it; `RM_SEED=n` runs it again.

use rm_core::testing::fresh_seed;
use rm_core::testing::script::{Failure, Language, SCRIPT_BYTES_MAX};
use rm_rwlock::{RwCredit, RwLockType};

/// Texts that each test with random ones tries.
const TEXTS: u64 = 300;

fn lock() -> Language<RwLockType> {
    let shares = |text: &str| {
        let shares = text.parse().ok()?;
        Some(RwCredit { shares, intent: 0 })
    };
    Language::of(RwLockType::with_shares(4))
        .word("read", RwCredit::READ)
        .word("upgradable", RwCredit::UPGRADABLE)
        .word("write", RwLockType::with_shares(4).write())
        .word_with("shares", "3", shares)
}

/// What is said of a text that is no script, after the number of its last line.
#[track_caller]
fn mistake(text: &str) -> String {
    let mistake = lock().parse(text).expect_err("it is no script");
    assert_eq!(mistake.line, text.lines().count(), "{mistake}");
    mistake.what
}

#[track_caller]
fn failure(text: &str) -> Failure {
    let script = lock().parse(text).expect("it is a script");
    match script.run() {
        Ok(cluster) => panic!("it goes as it says:\n{text}\n{cluster}"),
        Err(failure) => failure,
    }
}

#[test]
fn a_lock_goes_from_hand_to_hand() {
    lock().play(
        "
        tree T; A, B < T
        R at A: read; W at B: write
        expect R and W wait, messages 0
        settle
        expect R holds read, W waits, A recalled, B not recalled, messages 4
        expect books T: cached all - read, lent read; A: held read
        R releases; settle
        expect W holds, granted R then W, tokens R < W, messages 2
        expect A borrows nothing, B borrows all, B holds all, T lends all
        ",
    );
}

#[test]
fn messages_arrive_one_by_one_in_rounds_or_all() {
    lock().play(
        "
        tree T; M < T; L < M
        R at L: read
        deliver L -> M; expect R waits, messages 1
        deliver all; deliver all; expect R waits, messages 2
        deliver all; expect R holds, messages 1
        ",
    );
}

#[test]
fn a_request_may_be_older_than_one_that_was_made_before() {
    lock().play(
        "
        tree T
        H at T: write; first at T: write
        second at T: write older than first
        third at T: write older than first      # older than the first, and younger than the second
        fourth at T: write as old as third
        H, second, third, fourth release
        expect first holds, granted H then second then third then fourth then first
        ",
    );
}

#[test]
fn holds_convert_reduce_and_give_up_a_conversion() {
    lock().play(
        "
        tree T; A < T
        U at T: upgradable; R at T: read
        U converts to write; expect U waits, U holds upgradable
        U cancels; expect U holds upgradable
        U converts to write; R releases; expect U holds write
        U reduces to 2 read; expect T holds shares 2
        U releases; A caches 3 read + read - 2 read
        expect books T: cached all - 2 read, lent 2 read; A: cached 2 read
        A returns spare; settle; expect T caches all, messages 1
        ",
    );
}

#[test]
fn a_denial_has_a_reason_and_names_who_is_in_the_way() {
    lock().play(
        "
        tree T; A < T
        R at T: read
        tried at A: try write; patient at T: write within 5 s; more at T: shares 5
        settle; expect tried denied busy, tried behind R, more denied refused, patient waits
        4999 ms pass; expect patient waits
        1 ms passes; expect patient denied timeout, patient behind R
        T shuts down; late at T: read
        expect R lost, late denied shutdown
        ",
    );
}

#[test]
fn a_holder_is_told_once_of_each_who_waits_and_a_node_of_credit_that_leaves() {
    lock().play(
        "
        tree T; A < T
        H at A: read; settle
        W at T: write; settle
        expect H told of W, A not told
        expect H told of nobody
        H releases; settle; expect A told; W releases
        A caches read; expect A not told
        again at T: write; settle; expect A told, A not told
        ",
    );
}

#[test]
fn a_promise_to_give_way_ends_a_hold_and_a_group_shares_one() {
    lock().play(
        "
        tree T
        H at T: write giving way within 1 s
        W at T: write; expect H told of W
        999 ms pass; expect H holds
        1 ms passes; expect H lost, W holds
        ",
    );
    lock().play(
        "
        tree T
        one at T: write in group g; other at T: read in group g; stranger at T: read in group h
        expect one holds write, other holds read, stranger waits, T holds all
        ",
    );
}

#[test]
fn a_conversion_may_try_or_wait_so_long() {
    lock().play(
        "
        tree T
        U at T: upgradable; R at T: read
        U converts to try write; expect U holds upgradable, U denied busy, U behind R
        U converts to write within 1 s; expect U waits
        1 s passes; expect U denied timeout, U behind R
        ",
    );
}

#[test]
fn under_another_policy_a_grant_is_larger() {
    lock().play("tree T; A < T; policy max; A caches read; expect A caches all");
    lock().play("tree T; A < T; policy slice 3; A caches read; expect A caches 2 read");
}

#[test]
fn a_line_that_cannot_be_read_is_named_with_what_could_stand_there() {
    let unknown = "an amount is expected instead of `reed`: its words are `read`, `upgradable`, \
                   `write`, `shares`, `all`, `nothing`";
    assert_eq!(mistake("tree T\nR at T: reed"), unknown);
    assert_eq!(
        mistake("tree T; A < T\nR at B: read"),
        "`B` is no node: there are `T`, `A`"
    );
    assert_eq!(
        mistake("tree T\nexpect R holds"),
        "`R` is no request that was made: there are none so far"
    );
    assert_eq!(
        mistake("tree T\nR at T: read\nR frees"),
        "a request is followed by `releases`, `cancels`, `converts to` or `reduces to`, or by `at` where it is made"
    );
    assert_eq!(
        mistake("tree T\nR at T: read within 5 hours"),
        "a unit of time, `ms`, `s` or `min`, is expected instead of `hours`"
    );
    assert_eq!(
        mistake("tree T\nsettle all"),
        "the step ends before `all`: `;` begins the next one"
    );
    let text = lock()
        .parse("# nothing\nsettle")
        .expect_err("no tree")
        .to_string();
    assert_eq!(
        text,
        "line 2 of the script cannot be read: a script begins with its nodes: `tree T; A, B < T`\n  2 | settle"
    );
}

#[test]
fn what_would_mean_two_things_is_no_script() {
    for text in [
        "tree T; T < T",
        "tree T; tree R",
        "tree T; settle; A < T",
        "tree T; settle; policy max",
        "tree T; T at T: read",
        "tree T; T loses its session",
        "tree T; R at T: read; R at T: read",
        "tree T; all at T: read",
        "tree T; R at T: try read within 1 s",
        "tree T; R at T: read; expect R and T hold",
        "tree T; expect books T: cached all, cached nothing",
        "tree T; expect books T: cached all; T: cached all",
        "tree T; T: cached all",
        "tree T; R at T: 3 shares 4",
        "tree T; R at T: read - write",
        "tree T; R at T: 18446744073709551615 upgradable + read",
        "tree T; policy slice 0",
        "tree T; expect granted R then R",
    ] {
        mistake(text);
    }
}

#[test]
fn a_script_that_is_too_long_is_none() {
    let text = "# ".repeat(SCRIPT_BYTES_MAX);
    let mistake = lock().parse(&text).expect_err("too long");
    assert!(mistake.what.contains("65536 bytes"), "{}", mistake.what);
}

#[test]
fn a_failure_shows_the_script_with_a_mark_what_was_expected_and_what_was() {
    let failure = failure("tree T; A < T\nR at A: read # one\nexpect R holds, R waits\nsettle");
    let text = failure.to_string();
    let start = "line 3 of the script: expected that R holds, but it waits\n\n    1 | tree T; A < T\n    \
                 2 | R at A: read # one\n>   3 | expect R holds, R waits\n    4 | settle\n";
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.contains("A -> T: Want"),
        "what is under way is shown: {text}"
    );
}

#[test]
fn each_expectation_can_fail() {
    let held = "tree T; A, B < T; Q at T: read; R at A: read; settle; W at B: try write; settle\n";
    for expectation in [
        "R waits",
        "W holds",
        "R holds write",
        "R lost",
        "R denied busy",
        "W denied timeout",
        "R behind Q",
        "W behind W",
        "R told of W",
        "A told",
        "granted R then Q",
        "granted Q then W",
        "tokens Q < R",
        "tokens Q = W",
        "messages 5",
        "A recalled",
        "A caches read",
        "A borrows nothing",
        "T lends 2 read",
        "T holds nothing",
        "books T: cached all - 2 read, held read, lent read",
        "books A: held read",
    ] {
        let failure = failure(&format!("{held}expect {expectation}"));
        assert_eq!(failure.line, 2, "{failure}");
    }
}

#[test]
fn a_step_that_cannot_be_taken_is_a_failure() {
    let start = "tree T; A < T; H at T: write; W at T: write\n";
    for step in [
        "W releases",
        "W converts to read",
        "H cancels",
        "H reduces to write + read",
        "deliver A -> T",
        "A caches read",
        "H converts to write + read; H converts to read; W converts to all",
    ] {
        let failure = failure(&format!("{start}{step}"));
        assert_eq!(failure.line, 2, "{failure}");
    }
}

#[test]
fn between_two_requests_there_is_room_for_32() {
    let mut text = String::from("tree T; H at T: write; R at T: read\n");
    for number in 0..32 {
        text += &format!("R{number} at T: read older than R;");
    }
    lock().play(&text);
    let failure = failure(&(text + "one at T: read older than R"));
    assert_eq!(failure.found, "there is no room for it");
}

/// A small generator: all follows from its seed (SplitMix64).
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

/// Calls `test` with random numbers, and prints their seed if it panics.
fn with_seeds(test: impl Fn(&mut Random)) {
    struct Seed(u64);
    impl Drop for Seed {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("RM_SEED={}", self.0);
            }
        }
    }
    let first = fresh_seed();
    for number in 0..TEXTS {
        let seed = Seed(first.wrapping_add(number));
        test(&mut Random(seed.0));
    }
}

#[test]
fn any_text_is_a_script_or_a_mistake() {
    let alphabet: Vec<char> = "TARW 019;:,<=+->#\n\t.`\u{e9}\u{1f512}\u{0}\\"
        .chars()
        .collect();
    with_seeds(|random| {
        let length = random.below(60);
        let text: String = (0..length)
            .map(|_| alphabet[random.below(alphabet.len())])
            .collect();
        let _ = lock().parse(&text);
        let _ = lock().parse(&format!("tree T; R at T: read; {text}"));
    });
}

/// Steps of a small world. They parse one by one; whether they can be taken is another matter.
const STEPS: [&str; 28] = [
    "{n} at {a}: read",
    "{n} at {a}: write",
    "{n} at {a}: upgradable within 1 s",
    "{n} at {a}: try write",
    "{n} at {a}: shares 3",
    "{n} at {a}: 9 read",
    "{n} at {a}: write older than {r}",
    "{n} at {a}: read as old as {r}",
    "{r} releases",
    "{r} releases",
    "{r} cancels",
    "{r} converts to write",
    "{r} converts to nothing within 1 s",
    "{r} converts to try write",
    "{n} at {a}: write in group g giving way within 1 s",
    "{n} at {a}: upgradable in group g",
    "{r} reduces to read",
    "{a} returns spare",
    "{a} caches 2 read",
    "{a} shuts down",
    "{a} loses its session",
    "deliver {a} -> {b}",
    "deliver all",
    "settle",
    "600 ms pass",
    "expect {r} holds",
    "expect {r} behind {s}, tokens {r} < {s}",
    "expect books {a}: cached read; {b}: lent all",
];

#[test]
fn any_script_runs_to_its_end_or_to_a_failure() {
    with_seeds(|random| {
        let nodes = ["T", "A", "B", "C"];
        let mut text = String::from("tree T; A, B < T; C < B\nR0 at T: read; R1 at C: read\n");
        let mut requests = 2;
        // Most random steps cannot be taken, so each is tried on what went well so far.
        for _ in 0..random.below(30) {
            let step = STEPS[random.below(STEPS.len())];
            let step = step
                .replace("{n}", &format!("R{requests}"))
                .replace("{r}", &format!("R{}", random.below(requests)))
                .replace("{s}", &format!("R{}", random.below(requests)))
                .replace("{a}", nodes[random.below(4)])
                .replace("{b}", nodes[random.below(4)]);
            let longer = format!("{text}{step}\n");
            let script = lock().parse(&longer);
            let Ok(script) = script.map_err(|mistake| {
                assert!(step.contains("books") || step.starts_with('T'), "{mistake}")
            }) else {
                continue;
            };
            if script.run().is_ok() {
                requests += usize::from(step.contains(" at "));
                text = longer;
            }
        }
    });
}
