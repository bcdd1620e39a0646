//! The loop against a store in memory, in every interleaving of a few writers.

use core::convert::Infallible;
use core::future::{self, Future};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

use super::*;

/// A key in memory. Clones are handles of the same one.
#[derive(Clone, Default)]
struct Key(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    stored: Option<Stored<u64, u64>>,
    /// All that was written, in order.
    written: Vec<u64>,
}

impl Key {
    fn now(&self) -> Option<Stored<u64, u64>> {
        self.0.lock().expect("sound").stored
    }

    fn written(&self) -> Vec<u64> {
        self.0.lock().expect("sound").written.clone()
    }

    fn swap(&self, found: Option<u64>, mark: Mark, value: u64) -> Swap {
        let mut content = self.0.lock().expect("sound");
        if content.stored.map(|stored| stored.version) != found {
            return Swap::Changed;
        }
        let version = found.unwrap_or(0) + 1;
        content.written.push(value);
        content.stored = Some(Stored {
            mark,
            value,
            version,
        });
        Swap::Done
    }
}

impl CompareAndSet for Key {
    type Value = u64;
    type Version = u64;
    type Error = Infallible;

    fn load(&mut self) -> Result<Option<Stored<u64, u64>>, Infallible> {
        Ok(self.now())
    }

    fn replace(
        &mut self,
        found: Option<&u64>,
        mark: Mark,
        value: &u64,
    ) -> Result<Swap, Infallible> {
        Ok(self.swap(found.copied(), mark, *value))
    }
}

/// Each call is pending once before it takes place, so that others can come in between.
impl asynchronous::CompareAndSet for Key {
    type Value = u64;
    type Version = u64;
    type Error = Infallible;

    async fn load(&mut self) -> Result<Option<Stored<u64, u64>>, Infallible> {
        turn().await;
        Ok(self.now())
    }

    async fn replace(
        &mut self,
        found: Option<&u64>,
        mark: Mark,
        value: &u64,
    ) -> Result<Swap, Infallible> {
        turn().await;
        Ok(self.swap(found.copied(), mark, *value))
    }
}

