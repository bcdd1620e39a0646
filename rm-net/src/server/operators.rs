//! What a server tells operators of its cluster and of its machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rm_core::front::Host as _;
use rm_core::inspect::{CoordinatorView, DataDirView, HealthView, MembersView, NodeRole, Standing};
use rm_core::session::packet::WIRE_VERSION;
use rm_core::view::{Member, MemberState, View};
use rustix::process::{Resource, getrlimit};

use super::{SESSIONS_MAX, Server};
use crate::clock::{BootClock, CLOCK_NAME, COUNTS_SUSPEND, stamp_now};

impl Server {
    /// The cluster as this node sees it.
    pub(super) fn members(&self) -> MembersView {
        let now = self.hub.now();
        let left = |until: Option<rm_core::time::Time>| {
            until.map_or(Duration::ZERO, |until| until.since(now))
        };
        let Some(status) = self.hub.desk.status() else {
            return self.alone(left(self.grace_until));
        };
        MembersView {
            node: self.hub.name.clone(),
            reg: status.reg,
            role: NodeRole::Member,
            standing: status.standing,
            view: status.view,
            missing: status.missing,
            good_for: Some(left(status.good_until)),
            coordinator: status.coordinator,
            grace: left(status.grace_until),
        }
    }

    /// A server that stands alone is a view of one member; one in the middle of a tree is no member of any.
    fn alone(&self, grace: Duration) -> MembersView {
        let is_stopping = self.hub.stopping.is_cancelled();
        let good_for = self.hub.domain().and_then(|domain| domain.trusted_for());
        let standing = match good_for {
            _ if is_stopping => Standing::Leaving,
            Some(Duration::ZERO) => Standing::Suspended,
            None | Some(_) => Standing::Active,
        };
        let role = if self.is_middle {
            NodeRole::Relay
        } else {
            NodeRole::Standalone
        };
        MembersView {
            node: self.hub.name.clone(),
            reg: self.config.reg,
            role,
            standing,
            view: self.own_view(),
            missing: Vec::new(),
            good_for,
            coordinator: CoordinatorView {
                kind: self.coordinator.clone(),
                is_connected: standing != Standing::Suspended,
                ..CoordinatorView::default()
            },
            grace,
        }
    }

    fn own_view(&self) -> Option<Arc<View>> {
        if self.is_middle {
            return None;
        }
        let member = Member {
            name: self.hub.name.clone().into_bytes(),
            reg: self.config.reg,
            address: self.address.get()?.to_string(),
            state: MemberState::Full,
            weight: 1,
        };
        let view = View::new(self.hub.epoch(), self.config.terms.length(), vec![member]);
        view.ok().map(Arc::new)
    }

    /// Counters that only people ask for.
    pub(super) fn operator_counters(&self) -> Vec<(String, u64)> {
        // Relaxed: counts for people.
        let jeopardies = self
            .hub
            .jeopardies
            .load(std::sync::atomic::Ordering::Relaxed);
        let status = self.hub.desk.status();
        let views = status.map_or(0, |status| status.views_adopted);
        vec![
            ("jeopardies".into(), jeopardies),
            ("views_adopted".into(), views),
        ]
    }

    /// What this node knows of its own machine. The disk may be slow, so a blocking task looks.
    pub(super) async fn health(&self) -> HealthView {
        let data_dir = self.data_dir.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let data_dir = data_dir.as_deref().map(look_at);
            (data_dir, open_files())
        });
        let (data_dir, files) = looked.await.unwrap_or_default();
        HealthView {
            node: self.hub.name.clone(),
            software: env!("CARGO_PKG_VERSION").into(),
            wire: WIRE_VERSION,
            wall_nanos: stamp_now().as_nanos(),
            clock_nanos: BootClock::new().now().as_nanos(),
            clock: CLOCK_NAME.into(),
            counts_suspend: COUNTS_SUSPEND,
            is_secured: false,
            files,
            files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            sessions_max: u32::try_from(SESSIONS_MAX).unwrap_or(u32::MAX),
            data_dir,
        }
    }
}

/// What can be told of a directory without writing to it.
fn look_at(dir: &Path) -> DataDirView {
    use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

    let path = dir.display().to_string();
    let refused = |error: String| DataDirView {
        path: path.clone(),
        free_bytes: 0,
        error,
    };
    match statvfs(dir) {
        Ok(volume) if volume.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            refused("the file system is mounted read-only".into())
        }
        Ok(volume) => DataDirView {
            free_bytes: volume.f_bavail.saturating_mul(volume.f_frsize),
            error: access(dir, Access::WRITE_OK)
                .map_or_else(|why| why.to_string(), |()| String::new()),
            path,
        },
        Err(why) => refused(why.to_string()),
    }
}

/// How many files and connections this process has open; 0 where the system does not tell.
fn open_files() -> u64 {
    let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    open.map_or(0, |count| count as u64)
}
