//! The laws of a level, and of what it draws.

use super::{BrokenLaw, LawSettings, check, samples};
use crate::credit::{Credit, Level};
use crate::resource::ResourceType;

/// What must hold of three amounts as levels, and of one of them as credit.
type Law<T> = fn(&Sample<T>) -> bool;

struct Sample<T: ResourceType> {
    a: T::Level,
    b: T::Level,
    c: T::Level,
    /// What `a`, `b` and `c` are the levels of.
    credits: [T::Credit; 3],
    capital: T::Credit,
}

/// Tries every law of [`Level`], on the levels of amounts of `strategy`. Where a type asks for credit itself, they
/// hold if those of the credit do.
///
/// # Errors
/// The first law that does not hold.
pub fn check_level<T: ResourceType>(
    resource_type: &T,
    strategy: impl proptest::strategy::Strategy<Value = T::Credit> + 'static,
    settings: LawSettings,
) -> Result<(), BrokenLaw> {
    let capital = &resource_type.capital(&crate::testing::any_key());
    let samples = samples(strategy, capital);
    for (law, holds) in laws::<T>() {
        check(law, &samples, settings, |(a, b, c)| {
            holds(&Sample {
                a: T::Level::of(a),
                b: T::Level::of(b),
                c: T::Level::of(c),
                credits: [a.clone(), b.clone(), c.clone()],
                capital: capital.clone(),
            })
        })?;
    }
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..super::WILD_BYTES_MAX);
    check(
        "read of any bytes is a value or an error",
        &bytes,
        settings,
        |bytes| T::Level::read(bytes).is_ok() || T::Level::read(bytes).is_err(),
    )
}

fn laws<T: ResourceType>() -> Vec<(&'static str, Law<T>)> {
    [
        &measure_laws::<T>()[..],
        &order_laws()[..],
        &draw_laws()[..],
    ]
    .concat()
}

/// Of credit and its level.
fn measure_laws<T: ResourceType>() -> [(&'static str, Law<T>); 3] {
    [
        ("of(empty) is zero, and only of(empty) is", |s| {
            let [credit, ..] = &s.credits;
            T::Level::of(&T::Credit::empty()).is_zero() && s.a.is_zero() == credit.is_empty()
        }),
        ("b <= a  =>  of(a) reaches of(b)", |s| {
            let [a, b, _] = &s.credits;
            !a.covers(b) || s.a.reaches(&s.b)
        }),
        ("of(a + b) == of(a) plus of(b)", |s| {
            let [a, b, _] = &s.credits;
            let sum = a.join(b).filter(|sum| s.capital.covers(sum));
            sum.is_none_or(|sum| T::Level::of(&sum) == s.a.plus(&s.b, &s.capital))
        }),
    ]
}

/// Of levels among themselves.
fn order_laws<T: ResourceType>() -> [(&'static str, Law<T>); 5] {
    [
        (
            "a reaches a; a reaches b, b reaches c  =>  a reaches c",
            |s| {
                let chain = s.a.reaches(&s.b) && s.b.reaches(&s.c);
                s.a.reaches(&s.a) && (!chain || s.a.reaches(&s.c))
            },
        ),
        ("at_least(a, b) is the least that reaches both", |s| {
            let both = s.a.at_least(&s.b);
            let is_above = both.reaches(&s.a) && both.reaches(&s.b);
            let is_least = !(s.c.reaches(&s.a) && s.c.reaches(&s.b)) || s.c.reaches(&both);
            is_above && is_least
        }),
        ("a beyond b is zero  <=>  b reaches a", |s| {
            s.a.beyond(&s.b).is_zero() == s.b.reaches(&s.a)
        }),
        ("b plus (a beyond b) == at_least(a, b)", |s| {
            let capital = T::Level::of(&s.capital);
            let is_within = capital.reaches(&s.a) && capital.reaches(&s.b);
            let sum = s.b.plus(&s.a.beyond(&s.b), &s.capital);
            !is_within || sum == s.a.at_least(&s.b)
        }),
        (
            "a only where a == a, a only where nothing is zero, and it is never more",
            |s| {
                let nothing = T::Level::of(&T::Credit::empty());
                s.a.only_where(&s.a) == s.a
                    && s.a.only_where(&nothing).is_zero()
                    && s.a.reaches(&s.a.only_where(&s.b))
            },
        ),
    ]
}

/// Of what a level takes out of credit.
fn draw_laws<T: ResourceType>() -> [(&'static str, Law<T>); 4] {
    [
        ("draw(c) <= c, and no more than the level", |s| {
            let [_, b, _] = &s.credits;
            let drawn = s.a.draw(b);
            b.covers(&drawn) && s.a.reaches(&T::Level::of(&drawn))
        }),
        ("where there is enough, draw takes enough", |s| {
            let [_, b, _] = &s.credits;
            !s.b.reaches(&s.a) || T::Level::of(&s.a.draw(b)).reaches(&s.a)
        }),
        (
            "draw_all(c) is draw(c) where that is enough, else none",
            |s| {
                let [_, b, _] = &s.credits;
                let expected = s.b.reaches(&s.a).then(|| s.a.draw(b));
                s.a.draw_all(b) == expected
            },
        ),
        ("read(write(a)) == a", |s| {
            let mut bytes = Vec::new();
            s.a.write(&mut bytes);
            T::Level::read(&bytes).as_ref() == Ok(&s.a)
        }),
    ]
}
