//! What a lock takes in memory: the sizes of its parts, and what its use asks of the allocator.
//!
//! ```text
//! cargo xtask bench footprint
//! ```

use core::mem::{size_of, size_of_val};
use std::alloc::System;
use std::future::IntoFuture;

use cap::Cap;
use rm_rwlock::doc::domain;
use rm_rwlock::{OwnedReadGuard, ReadGuard, RwLock};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Operations, and locks.
const MANY: usize = 10_000;

fn main() {
    sizes();
    println!();
    allocations();
}

fn sizes() {
    let ours = RwLock::new(&domain(), "size");
    let tokio = tokio::sync::RwLock::new(());
    let async_lock = async_lock::RwLock::new(());
    println!("| bytes | lock or handle | guard | owned guard | future of a read |");
    println!("|---|---|---|---|---|");
    println!(
        "| ours | {} | {} | {} | {} |",
        size_of_val(&ours),
        size_of::<ReadGuard<'_>>(),
        size_of::<OwnedReadGuard>(),
        size_of_val(&ours.read().into_future())
    );
    println!(
        "| tokio | {} | {} | {} | {} |",
        size_of_val(&tokio),
        size_of::<tokio::sync::RwLockReadGuard<'_, ()>>(),
        size_of::<tokio::sync::OwnedRwLockReadGuard<()>>(),
        size_of_val(&tokio.read())
    );
    println!(
        "| async-lock | {} | {} | {} | {} |",
        size_of_val(&async_lock),
        size_of::<async_lock::RwLockReadGuard<'_, ()>>(),
        size_of::<async_lock::RwLockReadGuardArc<()>>(),
        size_of_val(&async_lock.read())
    );
    println!(
        "| parking_lot | {} | {} | | |",
        size_of::<parking_lot::RwLock<()>>(),
        size_of::<parking_lot::RwLockReadGuard<'_, ()>>()
    );
    println!(
        "| std | {} | {} | | |",
        size_of::<std::sync::RwLock<()>>(),
        size_of::<std::sync::RwLockReadGuard<'_, ()>>()
    );
}

fn allocations() {
    let domain = domain();
    let lock = RwLock::new(&domain, "used");
    let read = async || drop(lock.read().await.expect("granted"));
    let read_owned = async || drop(lock.read_owned().await.expect("granted"));
    let write = async || drop(lock.write().await.expect("granted"));
    println!("| of ours | bytes asked of the allocator |");
    println!("|---|---|");
    println!("| a cached read, {MANY} times | {} |", asked(read));
    println!(
        "| a cached owned read, {MANY} times | {} |",
        asked(read_owned)
    );
    println!("| a cached write, {MANY} times | {} |", asked(write));

    let mut locks = Vec::with_capacity(MANY);
    let before = ALLOCATOR.allocated();
    for number in 0..MANY {
        let lock = RwLock::new(&domain, format!("lock-{number:011}"));
        pollster::block_on(async { drop(lock.read().await.expect("granted")) });
        locks.push(lock);
    }
    let each = (ALLOCATOR.allocated() - before) / MANY;
    println!("| a lock that was read once and whose handle is kept | {each} |");
}

/// How many bytes were asked for while `operation` ran many times, after a first time.
fn asked(operation: impl AsyncFn()) -> usize {
    pollster::block_on(async {
        operation().await;
        let before = ALLOCATOR.total_allocated();
        for _ in 0..MANY {
            operation().await;
        }
        ALLOCATOR.total_allocated() - before
    })
}
