//! What is cached is taken and given back without memory.
//!
//! Debug builds also note which task reads where, which takes memory; so this asks one layer below, where they are the same
//! as others. The release build of the whole lock is looked at by `cargo xtask bench footprint`.
//!
//! One test, because all tests of a program share its allocator and would see each other's bytes.

use std::alloc::System;

use cap::Cap;
use rm_core::front::{Acquire, Ask, Door, Held};
use rm_rwlock::doc::{block_on, domain};
use rm_rwlock::{RwCredit, RwLock};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

#[test]
fn cached_reads_and_writes_ask_for_no_memory() {
    let lock = RwLock::new(&domain(), "x");
    let resource = &**lock.resource().expect("it has a name");
    let ways = [
        (RwCredit::READ, Door::Shared),
        (*resource.capital(), Door::Sole),
    ];
    let use_it = async || {
        for (level, door) in ways {
            let ask = Ask::new(level).door(door);
            drop(Acquire::new(resource, ask).await.expect("cached"));
            drop(Held::try_cached(resource, &level, Some(door), None).expect("cached"));
        }
    };
    block_on(async {
        use_it().await;
        let before = ALLOCATOR.total_allocated();
        for _ in 0..1_000 {
            use_it().await;
        }
        assert_eq!(ALLOCATOR.total_allocated(), before);
    });
}
