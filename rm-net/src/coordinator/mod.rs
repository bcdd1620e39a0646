//! Coordinators: who keeps the list of a cluster's members.
//!
//! * *standalone*: nobody. One server is the only member of its view; its epoch is on its disk. See
//!   [`State::standalone`].
//! * *etcd*: [`EtcdCoordinator`] runs the pure machine [`rm_core::coordination`] against an etcd cluster. What the machine
//!   decides is decided there; this module carries its transactions, brings it what stands at etcd, and keeps the time.
//!
//! # For operators
//!
//! All of a cluster stands under one prefix, `/rm/<cluster>/` unless another is configured:
//!
//! | key | value |
//! |---|---|
//! | `view` | the members of the present epoch, and the cluster's lease |
//! | `members/<node>/<run>-<attempt>` | one registration: written by its node every quarter of a member's lease |
//!
//! Values are JSON objects ([`value`]); `etcdctl get --prefix /rm/` shows all. Nothing else is stored, so
//! there is nothing to back up. Load: one write per node each quarter of `M` (1 s by default), sent on to every other node by its watch;
//! no request depends on how many locks are in use.
//!
//! A user needs read and write permission for the prefix, and no other. The cluster's lease is fixed by the first view.
//! To change it, stop all nodes, wait for the old lease to end, delete the prefix, start. The same after
//! etcd was restored from a backup: nodes notice that it lost its past and say so.
//!
//! etcd's leases are used to clean up records of nodes that never come back (after 60 s, or `4 M` if that is longer). No
//! decision rests on them, nor on any clock of etcd's machines: servers before 3.5.13 may revoke a lease
//! that was renewed, and servers before 3.5.23 and 3.6.5 may confirm the renewal of one that was revoked.
//! [`EtcdCoordinator::check`] reports such versions.
//!
//! # Why gRPC
//!
//! etcd is spoken to in its own protocol, by `tonic` with `rustls` and `ring`. The other way is its JSON gateway. It would save
//! the HTTP/2 stack, but it is a client of the same gRPC server: a second hop that reports errors of a watch inside a stream of
//! HTTP chunks, has no keep-alive within a connection (a dead peer is noticed when the system gives up), cannot send
//! `hasleader` (a watch at a server that lost its cluster stays silent), and is not there with every way to configure
//! client certificates and authentication. A watch has to be sturdy; so it is gRPC. The `etcd-client` crate
//! would do, but needs `protoc` to build: the few messages in `proto/etcd.proto` are compiled by `cargo xtask proto`.
//!
//! # What happens when
//!
//! * *An endpoint fails or does not answer in time*: the next one of the list is tried, at once; after a whole round
//!   without success, later and later, up to a quarter of `M`, at most 1 s.
//! * *A watch ends, for whatever reason, compaction included*: all is read again, and watched from that revision on. That is
//!   at most 65 keys. So nothing is missed, and there is no history to resume.
//! * *A watch stays silent*: this node's own heartbeats must come back by it. If one does not, the connection is given up.
//! * *A token expires*: a new one is fetched, and the request sent again.
//! * *etcd's own lease of the records is gone*: another is made, and the next heartbeat hangs the record on it.

mod client;
mod config;
mod driver;
#[rustfmt::skip]
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "made by a program"
)]
mod generated;
mod health;
mod keys;
mod mirror;
mod state;
mod telling;
#[doc(hidden)]
pub mod value;

pub use self::config::{CLUSTER_BYTES_MAX, CoordinatorError, ENDPOINTS_MAX, EtcdConfig, EtcdTls};
#[doc(hidden)]
pub use self::driver::{Departure, EtcdCoordinator, EtcdHandle, NodeRecord};
pub use self::health::EndpointHealth;
#[doc(hidden)]
pub use self::state::State;
pub(crate) use self::telling::tell;
