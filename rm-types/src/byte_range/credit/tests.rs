use proptest::collection::vec;
use proptest::prelude::*;
use rm_core::testing::laws::{BrokenLaw, LawSettings, check_credit, check_type};

use super::*;

/// Credits of a few bytes at the start, as a map from bytes to counts.
fn few_bytes(shares: u64) -> impl Strategy<Value = RangeCredit> {
    vec(0..=shares, 0..8).prop_map(|counts| from_counts(&counts))
}

/// Credits anywhere, up to the last byte and the largest count.
fn any_credits() -> impl Strategy<Value = RangeCredit> {
    let edges = prop_oneof![any::<u64>(), 0..9_u64, (u64::MAX - 9)..=u64::MAX];
    let shares = prop_oneof![any::<u64>(), 0..4_u64];
    vec((edges.clone(), edges, shares), 0..5).prop_map(|pieces| {
        pieces
            .iter()
            .fold(RangeCredit::empty(), |sum, &(a, b, shares)| {
                sum.sup(&RangeCredit::new(a.min(b)..=a.max(b), shares))
            })
    })
}

fn from_counts(counts: &[u64]) -> RangeCredit {
    let mut credit = RangeCredit::empty();
    for (byte, &shares) in (0..).zip(counts) {
        credit.push(byte, byte, shares);
    }
    credit
}

fn count(credit: &RangeCredit, byte: u64) -> u64 {
    Cursor(&credit.pieces).at(byte).0
}

fn is_canonical(credit: &RangeCredit) -> bool {
    let each = credit
        .pieces
        .iter()
        .all(|piece| piece.first <= piece.last && piece.shares > 0);
    let pairs = credit.pieces.windows(2).all(|pair| {
        let is_apart = pair[0].last < pair[1].first;
        let touch = is_apart && pair[0].last + 1 == pair[1].first;
        is_apart && !(touch && pair[0].shares == pair[1].shares)
    });
    each && pairs
}

fn bytes_of(credit: &RangeCredit) -> Vec<u8> {
    let mut bytes = Vec::new();
    credit.encode(&mut bytes);
    bytes
}

#[test]
fn the_credit_keeps_the_laws_within_a_small_capital() -> Result<(), BrokenLaw> {
    let capital = RangeCredit::new(0..6, 3);
    check_credit(few_bytes(4), &capital, LawSettings::default())
}

#[test]
fn the_credit_keeps_the_laws_within_a_capital_of_several_pieces() -> Result<(), BrokenLaw> {
    let capital = from_counts(&[3, 0, 1, 1, 4]);
    check_credit(few_bytes(4), &capital, LawSettings::default())
}

#[test]
fn the_credit_keeps_the_laws_anywhere_even_where_counts_overflow() -> Result<(), BrokenLaw> {
    let capital = ByteRangeType::default().write(..);
    check_credit(any_credits(), &capital, LawSettings::default())
}