async fn turn() {
    let mut is_over = false;
    future::poll_fn(|_| {
        if core::mem::replace(&mut is_over, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

type Outcome = Result<(), FencedError<Infallible>>;

/// Lets writers with these tokens write their token, polled in the order that the digits of `schedule` say, then each
/// to its end. Returns what each came to.
fn interleave(key: &Key, tokens: &[u64], mut schedule: usize, steps: u32) -> Vec<Outcome> {
    let writer = |&token: &u64| {
        let mut key = key.clone();
        Box::pin(async move { asynchronous::fenced_put(&mut key, token, &token).await })
            as Pin<Box<dyn Future<Output = Outcome> + Send>>
    };
    let mut writers: Vec<_> = tokens.iter().map(writer).collect();
    let mut outcomes = vec![None; tokens.len()];
    let mut poll = |who: usize| {
        if outcomes[who].is_some() {
            return true;
        }
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(outcome) = writers[who].as_mut().poll(&mut cx) {
            outcomes[who] = Some(outcome);
        }
        outcomes[who].is_some()
    };
    for _ in 0..steps {
        poll(schedule % tokens.len());
        schedule /= tokens.len();
    }
    for who in 0..tokens.len() {
        while !poll(who) {}
    }
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("ended"))
        .collect()
}

#[test]
fn in_every_interleaving_tokens_rise_and_the_latest_hold_is_never_refused() {
    const TOKENS: [u64; 3] = [11, 13, 15];
    const STEPS: u32 = 8;
    let (mut late, mut all) = (0, 0);
    for schedule in 0..TOKENS.len().pow(STEPS) {
        let key = Key::default();
        let outcomes = interleave(&key, &TOKENS, schedule, STEPS);
        let written = key.written();
        assert!(written.is_sorted(), "schedule {schedule}: {written:?}");
        assert_eq!(written.last(), Some(&15), "schedule {schedule}");
        for (token, outcome) in TOKENS.iter().zip(&outcomes) {
            let is_written = written.contains(token);
            assert_eq!(outcome.is_ok(), is_written, "schedule {schedule}: {token}");
        }
        late += usize::from(written.len() == 1);
        all += usize::from(written.len() == TOKENS.len());
    }
    assert!(late > 0 && all > 0, "both happen");
}

#[test]
fn two_writes_of_one_hold_both_take_place() {
    let key = Key::default();
    for schedule in 0..1 << 8 {
        let outcomes = interleave(&key, &[11, 11], schedule, 8);
        assert_eq!(outcomes, [Ok(()), Ok(())]);
    }
}

#[test]
fn a_writer_that_slept_is_refused_and_changes_nothing() {
    let mut key = Key::default();
    fenced_put(&mut key, 13, &1).expect("first");
    let late = fenced_put(&mut key, 11, &2);
    let refused = Refused::Late {
        token: 11,
        mark: 13,
    };
    assert_eq!(late, Err(FencedError::Refused(refused)));
    assert_eq!(key.written(), [1]);
}

#[test]
fn readers_raise_no_mark_and_late_ones_are_refused() {
    let mut key = Key::default();
    assert_eq!(fenced_get(&mut key, 12), Ok(None));
    fenced_put(&mut key, 13, &1).expect("first");
    assert_eq!(fenced_get(&mut key, 20), Ok(Some(1)));
    assert_eq!(fenced_get(&mut key, 14), Ok(Some(1)), "beside the other");
    assert!(matches!(
        fenced_get(&mut key, 12),
        Err(FencedError::Refused(Refused::Late { .. }))
    ));
}

#[test]
fn a_reader_s_token_does_not_write() {
    let mut key = Key::default();
    let refused = fenced_put(&mut key, 12, &1);
    assert!(matches!(
        refused,
        Err(FencedError::Refused(Refused::NotExclusive { token: 12 }))
    ));
    assert_eq!(key.now(), None);
}

#[test]
fn a_hold_that_raises_the_mark_shuts_late_writes_out_before_it_writes() {
    let mut key = Key::default();
    fenced_put(&mut key, 11, &1).expect("first");
    fenced_update(&mut key, 13, |value| *value.expect("there")).expect("raised");
    assert!(fenced_put(&mut key, 11, &2).is_err());
    assert_eq!(fenced_get(&mut key, 13), Ok(Some(1)));
}

/// A key to which somebody writes under the same token just before each of our writes, `rivals` times.
struct Crowded {
    key: Key,
    rivals: Cell<u32>,
}

impl CompareAndSet for Crowded {
    type Value = u64;
    type Version = u64;
    type Error = Infallible;

    fn load(&mut self) -> Result<Option<Stored<u64, u64>>, Infallible> {
        self.key.load()
    }

    fn replace(
        &mut self,
        found: Option<&u64>,
        mark: Mark,
        value: &u64,
    ) -> Result<Swap, Infallible> {
        if let Some(rivals) = self.rivals.get().checked_sub(1) {
            self.rivals.set(rivals);
            fenced_put(&mut self.key, mark.highest(), &0).expect("the same hold");
        }
        self.key.replace(found, mark, value)
    }
}

#[test]
fn a_write_looks_again_until_its_attempts_are_used_up() {
    for (rivals, expected) in [
        (ATTEMPTS_MAX - 1, Ok(())),
        (ATTEMPTS_MAX, Err(FencedError::Contended)),
    ] {
        let mut crowded = Crowded {
            key: Key::default(),
            rivals: Cell::new(rivals),
        };
        assert_eq!(fenced_put(&mut crowded, 11, &7), expected);
        let left = crowded.key.now().expect("somebody wrote").value;
        assert_eq!(left == 7, expected.is_ok());
    }
}

#[test]
fn a_change_sees_what_came_in_between() {
    let mut crowded = Crowded {
        key: Key::default(),
        rivals: Cell::new(1),
    };
    let mut seen = Vec::new();
    let updated = fenced_update(&mut crowded, 11, |value| {
        seen.push(value.copied());
        value.map_or(1, |value| value + 1)
    });
    assert_eq!((updated, seen), (Ok(()), vec![None, Some(0)]));
    assert_eq!(crowded.key.now().expect("there").value, 1);
}

#[test]
fn futures_may_go_to_other_threads() {
    fn is_send(_: &impl Send) {}
    is_send(&asynchronous::fenced_get(&mut Key::default(), 11));
    is_send(&asynchronous::fenced_put(&mut Key::default(), 11, &1));
}

#[test]
fn a_sealed_value_is_found_again_and_other_content_is_refused() {
    let mark = Mark::stored(105).expect("odd");
    assert_eq!(unseal(&seal(mark, b"value")), Ok((mark, &b"value"[..])));
    assert_eq!(unseal(&seal(mark, b"")), Ok((mark, &b""[..])));
    for foreign in [&b""[..], b"rmf1", b"{\"size\": 10, \"owner\": 7}"] {
        assert_eq!(unseal(foreign), Err(UnsealError::NotSealed));
    }
    let even = unseal(b"rmf1\0\0\0\0\0\0\0\x08value");
    assert_eq!(even, Err(UnsealError::BadMark(BadMark { found: 8 })));
}
