//! The six-mode lock: colour, and conversions that may deadlock.

use rm_core::policy::Policy;
use rm_core::testing::explore::{Client, Explorer, Orders, Tree};
use rm_tests::exploration::{Family, Scenario, scenario};
use rm_tests::vms::{Counts, Mode, SixModeLock};

use crate::{L1, L2, L3, M, ROOT, tree};

type Script = Client<Counts>;

fn asks(client: Script, mode: Mode) -> Script {
    in_colour_of(client.acquire(mode.counts()), mode)
}

fn converts(client: Script, to: Mode) -> Script {
    in_colour_of(client.convert(to.counts()), to)
}

fn in_colour_of(client: Script, mode: Mode) -> Script {
    match mode.colour() {
        Some(colour) => client.in_colour(colour),
        None => client,
    }
}

fn takes(node: usize, mode: Mode) -> Script {
    asks(Client::at(node), mode).release()
}

fn tries(node: usize, mode: Mode) -> Script {
    in_colour_of(Client::at(node).try_acquire(mode.counts()), mode).release()
}

fn cancels(node: usize, mode: Mode) -> Script {
    asks(Client::at(node), mode).cancel()
}

fn changes(node: usize, from: Mode, to: Mode) -> Script {
    converts(asks(Client::at(node), from), to).release()
}

fn reduces(node: usize, from: Mode, to: Mode) -> Script {
    asks(Client::at(node), from).reduce(to.counts()).release()
}

fn family(name: &'static str) -> Family<'static, SixModeLock> {
    Family::new(name, &SixModeLock)
}

/// Colours that change hands, in a star of two leaves.
fn in_a_star() -> Vec<Scenario<SixModeLock>> {
    let two = &Tree::star(2);
    vec![
        scenario(
            "a protected read beside a concurrent write",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "two of one colour, and one of the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Pr), takes(1, Mode::Cw)],
        ),
        scenario(
            "the root takes part",
            two,
            [
                takes(1, Mode::Cw),
                takes(ROOT, Mode::Pr),
                takes(2, Mode::Cw),
            ],
        ),
        scenario(
            "colours, and all of B in no colour",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw), takes(2, Mode::Pw)],
        ),
        scenario(
            "everything between two colours",
            two,
            [takes(1, Mode::Cw), takes(2, Mode::Ex), takes(1, Mode::Pr)],
        ),
        scenario(
            "tries of both colours",
            two,
            [tries(1, Mode::Pr), tries(2, Mode::Cw), takes(1, Mode::Cw)],
        ),
        scenario(
            "a cancelled change of colour",
            two,
            [takes(1, Mode::Pr), cancels(2, Mode::Cw), takes(2, Mode::Pr)],
        ),
    ]
}

#[test]
fn six_modes_in_a_star() {
    family("six modes").explore(&in_a_star());
}

/// Conversions, which may ask for what others hold.
fn with_converts() -> Vec<Scenario<SixModeLock>> {
    let two = &Tree::star(2);
    vec![
        scenario(
            "two protected readers want everything",
            two,
            [
                changes(1, Mode::Pr, Mode::Ex),
                changes(2, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "two change colour towards each other",
            two,
            [
                changes(1, Mode::Pr, Mode::Cw),
                changes(2, Mode::Pr, Mode::Cw),
            ],
        ),
        scenario(
            "a colour is changed in place, beside one that waits",
            two,
            [changes(1, Mode::Pr, Mode::Cw), takes(2, Mode::Pr)],
        ),
        scenario(
            "one comes down to the other colour",
            two,
            [changes(1, Mode::Pw, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "one keeps a part in the colour there is",
            two,
            [
                reduces(1, Mode::Ex, Mode::Cr),
                takes(2, Mode::Cw),
                takes(1, Mode::Pr),
            ],
        ),
        scenario(
            "from nothing to everything",
            two,
            [changes(1, Mode::Nl, Mode::Ex), takes(2, Mode::Cw)],
        ),
        scenario(
            "a cancelled conversion",
            two,
            [
                converts(asks(Client::at(1), Mode::Pr), Mode::Cw)
                    .cancel()
                    .release(),
                takes(2, Mode::Pr),
            ],
        ),
    ]
}

#[test]
fn six_modes_with_converts() {
    family("six modes, converts").explore(&with_converts());
}

fn in_a_tree() -> Vec<Scenario<SixModeLock>> {
    let tree = &tree();
    vec![
        scenario(
            "colours below and beside a middle owner",
            tree,
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
        scenario(
            "a middle owner between two colours",
            tree,
            [takes(L1, Mode::Pr), takes(L3, Mode::Cw), takes(M, Mode::Pr)],
        ),
        scenario(
            "two readers want everything",
            tree,
            [
                changes(L1, Mode::Pr, Mode::Ex),
                changes(L3, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "a try meets the other colour",
            tree,
            [tries(L1, Mode::Cw), takes(L3, Mode::Pr)],
        ),
        scenario(
            "a colour comes down",
            tree,
            [changes(L1, Mode::Pw, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ]
}

#[test]
fn six_modes_in_a_tree() {
    family("six modes, tree").explore(&in_a_tree());
}

#[test]
fn six_modes_with_fences() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "one colour after the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Cw)],
        ),
        scenario(
            "back and forth",
            two,
            [takes(1, Mode::Pr), takes(1, Mode::Cw), takes(2, Mode::Pr)],
        ),
        scenario(
            "two change colour towards each other",
            two,
            [
                changes(1, Mode::Pr, Mode::Cw),
                changes(2, Mode::Pr, Mode::Cw),
            ],
        ),
        scenario(
            "colours below and beside a middle owner",
            &tree(),
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ];
    family("six modes, fences in the state")
        .with_fences()
        .explore(&scenarios);
}

#[test]
fn six_modes_with_merged_registers() {
    let two = &Tree::star(2);
    let scenarios = [
        scenario(
            "two of one colour, and one of the other",
            two,
            [takes(1, Mode::Pr), takes(2, Mode::Pr), takes(1, Mode::Cw)],
        ),
        scenario(
            "two readers want everything",
            two,
            [
                changes(1, Mode::Pr, Mode::Ex),
                changes(2, Mode::Pr, Mode::Ex),
            ],
        ),
        scenario(
            "colours below and beside a middle owner",
            &tree(),
            [takes(L1, Mode::Pr), takes(L2, Mode::Cw)],
        ),
    ];
    family("six modes, merged registers")
        .with_merged_registers()
        .explore(&scenarios);
}

/// Every pair of modes, at two leaves: the explorer's own word is that no two conflicting ones meet.
#[test]
fn every_pair_of_six_modes() {
    let two = &Tree::star(2);
    for one in Mode::ALL {
        for other in Mode::ALL {
            let report = Explorer::new(&SixModeLock, two.clone())
                .policy(Policy::slice(4))
                .orders(Orders::All)
                .client(takes(1, one))
                .client(takes(2, other))
                .run();
            if let Err(violation) = report {
                panic!("{one:?} and {other:?}: {violation}");
            }
        }
    }
}
