//! What programs may rely on of the types they hold: a change here is one of the public interface (docs/SEMVER.md).

use std::error::Error;
use std::fmt::Debug;

use rm_net::{Client, ClientBuilder, ConnectError, InspectError, Node, NodeBuilder, Operator};
use rm_net::{StartError, StopReport};
use rm_rwlock::all::{AllGuards, LockAllError};
use rm_rwlock::{AcquireError, LostReason, OwnedReadGuard, OwnedWriteGuard, RwLock, WriteError};
use rm_types::byte_range::OwnedGuard;
use rm_types::semaphore::OwnedPermit;
use rm_types::{ByteRange, IdRange, Semaphore, Sequence};

const fn is_shared_by_threads<T: Send + Sync + Debug + 'static>() {}
const fn is_a_handle<T: Clone + Send + Sync + Debug + Unpin + 'static>() {}
const fn is_an_error<T: Error + Send + Sync + 'static>() {}
const fn is_moved_between_threads<T: Send + Debug + 'static>() {}

#[test]
fn handles_are_cloned_and_shared_by_threads() {
    is_a_handle::<Client>();
    is_a_handle::<Node>();
    is_a_handle::<RwLock>();
    is_a_handle::<Semaphore>();
    is_a_handle::<ByteRange>();
    is_a_handle::<IdRange>();
    is_a_handle::<Sequence>();
    is_a_handle::<ClientBuilder>();
    is_shared_by_threads::<NodeBuilder>();
    is_shared_by_threads::<StopReport>();
}

#[test]
fn owned_guards_are_shared_by_threads() {
    is_shared_by_threads::<OwnedReadGuard>();
    is_shared_by_threads::<OwnedWriteGuard>();
    is_shared_by_threads::<OwnedPermit>();
    is_shared_by_threads::<OwnedGuard>();
    is_shared_by_threads::<AllGuards>();
    is_moved_between_threads::<Operator>();
}

#[test]
fn errors_go_into_a_box_and_over_threads() {
    is_an_error::<AcquireError>();
    is_an_error::<LockAllError>();
    is_an_error::<LostReason>();
    is_an_error::<WriteError>();
    is_an_error::<ConnectError>();
    is_an_error::<InspectError>();
    is_an_error::<StartError>();
}
