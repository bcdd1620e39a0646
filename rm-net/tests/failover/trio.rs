//! Three members, and their etcd.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rm_core::id::ResourceKey;
use rm_core::inspect::{Standing, StatusView};
use rm_core::view::View;
use rm_net::coordinator::EtcdConfig;
use rm_net::testing::Etcd;
use rm_net::{Client, Node};
use tempfile::TempDir;

use crate::common::{RW, until};
use crate::life::Life;

/// The members that every cluster begins with.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// A cluster of members with names of one letter.
pub(crate) struct Trio {
    pub(crate) etcd: Etcd,
    pub(crate) members: BTreeMap<String, Life>,
    lease: Duration,
    /// Each member has a directory in it, over all its lives.
    dir: TempDir,
}

impl Trio {
    /// Three members that all see each other; `None` where there is no etcd.
    pub(crate) async fn start(lease: Duration) -> Option<Self> {
        let mut trio = Self {
            etcd: Etcd::start()?,
            members: BTreeMap::new(),
            lease,
            dir: tempfile::tempdir().expect("a directory"),
        };
        for name in NAMES {
            trio.join(name).await;
        }
        trio.until_members().await;
        Some(trio)
    }

    /// One more member, or one that had ended.
    pub(crate) async fn join(&mut self, name: &str) {
        let config = EtcdConfig::new("test", &self.etcd.endpoint()).expect("a configuration");
        let builder = Node::builder().name(name).listen("127.0.0.1:0");
        let builder = builder.data_dir(self.dir.path().join(name));
        let builder = builder.etcd(config).lease(self.lease);
        let life = Life::start(builder).await;
        self.members.insert(name.to_owned(), life);
    }

    /// Ends a member without a word to anybody.
    pub(crate) async fn kill(&mut self, name: &str) {
        let life = self.members.remove(name).expect("it lives");
        life.kill().await;
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        &self.members[name].node
    }

    pub(crate) fn endpoint(&self, name: &str) -> String {
        self.members[name].endpoint()
    }

    pub(crate) fn status(&self, name: &str) -> StatusView {
        self.node(name).status()
    }

    /// Of that member, as a lender.
    pub(crate) fn counter(&self, name: &str, counter: &str) -> u64 {
        let counters = self.status(name).counters;
        let found = counters.iter().find(|(name, _)| name == counter);
        found.unwrap_or_else(|| panic!("no counter {counter}")).1
    }

    /// A client that is told of one member alone.
    pub(crate) async fn client(&self, name: &str, member: &str) -> Client {
        let builder = Client::builder().name(name).endpoint(self.endpoint(member));
        let client = builder.connect().await.expect("connected");
        until("it knows all members", || {
            client.domain().view() == self.node(member).domain().view()
        })
        .await;
        client
    }

    /// Waits until those who live are the members, for each of them.
    pub(crate) async fn until_members(&self) {
        let names: Vec<_> = self.members.keys().map(String::as_str).collect();
        let sees_all = |member: &Life| {
            let is_member = matches!(
                member.node.status().standing,
                Standing::Active | Standing::Gathering
            );
            is_member && names_in(member.node.domain().view().as_ref()) == names.concat()
        };
        until("those who live are the members", || {
            self.members.values().all(sees_all)
        })
        .await;
    }

    /// Waits until the client's view has those who live, and no other.
    pub(crate) async fn until_known_to(&self, client: &Client) {
        let names: String = self.members.keys().map(String::as_str).collect();
        until("the client knows who is a member", || {
            names_in(client.domain().view().as_ref()) == names
        })
        .await;
    }

    pub(crate) fn epoch(&self) -> u32 {
        let member = self.members.values().next().expect("one lives");
        member.node.domain().view().map_or(0, |view| view.epoch())
    }

    /// The member that is the root of that lock.
    pub(crate) fn root_of(&self, lock: &str) -> String {
        let member = self.members.values().next().expect("one lives");
        let view = member.node.domain().view().expect("it has adopted one");
        root_in(&view, lock)
    }

    /// The names of so many locks whose root that member is.
    pub(crate) fn locks_of(&self, member: &str, count: usize) -> Vec<String> {
        let names = (0..).map(|number| format!("lock/{number}"));
        let names = names.filter(|name| self.root_of(name) == member);
        names.take(count).collect()
    }

    /// A lock whose root that member is.
    pub(crate) fn lock_of(&self, member: &str) -> String {
        self.locks_of(member, 1).remove(0)
    }
}

/// Who is the root of a lock in that view.
pub(crate) fn root_in(view: &View, lock: &str) -> String {
    let key = ResourceKey::new(lock.as_bytes()).expect("a name");
    let root = view.root(RW, &key).expect("somebody is not leaving");
    String::from_utf8_lossy(&root.name).into_owned()
}

fn names_in(view: Option<&Arc<View>>) -> String {
    let members = view.into_iter().flat_map(|view| view.members());
    members
        .map(|member| String::from_utf8_lossy(&member.name))
        .collect()
}