#[test]
fn the_type_keeps_the_laws() -> Result<(), BrokenLaw> {
    check_type(
        &ByteRangeType::with_shares(3),
        few_bytes(4),
        LawSettings::default(),
    )?;
    check_type(
        &ByteRangeType::default(),
        any_credits(),
        LawSettings::default(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_is_that_of_each_byte_s_counts(a in few_bytes(4), b in few_bytes(4)) {
        let results = [a.meet(&b), a.sup(&b), a.less(&b), a.join(&b).expect("small counts")];
        for byte in 0..9 {
            let (x, y) = (count(&a, byte), count(&b, byte));
            let expected = [x.min(y), x.max(y), x.saturating_sub(y), x + y];
            for (result, expected) in results.iter().zip(expected) {
                prop_assert_eq!(count(result, byte), expected);
            }
        }
        prop_assert!(results.iter().all(is_canonical));
    }

    #[test]
    fn a_result_has_no_more_pieces_than_its_operands_and_the_gaps_between(
        a in any_credits(),
        b in any_credits(),
    ) {
        let most = 2 * (a.pieces.len() + b.pieces.len());
        prop_assert!(runs(&a, &b).count() <= most + 1);
        prop_assert!(a.sup(&b).pieces.len() <= most);
    }

    #[test]
    fn what_decodes_is_canonical_and_has_that_one_encoding(bytes in vec(0..6_u8, 0..24)) {
        if let Ok(credit) = RangeCredit::decode(&bytes) {
            prop_assert!(is_canonical(&credit));
            prop_assert_eq!(bytes_of(&credit), bytes);
        }
    }
}

#[test]
fn readers_share_bytes_and_writers_share_none() {
    let kind = ByteRangeType::with_shares(4);
    let capital = kind.write(..);
    let conflict = |a: &RangeCredit, b: &RangeCredit| a.conflicts(b, &capital);
    let (read, write) = (ByteRangeType::read(0..10), kind.write(5..15));
    assert!(!conflict(&read, &read));
    assert!(conflict(&read, &write), "bytes 5 to 9");
    assert!(conflict(&write, &write));
    assert!(!conflict(&kind.write(0..5), &write), "no byte in common");
    assert!(!conflict(&ByteRangeType::read(15..), &write));
}

#[test]
fn only_a_writer_moves_the_clock() {
    let kind = ByteRangeType::with_shares(4);
    let capital = kind.write(..);
    assert!(!ByteRangeType::ticks(&ByteRangeType::read(..), &capital));
    assert!(ByteRangeType::ticks(&kind.write(7..=7), &capital));
    assert!(!ByteRangeType::may_tick(&RangeCredit::new(.., 2), &capital));
    assert!(ByteRangeType::may_tick(
        &RangeCredit::new(1..2, 3),
        &capital
    ));
    assert_eq!(
        ByteRangeType::mode_name(&kind.write(0..1), &capital),
        "write"
    );
    let read = ByteRangeType::read(0..1);
    assert_eq!(ByteRangeType::mode_name(&read, &capital), "read");
}

#[test]
fn a_range_is_what_its_bounds_say() {
    let bytes = |range: (Bound<u64>, Bound<u64>)| span(&range).map(|s| (s.first, s.last));
    let (included, excluded) = (Bound::Included, Bound::Excluded);
    assert_eq!(bytes((included(3), excluded(7))), Some((3, 6)));
    assert_eq!(bytes((excluded(3), included(7))), Some((4, 7)));
    let all = bytes((Bound::Unbounded, Bound::Unbounded));
    assert_eq!(all, Some((0, u64::MAX)));
    assert_eq!(bytes((included(5), excluded(5))), None);
    assert_eq!(bytes((included(6), included(5))), None);
    assert_eq!(bytes((Bound::Unbounded, excluded(0))), None);
    assert_eq!(bytes((excluded(u64::MAX), Bound::Unbounded)), None);
}

#[test]
fn a_reader_of_one_block_takes_a_few_bytes() {
    let block = ByteRangeType::read(4096..8192);
    assert_eq!(bytes_of(&block), [0x80, 0x20, 0xff, 0x1f, 1]);
    let all = ByteRangeType::default().write(..);
    assert_eq!(bytes_of(&all).len(), 1 + 10 + 5);
}

#[test]
fn bytes_that_encode_no_credit_are_refused() {
    let refused = |bytes: &[u8]| RangeCredit::decode(bytes) == Err(Malformed);
    assert!(!refused(&[]), "nothing is nothing");
    assert!(refused(&[0]) && refused(&[0, 0]), "half a piece");
    assert!(refused(&[0, 0, 0]), "no shares");
    assert!(refused(&[0, 3, 1, 0, 3, 1]), "two pieces that are one");
    assert!(!refused(&[0, 3, 1, 0, 3, 2]), "neighbours that differ");
    let last = number_of(u64::MAX);
    assert!(
        refused(&[&last[..], &[1, 1]].concat()),
        "behind the last byte"
    );
    let behind = [&last[..], &[0, 1, 0, 0, 2]].concat();
    assert!(refused(&behind), "a piece behind the last byte");
    let gap = [&[0, 0, 1][..], &last, &[0, 1]].concat();
    assert!(refused(&gap), "a gap that ends nowhere");
}

#[test]
fn more_pieces_than_the_limit_are_refused_and_so_many_fit_the_wire() {
    let bytes = |pieces: usize| {
        [0, 0, 1]
            .iter()
            .copied()
            .chain([1, 0, 1].repeat(pieces - 1))
    };
    let decoded = RangeCredit::decode(&bytes(PIECES_MAX).collect::<Vec<_>>());
    assert_eq!(decoded.map(|credit| credit.pieces.len()), Ok(PIECES_MAX));
    let more = bytes(PIECES_MAX + 1).collect::<Vec<_>>();
    assert_eq!(RangeCredit::decode(&more), Err(Malformed));
    // Three numbers each.
    const { assert!(PIECES_MAX * 3 * number::BYTES_MAX <= 15 * 1024) };
}

fn number_of(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    number::encode(number, &mut bytes);
    bytes
}
